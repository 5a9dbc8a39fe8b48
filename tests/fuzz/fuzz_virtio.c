/*
 * The five virtio devices on a PCI bus with two pages of memory, under a stream of bytes read as a script: what a guest
 * does through configuration space, registers and rings, what comes from outside, and checkpoints.
 *
 * A guest that only guessed would hardly get a device going. So besides single accesses there are steps that set a
 * device up as a driver would, and that lay out and offer a chain of descriptors; where those lie, and what is in them,
 * is the script's. Anything of it may be overwritten afterwards, by the guest or by the devices themselves.
 *
 * Two boards run the script (tests/fuzz/two_boards.h), and must have the same memory too. A device may write to memory
 * only through its door: a shadow that gets the bytes that were reported must always be equal to memory.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/fuzz/two_boards.h"
#include "tests/unit/disk_testing.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/virtio_balloon.h"
#include "vmm/devices/virtio_block.h"
#include "vmm/devices/virtio_console.h"
#include "vmm/devices/virtio_net.h"
#include "vmm/devices/virtio_rng.h"

#define MAX_STEPS 1024
#define MEMORY    (2 * RAM_PAGE_SIZE)
#define DEVICES   5
#define LINES     16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct board {
    _Alignas(4096) uint8_t memory[MEMORY]; /* so that the balloon can give pages back */
    uint8_t shadow[MEMORY];
    uint64_t dirty[1];
    struct ram ram;
    struct pci_host host;
    struct virtio_block block;
    struct virtio_net net;
    struct virtio_console console;
    struct virtio_rng rng;
    struct virtio_balloon balloon;
    struct virtio_pci *devices[DEVICES];
    struct disk disk;
    uint32_t lines; /* interrupt lines that are up */
    uint32_t sum;   /* a checksum of everything that has left the devices */
    uint32_t drawn; /* random bytes */
};

static void add(struct board *board, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        board->sum = (board->sum ^ bytes[i]) * 16777619u;
}

static void on_byte(void *context, uint8_t byte)
{
    add(context, &byte, 1);
}

static void on_frame(void *context, const uint8_t *frame, size_t length)
{
    CHECK(length <= FRAME_MAX);
    add(context, frame, length);
}

static void on_message(void *context, uint64_t address, uint32_t data)
{
    uint8_t bytes[12];

    bytes_store(bytes, 8, address);
    bytes_store(bytes + 8, 4, data);
    add(context, bytes, sizeof bytes);
}

static void on_line(void *context, unsigned line, bool level)
{
    struct board *board = context;

    CHECK(line == 10 || line == 11);
    board->lines = (board->lines & ~(1u << line)) | (uint32_t)level << line;
}

static void on_written(void *context, uint64_t address, uint64_t length)
{
    struct board *board = context;

    CHECK(length > 0 && address <= MEMORY && length <= MEMORY - address);
    CHECK(ram_is_dirty(&board->ram, address) && ram_is_dirty(&board->ram, address + length - 1));
    memcpy(board->shadow + address, board->memory + address, length);
}

static void on_entropy(void *context, uint8_t *bytes, size_t length)
{
    struct board *board = context;

    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(board->drawn++ * 167 + 13);
}

static struct virtio_wires wires(struct board *board, unsigned number)
{
    return (struct virtio_wires){
        .dma = {.ram = &board->ram, .written = on_written, .context = board},
        .pin = pci_host_pin(&board->host, number),
        .line = pci_host_line(number),
        .msi = {.send = on_message, .context = board},
    };
}

static struct board *board_new(const struct board *beside)
{
    static const uint8_t address[VIRTIO_NET_ADDRESS] = {2, 0, 0, 0, 0, 1};
    struct board *board = aligned_alloc(4096, sizeof *board);

    CHECK(board);
    memset(board, 0, sizeof *board);
    if (beside) {
        memcpy(board->memory, beside->memory, MEMORY);
        memcpy(board->shadow, beside->memory, MEMORY);
    }
    board->ram = (struct ram){.bytes = board->memory, .size = MEMORY, .dirty = board->dirty, .dirty_words = 1};
    pci_host_init(&board->host, (struct irq_wire){.set = on_line, .context = board});
    struct virtio_wires w[DEVICES];
    for (unsigned i = 0; i < DEVICES; i++)
        w[i] = wires(board, i + 1);
    virtio_block_init(&board->block, &board->disk, "fuzz", &w[0]);
    virtio_net_init(&board->net, address, (struct frame_sink){.put = on_frame, .context = board}, &w[1]);
    virtio_console_init(&board->console, (struct byte_sink){.put = on_byte, .context = board}, &w[2]);
    virtio_rng_init(&board->rng, (struct entropy_source){.fill = on_entropy, .context = board}, &w[3]);
    virtio_balloon_init(&board->balloon, &w[4]);
    struct virtio_pci *devices[DEVICES] = {&board->block.virtio, &board->net.virtio, &board->console.virtio,
                                           &board->rng.virtio, &board->balloon.virtio};
    memcpy(board->devices, devices, sizeof devices);
    for (unsigned i = 0; i < DEVICES; i++)
        pci_host_add(&board->host, i + 1, &board->devices[i]->function);
    pci_host_place_bars(&board->host);
    return board;
}

static void board_free(struct board *board)
{
    free(board);
}

static void board_state(struct board *board, struct state *state)
{
    pci_host_state(&board->host, state);
    virtio_block_state(&board->block, state);
    virtio_net_state(&board->net, state);
    virtio_console_state(&board->console, state);
    virtio_rng_state(&board->rng, state);
    virtio_balloon_state(&board->balloon, state);
    state_section(state, "fuzz", 1);
    state_u32(state, "lines", &board->lines);
    state_u32(state, "sum", &board->sum);
    state_u32(state, "drawn", &board->drawn);
    state_bool(state, "fails", &board->disk.fails);
    state_bytes(state, "disk", board->disk.bytes, sizeof board->disk.bytes);
}

static void check_memory(const struct script *script)
{
    const struct board *a = script->boards[0], *b = script->boards[1];

    CHECK(memcmp(a->memory, b->memory, MEMORY) == 0);
    CHECK(memcmp(a->memory, a->shadow, MEMORY) == 0 && memcmp(b->memory, b->shadow, MEMORY) == 0);
}

/* One access of both boards' guests through one pair of handlers. */
static void access(struct script *script, bus_read_fn *read, bus_write_fn *write, uint64_t offset, unsigned size,
                   const uint64_t *value)
{
    struct bus_access how = {.offset = offset, .size = (uint8_t)size};
    uint64_t mask = size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;

    if (value) {
        write(&script->boards[0]->host, &how, *value & mask);
        write(&script->boards[1]->host, &how, *value & mask);
    } else {
        uint64_t left = read(&script->boards[0]->host, &how), right = read(&script->boards[1]->host, &how);
        CHECK((left & mask) == (right & mask));
    }
}

/* A configuration port, or a dword of some device's configuration space. */
static void step_config(struct script *script, uint8_t op)
{
    unsigned size = op & 0x20 ? 4 : 1u << (op >> 6) % 3;
    uint8_t where = (uint8_t)take(script, 1);
    uint64_t value = take(script, size);

    if (op & 0x20) {
        uint64_t address = 0x80000000u | (uint64_t)(where & 7) << 11 | (take(script, 1) & 0xfc);
        access(script, pci_host_config_read, pci_host_config_write, 0, 4, &address);
        access(script, pci_host_config_read, pci_host_config_write, 4, 4, op & 0x40 ? &value : NULL);
    } else {
        access(script, pci_host_config_read, pci_host_config_write, where % (PCI_HOST_PORTS + 1 - size), size,
               op & 0x10 ? &value : NULL);
    }
}

/* A register of some device, where the bus has it. */
static void step_register(struct script *script, uint8_t op)
{
    unsigned size = 1u << (op >> 6);
    uint8_t where = (uint8_t)take(script, 1);
    uint64_t value = take(script, size), base = 0;
    const struct virtio_pci *device = script->boards[0]->devices[(where & 7) % DEVICES];
    uint32_t at;

    if (pci_function_bar_base(&device->function, where >> 7, &at))
        base = at >= PCI_MEMORY_BASE && at < PCI_MEMORY_END ? at - PCI_MEMORY_BASE : 0;
    base += (where & 0x80 ? 0 : (uint64_t)(where >> 5 & 3) * 0x1000) + take(script, 1) % 0x48;
    access(script, pci_host_memory_read, pci_host_memory_write, base, size, op & 0x10 ? &value : NULL);
}

/* Registers of one device, as its driver knows them. */
static void out(struct script *script, unsigned device, unsigned offset, unsigned size, uint64_t value)
{
    struct bus_access how = {.offset = offset, .size = (uint8_t)size};

    for (unsigned i = 0; i < 2; i++)
        virtio_pci_write(script->boards[i]->devices[device], &how, value);
}

/* One access through the capability for that: 4.1.4.9. */
static void step_access(struct script *script, uint8_t op)
{
    unsigned device = (op >> 4) % DEVICES;
    uint64_t offset = take(script, 2) % VIRTIO_PCI_BAR_SIZE & 0x304f, value = take(script, 4);
    unsigned at = script->boards[0]->devices[device]->access_capability;
    uint32_t answers[2];

    for (unsigned i = 0; i < 2; i++) {
        struct pci_function *function = &script->boards[i]->devices[device]->function;
        pci_config_write(function, at + 8, 4, (uint32_t)offset);
        pci_config_write(function, at + 12, 4, op & 0x80 ? 4 : 1);
        if (value & 1)
            pci_config_write(function, at + 16, 4, (uint32_t)value >> 8);
        answers[i] = pci_config_read(function, at + 16, 4);
    }
    CHECK(answers[0] == answers[1]);
}

/* Turns MSI-X on, with these vectors masked. */
static void use_messages(struct script *script, unsigned device, uint8_t masked)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pci_function *function = &script->boards[i]->devices[device]->function;
        pci_config_write(function, function->msix_capability + 2u, 2, 0x8000);
        for (unsigned vector = 0; vector < function->msix_vectors; vector++) {
            struct bus_access control = {.offset = 16 * vector + 12, .size = 4};
            pci_msix_write(function, &control, masked >> vector & 1);
        }
    }
}

/* A driver's initialization: virtio 1.2, 3.1.1. The rings are packed into the first KiB, or anywhere. */
static void step_start(struct script *script, uint8_t op)
{
    uint8_t which = (uint8_t)take(script, 1);
    unsigned device = which % DEVICES;
    uint64_t features = script->boards[0]->devices[device]->features;

    if (op & 0x10)
        features &= ~VIRTIO_F_EVENT_IDX;
    out(script, device, 0x14, 1, 0);
    for (unsigned i = 0; i < 2; i++) {
        out(script, device, 0x08, 4, i);
        out(script, device, 0x0c, 4, (uint32_t)(features >> 32 * i));
    }
    out(script, device, 0x14, 1, 0x0b);
    for (unsigned queue = 0; queue < script->boards[0]->devices[device]->kind->queues; queue++) {
        uint64_t ring = queue * 0x200;
        out(script, device, 0x16, 2, queue);
        out(script, device, 0x18, 2, UINT64_C(1) << (which >> 6));
        out(script, device, 0x1a, 2, op & 0x20 ? queue : 0xffff);
        out(script, device, 0x20, 8, op & 0x80 ? take(script, 8) : ring);
        out(script, device, 0x28, 8, op & 0x80 ? take(script, 8) : ring + 0x80);
        out(script, device, 0x30, 8, op & 0x80 ? take(script, 8) : ring + 0x100);
        out(script, device, 0x1c, 2, 1);
    }
    if (op & 0x20)
        use_messages(script, device, op >> 6);
    out(script, device, 0x14, 1, 0x0f);
}

static void store(struct script *script, uint64_t address, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[8];
        bytes_store(bytes, width, value);
        if (ram_write(&script->boards[i]->ram, address, bytes, width))
            memcpy(script->boards[i]->shadow + address, bytes, width);
    }
}

/* Where a queue's rings are, as the guest set them; the script's chains go there. */
static const struct virtqueue *queue_of(const struct script *script, unsigned device, unsigned queue)
{
    return &script->boards[0]->devices[device]->queues[queue].ring;
}

static void notify(struct script *script, unsigned device, unsigned queue)
{
    out(script, device, VIRTIO_PCI_NOTIFY + 4 * queue, 2, queue);
}

static void describe(struct script *script, uint64_t at, uint64_t address, uint64_t length, uint64_t flags,
                     uint64_t next)
{
    store(script, at, 8, address);
    store(script, at + 8, 8, (length & UINT32_MAX) | flags << 32 | next << 48);
}

/* The n-th of `count` descriptors, in the script's words: mostly of a sensible length in memory. */
static void describe_next(struct script *script, uint64_t table, unsigned n, unsigned count)
{
    static const uint16_t lengths[8] = {1, 16, 64, 72, 512, 512, 1024, 1600};
    uint8_t kind = (uint8_t)take(script, 1);
    uint64_t address = (kind & 0xc0) == 0xc0 ? take(script, 8) : take(script, 2) % (MEMORY - 512);
    uint64_t length = (kind & 0x60) == 0x60 ? take(script, 4) : lengths[kind & 7];
    uint64_t flags = (uint64_t)(n + 1 < count) | (kind & 8 ? 2 : 0), next = n + 1;

    if ((kind & 0x90) == 0x90) { /* anything at all */
        flags = take(script, 1) & 7;
        next = take(script, 1) % 10;
    }
    describe(script, table + 16 * n, address, length, flags, next);
}

/* A block request's header, 16 bytes, and its status, as the first and the last descriptor. */
static void frame_request(struct script *script, uint64_t table, unsigned count)
{
    uint8_t what = (uint8_t)take(script, 1);
    uint64_t header = MEMORY - 32;

    store(script, header, 8, what & 8 ? what & 15 : what & 1); /* mostly a read or a write */
    store(script, header + 8, 8, what >> 4 & 7);
    describe(script, table, header, 16, 1, 1);
    describe(script, table + 16 * (count - 1), MEMORY - 16, 1, 2, 0);
}

/* Lays out a chain in some queue's table, or in an indirect one, makes it available and perhaps notifies. */
static void step_chain(struct script *script, uint8_t op)
{
    unsigned which = (unsigned)take(script, 1), device = which % DEVICES;
    unsigned queue = which / DEVICES % script->boards[0]->devices[device]->kind->queues;
    const struct virtqueue *ring = queue_of(script, device, queue);
    unsigned count = 1 + (op >> 6);
    uint64_t table = ring->descriptors;
    uint8_t index[2] = {0, 0};

    if (op & 0x10) {
        table = 0x400 + take(script, 1) * 16;
        describe(script, ring->descriptors, table, 16 * count, 4, 0);
    }
    for (unsigned i = 0; i < count; i++)
        describe_next(script, table, i, count);
    if (device == 0 && count > 1)
        frame_request(script, table, count);
    (void)ram_read(&script->boards[0]->ram, ring->driver + 2, index, 2);
    uint16_t next = (uint16_t)bytes_load(index, 2);
    store(script, ring->driver + 4 + 2 * (uint64_t)(next & (ring->size - 1)), 2, 0);
    store(script, ring->driver + 2, 2, (uint16_t)(next + 1));
    if (op & 0x20)
        notify(script, device, queue);
}

static void step_memory(struct script *script, uint8_t op)
{
    unsigned width = 1u << (op >> 6);
    uint64_t address = take(script, 2) % MEMORY;

    store(script, address, width, take(script, width));
}

static void step_net_input(struct script *script)
{
    uint8_t frame[FRAME_MAX];
    size_t length = (take(script, 1) * 8) % (sizeof frame + 1);
    unsigned room = virtio_net_room(&script->boards[0]->net);

    CHECK(room == virtio_net_room(&script->boards[1]->net));
    memset(frame, (int)take(script, 1), sizeof frame);
    for (unsigned i = 0; i < 2 && room > 0; i++)
        virtio_net_receive(&script->boards[i]->net, frame, length);
}

static void step_console_input(struct script *script)
{
    uint8_t bytes[VIRTIO_CONSOLE_ROOM_MAX];
    size_t length = take(script, 2);
    size_t room = virtio_console_room(&script->boards[0]->console);

    CHECK(room == virtio_console_room(&script->boards[1]->console) && room <= sizeof bytes);
    memset(bytes, (int)take(script, 1), sizeof bytes);
    for (unsigned i = 0; i < 2; i++)
        virtio_console_receive(&script->boards[i]->console, bytes, length < room ? length : room);
}

static void step_input(struct script *script, uint8_t op)
{
    switch (op >> 4 & 3) {
    case 0:
        step_net_input(script);
        break;
    case 1:
        step_console_input(script);
        break;
    case 2: {
        uint32_t pages = (uint32_t)take(script, 4);
        virtio_balloon_set_target(&script->boards[0]->balloon, pages);
        virtio_balloon_set_target(&script->boards[1]->balloon, pages);
        break;
    }
    default:
        script->boards[0]->disk.fails = script->boards[1]->disk.fails = op & 0x40;
        break;
    }
}

static void step_checkpoint(struct script *script, uint8_t op)
{
    check_memory(script);
    checkpoint(script, op & 0x80, op >> 4 & 7);
}

static void step(struct script *script)
{
    uint8_t op = (uint8_t)take(script, 1);

    switch (op & 15) {
    case 0:
        step_config(script, op);
        break;
    case 1:
        step_register(script, op);
        break;
    case 2:
        step_access(script, op);
        break;
    case 3:
    case 4:
        step_start(script, op);
        break;
    case 5:
    case 6:
        step_memory(script, op);
        break;
    case 7:
    case 8:
        step_input(script, op);
        break;
    case 9:
        if (take(script, 1) < 64) /* they cost as much as hundreds of other steps */
            step_checkpoint(script, op);
        break;
    case 10:
        notify(script, (op >> 4) % DEVICES, op >> 7);
        break;
    default:
        step_chain(script, op);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = script_run(data, size, MAX_STEPS);

    check_memory(&script);
    script_free(&script);
    return 0;
}
