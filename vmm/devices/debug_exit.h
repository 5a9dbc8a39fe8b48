/*
 * A way for a guest to end the run: a port in the manner of QEMU's isa-debug-exit, at F4h.
 *
 * A write of v, one to four bytes wide and at any of the four ports, ends the machine; the exit status that a shell
 * sees is the low eight bits of 2v + 1, so a guest cannot claim success by accident. Reads give 0.
 */
#ifndef ENCORE_VMM_DEVICES_DEBUG_EXIT_H
#define ENCORE_VMM_DEVICES_DEBUG_EXIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"

#define DEBUG_EXIT_PORT  0xf4
#define DEBUG_EXIT_PORTS 4

/* Who is told; `value` is what the guest wrote, before 2v + 1. */
struct debug_exit_wire {
    void (*exited)(void *context, uint32_t value);
    void *context;
};

struct debug_exit {
    bool written; /* the guest has asked to end */
    uint32_t value;
    struct debug_exit_wire wire;
};

void debug_exit_init(struct debug_exit *port, struct debug_exit_wire wire);
void debug_exit_state(struct debug_exit *port, struct state *state);

/* The process exit status for a value written: (2 * value + 1) modulo 256. */
static inline uint8_t debug_exit_status(uint32_t value)
{
    return (uint8_t)(value << 1 | 1);
}

bus_read_fn debug_exit_read;
bus_write_fn debug_exit_write;

#endif
