/*
 * The soft engine: an x86-64 PC processor in software, exact to the instruction. See docs/soft-engine.md.
 *
 * Its tick counts retired instructions, the iterations of a REP string instruction each for one (a count of zero is
 * one tick), and one for each exception delivered, so that no two boundaries between two exits have the same tick.
 */
#ifndef ENCORE_VMM_SOFT_SOFT_ENGINE_H
#define ENCORE_VMM_SOFT_SOFT_ENGINE_H

#include "vmm/engine.h"

/* A new engine, owned by the caller until engine_destroy; NULL with the error when the host has no memory. */
struct engine *soft_engine_create(const struct engine_host *host, struct error *error);

/* Tells where the guest's time stamp counter comes from: `nanoseconds` returns guest time, and never goes backwards.
 * It may be called in mid-instruction. Without it the counter counts ticks. */
void soft_engine_set_clock(struct engine *engine, uint64_t (*nanoseconds)(void *context), void *context);

/* The tick counter, also in the middle of a host call: instructions completed before the one that made the call. */
uint64_t soft_engine_ticks(const struct engine *engine);

#endif
