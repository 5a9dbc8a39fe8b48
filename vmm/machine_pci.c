/*
 * What is on the PCI bus. Device numbers are fixed, so that a device keeps its number, its interrupt line and its name
 * in the guest whatever else the machine has: 1 IDE, 2 entropy, 3 balloon, 4 console, 8 and up disks, 16 and up network
 * cards.
 */
#include <stdio.h>

#include "base/check.h"
#include "vmm/machine_internal.h"

enum { SLOT_IDE = 1, SLOT_RNG = 2, SLOT_BALLOON = 3, SLOT_CONSOLE = 4, SLOT_DISKS = 8, SLOT_CARDS = 16 };

#define IDE_TIMING  0x40
#define IDE_DECODED 0x80

static void memory_written(void *context, uint64_t address, uint64_t length)
{
    struct machine *machine = context;

    engine_ram_written(machine->engine, address, length);
}

static void send_message(void *context, uint64_t address, uint32_t data)
{
    struct machine *machine = context;

    lapic_message(&machine->lapic, address, data);
}

struct msi_wire machine_messages(struct machine *machine)
{
    return (struct msi_wire){.send = send_message, .context = machine};
}

struct dma machine_dma(struct machine *machine)
{
    return (struct dma){.ram = &machine->ram, .written = memory_written, .context = machine};
}

static struct virtio_wires wires_of(struct machine *machine, unsigned slot)
{
    return (struct virtio_wires){
        .dma = machine_dma(machine),
        .pin = pci_host_pin(&machine->pci, slot),
        .line = pci_host_line((uint8_t)slot),
        .msi = machine_messages(machine),
    };
}

/* Frames of the card that this struct is about. */
static void send_frame(void *context, const uint8_t *frame, size_t length)
{
    const struct machine_card *card = context;
    const struct door *door = &card->machine->door;

    door->frame_output(door->context, card->number, frame, length);
}

static size_t card_room(const void *card)
{
    return virtio_net_room(card);
}

static void card_receive(void *card, const uint8_t *frame, size_t length)
{
    virtio_net_receive(card, frame, length);
}

static void create_card(struct machine *machine, unsigned number)
{
    const struct virtio_wires wires = wires_of(machine, SLOT_CARDS + number);
    struct virtio_net *net = &machine->nets[number];
    struct machine_card *card = &machine->cards[number];

    *card = (struct machine_card){
        .room = card_room, .receive = card_receive, .card = net, .machine = machine, .number = (uint8_t)number};
    virtio_net_init(net, machine->config.nets[number].mac, (struct frame_sink){.put = send_frame, .context = card},
                    &wires);
    pci_host_add(&machine->pci, SLOT_CARDS + number, &net->virtio.function);
}

static void create_disk(struct machine *machine, unsigned number)
{
    const struct virtio_wires wires = wires_of(machine, SLOT_DISKS + number);
    struct virtio_block *block = &machine->blocks[number];
    char name[VIRTIO_BLOCK_NAME];

    snprintf(name, sizeof name, "encore-disk%u", number % MACHINE_DISKS);
    virtio_block_init(block, &machine->disks[number], name, &wires);
    pci_host_add(&machine->pci, SLOT_DISKS + number, &block->virtio.function);
}

/* The IDE channel answers at ports of its own, as it always did; on the bus is only what says that it is there, by
 * which firmware finds it: the identity of a PIIX3's IDE function, in compatibility mode, without bus mastering.
 * Registers 40h-43h say that both channels are decoded (PIIX3 data sheet, IDETIM). */
static void create_ide(struct machine *machine)
{
    static const struct pci_ids ids = {.vendor = 0x8086, .device = 0x7010, .class = 0x010100};
    struct pci_function *function = &machine->ide_function;

    pci_function_init(function, &ids, (struct irq_wire){0}, 0);
    for (unsigned at = IDE_TIMING; at < IDE_TIMING + 4; at++) {
        function->config[at] = at & 1 ? IDE_DECODED : 0;
        function->writable[at] = 0xff;
    }
    pci_host_add(&machine->pci, SLOT_IDE, function);
}

static bool has_ide(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->config.disk_count; i++) {
        if (machine->config.disks[i].interface == DISK_IDE)
            return true;
    }
    return false;
}

static bool is_virtio(const struct machine *machine, unsigned disk)
{
    return machine->config.disks[disk].interface == DISK_VIRTIO;
}

void machine_create_pci(struct machine *machine, struct byte_sink console, struct entropy_source entropy)
{
    const struct machine_config *config = &machine->config;
    struct virtio_wires wires = wires_of(machine, SLOT_RNG);

    virtio_rng_init(&machine->rng, entropy, &wires);
    pci_host_add(&machine->pci, SLOT_RNG, &machine->rng.virtio.function);
    wires = wires_of(machine, SLOT_BALLOON);
    virtio_balloon_init(&machine->balloon, &wires);
    pci_host_add(&machine->pci, SLOT_BALLOON, &machine->balloon.virtio.function);
    if (config->virtio_console) {
        wires = wires_of(machine, SLOT_CONSOLE);
        virtio_console_init(&machine->console, console, &wires);
        pci_host_add(&machine->pci, SLOT_CONSOLE, &machine->console.virtio.function);
    }
    for (unsigned i = 0; i < config->disk_count; i++) {
        if (is_virtio(machine, i))
            create_disk(machine, i);
    }
    if (has_ide(machine))
        create_ide(machine);
    CHECK(config->net_count <= MACHINE_CARDS_MAX);
    machine->card_count = config->net_count;
    for (unsigned i = 0; i < config->net_count; i++)
        create_card(machine, i);
    pci_host_place_bars(&machine->pci);
}

void machine_pci_state(struct machine *machine, struct state *state)
{
    const struct machine_config *config = &machine->config;

    pci_host_state(&machine->pci, state);
    if (has_ide(machine))
        pci_function_state(&machine->ide_function, state);
    virtio_rng_state(&machine->rng, state);
    virtio_balloon_state(&machine->balloon, state);
    if (config->virtio_console)
        virtio_console_state(&machine->console, state);
    for (unsigned i = 0; i < config->disk_count; i++) {
        if (is_virtio(machine, i))
            virtio_block_state(&machine->blocks[i], state);
    }
    for (unsigned i = 0; i < config->net_count; i++)
        virtio_net_state(&machine->nets[i], state);
}
