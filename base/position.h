/*
 * Positions: where in a guest's execution an input is applied.
 *
 * A position is always an instruction boundary. `exits` counts the guest's exits since the machine started: each port
 * or memory-mapped access (each element of a string instruction counts), each HLT, each interrupt acknowledge cycle,
 * and on engines that can tell each request for random bytes (RDRAND, RDSEED). These are the guest's own doing and the
 * same on every engine, which is what makes them worth counting.
 */
#ifndef ENCORE_BASE_POSITION_H
#define ENCORE_BASE_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"

enum position_kind {
    AT_EXIT,     /* the first boundary after exit `exits`; never names an interrupt acknowledge */
    AT_TICK,     /* `exits` exits done, the engine's tick counter at `ticks`, and the next instruction at `rip` */
    AT_LANDMARK, /* `exits` exits done, then the first time that RIP, the registers and RAM are all as given */
};

struct position {
    enum position_kind kind;
    uint64_t exits;
    uint64_t ticks;          /* AT_TICK: the engine's count since the machine started */
    uint64_t rip;            /* AT_TICK, AT_LANDMARK: RIP as a linear address, that is, with the base of CS */
    struct digest registers; /* AT_LANDMARK: of the canonical processor state */
    struct digest ram;       /* AT_LANDMARK: of all guest memory */
};

static inline struct position position_at_exit(uint64_t exits)
{
    return (struct position){.kind = AT_EXIT, .exits = exits};
}

/* Whether both name the same place in the same way. */
bool position_equal(const struct position *a, const struct position *b);

/* Room for any position in words. */
#define POSITION_TEXT 96

/* "exit 12", "exit 12 + tick 3456 at 0x101234", "exit 12 + landmark at 0x101234"; returns text. */
char *position_text(const struct position *position, char *text);

#endif
