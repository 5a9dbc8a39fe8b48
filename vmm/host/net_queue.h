/*
 * A bounded queue of frames between two threads, with a descriptor that polls readable while there is a frame in it.
 * When it is full, what comes is dropped.
 */
#ifndef ENCORE_VMM_HOST_NET_QUEUE_H
#define ENCORE_VMM_HOST_NET_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ethernet.h"

#define NET_QUEUE_FRAMES 256

struct net_queue {
    pthread_mutex_t lock;
    int fd; /* an eventfd; -1: not open */
    size_t first, count;
    uint64_t dropped;
    uint16_t lengths[NET_QUEUE_FRAMES];
    uint8_t frames[NET_QUEUE_FRAMES][FRAME_MAX];
};

/* Returns 0, or -1 with the error; net_queue_close is to be called either way. */
int net_queue_open(struct net_queue *queue, struct error *error);
void net_queue_close(struct net_queue *queue);

/* False: it was full. */
bool net_queue_put(struct net_queue *queue, const uint8_t *frame, size_t length);
/* Returns the length; 0: it is empty. */
size_t net_queue_take(struct net_queue *queue, uint8_t frame[FRAME_MAX]);

#endif
