/*
 * The wires between chips: what a device needs from its neighbours, as small structs of a function and its context, so
 * that a device under test is wired to the test and a device in a machine to the machine.
 */
#ifndef ENCORE_VMM_WIRES_H
#define ENCORE_VMM_WIRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Where a device's outgoing bytes go. */
struct byte_sink {
    void (*put)(void *context, uint8_t byte);
    void *context;
};

/* Where a device gets random bytes: the door, in a machine. */
struct entropy_source {
    void (*fill)(void *context, uint8_t *bytes, size_t length);
    void *context;
};

/* No deadline: a device that waits for nothing. Deadlines are guest time, in nanoseconds. */
#define NO_DEADLINE UINT64_MAX

#endif
