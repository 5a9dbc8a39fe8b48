/*
 * A virtio memory balloon (virtio 1.2, section 5.5).
 *
 * The operator sets a target; the guest hears of it and gives pages into the balloon, or takes some back. Pages are of
 * 4 KiB.
 *
 * A page that comes into the balloon is zeroed before its buffer is given back, the moment at which the specification
 * lets a device change it whatever was negotiated (5.5.6.2). The host gets its memory back, and a checkpoint has
 * nothing to store for it. From then on the device does not touch it, so the guest may use it again at any time, and
 * pages that come out of the balloon need nothing done. Of the device's own features one is offered, that a driver may
 * take pages back when its system runs out of memory (VIRTIO_BALLOON_F_DEFLATE_ON_OOM, 5.5.3): there is nothing that
 * the device would have to do for it, for it is content with a balloon that is smaller than its target.
 *
 * One buffer may name VIRTIO_BALLOON_PAGES_MAX pages; what it names beyond that, and what is no memory, is left alone.
 */
#ifndef ENCORE_VMM_DEVICES_VIRTIO_BALLOON_H
#define ENCORE_VMM_DEVICES_VIRTIO_BALLOON_H

#include "vmm/devices/virtio_pci.h"

#define VIRTIO_BALLOON_ID             5
#define VIRTIO_BALLOON_INFLATE        0 /* the queues: 5.5.2 */
#define VIRTIO_BALLOON_DEFLATE        1
#define VIRTIO_BALLOON_DEFLATE_ON_OOM (1u << 2)
#define VIRTIO_BALLOON_PAGES_MAX      1024

struct virtio_balloon {
    struct virtio_pci virtio;
    uint32_t target; /* pages: num_pages */
    uint32_t actual; /* pages, as the driver last said */
};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_wires *wires);

/* Sections of the transport, and "virtio-balloon". */
void virtio_balloon_state(struct virtio_balloon *balloon, struct state *state);

/* Operator input: how many pages the balloon shall have. */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint32_t pages);

#endif
