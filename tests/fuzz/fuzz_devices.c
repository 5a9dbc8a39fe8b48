/*
 * All the PC's chips wired together, under a stream of bytes read as a script: port accesses, the passing of time,
 * input from the host, interrupt acknowledges, and checkpoints.
 *
 * Of the two boards (tests/fuzz/two_boards.h), the second one's time passes in small steps where the first one's passes
 * at once.
 *
 * The disks' host keeps nothing: it gives bytes and failures that depend on the place alone, so that both boards' disks
 * are the same without being part of a checkpoint.
 *
 * The I/O APIC has only the lines of chips that do not count time: of pulses it would see each, or as many as there
 * were steps.
 *
 * Build: clang -fsanitize=fuzzer,address,undefined, with vmm/devices, what is in vmm/, and base.
 */
#include <stdlib.h>

#include "tests/fuzz/two_boards.h"
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
#include "vmm/devices/pit8254.h"
#include "vmm/devices/port61.h"
#include "vmm/devices/port92.h"
#include "vmm/devices/post_port.h"
#include "vmm/devices/reset_port.h"
#include "vmm/devices/uart16550.h"
#include "vmm/disk_contents.h"

#define MAX_STEPS 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct board {
    struct bus ports;
    struct bus memory;
    struct lapic lapic;
    struct ioapic82093 ioapic;
    struct i8259_pair pic;
    struct pit8254 pit;
    struct port61 port61;
    struct mc146818 rtc;
    struct uart16550 uart;
    struct debug_exit debug_exit;
    struct entropy_port entropy;
    struct post_port post;
    struct i8042 i8042;
    struct acpi_pm pm;
    struct reset_port reset_port;
    struct port92 port92;
    struct fw_cfg fw_cfg;
    struct ide_channel ide;
    struct disk disks[IDE_DRIVES];
    struct door door;
    uint32_t sent;  /* a checksum of what the serial port has sent */
    uint32_t exits; /* the same of the ends and resets that were asked for */
};

static void on_sent(void *context, uint8_t byte)
{
    struct board *board = context;
    board->sent = board->sent * 16777619u ^ byte;
}

static void on_exit_write(void *context, uint32_t value)
{
    struct board *board = context;
    board->exits = board->exits * 16777619u ^ value;
}

static void on_reset(void *context)
{
    on_exit_write(context, 0x99);
}

static void set_both(void *context, unsigned line, bool level)
{
    struct board *board = context;
    i8259_set_line(&board->pic, line, level);
    ioapic82093_set_line(&board->ioapic, line, level);
}

/* With the vector of the timer or of errors, a message could come before or after one of those within the same time;
 * whether that was an edge is then a matter of steps, so it always is. */
static void on_message(void *context, uint64_t address, uint32_t data)
{
    struct board *board = context;
    uint8_t vector = (uint8_t)data;
    bool shared = vector == (uint8_t)board->lapic.lvt[LAPIC_TIMER] || vector == (uint8_t)board->lapic.lvt[LAPIC_ERROR];
    lapic_message(&board->lapic, address, shared ? data & ~0x8000u : data);
}

static void on_end_of_interrupt(void *context, uint8_t vector)
{
    struct board *board = context;
    ioapic82093_end_of_interrupt(&board->ioapic, vector);
}

/* Random bytes that depend on nothing but the device's own state, so that both boards get the same. */
static void entropy_fill(void *context, uint8_t *bytes, size_t length)
{
    const struct board *board = context;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)((board->entropy.drawn + i) * 167 + 13);
}

static bool host_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes,
                      size_t length)
{
    uint8_t *to = bytes;

    (void)context;
    if (kind == DISK_FLUSH)
        return disk == 0;
    if (kind == DISK_WRITE_OVERLAY)
        return true;
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)((offset + i) * (disk + 3) >> 3);
    return offset / DISK_CLUSTER % 8 != 5;
}

/* A small disk, and a great one that is not to be written. */
static void make_disks(struct board *board)
{
    const struct disk_config configs[IDE_DRIVES] = {{.size = 300 * DISK_SECTOR},
                                                    {.size = UINT64_C(1) << 24, .read_only = true}};
    struct error error;

    board->door = (struct door){.context = board, .disk = host_disk};
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        CHECK(disk_create(&board->disks[i], i, &configs[i], &board->door, &error) == 0);
}

static void board_free(struct board *board)
{
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        disk_destroy(&board->disks[i]);
    free(board);
}

static void claim(struct board *board, uint64_t base, uint64_t length, void *device, bus_read_fn *read,
                  bus_write_fn *write)
{
    bus_claim(&board->ports,
              (struct bus_range){.base = base, .length = length, .device = device, .read = read, .write = write});
}

static void claim_memory(struct board *board)
{
    struct lapic *lapic = &board->lapic;
    const struct bus_range ranges[] = {
        {.base = 0, .length = LAPIC_TIMED_START, .read = lapic_read, .write = lapic_write, .device = lapic},
        {.base = LAPIC_TIMED_START,
         .length = LAPIC_TIMED_END - LAPIC_TIMED_START,
         .read = lapic_read_timed,
         .write = lapic_write_timed,
         .device = lapic},
        {.base = 0x400, .length = 0x20, .read = ioapic82093_read, .write = ioapic82093_write, .device = &board->ioapic},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        bus_claim(&board->memory, ranges[i]);
}

static struct irq_wire both(struct board *board, unsigned line)
{
    return (struct irq_wire){.set = set_both, .context = board, .line = line};
}

static struct irq_wire irq(struct board *board, unsigned line)
{
    return (struct irq_wire){.set = i8259_set_line, .context = &board->pic, .line = line};
}

/* All of a board is in its state. */
static struct board *board_new(const struct board *beside)
{
    struct board *board = calloc(1, sizeof *board);

    (void)beside;
    CHECK(board);
    lapic_init(&board->lapic, on_end_of_interrupt, board);
    ioapic82093_init(&board->ioapic, (struct msi_wire){.send = on_message, .context = board});
    i8259_init(&board->pic);
    pit8254_init(&board->pit, irq(board, 0));
    port61_init(&board->port61, &board->pit);
    mc146818_init(&board->rtc, 1700000000, 128 << 20, irq(board, 8));
    uart16550_init(&board->uart, (struct byte_sink){.put = on_sent, .context = board}, irq(board, 4));
    debug_exit_init(&board->debug_exit, (struct debug_exit_wire){.exited = on_exit_write, .context = board});
    entropy_port_init(&board->entropy, (struct entropy_source){.fill = entropy_fill, .context = board});
    post_port_init(&board->post);
    i8042_init(&board->i8042, both(board, I8042_IRQ), (struct reset_wire){.reset = on_reset, .context = board});
    acpi_pm_init(&board->pm, both(board, ACPI_PM_SCI), (struct acpi_pm_wire){.turned_off = on_reset, .context = board});
    reset_port_init(&board->reset_port, (struct reset_wire){.reset = on_reset, .context = board});
    port92_init(&board->port92, (struct reset_wire){0});
    fw_cfg_init(&board->fw_cfg);
    fw_cfg_add_file(&board->fw_cfg, "etc/file", "contents", 8);
    make_disks(board);
    ide_channel_init(&board->ide, &board->disks[0], &board->disks[1], irq(board, IDE_IRQ));
    claim_memory(board);
    claim(board, I8259_MASTER_PORT, I8259_PORTS, &board->pic, i8259_master_read, i8259_master_write);
    claim(board, I8259_SLAVE_PORT, I8259_PORTS, &board->pic, i8259_slave_read, i8259_slave_write);
    claim(board, I8259_ELCR_PORT, I8259_ELCR_PORTS, &board->pic, i8259_elcr_read, i8259_elcr_write);
    claim(board, PIT8254_PORT, PIT8254_PORTS, &board->pit, pit8254_read, pit8254_write);
    claim(board, PORT61_PORT, PORT61_PORTS, &board->port61, port61_read, port61_write);
    claim(board, MC146818_PORT, MC146818_PORTS, &board->rtc, mc146818_read, mc146818_write);
    claim(board, UART16550_COM1_PORT, UART16550_PORTS, &board->uart, uart16550_read, uart16550_write);
    claim(board, DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, &board->debug_exit, debug_exit_read, debug_exit_write);
    claim(board, ENTROPY_PORT, ENTROPY_PORT_PORTS, &board->entropy, entropy_port_read, entropy_port_write);
    claim(board, POST_PORT, POST_PORT_PORTS, &board->post, post_port_read, post_port_write);
    claim(board, I8042_DATA_PORT, 1, &board->i8042, i8042_data_read, i8042_data_write);
    claim(board, I8042_STATUS_PORT, 1, &board->i8042, i8042_status_read, i8042_command_write);
    claim(board, ACPI_PM_EVENT_PORT, ACPI_PM_EVENT_PORTS, &board->pm, acpi_pm_event_read, acpi_pm_event_write);
    claim(board, ACPI_PM_CONTROL_PORT, ACPI_PM_CONTROL_PORTS, &board->pm, acpi_pm_control_read, acpi_pm_control_write);
    claim(board, ACPI_PM_TIMER_PORT, ACPI_PM_TIMER_PORTS, &board->pm, acpi_pm_timer_read, NULL);
    claim(board, RESET_PORT, 1, &board->reset_port, reset_port_read, reset_port_write);
    claim(board, PORT92_PORT, PORT92_PORTS, &board->port92, port92_read, port92_write);
    claim(board, FW_CFG_PORT, FW_CFG_PORTS, &board->fw_cfg, fw_cfg_read, fw_cfg_write);
    claim(board, IDE_COMMAND_PORT, IDE_COMMAND_PORTS, &board->ide, ide_command_read, ide_command_write);
    claim(board, IDE_CONTROL_PORT, 1, &board->ide, ide_control_read, ide_control_write);
    return board;
}

static void board_state(struct board *board, struct state *state)
{
    i8259_state(&board->pic, state);
    pit8254_state(&board->pit, state);
    port61_state(&board->port61, state);
    mc146818_state(&board->rtc, state);
    uart16550_state(&board->uart, state);
    debug_exit_state(&board->debug_exit, state);
    entropy_port_state(&board->entropy, state);
    post_port_state(&board->post, state);
    lapic_state(&board->lapic, state);
    ioapic82093_state(&board->ioapic, state);
    i8042_state(&board->i8042, state);
    acpi_pm_state(&board->pm, state);
    reset_port_state(&board->reset_port, state);
    port92_state(&board->port92, state);
    fw_cfg_state(&board->fw_cfg, state);
    ide_channel_state(&board->ide, state);
    state_section(state, "fuzz", 1);
    state_u32(state, "sent", &board->sent);
    state_u32(state, "exits", &board->exits);
}

static uint64_t later(uint64_t now, uint64_t by)
{
    return by < UINT64_MAX - now ? now + by : UINT64_MAX;
}

static void advance_all(struct board *board, uint64_t now)
{
    pit8254_advance(&board->pit, now);
    mc146818_advance(&board->rtc, now);
    uart16550_advance(&board->uart, now);
    acpi_pm_advance(&board->pm, now);
    lapic_advance(&board->lapic, now);
}

static uint64_t deadline(const struct board *board)
{
    const uint64_t deadlines[] = {pit8254_deadline(&board->pit), mc146818_deadline(&board->rtc),
                                  uart16550_deadline(&board->uart), acpi_pm_deadline(&board->pm),
                                  lapic_deadline(&board->lapic)};
    uint64_t first = NO_DEADLINE;

    for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++)
        first = deadlines[i] < first ? deadlines[i] : first;
    return first;
}

/* Moves to `until`: at once on the first board, in `steps` on the second. */
static void pass_time(struct script *script, uint64_t until, unsigned steps)
{
    uint64_t from = script->now;

    for (unsigned i = 1; i < steps; i++)
        advance_all(script->boards[1], from + (until - from) / steps * i);
    advance_all(script->boards[1], until);
    advance_all(script->boards[0], until);
    script->now = until;
}

static void access_ports(struct script *script, uint64_t port, unsigned size, bool read, uint64_t value)
{
    if (read) {
        CHECK(bus_read(&script->boards[0]->ports, port, size, script->now) ==
              bus_read(&script->boards[1]->ports, port, size, script->now));
    } else {
        bus_write(&script->boards[0]->ports, port, size, value, script->now);
        bus_write(&script->boards[1]->ports, port, size, value, script->now);
    }
}

static void step_ports(struct script *script, uint8_t op)
{
    static const uint16_t bases[] = {0x20, 0xa0,  0x4d0, 0x40,  0x40, 0x61, 0x70, 0x3f8, 0x3f8, 0xf4, 0xe08,
                                     0x80, 0x1f0, 0x1f0, 0x3f6, 0x60, 0x60, 0x64, 0x600, 0x604, 0xcf9};
    uint8_t where = (uint8_t)take(script, 1);
    uint64_t port = bases[where % 21] + (where / 21) % 8u;
    unsigned size = op & 0x40 ? 1u << (op >> 4 & 3) % 3 : 1;
    bool read = op & 0x80;
    uint64_t value = read ? 0 : take(script, size);
    /* A disk's data come and go in long rows. */
    unsigned times = port == IDE_COMMAND_PORT && size > 1 ? 300 : 1;

    while (times-- > 0)
        access_ports(script, port, size, read, value++);
}

/* Whole registers of the two APICs; of the I/O APIC's, its window mostly. The deadline by its own door. */
static void step_memory(struct script *script, uint8_t op)
{
    struct board *one = script->boards[0], *two = script->boards[1];
    uint8_t where = (uint8_t)take(script, 1);
    uint64_t address = where < 0xc0 ? (where & 63) * 0x10u : 0x400 + (where & 3 ? 0x10 : 0);

    if (op & 0x80) {
        CHECK(bus_read(&one->memory, address, 4, script->now) == bus_read(&two->memory, address, 4, script->now));
        return;
    }
    uint64_t value = take(script, op & 0x40 ? 4 : 2);
    if (op & 8) {
        lapic_write_deadline(&one->lapic, later(script->now, value));
        lapic_write_deadline(&two->lapic, later(script->now, value));
    } else {
        bus_write(&one->memory, address, 4, value, script->now);
        bus_write(&two->memory, address, 4, value, script->now);
    }
}

static void step_time(struct script *script, uint8_t op)
{
    uint64_t until = later(script->now, take(script, 1u << (op >> 6)));

    if (op & 0x20) {
        uint64_t due = deadline(script->boards[0]);
        CHECK(due == deadline(script->boards[1]));
        if (due != NO_DEADLINE && due > script->now)
            until = due;
    }
    pass_time(script, until, 1 + (op >> 3 & 3));
}

static void step_input(struct script *script, uint8_t op)
{
    uint8_t bytes[32];
    size_t length = op >> 3 & 15;
    size_t room = uart16550_room(&script->boards[0]->uart);

    CHECK(room == uart16550_room(&script->boards[1]->uart));
    length = length < room ? length : room;
    bytes_get(&script->in, bytes, length);
    uart16550_receive(&script->boards[0]->uart, bytes, length, script->now);
    uart16550_receive(&script->boards[1]->uart, bytes, length, script->now);
}

static void step_keys(struct script *script, uint8_t op)
{
    uint8_t codes[16];
    size_t length = op >> 3 & 15, room = i8042_room(&script->boards[0]->i8042);

    CHECK(room == i8042_room(&script->boards[1]->i8042));
    length = length < room ? length : room;
    bytes_get(&script->in, codes, length);
    i8042_press(&script->boards[0]->i8042, codes, length);
    i8042_press(&script->boards[1]->i8042, codes, length);
}

static void acknowledge_lapic(struct script *script)
{
    CHECK(lapic_output(&script->boards[0]->lapic) == lapic_output(&script->boards[1]->lapic));
    CHECK(lapic_acknowledge(&script->boards[0]->lapic) == lapic_acknowledge(&script->boards[1]->lapic));
}

static void step_acknowledge(struct script *script, uint8_t op)
{
    if (op & 0x40) {
        acknowledge_lapic(script);
        return;
    }
    bool output = i8259_output(&script->boards[0]->pic);

    CHECK(output == i8259_output(&script->boards[1]->pic));
    if (output || (op & 0x80))
        CHECK(i8259_acknowledge(&script->boards[0]->pic) == i8259_acknowledge(&script->boards[1]->pic));
}

/* The lines on which no device of ours sits. */
static void step_line(struct script *script, uint8_t op)
{
    unsigned line = op >> 4;

    if (line <= 2 || line == 4 || line == 8 || line == ACPI_PM_SCI || line == IDE_IRQ)
        line = 5;
    set_both(script->boards[0], line, op & 8);
    set_both(script->boards[1], line, op & 8);
}

static void step(struct script *script)
{
    uint8_t op = (uint8_t)take(script, 1);

    switch (op & 7) {
    case 2:
        step_memory(script, op);
        break;
    case 3:
        step_time(script, op);
        break;
    case 4:
        if (op & 0x80)
            step_keys(script, op);
        else
            step_input(script, op);
        break;
    case 5:
        step_acknowledge(script, op);
        break;
    case 6:
        checkpoint(script, op & 0x80, op >> 3 & 15);
        break;
    case 7:
        step_line(script, op);
        break;
    default:
        step_ports(script, op);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = script_run(data, size, MAX_STEPS);

    script_free(&script);
    return 0;
}
