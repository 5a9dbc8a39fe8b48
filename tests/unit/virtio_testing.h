/*
 * A guest's side of a virtio device, for the tests of the devices: a small memory, a driver that talks to the device's
 * registers and rings as virtio 1.2 says, and records of its interrupts.
 *
 * Memory, 4 KiB: queue q's descriptors, available ring and used ring at GUEST_RINGS * q, GUEST_ENTRIES entries each;
 * buffers from GUEST_BUFFERS on.
 */
#ifndef ENCORE_TESTS_UNIT_VIRTIO_TESTING_H
#define ENCORE_TESTS_UNIT_VIRTIO_TESTING_H

#include "tests/unit/device_testing.h"

#include "base/bytes.h"
#include "vmm/devices/virtio_pci.h"

#define GUEST_MEMORY    4096
#define GUEST_RINGS     0x180
#define GUEST_AVAILABLE 0x80 /* from a queue's descriptors */
#define GUEST_USED      0x100
#define GUEST_ENTRIES   8
#define GUEST_BUFFERS   0x400

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u

struct guest {
    uint8_t memory[GUEST_MEMORY];
    uint64_t dirty[1];
    struct ram ram;
    struct line_record pin;
    unsigned messages; /* MSI-X messages seen, and the last of them */
    uint64_t message_address;
    uint32_t message_data;
    struct virtio_pci *virtio;
};

static inline void guest_message(void *context, uint64_t address, uint32_t data)
{
    struct guest *guest = context;

    guest->messages++;
    guest->message_address = address;
    guest->message_data = data;
}

/* Wires for the device's init; `virtio` is the device's transport. The guest must not move. */
static inline struct virtio_wires guest_wires(struct guest *guest, struct virtio_pci *virtio)
{
    memset(guest, 0, sizeof *guest);
    guest->ram =
        (struct ram){.bytes = guest->memory, .size = sizeof guest->memory, .dirty = guest->dirty, .dirty_words = 1};
    guest->virtio = virtio;
    return (struct virtio_wires){.dma = {.ram = &guest->ram},
                                 .pin = line_record_wire(&guest->pin),
                                 .line = 10,
                                 .msi = {.send = guest_message, .context = guest}};
}

static inline uint32_t guest_in(struct guest *guest, uint64_t offset, unsigned size)
{
    return (uint32_t)port_in(virtio_pci_read, guest->virtio, offset, size, 0);
}

static inline void guest_out(struct guest *guest, uint64_t offset, unsigned size, uint64_t value)
{
    port_out(virtio_pci_write, guest->virtio, offset, size, value, 0);
}

static inline uint64_t guest_load(const struct guest *guest, uint64_t address, unsigned width)
{
    assert_true(address + width <= GUEST_MEMORY);
    return bytes_load(guest->memory + address, width);
}

static inline void guest_store(struct guest *guest, uint64_t address, unsigned width, uint64_t value)
{
    assert_true(address + width <= GUEST_MEMORY);
    bytes_store(guest->memory + address, width, value);
}

/* The common registers that tests use. */
enum {
    REG_DEVICE_FEATURE_SELECT = 0x00,
    REG_DEVICE_FEATURE = 0x04,
    REG_DRIVER_FEATURE_SELECT = 0x08,
    REG_DRIVER_FEATURE = 0x0c,
    REG_CONFIG_VECTOR = 0x10,
    REG_NUM_QUEUES = 0x12,
    REG_STATUS = 0x14,
    REG_GENERATION = 0x15,
    REG_QUEUE_SELECT = 0x16,
    REG_QUEUE_SIZE = 0x18,
    REG_QUEUE_VECTOR = 0x1a,
    REG_QUEUE_ENABLE = 0x1c,
    REG_QUEUE_NOTIFY_OFF = 0x1e,
    REG_QUEUE_DESCRIPTORS = 0x20,
    REG_QUEUE_DRIVER = 0x28,
    REG_QUEUE_DEVICE = 0x30,
};

static inline uint64_t guest_offered(struct guest *guest)
{
    guest_out(guest, REG_DEVICE_FEATURE_SELECT, 4, 0);
    uint64_t features = guest_in(guest, REG_DEVICE_FEATURE, 4);
    guest_out(guest, REG_DEVICE_FEATURE_SELECT, 4, 1);
    return features | (uint64_t)guest_in(guest, REG_DEVICE_FEATURE, 4) << 32;
}

static inline void guest_accept(struct guest *guest, uint64_t features)
{
    guest_out(guest, REG_DRIVER_FEATURE_SELECT, 4, 0);
    guest_out(guest, REG_DRIVER_FEATURE, 4, (uint32_t)features);
    guest_out(guest, REG_DRIVER_FEATURE_SELECT, 4, 1);
    guest_out(guest, REG_DRIVER_FEATURE, 4, features >> 32);
}

static inline uint64_t guest_ring(unsigned queue)
{
    return queue * (uint64_t)GUEST_RINGS;
}

static inline void guest_set_up_queue(struct guest *guest, unsigned queue)
{
    uint64_t ring = guest_ring(queue);

    guest_out(guest, REG_QUEUE_SELECT, 2, queue);
    guest_out(guest, REG_QUEUE_SIZE, 2, GUEST_ENTRIES);
    guest_out(guest, REG_QUEUE_DESCRIPTORS, 4, ring);
    guest_out(guest, REG_QUEUE_DESCRIPTORS + 4, 4, 0);
    guest_out(guest, REG_QUEUE_DRIVER, 4, ring + GUEST_AVAILABLE);
    guest_out(guest, REG_QUEUE_DRIVER + 4, 4, 0);
    guest_out(guest, REG_QUEUE_DEVICE, 4, ring + GUEST_USED);
    guest_out(guest, REG_QUEUE_DEVICE + 4, 4, 0);
    guest_out(guest, REG_QUEUE_ENABLE, 2, 1);
}

/* The driver's whole initialization: 3.1.1. `features` besides VIRTIO_F_VERSION_1. */
static inline void guest_start(struct guest *guest, uint64_t features)
{
    guest_out(guest, REG_STATUS, 1, 0);
    guest_out(guest, REG_STATUS, 1, VIRTIO_STATUS_ACKNOWLEDGE);
    guest_out(guest, REG_STATUS, 1, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    guest_accept(guest, features | VIRTIO_F_VERSION_1);
    guest_out(guest, REG_STATUS, 1, 0x0b);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 0x0b);
    for (unsigned i = 0; i < guest_in(guest, REG_NUM_QUEUES, 2); i++) {
        memset(guest->memory + guest_ring(i), 0, GUEST_RINGS);
        guest_set_up_queue(guest, i);
    }
    guest_out(guest, REG_STATUS, 1, 0x0f);
    assert_int_equal(guest_in(guest, REG_STATUS, 1), 0x0f);
}

static inline void guest_descriptor(struct guest *guest, uint64_t at, uint64_t address, uint32_t length, uint16_t flags,
                                    uint16_t next)
{
    guest_store(guest, at, 8, address);
    guest_store(guest, at + 8, 4, length);
    guest_store(guest, at + 12, 2, flags);
    guest_store(guest, at + 14, 2, next);
}

/* One descriptor in a queue's table. */
static inline void guest_describe(struct guest *guest, unsigned queue, unsigned index, uint64_t address,
                                  uint32_t length, uint16_t flags, uint16_t next)
{
    guest_descriptor(guest, guest_ring(queue) + 16 * index, address, length, flags, next);
}

/* Makes the chain that begins with `head` available, without a notification. */
static inline void guest_offer(struct guest *guest, unsigned queue, uint16_t head)
{
    uint64_t available = guest_ring(queue) + GUEST_AVAILABLE;
    uint16_t index = (uint16_t)guest_load(guest, available + 2, 2);

    guest_store(guest, available + 4 + 2 * (index % GUEST_ENTRIES), 2, head);
    guest_store(guest, available + 2, 2, (uint16_t)(index + 1));
}

static inline void guest_notify(struct guest *guest, unsigned queue)
{
    guest_out(guest, VIRTIO_PCI_NOTIFY + 4 * queue, 2, queue);
}

static inline uint16_t guest_used(const struct guest *guest, unsigned queue)
{
    return (uint16_t)guest_load(guest, guest_ring(queue) + GUEST_USED + 2, 2);
}

/* Used entry `index`: its chain's head in the low 32 bits, the bytes written in the high. */
static inline uint64_t guest_used_entry(const struct guest *guest, unsigned queue, uint16_t index)
{
    return guest_load(guest, guest_ring(queue) + GUEST_USED + 4 + 8 * (index % GUEST_ENTRIES), 8);
}

static inline uint32_t guest_written(const struct guest *guest, unsigned queue, uint16_t index)
{
    return (uint32_t)(guest_used_entry(guest, queue, index) >> 32);
}

static inline bool guest_needs_reset(struct guest *guest)
{
    return guest_in(guest, REG_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET;
}

/* The guest's part of a device under test's state, with what it has seen of interrupts. */
static inline void guest_state(struct guest *guest, struct state *state)
{
    state_section(state, "guest", 1);
    state_bytes(state, "memory", guest->memory, sizeof guest->memory);
    state_bool(state, "pin", &guest->pin.level);
    state_u32(state, "rises", &guest->pin.rises);
    state_u32(state, "messages", &guest->messages);
}

/* Puts up to three descriptors, mostly good ones, where the queue's next available entry will look for them. */
static inline void guest_offer_wild(struct guest *guest, unsigned queue, struct dice *dice)
{
    unsigned head = dice_below(dice, GUEST_ENTRIES), count = 1 + dice_below(dice, 3);

    for (unsigned i = 0; i < count; i++) {
        uint16_t flags = (uint16_t)((i + 1 < count ? NEXT : 0) | (i > 0 || dice_below(dice, 2) ? WRITE : 0));
        uint64_t address = GUEST_BUFFERS + dice_below(dice, GUEST_MEMORY - GUEST_BUFFERS);
        uint32_t length = dice_below(dice, 4) ? 16 * dice_below(dice, 40) + 1 : 16;
        if (dice_below(dice, 200) == 0)
            flags ^= (uint16_t)(1u << dice_below(dice, 3));
        if (dice_below(dice, 200) == 0)
            address = dice_roll(dice);
        guest_describe(guest, queue, (head + i) % GUEST_ENTRIES, address, length, flags,
                       (uint16_t)((head + i + 1) % GUEST_ENTRIES));
    }
    guest_offer(guest, queue, (uint16_t)head);
}

/* Something that a guest may do to any virtio device; returns what the device answered. */
static inline uint64_t guest_operate(struct guest *guest, struct dice *dice)
{
    static const uint8_t sizes[4] = {1, 2, 4, 8};
    unsigned queue = dice_below(dice, guest->virtio->kind->queues);
    uint32_t region = dice_below(dice, 3) * 0x1000;

    switch (dice_below(dice, 12)) {
    case 0:
        if (dice_below(dice, 3) == 0 || guest_needs_reset(guest))
            guest_start(guest, dice_below(dice, 2) ? VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC : 0);
        return guest_used(guest, queue);
    case 1:
        return port_in(virtio_pci_read, guest->virtio, region + dice_below(dice, 0x40), sizes[dice_below(dice, 4)], 0);
    case 2:
        guest_out(guest, region + dice_below(dice, 0x40), sizes[dice_below(dice, 4)],
                  dice_below(dice, 2) ? dice_roll(dice) : dice_below(dice, 16));
        return 0;
    case 3:
        pci_config_write(&guest->virtio->function, 4 * dice_below(dice, 64), 4, dice_roll(dice));
        return pci_config_read(&guest->virtio->function, 4 * dice_below(dice, 64), 4);
    case 4:
        port_out(pci_msix_write, &guest->virtio->function, 4 * dice_below(dice, 16), 4, dice_roll(dice), 0);
        return port_in(pci_msix_read, &guest->virtio->function, 0x800, 4, 0);
    case 5:
        guest_store(guest, dice_below(dice, GUEST_MEMORY), 1, dice_roll(dice));
        return 0;
    case 6:
        return guest->messages + guest->pin.rises;
    default:
        guest_offer_wild(guest, queue, dice);
        guest_notify(guest, queue);
        return guest_used_entry(guest, queue, (uint16_t)(guest_used(guest, queue) - 1));
    }
}

#endif
