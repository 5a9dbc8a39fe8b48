/* The PCI bus: configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2), windows and interrupt lines. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/pci_host.h"

#define CARDS 3

struct machine {
    struct pci_host host;
    struct pci_function cards[CARDS]; /* devices 1, 3 and 5 */
    struct line_record lines[16];
    uint64_t last_write;
};

static void set_line(void *context, unsigned line, bool level)
{
    struct machine *machine = context;

    line_record_set(&machine->lines[line], line, level);
}

static uint64_t card_read(void *device, const struct bus_access *access)
{
    (void)device;
    return access->offset << 8 | access->size;
}

static void card_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct machine *machine = device;

    machine->last_write = access->offset << 32 | value;
}

static void machine_init(void *device)
{
    struct machine *machine = device;

    memset(machine, 0, sizeof *machine);
    pci_host_init(&machine->host, (struct irq_wire){.set = set_line, .context = machine});
    for (unsigned i = 0; i < CARDS; i++) {
        struct pci_ids ids = {.vendor = 0x1234, .device = (uint16_t)i};
        struct pci_bar memory = {.size = 0x1000, .read = card_read, .write = card_write, .device = machine};
        struct pci_bar ports = {.size = 0x20, .ports = true, .read = card_read, .write = card_write, .device = machine};
        unsigned number = 1 + 2 * i;
        pci_function_init(&machine->cards[i], &ids, pci_host_pin(&machine->host, number), pci_host_line(number));
        pci_function_add_bar(&machine->cards[i], 0, memory);
        pci_function_add_bar(&machine->cards[i], 1, ports);
        pci_host_add(&machine->host, number, &machine->cards[i]);
    }
}

static uint64_t in(struct machine *machine, unsigned port, unsigned size)
{
    return port_in(pci_host_config_read, &machine->host, port - PCI_HOST_PORT, size, 0);
}

static void out(struct machine *machine, unsigned port, unsigned size, uint64_t value)
{
    port_out(pci_host_config_write, &machine->host, port - PCI_HOST_PORT, size, value, 0);
}

static uint32_t address(unsigned device, unsigned offset)
{
    return 0x80000000u | device << 11 | offset;
}

/* As Linux's pci_check_type1 does. */
static void mechanism_one(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    out(&machine, 0xcfb, 1, 1);
    assert_int_equal(in(&machine, 0xcf8, 4), 0);
    out(&machine, 0xcf8, 4, 0x80000000);
    assert_int_equal(in(&machine, 0xcf8, 4), 0x80000000);
    assert_int_equal(in(&machine, 0xcfc, 4), 0x12378086);
    assert_int_equal(in(&machine, 0xcfe, 2), 0x1237);
    assert_int_equal(in(&machine, 0xcfd, 1), 0x80);
    assert_int_equal(in(&machine, 0xcfd, 2), 0x3780);
    out(&machine, 0xcf8, 4, 0xffffffff);
    assert_int_equal(in(&machine, 0xcf8, 4), 0x80fffffc);
    assert_int_equal(in(&machine, 0xcf9, 1), 0xff);
    assert_int_equal(in(&machine, 0xcf8, 2), 0xffff);
    out(&machine, 0xcf8, 4, 0x00000000); /* not enabled */
    assert_int_equal(in(&machine, 0xcfc, 4), 0xffffffff);
}

static void who_is_there(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    for (unsigned i = 0; i < PCI_DEVICES; i++) {
        uint32_t expected = i == 0 ? 0x12378086 : i % 2 && i < 2 * CARDS ? (i / 2) << 16 | 0x1234 : 0xffffffff;
        out(&machine, 0xcf8, 4, address(i, 0));
        assert_int_equal(in(&machine, 0xcfc, 4), expected);
        out(&machine, 0xcf8, 4, address(i, 0) | 1 << 8); /* one function each */
        assert_int_equal(in(&machine, 0xcfc, 4), 0xffffffff);
        out(&machine, 0xcf8, 4, address(i, 0) | 1 << 16); /* one bus */
        assert_int_equal(in(&machine, 0xcfc, 4), 0xffffffff);
        out(&machine, 0xcfc, 4, 0);
    }
    /* The bridge is one, and keeps its shadow memory's registers. */
    out(&machine, 0xcf8, 4, address(0, 8));
    assert_int_equal(in(&machine, 0xcfc, 4), 0x06000002);
    out(&machine, 0xcf8, 4, address(0, 0x58));
    out(&machine, 0xcfc, 4, 0x33333333);
    assert_int_equal(in(&machine, 0xcfc, 4), 0x33333300);
    /* Bytes, and words across a dword's halves. */
    out(&machine, 0xcf8, 4, address(3, PCI_INTERRUPT_LINE));
    assert_int_equal(in(&machine, 0xcfc, 2), 0x010b);
    out(&machine, 0xcfc, 1, 5);
    assert_int_equal(in(&machine, 0xcfc, 2), 0x0105);
    out(&machine, 0xcfb, 2, 0x0700); /* its second byte is the data port's first */
    assert_int_equal(in(&machine, 0xcfc, 2), 0x0107);
    assert_int_equal(in(&machine, 0xcfb, 2), 0x07ff);
}

static void windows(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    assert_int_equal(port_in(pci_host_memory_read, &machine.host, 0, 4, 0), 0xffffffff);
    pci_host_place_bars(&machine.host);
    assert_int_equal(pci_config_get(&machine.cards[2], PCI_BAR0, 4), 0xc0002000);
    assert_int_equal(pci_config_get(&machine.cards[2], PCI_BAR0 + 4, 4), 0x1041);
    assert_int_equal(pci_config_get(&machine.cards[2], PCI_COMMAND, 2), 3);
    assert_int_equal(port_in(pci_host_memory_read, &machine.host, 0x1ffc, 4, 0), 0xffc04);
    assert_int_equal(port_in(pci_host_memory_read, &machine.host, 0x1ffd, 4, 0), 0xffffffff); /* straddles two */
    assert_int_equal(port_in(pci_host_memory_read, &machine.host, 0x3000, 1, 0), 0xff);
    port_out(pci_host_memory_write, &machine.host, 0x2010, 4, 0xabcd, 0);
    assert_int_equal(machine.last_write, UINT64_C(0x10) << 32 | 0xabcd);
    assert_int_equal(port_in(pci_host_ports_read, &machine.host, 0x25, 1, 0), 0x01);
    port_out(pci_host_ports_write, &machine.host, 0x43, 1, 0x77, 0);
    assert_int_equal(machine.last_write, UINT64_C(3) << 32 | 0x77);
    port_out(pci_host_ports_write, &machine.host, 0x60, 1, 0x11, 0);
    assert_int_equal(machine.last_write, UINT64_C(3) << 32 | 0x77);
    /* Two at one place: the lower number answers. */
    pci_config_write(&machine.cards[0], PCI_BAR0, 4, 0xc0002000);
    pci_config_write(&machine.cards[2], PCI_COMMAND, 2, 0);
    assert_int_equal(port_in(pci_host_memory_read, &machine.host, 0x2008, 1, 0), 0x01);
    assert_int_equal(port_in(pci_host_memory_read, &machine.host, 0x0008, 1, 0), 0xff);
}

static void interrupt_lines(void **unused)
{
    (void)unused;
    struct machine machine;
    machine_init(&machine);
    static const uint8_t expected[9] = {11, 10, 10, 11, 11, 10, 10, 11, 11};
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(pci_host_line(i), expected[i]);
    pci_function_set_pin(&machine.cards[0], true);
    assert_true(machine.lines[10].level);
    assert_false(machine.lines[11].level);
    pci_function_set_pin(&machine.cards[1], true);
    assert_true(machine.lines[11].level);
    pci_function_set_pin(&machine.cards[2], true); /* shares line 10 */
    pci_function_set_pin(&machine.cards[0], false);
    assert_true(machine.lines[10].level);
    pci_function_set_pin(&machine.cards[2], false);
    assert_false(machine.lines[10].level);
    assert_true(machine.lines[11].level);
    assert_int_equal(machine.host.pins, 1 << 3);
}

static void machine_state(void *device, struct state *state)
{
    struct machine *machine = device;

    pci_host_state(&machine->host, state);
    for (unsigned i = 0; i < CARDS; i++)
        pci_function_state(&machine->cards[i], state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct machine *machine = device;
    unsigned size = 1u << dice_below(dice, 3), port = PCI_HOST_PORT + dice_below(dice, PCI_HOST_PORTS + 1 - size);

    (void)now;
    switch (dice_below(dice, 8)) {
    case 0:
        pci_function_set_pin(&machine->cards[dice_below(dice, CARDS)], dice_below(dice, 2));
        return machine->host.pins;
    case 1:
        return port_in(pci_host_memory_read, &machine->host, dice_below(dice, 0x4000), size, 0);
    case 2:
        pci_host_place_bars(&machine->host);
        return 0;
    case 3:
        return in(machine, port, size);
    case 4:
        out(machine, port, size, dice_roll(dice));
        return 0;
    case 5:
        return in(machine, 0xcfc, 4);
    case 6:
        out(machine, 0xcfc, 4, dice_roll(dice));
        return 0;
    default:
        out(machine, 0xcf8, 4, address(dice_below(dice, 8), dice_below(dice, 0x60)));
        return in(machine, 0xcfc, 4);
    }
}

static const struct subject subject = {sizeof(struct machine), machine_init, machine_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mechanism_one),
        cmocka_unit_test(who_is_there),
        cmocka_unit_test(windows),
        cmocka_unit_test(interrupt_lines),
        subject_test(hostile_state_is_safe, &subject),
        subject_test(restored_runs_on_the_same, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
