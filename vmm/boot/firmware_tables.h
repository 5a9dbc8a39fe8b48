/*
 * What a PC's firmware tells an operating system about the machine: ACPI tables and an Intel MP table.
 *
 * They are in memory at the first instruction, whatever the boot protocol: the pointers to them in [F0000h, 100000h),
 * where operating systems look, the tables themselves from E0000h on. Both describe the same machine: one processor,
 * one I/O APIC, PCI bus 0.
 *
 * A machine that boots by firmware has the ACPI tables in its last 64 KiB instead, because the firmware needs the other
 * place, and makes the rest itself.
 */
#ifndef ENCORE_VMM_BOOT_FIRMWARE_TABLES_H
#define ENCORE_VMM_BOOT_FIRMWARE_TABLES_H

#include "base/bytes.h"
#include "vmm/ram.h"

#define FIRMWARE_START 0xe0000u
#define FIRMWARE_END   0x100000u

#define FIRMWARE_ACPI     0xe0000u /* the tables, up to FIRMWARE_ANCHORS */
#define FIRMWARE_ANCHORS  0xf0000u
#define FIRMWARE_MP       0xf0000u /* the MP floating pointer structure */
#define FIRMWARE_RSDP     0xf0040u
#define FIRMWARE_MP_TABLE 0xf0100u

/* The machine's generation (vmm/devices/vmgenid.h) is so far behind the beginning of the ACPI tables, in a page of its
 * own. */
#define FIRMWARE_GENERATION 0xf000u

/* Where the I/O APIC answers interrupt identifications; the processor's is 0. */
#define FIRMWARE_IOAPIC_ID 1

/* For a machine of firmware: how much at the end of memory is reserved, and where that begins. */
#define FIRMWARE_HIGH_SIZE 0x10000u

static inline uint64_t firmware_tables_high(uint64_t ram_size)
{
    return ram_size - FIRMWARE_HIGH_SIZE;
}

/* Writes all of it; memory must reach to FIRMWARE_END. */
void firmware_tables_install(struct ram *ram);
/* Writes the ACPI tables at firmware_tables_high. */
void firmware_tables_install_high(struct ram *ram);

#define FIRMWARE_RSDP_SIZE 36 /* ACPI 6.5, 5.2.5.3 */
/* The root pointer to ACPI tables that stand at `base`. */
void firmware_tables_root(uint64_t base, uint8_t rsdp[FIRMWARE_RSDP_SIZE]);

/* acpi_tables.c: the root pointer, and all tables as they shall stand at `base`, which is on a page. */
void acpi_tables_build(uint32_t base, struct bytes_writer *rsdp, struct bytes_writer *tables);

/* mp_table.c: the floating pointer structure, and the table for FIRMWARE_MP_TABLE. */
void mp_table_build(struct bytes_writer *pointer, struct bytes_writer *table);

/* Sets the byte at `at` so that all bytes from `start` on add up to 0. */
void firmware_checksum(struct bytes_writer *out, size_t start, size_t at);

#endif
