/*
 * The wires between chips: what a device needs from its neighbours, as small structs of a function and its context, so
 * that a device under test is wired to the test and a device in a machine to the machine.
 */
#ifndef ENCORE_VMM_WIRES_H
#define ENCORE_VMM_WIRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ethernet.h"

/* An interrupt request line. `set` may be called with the level that it already has. */
struct irq_wire {
    void (*set)(void *context, unsigned line, bool level);
    void *context;
    unsigned line;
};

static inline void irq_wire_set(const struct irq_wire *wire, bool level)
{
    if (wire->set)
        wire->set(wire->context, wire->line, level);
}

/* A chip that can reset the machine. */
struct reset_wire {
    void (*reset)(void *context);
    void *context;
};

/* A message-signalled interrupt: a write of `data` to `address`, on the processor's side of the bus (PCI Local Bus
 * Specification 3.0, 6.8). */
struct msi_wire {
    void (*send)(void *context, uint64_t address, uint32_t data);
    void *context;
};

/* Where a device's outgoing bytes go. */
struct byte_sink {
    void (*put)(void *context, uint8_t byte);
    void *context;
};

/* Where a network card's outgoing Ethernet frames go (base/ethernet.h). The bytes stay the caller's. */
struct frame_sink {
    void (*put)(void *context, const uint8_t *frame, size_t length);
    void *context;
};

/* Where a device gets random bytes: the door, in a machine. */
struct entropy_source {
    void (*fill)(void *context, uint8_t *bytes, size_t length);
    void *context;
};

/* No deadline: a device that waits for nothing. Deadlines are guest time, in nanoseconds. */
#define NO_DEADLINE UINT64_MAX

static inline uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

#endif
