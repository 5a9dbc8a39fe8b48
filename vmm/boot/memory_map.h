/*
 * A PC's memory as its firmware describes it: conventional memory, the adapters' and the firmware's hole, and the rest.
 * Every boot protocol that has a memory map has this one.
 */
#ifndef ENCORE_VMM_BOOT_MEMORY_MAP_H
#define ENCORE_VMM_BOOT_MEMORY_MAP_H

#include <stdint.h>

#define PC_CONVENTIONAL_END 0xa0000u
#define PC_EXTENDED_START   0x100000u

/* Types, as the BIOS call E820h has them (ACPI specification 6.5, table 15.3). */
#define MEMORY_AVAILABLE 1
#define MEMORY_RESERVED  2

struct memory_range {
    uint64_t start;
    uint64_t end; /* exclusive */
    uint32_t type;
};

#define MEMORY_MAP_RANGES 3

/* The ranges of memory [0, size), in order; returns how many. */
unsigned memory_map(uint64_t size, struct memory_range ranges[MEMORY_MAP_RANGES]);

#endif
