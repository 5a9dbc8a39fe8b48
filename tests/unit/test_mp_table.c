/*
 * The MP table, after the Intel MultiProcessor Specification 1.4, chapter 4; that it agrees with the ACPI tables, and
 * that a machine is as both say.
 */
#include "tests/unit/tables_testing.h"

#include "vmm/devices/ioapic82093.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/pci_host.h"
#include "vmm/machine.h"
#include "vmm/soft/soft_engine.h"

#define HEADER 44

enum { PROCESSOR, BUS, IOAPIC, INTERRUPT, LOCAL };

static const uint8_t *find_mp_table(const struct ram *ram)
{
    return ram->bytes + bytes_load(find_anchor(ram, "_MP_") + 4, 4);
}

/* Entry `index` of this type; NULL when there are not so many. */
static const uint8_t *mp_entry(const struct ram *ram, uint8_t type, unsigned index)
{
    const uint8_t *table = find_mp_table(ram), *at = table + HEADER;

    for (uint64_t left = bytes_load(table + 34, 2); left > 0; left--) {
        if (*at == type && index-- == 0)
            return at;
        at += *at == PROCESSOR ? 20 : 8;
    }
    return NULL;
}

/* The only bus of this type; its ID. */
static uint8_t bus_id(const struct ram *ram, const char *type)
{
    const uint8_t *found = NULL, *bus;

    for (unsigned i = 0; (bus = mp_entry(ram, BUS, i)); i++) {
        if (memcmp(bus + 2, type, 6) == 0) {
            assert_null(found);
            found = bus;
        }
    }
    assert_non_null(found);
    return found[1];
}

/* The entry of an interrupt that comes from this bus and source. */
static const uint8_t *interrupt_from(const struct ram *ram, uint8_t bus, uint8_t source)
{
    const uint8_t *found = NULL, *entry;

    for (unsigned i = 0; (entry = mp_entry(ram, INTERRUPT, i)); i++) {
        if (entry[4] == bus && entry[5] == source) {
            assert_null(found);
            found = entry;
        }
    }
    return found;
}

static void structure(void **state)
{
    const struct ram *ram = *state;
    const uint8_t *pointer = find_anchor(ram, "_MP_");
    assert_int_equal(pointer[8], 1);
    assert_sum_is_zero(pointer, 16);
    assert_int_equal(pointer[9], 4);
    assert_int_equal(pointer[11], 0);                 /* there is a table */
    assert_int_equal(bytes_load(pointer + 12, 4), 0); /* no IMCR */
    const uint8_t *table = find_mp_table(ram);
    size_t length = bytes_load(table + 4, 2);
    assert_memory_equal(table, "PCMP", 4);
    assert_sum_is_zero(table, length);
    assert_int_equal(table[6], 4);
    assert_int_equal(bytes_load(table + 28, 4), 0); /* no table of an OEM */
    assert_int_equal(bytes_load(table + 32, 2), 0);
    assert_int_equal(bytes_load(table + 36, 4), LAPIC_BASE);
    assert_int_equal(bytes_load(table + 40, 4), 0); /* no extended table */
    /* The entries fill it, in the order of their types: 4.3. */
    size_t at = HEADER;
    uint8_t last = 0;
    for (uint64_t left = bytes_load(table + 34, 2); left > 0; left--) {
        assert_true(table[at] >= last && table[at] <= LOCAL);
        last = table[at];
        at += last == PROCESSOR ? 20 : 8;
    }
    assert_int_equal(at, length);
    assert_true(table + length <= ram->bytes + FIRMWARE_END);
}

static uint32_t chip_version(bus_read_fn *read, void *chip, uint64_t offset)
{
    return (uint32_t)read(chip, &(struct bus_access){.offset = offset, .size = 4});
}

static void chips(void **state)
{
    const struct ram *ram = *state;
    struct lapic lapic;
    struct ioapic82093 ioapic;
    lapic_init(&lapic, NULL, NULL);
    ioapic82093_init(&ioapic, (struct msi_wire){0});
    const uint8_t *processor = mp_entry(ram, PROCESSOR, 0);
    assert_int_equal(processor[1], lapic.id);
    assert_int_equal(processor[2], chip_version(lapic_read, &lapic, 0x30) & 0xff);
    assert_int_equal(processor[3], 3);                             /* enabled, and the one that boots */
    assert_int_equal(bytes_load(processor + 8, 4) & 0x201, 0x201); /* FPU and APIC */
    assert_null(mp_entry(ram, PROCESSOR, 1));
    const uint8_t *entry = mp_entry(ram, IOAPIC, 0);
    ioapic82093_write(&ioapic, &(struct bus_access){.offset = 0, .size = 4}, 1);
    assert_int_equal(entry[1], FIRMWARE_IOAPIC_ID);
    assert_int_equal(entry[2], chip_version(ioapic82093_read, &ioapic, 0x10) & 0xff);
    assert_int_equal(entry[3], 1);
    assert_int_equal(bytes_load(entry + 4, 4), IOAPIC_BASE);
    assert_null(mp_entry(ram, IOAPIC, 1));
    assert_int_not_equal(bus_id(ram, "PCI   "), bus_id(ram, "ISA   "));
    assert_null(mp_entry(ram, BUS, 2));
}

/* Each line of the PC but the cascade's is at an input of the I/O APIC; where the MADT has no override, at its own
 * number, and as ISA has it: edge-triggered, active high. */
static void isa_interrupts(void **state)
{
    const struct ram *ram = *state;
    uint8_t isa = bus_id(ram, "ISA   ");
    assert_null(interrupt_from(ram, isa, 2));
    for (uint8_t line = 0; line < 16; line++) {
        if (line == 2)
            continue;
        uint64_t input = line, flags = 0;
        const uint8_t *override;
        for (unsigned i = 0; (override = madt_entry(ram, 2, i)); i++) {
            if (override[3] == line) {
                input = bytes_load(override + 4, 4);
                flags = bytes_load(override + 8, 2);
            }
        }
        const uint8_t *entry = interrupt_from(ram, isa, line);
        assert_non_null(entry);
        assert_int_equal(entry[1], 0); /* vectored */
        assert_int_equal(bytes_load(entry + 2, 2), flags);
        assert_int_equal(entry[6], FIRMWARE_IOAPIC_ID);
        assert_int_equal(entry[7], input);
    }
}

/* 4.3.4 and appendix D: the source is the device and its pin; level-triggered, active high here. */
static void pci_interrupts(void **state)
{
    const struct ram *ram = *state;
    for (unsigned device = 1; device < PCI_DEVICES; device++) {
        const uint8_t *entry = interrupt_from(ram, bus_id(ram, "PCI   "), (uint8_t)(device << 2));
        assert_non_null(entry);
        assert_int_equal(bytes_load(entry + 2, 2), 0xd);
        assert_int_equal(entry[7], pci_host_line(device));
    }
}

/* What is at LINT0 and LINT1 is what the local APIC's entries say after reset, and what the MADT says of NMI. */
static void local_interrupts(void **state)
{
    const struct ram *ram = *state;
    static const uint8_t deliveries[] = {0 /* fixed */, 4 /* NMI */, 2 /* SMI */, 7 /* ExtINT */};
    struct lapic lapic;
    lapic_init(&lapic, NULL, NULL);
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *entry = mp_entry(ram, LOCAL, i);
        assert_int_equal(entry[6], 0xff); /* of every processor */
        assert_int_equal(entry[7], i);
        assert_int_equal(deliveries[entry[1] & 3], lapic.lvt[LAPIC_LINT0 + i] >> 8 & 7);
    }
    assert_null(mp_entry(ram, LOCAL, 2));
    assert_int_equal(madt_entry(ram, 4, 0)[5], 1);
    assert_int_equal(mp_entry(ram, LOCAL, 1)[1], 1);
}

static uint64_t door_clock(void *context, uint64_t now)
{
    (void)context;
    return now;
}

static bool door_exit(void *context)
{
    (void)context;
    return false;
}

/* What the tables describe is there in a machine, as its firmware would have left it. */
static void machine_is_as_described(void **state)
{
    static struct machine machine;
    const struct door door = {.read_clock = door_clock, .exit_served = door_exit};
    const struct machine_config config = {.ram_size = MACHINE_RAM_MIN, .boot.protocol = BOOT_SECTOR};
    const struct engine_host none = {0};
    uint8_t sector[512] = {[510] = 0x55, [511] = 0xaa};
    struct error error;
    struct engine *engine = soft_engine_create(&none, &error);
    (void)state;
    assert_non_null(engine);
    assert_int_equal(machine_create(&machine, &config, engine, &door, &error), 0);
    assert_int_equal(machine_boot(&machine, &config, sector, sizeof sector, "sector", NULL, &error), 0);
    const struct ram *ram = &machine.ram;
    const uint8_t *fadt = find_table(ram, "FACP");
    for (unsigned i = 0; i < 3; i++) { /* events, control, timer; then the reset register */
        static const uint8_t blocks[] = {148, 172, 208};
        const uint8_t *block = fadt + blocks[i];
        assert_non_null(bus_find(&machine.ports, bytes_load(block + 4, 8), block[1] / 8));
    }
    assert_non_null(bus_find(&machine.ports, bytes_load(fadt + 120, 8), 1));
    assert_non_null(bus_find(&machine.memory, bytes_load(find_table(ram, "APIC") + 36, 4) + 0x30, 4));
    const uint8_t *ioapic = mp_entry(ram, IOAPIC, 0);
    uint64_t base = bytes_load(ioapic + 4, 4);
    bus_write(&machine.memory, base, 4, 0, 0);
    assert_int_equal(bus_read(&machine.memory, base + 0x10, 4, 0) >> 24, ioapic[1]);
    bus_write(&machine.memory, base, 4, 1, 0);
    assert_int_equal(bus_read(&machine.memory, base + 0x10, 4, 0) & 0xff, ioapic[2]);
    engine_destroy(engine);
    machine_destroy(&machine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tables_setup, tables_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(structure),        TEST(chips),
        TEST(isa_interrupts),   TEST(pci_interrupts),
        TEST(local_interrupts), cmocka_unit_test(machine_is_as_described),
    };
    return cmocka_run_group_tests_name("mp_table", tests, NULL, NULL);
}
