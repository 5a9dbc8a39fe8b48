/*
 * A virtio network card (virtio 1.2, section 5.1): one queue each way, and no offloads, so that what crosses the wires
 * are plain Ethernet frames without their check sequence.
 *
 * A frame that the guest sends leaves before its notification returns. Frames shorter than their own header or longer
 * than FRAME_MAX go nowhere, as on a wire. The link is always up.
 *
 * Frames in take the guest's receive buffers, one each; while there is none, there is no room, and the frames wait with
 * the host. The guest is asked for a notification when it has run out. A frame that does not fit its buffer is lost:
 * the driver must make them long enough (5.1.6.3.1).
 */
#ifndef ENCORE_VMM_DEVICES_VIRTIO_NET_H
#define ENCORE_VMM_DEVICES_VIRTIO_NET_H

#include "vmm/devices/virtio_pci.h"

#define VIRTIO_NET_ID 1

/* Feature bits: 5.1.3. */
#define VIRTIO_NET_F_MAC    (UINT64_C(1) << 5)
#define VIRTIO_NET_F_STATUS (UINT64_C(1) << 16)

#define VIRTIO_NET_RECEIVE  0 /* the queues: 5.1.2 */
#define VIRTIO_NET_TRANSMIT 1
#define VIRTIO_NET_HEADER   12 /* bytes before each frame: 5.1.6 */
#define VIRTIO_NET_ADDRESS  6

struct virtio_net {
    struct virtio_pci virtio;
    uint8_t address[VIRTIO_NET_ADDRESS]; /* wiring: its MAC address */
    struct frame_sink sink;
};

void virtio_net_init(struct virtio_net *net, const uint8_t address[VIRTIO_NET_ADDRESS], struct frame_sink sink,
                     const struct virtio_wires *wires);

/* The card has no state besides its transport's. */
void virtio_net_state(struct virtio_net *net, struct state *state);

/* How many frames virtio_net_receive may be given now. */
unsigned virtio_net_room(const struct virtio_net *net);

/* A frame from outside, of at most FRAME_MAX bytes, when there is room for one. It stays the caller's. */
void virtio_net_receive(struct virtio_net *net, const uint8_t *frame, size_t length);

#endif
