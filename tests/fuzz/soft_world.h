/*
 * A world for one processor under test: a little RAM with descriptor tables, page tables and handlers, and a processor
 * in one of the modes. Everything in it follows from a few numbers, so the same world can be made again at will.
 *
 * The handler of each exception takes the error code off, moves the saved instruction pointer on by one byte, and
 * returns: whatever the bytes under test do, execution goes on behind it.
 */
#ifndef ENCORE_TESTS_FUZZ_SOFT_WORLD_H
#define ENCORE_TESTS_FUZZ_SOFT_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/engine.h"

#define WORLD_RAM  (256u << 10)
#define WORLD_CODE 0x10000u

enum world_mode {
    WORLD_REAL,
    WORLD_V86,
    WORLD_PROTECTED_16,
    WORLD_PROTECTED_32,
    WORLD_PAGED_32,
    WORLD_PAE_32,
    WORLD_LONG_64,
    WORLD_LONG_32, /* compatibility mode */
    WORLD_LONG_16,
    WORLD_MODES
};

struct world_plan {
    enum world_mode mode;
    bool user;     /* privilege level 3, in modes that have it */
    bool odd;      /* control, debug and floating-point registers hold anything that a checkpoint may hold */
    bool hostile;  /* ... and so do segment registers, of which the bytes of a checkpoint are the only source */
    uint64_t seed; /* of registers and data */
    const uint8_t *code;
    size_t length; /* at most 4 KiB */
};

/* Makes RAM's contents (`ram` has WORLD_RAM bytes, all of which are written) and the processor. */
void world_make(const struct world_plan *plan, struct ram *ram, struct cpu_state *cpu);

/* A pseudo-random sequence (Vigna's splitmix64). */
uint64_t world_random(uint64_t *state);

#endif
