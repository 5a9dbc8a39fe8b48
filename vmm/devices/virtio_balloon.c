/* A virtio memory balloon; see virtio_balloon.h. */
#include "vmm/devices/virtio_balloon.h"

#include "base/bytes.h"

#define QUEUE_SIZE    16
#define CONFIG_TARGET 0 /* num_pages and actual: 5.5.4 */
#define CONFIG_ACTUAL 4
#define CONFIG_BYTES  8
#define PAGE_NUMBER   4 /* bytes of a page's number: its address divided by 4096 */

static void config_read(const void *device, uint8_t *config)
{
    const struct virtio_balloon *balloon = device;

    bytes_store(config + CONFIG_TARGET, 4, balloon->target);
    bytes_store(config + CONFIG_ACTUAL, 4, balloon->actual);
}

static void config_write(void *device, unsigned offset, unsigned size, uint64_t value)
{
    struct virtio_balloon *balloon = device;

    if (offset == CONFIG_ACTUAL && size == 4)
        balloon->actual = (uint32_t)value;
}

static bool inflate(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    struct virtio_balloon *balloon = device;
    struct virtqueue_cursor cursor = virtqueue_readable(chain);
    uint8_t number[PAGE_NUMBER];

    (void)written; /* nothing */
    for (unsigned i = 0; i < VIRTIO_BALLOON_PAGES_MAX && cursor.left >= PAGE_NUMBER; i++) {
        if (!virtqueue_read(&cursor, &balloon->virtio.dma, number, PAGE_NUMBER))
            return false;
        (void)dma_forget_page(&balloon->virtio.dma, bytes_load(number, PAGE_NUMBER) << RAM_PAGE_SHIFT);
    }
    return true;
}

static bool deflate(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    (void)device;
    (void)chain;
    (void)written;
    return true;
}

/* The driver's balloon is empty again. What the operator wants stays. */
static void reset(void *device)
{
    struct virtio_balloon *balloon = device;

    balloon->actual = 0;
}

void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_wires *wires)
{
    static const struct virtio_kind kind = {
        .id = VIRTIO_BALLOON_ID,
        .class = 0xff0000, /* of no class */
        .queues = 2,
        .queue_size = QUEUE_SIZE,
        .config_bytes = CONFIG_BYTES,
        .config_read = config_read,
        .config_write = config_write,
        .serve = {[VIRTIO_BALLOON_INFLATE] = inflate, [VIRTIO_BALLOON_DEFLATE] = deflate},
        .reset = reset,
    };

    *balloon = (struct virtio_balloon){.target = 0};
    virtio_pci_init(&balloon->virtio, &kind, balloon, VIRTIO_BALLOON_DEFLATE_ON_OOM, wires);
}

void virtio_balloon_state(struct virtio_balloon *balloon, struct state *state)
{
    virtio_pci_state(&balloon->virtio, state);
    state_section(state, "virtio-balloon", 1);
    state_u32(state, "target", &balloon->target);
    state_u32(state, "actual", &balloon->actual);
}

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint32_t pages)
{
    if (pages == balloon->target)
        return;
    balloon->target = pages;
    virtio_config_changed(&balloon->virtio);
}
