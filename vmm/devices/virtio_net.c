/* A virtio network card; see virtio_net.h. */
#include "vmm/devices/virtio_net.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/ethernet.h"

#define QUEUE_SIZE         256
#define CONFIG_BYTES       8 /* mac and status: 5.1.4 */
#define LINK_UP            1
#define ETHERNET_HEADER    14
#define HEADER_NUM_BUFFERS 10

static void config_read(const void *device, uint8_t *config)
{
    const struct virtio_net *net = device;

    memcpy(config, net->address, VIRTIO_NET_ADDRESS);
    bytes_store(config + VIRTIO_NET_ADDRESS, 2, LINK_UP);
}

/* Sends what follows the header, which without offloads says nothing. False when the guest's memory is not there. */
static bool send(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    struct virtio_net *net = device;
    struct virtqueue_cursor cursor = virtqueue_readable(chain);
    uint8_t frame[FRAME_MAX];

    (void)written; /* nothing */
    if (cursor.left < VIRTIO_NET_HEADER + ETHERNET_HEADER || cursor.left > VIRTIO_NET_HEADER + FRAME_MAX)
        return true;
    virtqueue_skip(&cursor, VIRTIO_NET_HEADER);
    size_t length = cursor.left;
    if (!virtqueue_read(&cursor, &net->virtio.dma, frame, length))
        return false;
    if (net->sink.put)
        net->sink.put(net->sink.context, frame, length);
    return true;
}

unsigned virtio_net_room(const struct virtio_net *net)
{
    return virtio_waiting(&net->virtio, VIRTIO_NET_RECEIVE);
}

void virtio_net_receive(struct virtio_net *net, const uint8_t *frame, size_t length)
{
    static const uint8_t header[VIRTIO_NET_HEADER] = {[HEADER_NUM_BUFFERS] = 1};
    struct virtqueue_chain chain;

    CHECK(virtio_net_room(net) > 0 && length <= FRAME_MAX);
    if (!virtio_take(&net->virtio, VIRTIO_NET_RECEIVE, &chain))
        return;
    struct virtqueue_cursor cursor = virtqueue_writable(&chain);
    if (cursor.left < VIRTIO_NET_HEADER + length)
        return;
    if (!virtqueue_write(&cursor, &net->virtio.dma, header, sizeof header) ||
        !virtqueue_write(&cursor, &net->virtio.dma, frame, length)) {
        virtio_fail(&net->virtio);
        return;
    }
    virtio_give(&net->virtio, VIRTIO_NET_RECEIVE, &chain, VIRTIO_NET_HEADER + (uint32_t)length);
    virtio_ask_when_empty(&net->virtio, VIRTIO_NET_RECEIVE);
}

void virtio_net_init(struct virtio_net *net, const uint8_t address[VIRTIO_NET_ADDRESS], struct frame_sink sink,
                     const struct virtio_wires *wires)
{
    static const struct virtio_kind kind = {
        .id = VIRTIO_NET_ID,
        .class = 0x020000, /* Ethernet */
        .queues = 2,
        .queue_size = QUEUE_SIZE,
        .config_bytes = CONFIG_BYTES,
        .config_read = config_read,
        .serve = {[VIRTIO_NET_TRANSMIT] = send},
    };

    *net = (struct virtio_net){.sink = sink};
    memcpy(net->address, address, VIRTIO_NET_ADDRESS);
    virtio_pci_init(&net->virtio, &kind, net, VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS, wires);
}

void virtio_net_state(struct virtio_net *net, struct state *state)
{
    virtio_pci_state(&net->virtio, state);
}
