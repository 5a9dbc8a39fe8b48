/*
 * The machine: RAM, one processor, two buses and the chips on them, and nothing that reads the outside world.
 *
 * Order of calls: machine_create, then machine_boot or machine_restore, then machine_run and the inputs in any order,
 * then machine_destroy. Inputs (machine_set_time, machine_console_input, ...) are applied at boundaries: when
 * machine_run has returned.
 */
#ifndef ENCORE_VMM_MACHINE_H
#define ENCORE_VMM_MACHINE_H

#include <stdio.h>

#include "base/ethernet.h"
#include "vmm/boot/boot.h"
#include "vmm/bus.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/debug_exit.h"
#include "vmm/devices/entropy_port.h"
#include "vmm/devices/fw_cfg.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/i8259.h"
#include "vmm/devices/ide_disk.h"
#include "vmm/devices/ioapic82093.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/mc146818.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/pit8254.h"
#include "vmm/devices/port61.h"
#include "vmm/devices/port92.h"
#include "vmm/devices/post_port.h"
#include "vmm/devices/reset_port.h"
#include "vmm/devices/uart16550.h"
#include "vmm/devices/virtio_balloon.h"
#include "vmm/devices/virtio_block.h"
#include "vmm/devices/virtio_console.h"
#include "vmm/devices/virtio_net.h"
#include "vmm/devices/virtio_rng.h"
#include "vmm/devices/vmgenid.h"
#include "vmm/disk_contents.h"
#include "vmm/door.h"
#include "vmm/engine.h"
#include "vmm/page_digests.h"
#include "vmm/ram.h"

#define MACHINE_RAM_MIN     (UINT64_C(1) << 20)
#define MACHINE_RAM_MAX     (UINT64_C(3) << 30)
#define MACHINE_RAM_DEFAULT (UINT64_C(64) << 20)

#define MACHINE_DISKS     4
#define MACHINE_IDE_DISKS 2 /* of these: the master and the slave of one channel */

/* The console channel of COM1. */
#define MACHINE_CONSOLE_COM1 0

/* The most network cards that a machine has. */
#define MACHINE_CARDS_MAX 4

struct machine_config {
    uint64_t ram_size;                 /* bytes; a multiple of 4 KiB from MACHINE_RAM_MIN to MACHINE_RAM_MAX */
    int64_t rtc_start;                 /* what the real-time clock shows at guest time 0, seconds since 1970 UTC */
    uint8_t generation[VMGENID_BYTES]; /* the machine's at first */
    bool virtual_clock; /* guest time is the engine's ticks, and what an idle guest skipped; needs caps.tick_time */
    bool prompt;        /* an interrupt that waits is taken at the first boundary that lets it be (engine.h); with the
                         * virtual clock always. Needs caps.tick_time */
    struct boot_options boot;
    unsigned disk_count; /* at most MACHINE_DISKS */
    struct disk_config disks[MACHINE_DISKS];
    unsigned net_count; /* network cards */
    struct machine_net_config {
        uint8_t mac[MAC_BYTES];
    } nets[MACHINE_CARDS_MAX];
    bool virtio_console; /* console input goes to a virtio console rather than to COM1; both print on the console */
    bool end_at_reset;   /* the guest's resetting the machine ends it, rather than starting the guest again */
};

enum machine_end {
    MACHINE_RUNS,
    MACHINE_DEBUG_EXIT,   /* the guest wrote exit_value to port 0xf4 */
    MACHINE_HALTED,       /* HLT with interrupts off */
    MACHINE_TRIPLE_FAULT, /* processor shutdown */
    MACHINE_POWER_OFF,    /* the guest turned the machine off */
    MACHINE_RESET,        /* the guest reset the machine, which was not to start again */
    MACHINE_ENGINE_FAULT, /* the engine could not execute the guest: engine->fault */
};

/* What a network card takes frames by, whatever its model. */
struct machine_card {
    size_t (*room)(const void *card);
    void (*receive)(void *card, const uint8_t *frame, size_t length);
    void *card;
    struct machine *machine;
    uint8_t number;
};

struct machine {
    struct engine *engine; /* the caller's */
    struct door door;
    struct ram ram;
    struct page_digests digests;
    unsigned disk_count;
    struct disk disks[MACHINE_DISKS];
    bool virtual_clock;  /* fixed */
    uint64_t stop_ticks; /* with the virtual clock: where machine_run stops; UINT64_MAX: nowhere. Not saved */
    uint64_t now;        /* guest time, ns, as the devices have it */
    uint64_t now_ticks;  /* the engine's ticks when `now` was set; 0 without caps.tick_time */
    uint64_t time_seen;  /* the latest guest time that the guest has read in its time stamp counter */
    enum machine_end end;
    uint32_t exit_value;
    struct machine_config config;
    struct boot_module boot_image; /* the caller's bytes: what a reset loads again; none after a restore */
    bool reset_wanted;             /* by the instruction in progress; machine_run does it */

    struct bus ports;
    struct bus memory;
    struct lapic lapic;
    struct ioapic82093 ioapic;
    struct i8259_pair pic;
    struct pit8254 pit;
    struct port61 port61;
    struct port92 port92;
    struct mc146818 rtc;
    struct uart16550 com1;
    struct i8042 i8042;
    struct acpi_pm pm;
    struct vmgenid vmgenid;
    struct reset_port reset_port;
    struct pci_host pci;
    struct virtio_rng rng;
    struct virtio_balloon balloon;
    struct virtio_console console;             /* if config.virtio_console */
    struct virtio_block blocks[MACHINE_DISKS]; /* those with interface DISK_VIRTIO */
    struct virtio_net nets[MACHINE_CARDS_MAX];
    struct entropy_port entropy;
    struct debug_exit debug_exit;
    struct post_port post;
    struct fw_cfg fw_cfg;
    struct ide_channel ide; /* wired when it has a drive; then it is on the PCI bus, too: */
    struct pci_function ide_function;
    struct machine_card cards[MACHINE_CARDS_MAX];
    unsigned card_count;
};

/* Builds the machine around an engine that has no RAM yet. The engine and what the door points to stay the caller's and
 * must outlive the machine, and the machine must not move. Returns 0, or -1 with the error. */
int machine_create(struct machine *machine, const struct machine_config *config, struct engine *engine,
                   const struct door *door, struct error *error);
void machine_destroy(struct machine *machine);

/* What a reset loads again. Image, name, and what `boot` points to stay the caller's and must outlive the machine. */
void machine_keep_image(struct machine *machine, const struct boot_options *boot, const void *image, size_t length,
                        const char *image_name);

/* Keeps an image, loads it, and sets the processor to its entry. */
int machine_boot(struct machine *machine, const struct machine_config *config, const void *image, size_t length,
                 const char *image_name, enum boot_protocol *chosen, struct error *error);

/*
 * Runs until the engine stops. ENGINE_STOP_REQUESTED means the door asked for it, or the machine ended; the stops that
 * end a machine (shutdown, fault, a halt for good) have set machine->end.
 *
 * With the virtual clock, time passes while the machine runs: at the boundary where guest time comes to a device's
 * deadline, the device does what is due, before anything else happens there; no input is needed. ENGINE_STOP_REQUESTED
 * also means that stop_ticks have come.
 */
enum engine_stop machine_run(struct machine *machine, const struct engine_stops *stops, struct error *error);

/* To a position. */
static inline enum engine_stop machine_run_to(struct machine *machine, const struct position *position,
                                              struct error *error)
{
    return machine_run(machine, &(const struct engine_stops){.position = position}, error);
}

/* To the first boundary at which `tick` ticks are done; for an engine with caps.stops. */
static inline enum engine_stop machine_run_to_tick(struct machine *machine, uint64_t tick, struct error *error)
{
    return machine_run(machine, &(const struct engine_stops){.to_tick = true, .tick = tick}, error);
}

/* The earliest guest time at which a device wants to do something by itself; NO_DEADLINE if there is none. */
uint64_t machine_deadline(const struct machine *machine);

/*
 * Guest time as an instruction sees it now. `now` moves in steps, with inputs; on an engine with caps.tick_time the
 * view goes on from there by a nanosecond for each tick, but not beyond the next deadline, lest the device be late by
 * the guest's own measure; and never behind what the guest has read before, for a device may get an earlier deadline.
 * It is a function of the machine's state alone, so that reading it needs no input. Whoever sets the time sets it no
 * earlier. With the virtual clock the view is guest time itself.
 */
uint64_t machine_view(const struct machine *machine);

/* Guest time: with the virtual clock the view, otherwise `now`. */
uint64_t machine_time(const struct machine *machine);

/* With the virtual clock, when the processor is halted and nothing wakes it: time goes to the next deadline at once,
 * which counts as an exit, so that the boundary after it has a name of its own. False when it is not so, or no device
 * waits for anything: then only an input can go on from here. */
bool machine_skip_idle(struct machine *machine);

/* Input: guest time becomes `now` (never going back), and the devices do what is due by then. With the virtual clock it
 * is no input: the machine itself does this. */
void machine_set_time(struct machine *machine, uint64_t now);

/* Input: bytes for the console; at most machine_console_room of them. */
size_t machine_console_room(const struct machine *machine);
/* Whether there is so much room that it is worth a record. */
bool machine_console_ready(const struct machine *machine);
void machine_console_input(struct machine *machine, const uint8_t *bytes, size_t length);

/* Input: a frame of 14 to FRAME_MAX bytes for a network card that has room. The room is how many frames it can take
 * now; 0 for a card without buffers, and for one that does not exist. */
size_t machine_net_room(const struct machine *machine, unsigned card);
void machine_net_input(struct machine *machine, unsigned card, const uint8_t *frame, size_t length);

/* Input: an order from outside, with the bytes that belong to it. Returns false, and does nothing, when it is none of
 * these or its bytes are not as they should be. The numbers are written into logs: they never change. */
enum machine_command {
    MACHINE_POWER_BUTTON = 2, /* somebody presses it: no bytes */
    MACHINE_BALLOON = 3, /* the guest shall give up so many pages of 4 KiB, of those it has: 4 bytes, little-endian */
    MACHINE_KEYS = 4,    /* the keyboard sends scan codes of set 1: at least one byte */
    MACHINE_NEW_GENERATION = 6, /* the machine has a new generation: its VMGENID_BYTES bytes */
    MACHINE_SET_TIME = 5, /* the real-time clock shows so many seconds since 1970: 8 bytes, signed, little-endian */
};
bool machine_operator(struct machine *machine, uint16_t command, const uint8_t *bytes, size_t length);

/* Has the processor look at its interrupt line at this boundary. Every record that is applied at a boundary, whether it
 * changes the machine or not, is followed by this, while recording as in a replay. */
void machine_look_at_interrupts(struct machine *machine);

/* Whether an interrupt waits that the processor has not taken. */
bool machine_interrupt_waits(const struct machine *machine);

/* Visits everything but RAM and the bytes of disks. Restoring, the caller then sets the engine's processor from `cpu`.
 */
void machine_visit(struct machine *machine, struct cpu_state *cpu, struct state *state);

/* The digest of the whole machine: processor, chips, time, exits, RAM and what was written to disks. */
int machine_digest(struct machine *machine, struct digest *digest, struct error *error);
/* Of RAM alone. */
int machine_ram_digest(struct machine *machine, struct digest *digest, struct error *error);

/* After a checkpoint: starts new lists of what changes, in RAM and on disks. */
void machine_forget_changes(struct machine *machine);

/* machine_time.c, for machine.c alone. The guest reads its time stamp counter, with so many ticks done. */
uint64_t machine_read_time(struct machine *machine, uint64_t ticks);
/* The engine's ticks; 0 without caps.tick_time. */
uint64_t machine_ticks(const struct machine *machine);
/* With the virtual clock: tells the engine where to stop next; does what is due at this boundary, if anything is. */
void machine_set_alarm(struct machine *machine);
bool machine_pass_deadline(struct machine *machine);

/* For a human: registers and the bytes at RIP; then all sections. */
void machine_print_registers(struct machine *machine, FILE *stream);

#endif
