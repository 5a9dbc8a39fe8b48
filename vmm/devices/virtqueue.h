/*
 * A virtqueue in the split format, from the device's side (virtio 1.2, section 2.7).
 *
 * The rings are the guest's memory and may hold anything. A chain is taken by copying each of its descriptors once;
 * what the guest changes afterwards changes nothing. A chain has at most as many descriptors as the device offered for
 * the queue, those of an indirect table included, so that a loop ends. An index, an address or an order of descriptors
 * that the specification forbids makes the ring broken: the caller then has the device ask for a reset.
 *
 * Our devices finish a buffer before they look at the next. So one index says both which available entry comes next and
 * which used entry will be written, and a chain that was taken but not given back is still there to be taken.
 *
 * Nothing here happens while the guest runs, so what it has made available by the time that the device looks is all
 * there is. Devices look once how many that are (virtqueue_waiting) and finish no more: a device that writes into its
 * own available ring, because the guest wants it so, does not go on for ever.
 */
#ifndef ENCORE_VMM_DEVICES_VIRTQUEUE_H
#define ENCORE_VMM_DEVICES_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dma.h"
#include "vmm/state.h"

/* The largest queue that a device of ours offers, and so the longest chain. */
#define VIRTQUEUE_SIZE_MAX 256

struct virtqueue {
    uint16_t size_max; /* wiring: what the device offers, a power of two up to VIRTQUEUE_SIZE_MAX */
    uint16_t size;     /* entries; a power of two from 1 to size_max */
    bool enabled;
    uint64_t descriptors; /* guest addresses: the descriptor area, */
    uint64_t driver;      /* the driver area (available ring), */
    uint64_t device;      /* and the device area (used ring) */
    uint16_t next;        /* free-running: the available entry to be taken next, and the used entry to be written */
};

/* What was negotiated that concerns rings: VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX. */
struct virtqueue_rules {
    bool indirect;
    bool event_index;
};

struct virtqueue_segment {
    uint64_t address;
    uint32_t length;
};

/* A chain of descriptors: first those that the device reads, then those that it writes. */
struct virtqueue_chain {
    uint16_t head;
    uint16_t readable;                                     /* segments to read */
    uint16_t count;                                        /* all segments */
    uint64_t readable_bytes, writable_bytes;               /* together at most 2^32 */
    struct virtqueue_segment segments[VIRTQUEUE_SIZE_MAX]; /* only the first `count` are filled in */
};

/* A queue as after a reset. */
void virtqueue_init(struct virtqueue *queue, uint16_t size_max);
/* Fields of the section that the caller began. */
void virtqueue_state(struct virtqueue *queue, struct state *state);

/* How many chains the guest has made available and the device has not finished: 0 to size, or -1 when the ring is
 * broken. The queue must be enabled, here and below. */
int virtqueue_waiting(const struct virtqueue *queue, const struct dma *dma);

/* Copies the `ahead`-th of the waiting chains (0: the next). False when the ring is broken. */
bool virtqueue_take(const struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules, unsigned ahead,
                    struct virtqueue_chain *chain);

/* Hands the next chain back with `written` bytes in its writable part. *notify says whether the guest wants to hear of
 * it. False when the ring is broken. */
bool virtqueue_give(struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules,
                    const struct virtqueue_chain *chain, uint32_t written, bool *notify);

/* Asks the guest for a notification when it makes the next entry available, if that has to be asked for. False when the
 * ring is broken. */
bool virtqueue_ask(const struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules);

/* A place in a chain's readable or writable bytes. */
struct virtqueue_cursor {
    const struct virtqueue_chain *chain;
    uint64_t left;   /* bytes to its end */
    unsigned at;     /* segment */
    uint32_t offset; /* in that segment */
};

struct virtqueue_cursor virtqueue_readable(const struct virtqueue_chain *chain);
struct virtqueue_cursor virtqueue_writable(const struct virtqueue_chain *chain);

/* Copy bytes from or to the guest and move on; at most `left` of them (a broken invariant otherwise). False when some
 * of them are not in memory; an unknown part of them may have been copied. */
bool virtqueue_read(struct virtqueue_cursor *cursor, const struct dma *dma, void *to, uint64_t length);
bool virtqueue_write(struct virtqueue_cursor *cursor, const struct dma *dma, const void *from, uint64_t length);
void virtqueue_skip(struct virtqueue_cursor *cursor, uint64_t length);

#endif
