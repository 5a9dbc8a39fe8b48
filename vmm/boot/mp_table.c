/* The MP table: Intel MultiProcessor Specification, version 1.4, chapter 4. */
#include "vmm/boot/firmware_tables.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/ioapic82093.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/pci_host.h"

#define HEADER_CHECKSUM 7

enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTERRUPT, ENTRY_LOCAL };
enum { INTERRUPT_VECTORED, INTERRUPT_NMI, INTERRUPT_SMI, INTERRUPT_EXTINT };
enum { BUS_PCI, BUS_ISA };

/* Polarity and trigger: as the bus has it, or active high and level. */
#define FLAGS_OF_BUS     0x0
#define FLAGS_LEVEL_HIGH 0xd

static void put_bus(struct bytes_writer *out, uint8_t id, const char type[6])
{
    bytes_put_uint(out, 1, ENTRY_BUS);
    bytes_put_uint(out, 1, id);
    bytes_put(out, type, 6);
}

static void put_interrupt(struct bytes_writer *out, uint8_t entry, uint8_t type, uint16_t flags, uint8_t bus,
                          uint8_t source, uint8_t apic, uint8_t input)
{
    bytes_put_uint(out, 1, entry);
    bytes_put_uint(out, 1, type);
    bytes_put_uint(out, 2, flags);
    bytes_put_uint(out, 1, bus);
    bytes_put_uint(out, 1, source);
    bytes_put_uint(out, 1, apic);
    bytes_put_uint(out, 1, input);
}

static void put_processor(struct bytes_writer *out)
{
    bytes_put_uint(out, 1, ENTRY_PROCESSOR);
    bytes_put_uint(out, 1, 0);          /* its APIC's ID */
    bytes_put_uint(out, 1, 0x14);       /* its APIC's version */
    bytes_put_uint(out, 1, 3);          /* enabled, the bootstrap processor */
    bytes_put_uint(out, 4, 0x000f00);   /* family 15 */
    bytes_put_uint(out, 4, 0x00000201); /* it has an FPU and an APIC */
    bytes_put_uint(out, 8, 0);
}

/* One entry for each line of the PC, and one for each PCI device; returns how many. */
static unsigned put_interrupts(struct bytes_writer *out)
{
    unsigned count = 0;

    for (uint8_t line = 0; line < 16; line++) {
        if (line == 2)
            continue;
        bool level = line == ACPI_PM_SCI || line == pci_host_line(1) || line == pci_host_line(3);
        put_interrupt(out, ENTRY_INTERRUPT, INTERRUPT_VECTORED, level ? FLAGS_LEVEL_HIGH : FLAGS_OF_BUS, BUS_ISA, line,
                      FIRMWARE_IOAPIC_ID, line == 0 ? 2 : line);
        count++;
    }
    for (uint8_t device = 1; device < PCI_DEVICES; device++) {
        put_interrupt(out, ENTRY_INTERRUPT, INTERRUPT_VECTORED, FLAGS_LEVEL_HIGH, BUS_PCI, (uint8_t)(device << 2),
                      FIRMWARE_IOAPIC_ID, pci_host_line(device));
        count++;
    }
    put_interrupt(out, ENTRY_LOCAL, INTERRUPT_EXTINT, FLAGS_OF_BUS, BUS_ISA, 0, 0xff, 0);
    put_interrupt(out, ENTRY_LOCAL, INTERRUPT_NMI, FLAGS_OF_BUS, BUS_ISA, 0, 0xff, 1);
    return count + 2;
}

void mp_table_build(struct bytes_writer *pointer, struct bytes_writer *out)
{
    bytes_put(pointer, "_MP_", 4);
    bytes_put_uint(pointer, 4, FIRMWARE_MP_TABLE);
    bytes_put_uint(pointer, 1, 1); /* length, in units of 16 bytes */
    bytes_put_uint(pointer, 1, 4); /* version 1.4 */
    bytes_put_uint(pointer, 2, 0); /* checksum; a table is there */
    bytes_put_uint(pointer, 4, 0); /* no interrupt mode configuration register: virtual wire mode */
    firmware_checksum(pointer, 0, 10);

    bytes_put(out, "PCMP", 4);
    bytes_put_uint(out, 2, 0); /* length: below */
    bytes_put_uint(out, 1, 4);
    bytes_put_uint(out, 1, 0);
    bytes_put(out, "ENCORE  ", 8);
    bytes_put(out, "PC          ", 12);
    bytes_put_uint(out, 4, 0);
    bytes_put_uint(out, 2, 0);
    bytes_put_uint(out, 2, 0); /* entries: below */
    bytes_put_uint(out, 4, LAPIC_BASE);
    bytes_put_uint(out, 4, 0);
    put_processor(out);
    put_bus(out, BUS_PCI, "PCI   ");
    put_bus(out, BUS_ISA, "ISA   ");
    bytes_put_uint(out, 1, ENTRY_IOAPIC);
    bytes_put_uint(out, 1, FIRMWARE_IOAPIC_ID);
    bytes_put_uint(out, 1, 0x11);
    bytes_put_uint(out, 1, 1); /* usable */
    bytes_put_uint(out, 4, IOAPIC_BASE);
    unsigned entries = 4 + put_interrupts(out);
    if (!out->failed) {
        bytes_store(out->data + 4, 2, out->length);
        bytes_store(out->data + 34, 2, entries);
    }
    firmware_checksum(out, 0, HEADER_CHECKSUM);
}
