/* A virtio console; see virtio_console.h. */
#include "vmm/devices/virtio_console.h"

#include "base/check.h"

#define QUEUE_SIZE 64
#define PIECE      512 /* bytes copied at a time */

/* False when the guest's memory is not there, or it sends too much at once. */
static bool send(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    struct virtio_console *console = device;
    struct virtqueue_cursor cursor = virtqueue_readable(chain);
    uint8_t bytes[PIECE];

    (void)written; /* nothing */
    if (cursor.left > VIRTIO_CONSOLE_SEND_MAX)
        return false;
    while (cursor.left > 0) {
        size_t length = cursor.left < PIECE ? cursor.left : PIECE;
        if (!virtqueue_read(&cursor, &console->virtio.dma, bytes, length))
            return false;
        for (size_t i = 0; i < length && console->sink.put; i++)
            console->sink.put(console->sink.context, bytes[i]);
    }
    return true;
}

size_t virtio_console_room(const struct virtio_console *console)
{
    unsigned waiting = virtio_waiting(&console->virtio, VIRTIO_CONSOLE_RECEIVE);
    struct virtqueue_chain chain;
    uint64_t room = 0;

    for (unsigned i = 0; i < waiting && room < VIRTIO_CONSOLE_ROOM_MAX; i++) {
        if (!virtio_look(&console->virtio, VIRTIO_CONSOLE_RECEIVE, i, &chain))
            break;
        room += chain.writable_bytes;
    }
    return room < VIRTIO_CONSOLE_ROOM_MAX ? (size_t)room : VIRTIO_CONSOLE_ROOM_MAX;
}

void virtio_console_receive(struct virtio_console *console, const uint8_t *bytes, size_t length)
{
    struct virtqueue_chain chain;

    CHECK(length <= virtio_console_room(console));
    for (unsigned n = virtio_waiting(&console->virtio, VIRTIO_CONSOLE_RECEIVE); n > 0 && length > 0; n--) {
        if (!virtio_take(&console->virtio, VIRTIO_CONSOLE_RECEIVE, &chain))
            return;
        struct virtqueue_cursor cursor = virtqueue_writable(&chain);
        uint32_t piece = (uint32_t)(cursor.left < length ? cursor.left : length);
        if (!virtqueue_write(&cursor, &console->virtio.dma, bytes, piece)) {
            virtio_fail(&console->virtio);
            return;
        }
        virtio_give(&console->virtio, VIRTIO_CONSOLE_RECEIVE, &chain, piece);
        bytes += piece;
        length -= piece;
    }
    virtio_ask_when_empty(&console->virtio, VIRTIO_CONSOLE_RECEIVE);
}

void virtio_console_init(struct virtio_console *console, struct byte_sink sink, const struct virtio_wires *wires)
{
    static const struct virtio_kind kind = {
        .id = VIRTIO_CONSOLE_ID,
        .class = 0x078000, /* communication */
        .queues = 2,
        .queue_size = QUEUE_SIZE,
        .serve = {[VIRTIO_CONSOLE_TRANSMIT] = send},
    };

    *console = (struct virtio_console){.sink = sink};
    virtio_pci_init(&console->virtio, &kind, console, 0, wires);
}

void virtio_console_state(struct virtio_console *console, struct state *state)
{
    virtio_pci_state(&console->virtio, state);
}
