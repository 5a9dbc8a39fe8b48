/* See net_queue.h. */
#include "vmm/host/net_queue.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

int net_queue_open(struct net_queue *queue, struct error *error)
{
    queue->first = queue->count = 0;
    queue->dropped = 0;
    pthread_mutex_init(&queue->lock, NULL);
    queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return queue->fd < 0 ? error_errno(error, "cannot make a queue of frames") : 0;
}

void net_queue_close(struct net_queue *queue)
{
    if (queue->fd >= 0)
        close(queue->fd);
    queue->fd = -1;
    pthread_mutex_destroy(&queue->lock);
}

bool net_queue_put(struct net_queue *queue, const uint8_t *frame, size_t length)
{
    CHECK(length <= FRAME_MAX);
    pthread_mutex_lock(&queue->lock);
    bool room = queue->count < NET_QUEUE_FRAMES;
    if (room) {
        size_t place = (queue->first + queue->count++) % NET_QUEUE_FRAMES;
        queue->lengths[place] = (uint16_t)length;
        memcpy(queue->frames[place], frame, length);
        if (queue->count == 1)
            (void)eventfd_write(queue->fd, 1);
    } else {
        queue->dropped++;
    }
    pthread_mutex_unlock(&queue->lock);
    return room;
}

size_t net_queue_take(struct net_queue *queue, uint8_t frame[FRAME_MAX])
{
    size_t length = 0;
    eventfd_t count;

    pthread_mutex_lock(&queue->lock);
    if (queue->count > 0) {
        length = queue->lengths[queue->first];
        memcpy(frame, queue->frames[queue->first], length);
        queue->first = (queue->first + 1) % NET_QUEUE_FRAMES;
        if (--queue->count == 0)
            (void)eventfd_read(queue->fd, &count);
    }
    pthread_mutex_unlock(&queue->lock);
    return length;
}
