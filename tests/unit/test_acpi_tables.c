/*
 * The ACPI tables, after the ACPI specification 6.5, chapter 5: found in memory as an operating system finds them,
 * their checksums and lengths, and each of their fields against the chips that it is about. The AML in them:
 * test_aml.c.
 */
#include "tests/unit/tables_testing.h"

#include "vmm/boot/memory_map.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic82093.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/mc146818.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/reset_port.h"

/* 5.2.5.3 */
static void root_pointer(void **state)
{
    const struct ram *ram = *state;
    const uint8_t *rsdp = find_anchor(ram, "RSD PTR ");
    assert_ptr_equal(rsdp, ram->bytes + FIRMWARE_RSDP);
    assert_sum_is_zero(rsdp, 20); /* what ACPI 1.0 knew */
    assert_sum_is_zero(rsdp, 36);
    assert_int_equal(rsdp[15], 2);
    assert_int_equal(bytes_load(rsdp + 16, 4), 0); /* no RSDT */
    assert_int_equal(bytes_load(rsdp + 20, 4), 36);
    assert_int_equal(bytes_load(rsdp + 33, 2) | bytes_load(rsdp + 35, 1), 0);
    const uint8_t *xsdt = ram->bytes + bytes_load(rsdp + 24, 8);
    assert_memory_equal(xsdt, "XSDT", 4);
    assert_int_equal(table_length(xsdt), 36 + 2 * 8);
}

/* 5.2.6: every table with a header; and all of them lie in the firmware's memory, which the memory map reserves. */
static void headers(void **state)
{
    const struct ram *ram = *state;
    const struct {
        const uint8_t *table;
        const char *signature;
        uint8_t revision;
    } tables[] = {
        {ram->bytes + bytes_load(find_anchor(ram, "RSD PTR ") + 24, 8), "XSDT", 1},
        {find_table(ram, "FACP"), "FACP", 3},
        {find_table(ram, "APIC"), "APIC", 3},
        {find_dsdt(ram), "DSDT", 2},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        const uint8_t *table = tables[i].table;
        assert_memory_equal(table, tables[i].signature, 4);
        assert_int_equal(table[8], tables[i].revision);
        assert_memory_equal(table + 10, "ENCOREENCOREPC", 14);
        assert_in_range(table - ram->bytes, FIRMWARE_ACPI, FIRMWARE_ANCHORS - table_length(table));
    }
    struct memory_range ranges[MEMORY_MAP_RANGES];
    assert_int_equal(memory_map(2 << 20, ranges), 3);
    assert_true(ranges[1].type == MEMORY_RESERVED && ranges[1].start <= FIRMWARE_START &&
                ranges[1].end >= FIRMWARE_END);
}

/* Table 5.9: offset, width, value. */
static void fadt(void **state)
{
    const struct ram *ram = *state;
    const uint8_t *table = find_table(ram, "FACP");
    const uint64_t none = 0;
    const struct {
        unsigned offset, width;
        uint64_t value;
    } fields[] = {
        {45, 1, 0}, /* no preferred profile */
        {46, 2, ACPI_PM_SCI},
        {48, 4, none}, /* SMI_CMD: always in ACPI mode */
        {52, 4, none},
        {56, 4, ACPI_PM_EVENT_PORT},
        {60, 4, none},
        {64, 4, ACPI_PM_CONTROL_PORT},
        {68, 4, none},
        {72, 4, none},
        {76, 4, ACPI_PM_TIMER_PORT},
        {80, 4, ACPI_PM_GENERAL_PORT},
        {84, 4, none},
        {88, 1, ACPI_PM_EVENT_PORTS},
        {89, 1, ACPI_PM_CONTROL_PORTS},
        {90, 1, none},
        {91, 1, ACPI_PM_TIMER_PORTS},
        {92, 1, ACPI_PM_GENERAL_PORTS},
        {93, 1, none},
        {94, 2, none},
        {108, 1, MC146818_CENTURY},
        {109, 2, 0x0007}, /* legacy devices, an 8042, no VGA */
        {112, 4, 0x0565},
        {128, 1, RESET_PORT_HARD},
        {129, 2, none},
        {131, 1, none},
        {148, 8, 1 | 32 << 8 | 0 << 16 | 2 << 24 | (uint64_t)ACPI_PM_EVENT_PORT << 32},
        {156, 4, none},
        {160, 8, none},
        {172, 8, 1 | 16 << 8 | 0 << 16 | 2 << 24 | (uint64_t)ACPI_PM_CONTROL_PORT << 32},
        {180, 4, none},
        {184, 8, none},
        {196, 8, none},
        {208, 8, 1 | 32 << 8 | 0 << 16 | 3 << 24 | (uint64_t)ACPI_PM_TIMER_PORT << 32},
        {216, 4, none},
        {220, 8, 1 | 16 << 8 | 0 << 16 | 1 << 24 | (uint64_t)ACPI_PM_GENERAL_PORT << 32},
        {228, 4, none},
        {232, 8, none},
        {116, 8, 1 | 8 << 8 | 0 << 16 | 1 << 24 | (uint64_t)RESET_PORT << 32},
        {124, 4, none},
    };
    assert_int_equal(table_length(table), 244);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (bytes_load(table + fields[i].offset, fields[i].width) != fields[i].value)
            fail_msg("the FADT has 0x%lx at %u", bytes_load(table + fields[i].offset, fields[i].width),
                     fields[i].offset);
    }
    assert_true(bytes_load(table + 96, 2) > 100); /* C2 and C3 do not exist */
    assert_true(bytes_load(table + 98, 2) > 1000);
    assert_int_equal(bytes_load(table + 36, 4), bytes_load(table + 132, 8));
    assert_int_equal(bytes_load(table + 40, 4), bytes_load(table + 140, 8));
}

/* Table 5.10: what the flags promise, and what they do not. */
static void fadt_flags(void **state)
{
    uint32_t flags = (uint32_t)bytes_load(find_table(*state, "FACP") + 112, 4);
    assert_true(flags & 1 << 0);   /* WBINVD */
    assert_true(flags & 1 << 2);   /* C1 on all processors */
    assert_false(flags & 1 << 4);  /* the power button is a fixed feature */
    assert_true(flags & 1 << 5);   /* the sleep button is not */
    assert_true(flags & 1 << 6);   /* and the RTC's alarm is not */
    assert_true(flags & 1 << 8);   /* a 32-bit timer */
    assert_true(flags & 1 << 10);  /* the reset register */
    assert_false(flags & 1 << 20); /* not a machine of reduced hardware */
}

/* 5.2.10 */
static void facs(void **state)
{
    const struct ram *ram = *state;
    uint64_t address = bytes_load(find_table(ram, "FACP") + 132, 8);
    const uint8_t *table = ram->bytes + address;
    assert_int_equal(address % 64, 0);
    assert_memory_equal(table, "FACS", 4);
    assert_int_equal(bytes_load(table + 4, 4), 64);
    assert_int_equal(table[32], 2);
    for (unsigned at = 8; at < 64; at++)
        assert_true(at == 32 || table[at] == 0);
}

/* 5.2.12: one processor, one I/O APIC, the lines that differ from ISA's, and NMI at LINT1. */
static void madt(void **state)
{
    const struct ram *ram = *state;
    const uint8_t *table = find_table(ram, "APIC");
    assert_int_equal(bytes_load(table + 36, 4), LAPIC_BASE);
    assert_int_equal(bytes_load(table + 40, 4), 1); /* PCAT_COMPAT */
    assert_memory_equal(madt_entry(ram, 0, 0), ((const uint8_t[]){0, 8, 0, 0, 1, 0, 0, 0}), 8);
    assert_null(madt_entry(ram, 0, 1));
    const uint8_t *ioapic = madt_entry(ram, 1, 0);
    assert_int_equal(ioapic[1], 12);
    assert_int_equal(ioapic[2], FIRMWARE_IOAPIC_ID);
    assert_int_equal(bytes_load(ioapic + 4, 4), IOAPIC_BASE);
    assert_int_equal(bytes_load(ioapic + 8, 4), 0);
    assert_null(madt_entry(ram, 1, 1));
    const uint8_t lines[][3] = {{0, 2, 0x0}, {9, 9, 0xd}, {10, 10, 0xd}, {11, 11, 0xd}};
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *override = madt_entry(ram, 2, i);
        assert_int_equal(override[1], 10);
        assert_int_equal(override[2], 0);
        assert_int_equal(override[3], lines[i][0]);
        assert_int_equal(bytes_load(override + 4, 4), lines[i][1]);
        assert_int_equal(bytes_load(override + 8, 2), lines[i][2]);
    }
    assert_null(madt_entry(ram, 2, 4));
    assert_memory_equal(madt_entry(ram, 4, 0), ((const uint8_t[]){4, 6, 0xff, 0, 0, 1}), 6);
}

/* A byte string that the DSDT must hold once. */
static const uint8_t *find_aml(const struct ram *ram, const char *bytes, size_t length)
{
    const uint8_t *dsdt = find_dsdt(ram), *end = dsdt + table_length(dsdt);
    const uint8_t *found = memmem(dsdt, (size_t)(end - dsdt), bytes, length);

    assert_non_null(found);
    assert_null(memmem(found + 1, (size_t)(end - found - 1), bytes, length));
    return found;
}

#define FIND(ram, bytes) find_aml(ram, bytes, sizeof bytes - 1)

/* The sleep type of S5, taken from the table, turns the chip off. */
static void on_off(void *context)
{
    ++*(unsigned *)context;
}

static void turning_off(void **state)
{
    const uint8_t *s5 = FIND(*state, "\x08\\_S5_\x12\x8a\x00\x00\x04\x0a\x05\x0a\x05\x00\x00");
    struct acpi_pm pm;
    unsigned offs = 0;
    acpi_pm_init(&pm, (struct irq_wire){0}, (struct acpi_pm_wire){on_off, &offs});
    acpi_pm_control_write(&pm, &(struct bus_access){.size = 2}, 0x2000u | (unsigned)s5[12] << 10);
    assert_int_equal(offs, 1);
}

/* The ISA devices, byte for byte: 6.4.2 for their resources. */
static void isa_devices(void **state)
{
    FIND(*state, "\x5b\x82\x8a\x02\x00"
                 "COM1\x08_HID\x0c\x41\xd0\x05\x01"
                 "\x08_CRS\x11\x83\x01\x00\x0b\x0d\x00"
                 "\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00\x79\x00");
    FIND(*state, "\x5b\x82\x8a\x02\x00"
                 "RTC_\x08_HID\x0c\x41\xd0\x0b\x00"
                 "\x08_CRS\x11\x83\x01\x00\x0b\x0d\x00"
                 "\x47\x01\x70\x00\x70\x00\x01\x02\x22\x00\x01\x79\x00");
    FIND(*state, "\x5b\x82\x82\x03\x00"
                 "KBD_\x08_HID\x0c\x41\xd0\x03\x03"
                 "\x08_CRS\x11\x8b\x01\x00\x0b\x15\x00"
                 "\x47\x01\x60\x00\x60\x00\x01\x01\x47\x01\x64\x00\x64\x00\x01\x01\x22\x02\x00\x79\x00");
}

/* The host bridge's windows are those that the bus decodes. */
static void pci_bridge(void **state)
{
    FIND(*state, "PCI0\x08_HID\x0c\x41\xd0\x0a\x03\x08_UID\x00\x08_CRS\x11");
    FIND(*state, "\x88\x0d\x00\x02\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"); /* bus 0 */
    FIND(*state, "\x47\x01\xf8\x0c\xf8\x0c\x01\x08");
    const uint8_t *ports = FIND(*state, "\x88\x0d\x00\x01\x0c\x03");
    assert_int_equal(bytes_load(ports + 8, 2), PCI_PORTS_BASE);
    assert_int_equal(bytes_load(ports + 10, 2), PCI_PORTS_END - 1);
    assert_int_equal(bytes_load(ports + 14, 2), PCI_PORTS_END - PCI_PORTS_BASE);
    const uint8_t *memory = FIND(*state, "\x87\x17\x00\x00\x0c\x01");
    assert_int_equal(bytes_load(memory + 10, 4), PCI_MEMORY_BASE);
    assert_int_equal(bytes_load(memory + 14, 4), PCI_MEMORY_END - 1);
    assert_int_equal(bytes_load(memory + 22, 4), PCI_MEMORY_END - PCI_MEMORY_BASE);
}

/* 6.2.13: INTA of each device, at the line that the bridge drives. */
static void pci_routing(void **state)
{
    const uint8_t *package = FIND(*state, "\x08_PRT\x12") + 9;
    assert_int_equal(*package++, PCI_DEVICES - 1);
    for (unsigned device = 1; device < PCI_DEVICES; device++) {
        uint8_t entry[] = {
            0x12, 0x8d, 0, 0, 4, 0x0c, 0xff, 0xff, (uint8_t)device, 0, 0, 0, 0x0a, pci_host_line(device)};
        assert_memory_equal(package, entry, sizeof entry);
        package += sizeof entry;
    }
}

/* The same tables elsewhere: only the addresses differ. */
static void at_the_end_of_memory(void **state)
{
    struct ram high;
    struct error error;
    assert_int_equal(ram_create(&high, 0x400000, &error), 0);
    firmware_tables_install_high(&high);
    uint64_t base = firmware_tables_high(high.size);
    assert_int_equal(base, 0x3f0000);
    const uint8_t *fadt = memmem(high.bytes + base, FIRMWARE_HIGH_SIZE, "FACP", 4);
    assert_non_null(fadt);
    assert_int_equal(table_length(fadt), 244);
    const uint64_t facs = bytes_load(fadt + 132, 8), dsdt = bytes_load(fadt + 140, 8);
    assert_true(facs >= base && dsdt >= base);
    assert_memory_equal(high.bytes + facs, "FACS", 4);
    const struct ram *low = *state;
    const uint8_t *other = find_dsdt(low);
    const uint8_t name[] = "ADDR";
    /* The same but for where the generation is: Name(ADDR, Package(2) {a doubleword, ...}); and so for the checksum. */
    size_t length = table_length(other);
    const uint8_t *place = memmem(other, length, name, sizeof name - 1);
    assert_non_null(place);
    size_t at = (size_t)(place - other) + 4 + 6;
    assert_int_equal(bytes_load(other + at, 4), FIRMWARE_ACPI + FIRMWARE_GENERATION);
    assert_int_equal(bytes_load(high.bytes + dsdt + at, 4), base + FIRMWARE_GENERATION);
    assert_sum_is_zero(high.bytes + dsdt, (uint32_t)length);
    uint8_t *there = high.bytes + dsdt;
    memcpy(there + at, other + at, 4);
    there[9] = other[9];
    assert_memory_equal(there, other, length);
    ram_destroy(&high);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tables_setup, tables_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(root_pointer),
        TEST(headers),
        TEST(fadt),
        TEST(fadt_flags),
        TEST(facs),
        TEST(madt),
        TEST(turning_off),
        TEST(isa_devices),
        TEST(pci_bridge),
        TEST(pci_routing),
        TEST(at_the_end_of_memory),
    };
    return cmocka_run_group_tests_name("acpi_tables", tests, NULL, NULL);
}
