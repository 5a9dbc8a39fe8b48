/* A virtio entropy device; see virtio_rng.h. */
#include "vmm/devices/virtio_rng.h"

#include "base/check.h"

#define QUEUE_SIZE 8

static bool serve(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    struct virtio_rng *rng = device;
    struct virtqueue_cursor cursor = virtqueue_writable(chain);
    uint8_t bytes[VIRTIO_RNG_REQUEST_MAX];

    *written = cursor.left < sizeof bytes ? (uint32_t)cursor.left : sizeof bytes;
    if (*written > 0)
        rng->source.fill(rng->source.context, bytes, *written);
    return virtqueue_write(&cursor, &rng->virtio.dma, bytes, *written);
}

void virtio_rng_init(struct virtio_rng *rng, struct entropy_source source, const struct virtio_wires *wires)
{
    static const struct virtio_kind kind = {
        .id = VIRTIO_RNG_ID,
        .class = 0xff0000, /* of no class */
        .queues = 1,
        .queue_size = QUEUE_SIZE,
        .serve = {serve},
    };

    CHECK(source.fill);
    *rng = (struct virtio_rng){.source = source};
    virtio_pci_init(&rng->virtio, &kind, rng, 0, wires);
}

void virtio_rng_state(struct virtio_rng *rng, struct state *state)
{
    virtio_pci_state(&rng->virtio, state);
}
