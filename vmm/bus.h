/*
 * The bus: which device answers at which port or physical address.
 *
 * Two instances, one for port I/O and one for memory-mapped I/O. A device claims ranges at start, in the machine's one
 * wiring function. An access that no device claims is answered as an ISA bus would (all ones; writes go nowhere) and
 * counted, and its first occurrences are kept for the run's report: it is a guest's business, never an error.
 *
 * Time is handed in with each access; a device never reads a clock.
 */
#ifndef ENCORE_VMM_BUS_H
#define ENCORE_VMM_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/state.h"

struct bus_access {
    uint64_t offset; /* from the range's base */
    uint8_t size;    /* 1, 2, 4 (and 8 for memory) bytes; never crosses the end of the range */
    uint64_t now;    /* guest time, nanoseconds since the machine started */
};

/* Returns the value read; bits above `size` are ignored. */
typedef uint64_t bus_read_fn(void *device, const struct bus_access *access);
typedef void bus_write_fn(void *device, const struct bus_access *access, uint64_t value);

struct bus_range {
    const char *name; /* the chip, for messages */
    uint64_t base;
    uint64_t length;
    bus_read_fn *read;
    bus_write_fn *write;
    void *device;
    /* An access depends on the time: the machine brings guest time up to the moment before it. */
    bool watches_clock;
};

#define BUS_RANGES   32
#define BUS_UNMAPPED 64

/* The first accesses to addresses that nobody claims: each different (address, direction) once. */
struct bus_unmapped {
    uint64_t address;
    uint64_t count;
    bool write;
};

struct bus {
    const char *name; /* "port" or "memory" */
    struct bus_range ranges[BUS_RANGES];
    unsigned range_count;
    struct bus_unmapped unmapped[BUS_UNMAPPED];
    unsigned unmapped_count;
    uint64_t unmapped_total;
};

/* Claims a range. Overlap or overflow is a defect in the wiring, hence a broken invariant. */
void bus_claim(struct bus *bus, struct bus_range range);

/* The range that holds all `size` bytes at `address`, or NULL. */
const struct bus_range *bus_find(const struct bus *bus, uint64_t address, unsigned size);

/* One access. An access that straddles a range's end is split into bytes, as the ISA bus does. */
uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size, uint64_t now);
void bus_write(struct bus *bus, uint64_t address, unsigned size, uint64_t value, uint64_t now);

#endif
