/*
 * Telling an observer (struct engine_observer) what is executed.
 *
 * Blocks for it bear MODE_OBSERVED, and have a micro-operation before each instruction that says what begins. An
 * instruction is told when the next one begins, or its block is left: then it is known to be done. Until then its
 * accesses are kept; when it faults, or is to be executed again by itself, they are forgotten with it. While accesses
 * are watched no page gets into the TLB, so that all take the long way.
 */
#ifndef ENCORE_VMM_SOFT_OBSERVE_H
#define ENCORE_VMM_SOFT_OBSERVE_H

#include "vmm/soft/soft.h"

/* The operation of engine.h. */
void soft_observe(struct engine *engine, const struct engine_observer *observer);

/* The instruction at cpu->rip begins, by itself; `u` is its only micro-operation. */
void soft_observe_single(struct soft *cpu, const struct uop *u);
/* Tells the instruction that was begun, if there is one; cpu->rip is where execution goes on. */
void soft_observe_done(struct soft *cpu);
/* It was not done; cpu->rip and the ticks are exact. */
void soft_observe_undone(struct soft *cpu);

void soft_observe_access(struct soft *cpu, const struct uop *u, uint64_t linear, uint64_t phys, unsigned length,
                         bool write);
void soft_observe_event(struct soft *cpu, const struct engine_event *event);

/* The micro-operation before an instruction; its imm is the instruction's length, its flags are the instruction's. */
uop_fn uop_observe;

static inline bool soft_observes_memory(const struct soft *cpu)
{
    return cpu->observed.to.memory != NULL;
}

#endif
