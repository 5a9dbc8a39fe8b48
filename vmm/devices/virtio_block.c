/* A virtio block device; see virtio_block.h. */
#include "vmm/devices/virtio_block.h"

#include <string.h>

#include "base/bytes.h"

#define QUEUE_SIZE  256
#define HEADER_SIZE 16 /* type, reserved, sector: 5.2.6 */
#define PIECE       64 /* sectors copied at a time */

enum request_type { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 };
enum request_status { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };

/* A request in work. */
struct request {
    struct virtqueue_cursor out; /* readable: what follows the header */
    struct virtqueue_cursor in;  /* writable: what precedes the status */
    uint64_t sector;
    uint32_t written; /* bytes of `in` */
    bool broken;      /* guest memory was not there */
};

static void config_read(const void *device, uint8_t *config)
{
    const struct virtio_block *block = device;

    bytes_store(config, 8, disk_sectors(block->disk));
    bytes_store(config + 8, 4, VIRTIO_BLOCK_SEGMENT_MAX);
    bytes_store(config + 12, 4, VIRTIO_BLOCK_SEGMENTS);
    bytes_store(config + 20, 4, DISK_SECTOR);
}

/* Whether the request's data is so many whole sectors of this disk. */
static bool fits(const struct virtio_block *block, const struct request *request, uint64_t bytes)
{
    uint64_t sectors = disk_sectors(block->disk);

    return bytes % DISK_SECTOR == 0 && bytes <= VIRTIO_BLOCK_REQUEST_MAX && request->sector <= sectors &&
           bytes / DISK_SECTOR <= sectors - request->sector;
}

static uint32_t next_piece(uint64_t bytes)
{
    return bytes / DISK_SECTOR < PIECE ? (uint32_t)(bytes / DISK_SECTOR) : PIECE;
}

static enum request_status read_disk(struct virtio_block *block, struct request *request)
{
    uint8_t bytes[PIECE * DISK_SECTOR];

    if (!fits(block, request, request->in.left))
        return STATUS_IOERR;
    while (request->in.left > 0) {
        uint32_t count = next_piece(request->in.left);
        if (!disk_read(block->disk, request->sector, bytes, count))
            return STATUS_IOERR;
        if (!virtqueue_write(&request->in, &block->virtio.dma, bytes, count * DISK_SECTOR)) {
            request->broken = true;
            return STATUS_IOERR;
        }
        request->sector += count;
        request->written += count * DISK_SECTOR;
    }
    return STATUS_OK;
}

static enum request_status write_disk(struct virtio_block *block, struct request *request)
{
    uint8_t bytes[PIECE * DISK_SECTOR];

    if (disk_is_read_only(block->disk) || !fits(block, request, request->out.left))
        return STATUS_IOERR;
    while (request->out.left > 0) {
        uint32_t count = next_piece(request->out.left);
        if (!virtqueue_read(&request->out, &block->virtio.dma, bytes, count * DISK_SECTOR)) {
            request->broken = true;
            return STATUS_IOERR;
        }
        if (!disk_write(block->disk, request->sector, bytes, count))
            return STATUS_IOERR;
        request->sector += count;
    }
    return STATUS_OK;
}

static enum request_status tell_name(struct virtio_block *block, struct request *request)
{
    uint32_t length = request->in.left < VIRTIO_BLOCK_NAME ? (uint32_t)request->in.left : VIRTIO_BLOCK_NAME;

    request->broken = !virtqueue_write(&request->in, &block->virtio.dma, block->name, length);
    request->written = length;
    return STATUS_OK;
}

static enum request_status perform(struct virtio_block *block, struct request *request, uint32_t type)
{
    switch (type) {
    case TYPE_IN:
        return read_disk(block, request);
    case TYPE_OUT:
        return write_disk(block, request);
    case TYPE_FLUSH:
        return disk_flush(block->disk) ? STATUS_OK : STATUS_IOERR;
    case TYPE_GET_ID:
        return tell_name(block, request);
    default:
        return STATUS_UNSUPP;
    }
}

/* False when the request cannot be answered. */
static bool serve(void *device, const struct virtqueue_chain *chain, uint32_t *written)
{
    struct virtio_block *block = device;
    struct request request = {.out = virtqueue_readable(chain), .in = virtqueue_writable(chain)};
    struct virtqueue_cursor last = request.in;
    uint8_t header[HEADER_SIZE];

    if (request.out.left < HEADER_SIZE || request.in.left < 1 ||
        !virtqueue_read(&request.out, &block->virtio.dma, header, HEADER_SIZE))
        return false;
    request.sector = bytes_load(header + 8, 8);
    request.in.left--;
    bool whole = request.in.left == 0;
    virtqueue_skip(&last, request.in.left);
    uint8_t status = (uint8_t)perform(block, &request, (uint32_t)bytes_load(header, 4));
    if (request.broken || !virtqueue_write(&last, &block->virtio.dma, &status, 1))
        return false;
    /* The status counts as written only when all before it was: 2.7.8.2. */
    whole = whole || request.in.left == 0;
    *written = request.written + whole;
    return true;
}

void virtio_block_init(struct virtio_block *block, struct disk *disk, const char *name,
                       const struct virtio_wires *wires)
{
    static const struct virtio_kind kind = {
        .id = VIRTIO_BLOCK_ID,
        .class = 0x010000, /* mass storage */
        .queues = 1,
        .queue_size = QUEUE_SIZE,
        .config_bytes = VIRTIO_BLOCK_CONFIG_BYTES,
        .config_read = config_read,
        .serve = {serve},
    };
    uint64_t features = VIRTIO_BLOCK_F_SIZE_MAX | VIRTIO_BLOCK_F_SEG_MAX | VIRTIO_BLOCK_F_BLK_SIZE |
                        VIRTIO_BLOCK_F_FLUSH | (disk_is_read_only(disk) ? VIRTIO_BLOCK_F_RO : 0);

    *block = (struct virtio_block){.disk = disk};
    memcpy(block->name, name, strnlen(name, VIRTIO_BLOCK_NAME));
    virtio_pci_init(&block->virtio, &kind, block, features, wires);
}

void virtio_block_state(struct virtio_block *block, struct state *state)
{
    virtio_pci_state(&block->virtio, state);
}
