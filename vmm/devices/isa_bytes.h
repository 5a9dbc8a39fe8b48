/*
 * Eight-bit chips on a wider bus.
 *
 * The chips of the original PC drive eight data lines. When the processor makes a 16- or 32-bit access to such a chip,
 * the bus controller breaks it into byte accesses at consecutive ports, lowest first (this is how OUT 70h, AX sets the
 * CMOS index and its data at once). These two helpers are that bus controller.
 */
#ifndef ENCORE_VMM_DEVICES_ISA_BYTES_H
#define ENCORE_VMM_DEVICES_ISA_BYTES_H

#include <stdint.h>

#include "vmm/bus.h"

/* One byte access; `port` is the offset from the chip's first port, `now` the guest time in nanoseconds. */
typedef uint8_t isa_read_byte_fn(void *device, uint64_t port, uint64_t now);
typedef void isa_write_byte_fn(void *device, uint64_t port, uint8_t value, uint64_t now);

static inline uint64_t isa_read_bytes(void *device, const struct bus_access *access, isa_read_byte_fn *read)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < access->size; i++)
        value |= (uint64_t)read(device, access->offset + i, access->now) << (8 * i);
    return value;
}

static inline void isa_write_bytes(void *device, const struct bus_access *access, uint64_t value,
                                   isa_write_byte_fn *write)
{
    for (unsigned i = 0; i < access->size; i++)
        write(device, access->offset + i, (uint8_t)(value >> (8 * i)), access->now);
}

#endif
