/*
 * A virtio block device (virtio 1.2, section 5.2) over a disk (vmm/disk.h).
 *
 * One queue. A request is complete before the driver's notification returns. Requests: read, write, flush and the
 * disk's name; others are answered UNSUPP. A request that reaches past the end of the disk, is no whole number of
 * sectors or longer than VIRTIO_BLOCK_REQUEST_MAX is answered IOERR, as is one that the disk fails; the device says
 * beforehand, by its largest segment and number of segments, what it can take. A request without room for its header or
 * its status cannot be answered at all, and the device needs a reset.
 */
#ifndef ENCORE_VMM_DEVICES_VIRTIO_BLOCK_H
#define ENCORE_VMM_DEVICES_VIRTIO_BLOCK_H

#include "vmm/devices/virtio_pci.h"
#include "vmm/disk.h"

#define VIRTIO_BLOCK_ID 2

/* Feature bits: 5.2.3. */
#define VIRTIO_BLOCK_F_SIZE_MAX (UINT64_C(1) << 1)
#define VIRTIO_BLOCK_F_SEG_MAX  (UINT64_C(1) << 2)
#define VIRTIO_BLOCK_F_RO       (UINT64_C(1) << 5)
#define VIRTIO_BLOCK_F_BLK_SIZE (UINT64_C(1) << 6)
#define VIRTIO_BLOCK_F_FLUSH    (UINT64_C(1) << 9)

#define VIRTIO_BLOCK_SEGMENTS     (VIRTQUEUE_SIZE_MAX - 2) /* besides header and status */
#define VIRTIO_BLOCK_SEGMENT_MAX  65536                    /* bytes */
#define VIRTIO_BLOCK_REQUEST_MAX  (VIRTIO_BLOCK_SEGMENTS * VIRTIO_BLOCK_SEGMENT_MAX)
#define VIRTIO_BLOCK_NAME         20 /* bytes of the disk's name, filled up with zeros */
#define VIRTIO_BLOCK_CONFIG_BYTES 24 /* to the end of blk_size: 5.2.4 */

struct virtio_block {
    struct virtio_pci virtio;
    struct disk *disk;
    uint8_t name[VIRTIO_BLOCK_NAME];
};

/* The disk stays the caller's. `name` is cut to VIRTIO_BLOCK_NAME bytes. */
void virtio_block_init(struct virtio_block *block, struct disk *disk, const char *name,
                       const struct virtio_wires *wires);

/* The device has no state of its own; the disk saves itself. */
void virtio_block_state(struct virtio_block *block, struct state *state);

#endif
