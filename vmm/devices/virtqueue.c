/* Split virtqueues; see virtqueue.h. */
#include "vmm/devices/virtqueue.h"

#include "base/bytes.h"
#include "base/check.h"

/* A descriptor: virtio 1.2, 2.7.5. */
#define DESCRIPTOR_SIZE     16
#define DESCRIPTOR_NEXT     1u
#define DESCRIPTOR_WRITE    2u
#define DESCRIPTOR_INDIRECT 4u

/* The two rings: 2.7.6 and 2.7.8. Both begin with flags and an index, both of two bytes. */
#define RING_INDEX      2
#define RING_ENTRIES    4
#define AVAILABLE_ENTRY 2
#define USED_ENTRY      8
#define NO_INTERRUPT    1u
#define CHAIN_BYTES_MAX (UINT64_C(1) << 32) /* 2.7.5.2 */

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

void virtqueue_init(struct virtqueue *queue, uint16_t size_max)
{
    CHECK(size_max > 0 && size_max <= VIRTQUEUE_SIZE_MAX && (size_max & (size_max - 1)) == 0);
    *queue = (struct virtqueue){.size_max = size_max, .size = size_max};
}

void virtqueue_state(struct virtqueue *queue, struct state *state)
{
    state_u16(state, "queue_size", &queue->size);
    state_bool(state, "queue_enabled", &queue->enabled);
    state_u64(state, "queue_descriptors", &queue->descriptors);
    state_u64(state, "queue_driver", &queue->driver);
    state_u64(state, "queue_device", &queue->device);
    state_u16(state, "queue_next", &queue->next);
    state_require(state, queue->size > 0 && queue->size <= queue->size_max && (queue->size & (queue->size - 1)) == 0,
                  "queue_size is no power of two that the device offers");
    state_require(state, queue->enabled || queue->next == 0, "a queue that is not enabled has been used");
}

/* Reads or writes a part of a ring. An address that wraps is as bad as one outside memory. */
static bool ring_load(const struct dma *dma, uint64_t ring, uint64_t offset, void *to, unsigned length)
{
    uint64_t address;

    return !__builtin_add_overflow(ring, offset, &address) && dma_read(dma, address, to, length);
}

static bool ring_store(const struct dma *dma, uint64_t ring, uint64_t offset, unsigned width, uint64_t value)
{
    uint64_t address;
    uint8_t bytes[8];

    bytes_store(bytes, width, value);
    return !__builtin_add_overflow(ring, offset, &address) && dma_write(dma, address, bytes, width);
}

static bool ring_load_u16(const struct dma *dma, uint64_t ring, uint64_t offset, uint16_t *value)
{
    uint8_t bytes[2];

    if (!ring_load(dma, ring, offset, bytes, sizeof bytes))
        return false;
    *value = (uint16_t)bytes_load(bytes, 2);
    return true;
}

static uint64_t available_entry(const struct virtqueue *queue, uint16_t index)
{
    return RING_ENTRIES + AVAILABLE_ENTRY * (uint64_t)(index & (queue->size - 1));
}

static uint64_t used_entry(const struct virtqueue *queue, uint16_t index)
{
    return RING_ENTRIES + USED_ENTRY * (uint64_t)(index & (queue->size - 1));
}

int virtqueue_waiting(const struct virtqueue *queue, const struct dma *dma)
{
    uint16_t index;

    CHECK(queue->enabled);
    if (!ring_load_u16(dma, queue->driver, RING_INDEX, &index))
        return -1;
    uint16_t waiting = (uint16_t)(index - queue->next);
    return waiting <= queue->size ? waiting : -1;
}

static bool load_descriptor(const struct dma *dma, uint64_t table, unsigned index, struct descriptor *descriptor)
{
    uint8_t bytes[DESCRIPTOR_SIZE];

    if (!ring_load(dma, table, DESCRIPTOR_SIZE * (uint64_t)index, bytes, sizeof bytes))
        return false;
    *descriptor = (struct descriptor){
        .address = bytes_load(bytes, 8),
        .length = (uint32_t)bytes_load(bytes + 8, 4),
        .flags = (uint16_t)bytes_load(bytes + 12, 2),
        .next = (uint16_t)bytes_load(bytes + 14, 2),
    };
    return true;
}

static bool add_segment(const struct virtqueue *queue, struct virtqueue_chain *chain,
                        const struct descriptor *descriptor)
{
    bool write = descriptor->flags & DESCRIPTOR_WRITE;

    if (chain->count == queue->size_max)
        return false;
    /* 2.7.4.2: what is written comes after what is read. */
    if (!write && chain->count > chain->readable)
        return false;
    chain->segments[chain->count++] = (struct virtqueue_segment){descriptor->address, descriptor->length};
    if (write) {
        chain->writable_bytes += descriptor->length;
    } else {
        chain->readable++;
        chain->readable_bytes += descriptor->length;
    }
    return chain->readable_bytes + chain->writable_bytes <= CHAIN_BYTES_MAX;
}

bool virtqueue_take(const struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules, unsigned ahead,
                    struct virtqueue_chain *chain)
{
    uint64_t table = queue->descriptors;
    uint32_t table_size = queue->size;
    uint16_t index;
    bool inside = false; /* an indirect table */

    CHECK(queue->enabled);
    if (!ring_load_u16(dma, queue->driver, available_entry(queue, (uint16_t)(queue->next + ahead)), &index))
        return false;
    chain->head = index;
    chain->readable = chain->count = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    /* Each turn adds a segment, except one at most that goes into an indirect table; so this ends. */
    for (;;) {
        struct descriptor descriptor;
        if (index >= table_size || !load_descriptor(dma, table, index, &descriptor))
            return false;
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            /* 2.7.5.3.1: only where negotiated, not in a table, and nothing follows. */
            if (!rules.indirect || inside || (descriptor.flags & DESCRIPTOR_NEXT) ||
                descriptor.length % DESCRIPTOR_SIZE)
                return false;
            inside = true;
            table = descriptor.address;
            table_size = descriptor.length / DESCRIPTOR_SIZE;
            index = 0;
            continue;
        }
        if (!add_segment(queue, chain, &descriptor))
            return false;
        if (!(descriptor.flags & DESCRIPTOR_NEXT))
            return true;
        index = descriptor.next;
    }
}

/* Whether the driver wants to hear of used entry `index`: 2.7.7.2. False when the ring is broken. */
static bool wants_notice(const struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules,
                         uint16_t index, bool *notify)
{
    uint64_t used_event = RING_ENTRIES + AVAILABLE_ENTRY * (uint64_t)queue->size;
    uint16_t value;

    if (!ring_load_u16(dma, queue->driver, rules.event_index ? used_event : 0, &value))
        return false;
    *notify = rules.event_index ? value == index : !(value & NO_INTERRUPT);
    return true;
}

bool virtqueue_give(struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules,
                    const struct virtqueue_chain *chain, uint32_t written, bool *notify)
{
    uint16_t index = queue->next++;

    CHECK(queue->enabled);
    return ring_store(dma, queue->device, used_entry(queue, index), 8, chain->head | (uint64_t)written << 32) &&
           ring_store(dma, queue->device, RING_INDEX, 2, queue->next) && wants_notice(queue, dma, rules, index, notify);
}

bool virtqueue_ask(const struct virtqueue *queue, const struct dma *dma, struct virtqueue_rules rules)
{
    uint64_t avail_event = RING_ENTRIES + USED_ENTRY * (uint64_t)queue->size;

    CHECK(queue->enabled);
    return !rules.event_index || ring_store(dma, queue->device, avail_event, 2, queue->next);
}

struct virtqueue_cursor virtqueue_readable(const struct virtqueue_chain *chain)
{
    return (struct virtqueue_cursor){.chain = chain, .left = chain->readable_bytes};
}

struct virtqueue_cursor virtqueue_writable(const struct virtqueue_chain *chain)
{
    return (struct virtqueue_cursor){.chain = chain, .left = chain->writable_bytes, .at = chain->readable};
}

/* The next piece that lies in one segment: moves on past it, and returns its length. */
static uint32_t next_piece(struct virtqueue_cursor *cursor, uint64_t wanted, uint64_t *address)
{
    const struct virtqueue_segment *segment = &cursor->chain->segments[cursor->at];

    while (cursor->offset == segment->length) {
        cursor->at++;
        cursor->offset = 0;
        segment++;
    }
    uint32_t length = segment->length - cursor->offset;
    if (length > wanted)
        length = (uint32_t)wanted;
    /* An address that wraps must not come out as one in memory. */
    if (__builtin_add_overflow(segment->address, (uint64_t)cursor->offset, address))
        *address = UINT64_MAX;
    cursor->offset += length;
    cursor->left -= length;
    return length;
}

bool virtqueue_read(struct virtqueue_cursor *cursor, const struct dma *dma, void *to, uint64_t length)
{
    uint8_t *bytes = to;

    CHECK(length <= cursor->left);
    while (length > 0) {
        uint64_t address;
        uint32_t piece = next_piece(cursor, length, &address);
        if (!dma_read(dma, address, bytes, piece))
            return false;
        bytes += piece;
        length -= piece;
    }
    return true;
}

bool virtqueue_write(struct virtqueue_cursor *cursor, const struct dma *dma, const void *from, uint64_t length)
{
    const uint8_t *bytes = from;

    CHECK(length <= cursor->left);
    while (length > 0) {
        uint64_t address;
        uint32_t piece = next_piece(cursor, length, &address);
        if (!dma_write(dma, address, bytes, piece))
            return false;
        bytes += piece;
        length -= piece;
    }
    return true;
}

void virtqueue_skip(struct virtqueue_cursor *cursor, uint64_t length)
{
    CHECK(length <= cursor->left);
    while (length > 0) {
        uint64_t address;
        length -= next_piece(cursor, length, &address);
    }
}
