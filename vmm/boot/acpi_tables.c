/* The ACPI tables: ACPI specification 6.5, chapter 5. RSDP, XSDT, FADT, FACS, MADT, DSDT. */
#include "base/check.h"
#include "vmm/boot/aml.h"
#include "vmm/boot/firmware_tables.h"
#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/i8042.h"
#include "vmm/devices/ioapic82093.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/mc146818.h"
#include "vmm/devices/pci_host.h"
#include "vmm/devices/reset_port.h"
#include "vmm/devices/uart16550.h"

#define HEADER_LENGTH   4 /* offsets of fields in a table's header, 5.2.6 */
#define HEADER_CHECKSUM 9
#define TABLE_ALIGNMENT 64 /* what the FACS wants; the others do not mind */

/* Where each table will be. */
struct layout {
    uint32_t base; /* of them all */
    uint32_t facs, dsdt, fadt, madt, xsdt;
};

static size_t begin_table(struct bytes_writer *out, const char signature[4], uint8_t revision, uint32_t base,
                          uint32_t *address)
{
    while (!out->failed && out->length % TABLE_ALIGNMENT)
        bytes_put_uint(out, 1, 0);
    size_t start = out->length;
    *address = base + (uint32_t)start;
    bytes_put(out, signature, 4);
    bytes_put_uint(out, 4, 0);
    bytes_put_uint(out, 1, revision);
    bytes_put_uint(out, 1, 0);
    bytes_put(out, "ENCORE", 6);
    bytes_put(out, "ENCOREPC", 8);
    bytes_put_uint(out, 4, 1);
    bytes_put(out, "ENCR", 4);
    bytes_put_uint(out, 4, 1);
    return start;
}

static void end_table(struct bytes_writer *out, size_t start)
{
    if (!out->failed)
        bytes_store(out->data + start + HEADER_LENGTH, 4, out->length - start);
    firmware_checksum(out, start, start + HEADER_CHECKSUM);
}

static void put_zeros(struct bytes_writer *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bytes_put_uint(out, 1, 0);
}

static void put_facs(struct bytes_writer *out, struct layout *at)
{
    while (!out->failed && out->length % TABLE_ALIGNMENT)
        bytes_put_uint(out, 1, 0);
    at->facs = at->base + (uint32_t)out->length;
    bytes_put(out, "FACS", 4);
    bytes_put_uint(out, 4, 64);
    put_zeros(out, 24);
    bytes_put_uint(out, 1, 2); /* version */
    put_zeros(out, 31);
}

/* Table 5.34, MADT. */
static void put_madt(struct bytes_writer *out, struct layout *at)
{
    size_t start = begin_table(out, "APIC", 3, at->base, &at->madt);

    bytes_put_uint(out, 4, LAPIC_BASE);
    bytes_put_uint(out, 4, 1);      /* there is a pair of 8259s too */
    bytes_put_uint(out, 2, 0x0800); /* a processor's local APIC, of 8 bytes; number 0, ID 0 */
    bytes_put_uint(out, 2, 0);
    bytes_put_uint(out, 4, 1);      /* enabled */
    bytes_put_uint(out, 2, 0x0c01); /* an I/O APIC, of 12 bytes */
    bytes_put_uint(out, 2, FIRMWARE_IOAPIC_ID);
    bytes_put_uint(out, 4, IOAPIC_BASE);
    bytes_put_uint(out, 4, 0);
    const struct {
        uint8_t line, input;
        uint16_t flags; /* 0: as ISA has it; 0xd: active high, level */
    } overrides[] = {{0, 2, 0}, {ACPI_PM_SCI, ACPI_PM_SCI, 0xd}, {10, 10, 0xd}, {11, 11, 0xd}};
    for (unsigned i = 0; i < sizeof overrides / sizeof overrides[0]; i++) {
        bytes_put_uint(out, 2, 0x0a02); /* an interrupt source override, of 10 bytes */
        bytes_put_uint(out, 1, 0);
        bytes_put_uint(out, 1, overrides[i].line);
        bytes_put_uint(out, 4, overrides[i].input);
        bytes_put_uint(out, 2, overrides[i].flags);
    }
    bytes_put_uint(out, 2, 0x0604); /* NMI at LINT1 of all processors, of 6 bytes */
    bytes_put_uint(out, 1, 0xff);
    bytes_put_uint(out, 2, 0);
    bytes_put_uint(out, 1, 1);
    end_table(out, start);
}

static void put_isa_device(struct aml *aml, const char *name, const char *id, uint16_t port, uint8_t ports,
                           uint16_t more_ports, unsigned irq)
{
    aml_device(aml, name);
    aml_hardware_id(aml, id);
    aml_resources(aml);
    aml_resource_ports(aml, port, ports);
    if (more_ports)
        aml_resource_ports(aml, more_ports, 1);
    aml_resource_irq(aml, irq);
    aml_resources_end(aml);
    aml_end(aml);
}

/* Which line the pin of each device is on: 6.2.13. */
static void put_routing(struct aml *aml)
{
    aml_name(aml, "_PRT");
    aml_package(aml, PCI_DEVICES - 1);
    for (uint32_t device = 1; device < PCI_DEVICES; device++) {
        aml_package(aml, 4);
        aml_integer(aml, device << 16 | 0xffff);
        aml_integer(aml, 0); /* INTA */
        aml_integer(aml, 0); /* no link device: the line is wired */
        aml_integer(aml, pci_host_line((uint8_t)device));
        aml_end(aml);
    }
    aml_end(aml);
}

/* The device that says where the machine's generation is, and the event that it has changed: "Virtual Machine
 * Generation ID", Microsoft 2012. ADDR is the low and the high half of the address. */
static void put_generation(struct aml *aml, uint32_t address)
{
    aml_scope(aml, "\\_SB_");
    aml_device(aml, "VGEN");
    aml_name(aml, "_HID");
    aml_string(aml, "ENCR0001");
    aml_name(aml, "_CID");
    aml_string(aml, "VM_Gen_Counter");
    aml_name(aml, "_DDN");
    aml_string(aml, "VM_Gen_Counter");
    aml_name(aml, "ADDR");
    aml_package(aml, 2);
    aml_integer(aml, address);
    aml_integer(aml, 0);
    aml_end(aml);
    aml_end(aml);
    aml_end(aml);
    aml_scope(aml, "\\_GPE");
    aml_event(aml, "_E05", "_SB_", "VGEN", 0x80);
    aml_end(aml);
}

_Static_assert(ACPI_PM_GENERATION_EVENT == 5, "_E05 is its method");

static void put_dsdt(struct bytes_writer *out, struct layout *at)
{
    size_t start = begin_table(out, "DSDT", 2, at->base, &at->dsdt);
    struct aml aml = {.out = out};

    aml_name(&aml, "\\_S5_");
    aml_package(&aml, 4);
    aml_integer(&aml, ACPI_PM_SLEEP_OFF);
    aml_integer(&aml, ACPI_PM_SLEEP_OFF);
    aml_integer(&aml, 0);
    aml_integer(&aml, 0);
    aml_end(&aml);
    aml_scope(&aml, "\\_SB_");
    aml_device(&aml, "PCI0");
    aml_hardware_id(&aml, "PNP0A03");
    aml_name(&aml, "_UID");
    aml_integer(&aml, 0);
    aml_resources(&aml);
    aml_resource_bus(&aml, 0, 0);
    aml_resource_ports(&aml, PCI_HOST_PORT, PCI_HOST_PORTS);
    aml_resource_port_window(&aml, PCI_PORTS_BASE, PCI_PORTS_END - 1);
    aml_resource_memory_window(&aml, PCI_MEMORY_BASE, PCI_MEMORY_END - 1);
    aml_resources_end(&aml);
    put_routing(&aml);
    put_isa_device(&aml, "COM1", "PNP0501", UART16550_COM1_PORT, UART16550_PORTS, 0, UART16550_COM1_IRQ);
    put_isa_device(&aml, "RTC_", "PNP0B00", MC146818_PORT, MC146818_PORTS, 0, 8);
    put_isa_device(&aml, "KBD_", "PNP0303", I8042_DATA_PORT, 1, I8042_STATUS_PORT, I8042_IRQ);
    aml_end(&aml);
    aml_end(&aml);
    put_generation(&aml, at->base + FIRMWARE_GENERATION);
    end_table(out, start);
}

/* A generic address in port space: 5.2.3.2. */
static void put_address(struct bytes_writer *out, uint16_t port, uint8_t bits, uint8_t access)
{
    bytes_put_uint(out, 1, 1);
    bytes_put_uint(out, 1, bits);
    bytes_put_uint(out, 1, 0);
    bytes_put_uint(out, 1, access);
    bytes_put_uint(out, 8, port);
}

/* FADT flags, table 5.10: WBINVD works, C1 is supported, the sleep button is no fixed feature (there is none), the RTC
 * wakes from nothing, the timer has 32 bits, the reset register is there. */
#define FADT_FLAGS (1u << 0 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 10)
/* IA-PC boot flags, table 5.11: legacy devices, an 8042, no VGA. */
#define FADT_BOOT_FLAGS 0x7u
#define FADT_NO_STATE   0xfffu /* a latency that says that C2 or C3 does not exist */

/* Table 5.9, FADT, as of ACPI 2.0: 244 bytes. */
static void put_fadt(struct bytes_writer *out, struct layout *at)
{
    size_t start = begin_table(out, "FACP", 3, at->base, &at->fadt);

    bytes_put_uint(out, 4, at->facs);
    bytes_put_uint(out, 4, at->dsdt);
    bytes_put_uint(out, 2, 0); /* reserved; no preferred profile */
    bytes_put_uint(out, 2, ACPI_PM_SCI);
    bytes_put_uint(out, 4, 0); /* no SMI command port: always in ACPI mode */
    put_zeros(out, 4);
    bytes_put_uint(out, 4, ACPI_PM_EVENT_PORT);
    bytes_put_uint(out, 4, 0);
    bytes_put_uint(out, 4, ACPI_PM_CONTROL_PORT);
    bytes_put_uint(out, 4, 0);
    bytes_put_uint(out, 4, 0);
    bytes_put_uint(out, 4, ACPI_PM_TIMER_PORT);
    bytes_put_uint(out, 4, ACPI_PM_GENERAL_PORT);
    bytes_put_uint(out, 4, 0);
    bytes_put_uint(out, 1, ACPI_PM_EVENT_PORTS);
    bytes_put_uint(out, 1, ACPI_PM_CONTROL_PORTS);
    bytes_put_uint(out, 1, 0);
    bytes_put_uint(out, 1, ACPI_PM_TIMER_PORTS);
    bytes_put_uint(out, 1, ACPI_PM_GENERAL_PORTS);
    put_zeros(out, 3);
    bytes_put_uint(out, 2, FADT_NO_STATE);
    bytes_put_uint(out, 2, FADT_NO_STATE);
    put_zeros(out, 8);            /* flushing, duty cycle, alarms */
    bytes_put_uint(out, 1, 0x32); /* the RTC's century register */
    bytes_put_uint(out, 2, FADT_BOOT_FLAGS);
    bytes_put_uint(out, 1, 0);
    bytes_put_uint(out, 4, FADT_FLAGS);
    put_address(out, RESET_PORT, 8, 1);
    bytes_put_uint(out, 1, RESET_PORT_HARD);
    put_zeros(out, 3);
    bytes_put_uint(out, 8, at->facs);
    bytes_put_uint(out, 8, at->dsdt);
    put_address(out, ACPI_PM_EVENT_PORT, 8 * ACPI_PM_EVENT_PORTS, 2);
    put_zeros(out, 12);
    put_address(out, ACPI_PM_CONTROL_PORT, 8 * ACPI_PM_CONTROL_PORTS, 2);
    put_zeros(out, 24);
    put_address(out, ACPI_PM_TIMER_PORT, 8 * ACPI_PM_TIMER_PORTS, 3);
    put_address(out, ACPI_PM_GENERAL_PORT, 8 * ACPI_PM_GENERAL_PORTS, 1);
    put_zeros(out, 12);
    end_table(out, start);
}

static void put_xsdt(struct bytes_writer *out, struct layout *at)
{
    size_t start = begin_table(out, "XSDT", 1, at->base, &at->xsdt);

    bytes_put_uint(out, 8, at->fadt);
    bytes_put_uint(out, 8, at->madt);
    end_table(out, start);
}

void acpi_tables_build(uint32_t base, struct bytes_writer *rsdp, struct bytes_writer *tables)
{
    struct layout at = {.base = base};

    put_facs(tables, &at);
    put_dsdt(tables, &at);
    put_fadt(tables, &at);
    put_madt(tables, &at);
    put_xsdt(tables, &at);

    bytes_put(rsdp, "RSD PTR ", 8);
    bytes_put_uint(rsdp, 1, 0);
    bytes_put(rsdp, "ENCORE", 6);
    bytes_put_uint(rsdp, 1, 2); /* ACPI 2.0 and later: with an XSDT */
    bytes_put_uint(rsdp, 4, 0); /* no RSDT */
    firmware_checksum(rsdp, 0, 8);
    bytes_put_uint(rsdp, 4, 36);
    bytes_put_uint(rsdp, 8, at.xsdt);
    bytes_put_uint(rsdp, 1, 0);
    put_zeros(rsdp, 3);
    firmware_checksum(rsdp, 0, 32);
}
