/*
 * A virtio console (virtio 1.2, section 5.3) with one port and no control queues.
 *
 * Bytes that the guest sends leave before its notification returns. One buffer may bring at most
 * VIRTIO_CONSOLE_SEND_MAX of them; a driver that sends more at once is broken, and the device needs a reset.
 *
 * Bytes in go into the guest's receive buffers; while there are none, there is no room, and the bytes wait with the
 * host. The guest is asked for a notification when it has run out.
 */
#ifndef ENCORE_VMM_DEVICES_VIRTIO_CONSOLE_H
#define ENCORE_VMM_DEVICES_VIRTIO_CONSOLE_H

#include "vmm/devices/virtio_pci.h"

#define VIRTIO_CONSOLE_ID       3
#define VIRTIO_CONSOLE_RECEIVE  0 /* the queues: 5.3.2 */
#define VIRTIO_CONSOLE_TRANSMIT 1
#define VIRTIO_CONSOLE_SEND_MAX 65536
#define VIRTIO_CONSOLE_ROOM_MAX 4096

struct virtio_console {
    struct virtio_pci virtio;
    struct byte_sink sink;
};

void virtio_console_init(struct virtio_console *console, struct byte_sink sink, const struct virtio_wires *wires);

/* The console has no state besides its transport's. */
void virtio_console_state(struct virtio_console *console, struct state *state);

/* How many bytes virtio_console_receive may be given now: what the guest's buffers hold, up to
 * VIRTIO_CONSOLE_ROOM_MAX. */
size_t virtio_console_room(const struct virtio_console *console);

/* Bytes from the host; `length` must not exceed virtio_console_room. The bytes remain the caller's. */
void virtio_console_receive(struct virtio_console *console, const uint8_t *bytes, size_t length);

#endif
