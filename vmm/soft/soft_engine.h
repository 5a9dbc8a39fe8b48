/*
 * The soft engine: an x86-64 PC processor in software, exact to the instruction. See docs/soft-engine.md.
 *
 * Its tick counts retired instructions, the iterations of a REP string instruction each for one (a count of zero is
 * one tick), and one for each exception delivered, so that no two boundaries between two exits have the same tick.
 */
#ifndef ENCORE_VMM_SOFT_SOFT_ENGINE_H
#define ENCORE_VMM_SOFT_SOFT_ENGINE_H

#include "vmm/engine.h"

/* What CPUID says of time: the crystal, which drives a local APIC's timer, and how much faster the time stamp counter
 * is: it counts nanoseconds of guest time. */
#define SOFT_ENGINE_CRYSTAL_HZ 1000000000u
#define SOFT_ENGINE_TSC_RATIO  1u

/* A new engine, owned by the caller until engine_destroy; NULL with the error when the host has no memory. */
struct engine *soft_engine_create(const struct engine_host *host, struct error *error);

/* The tick counter, also in the middle of a host call: instructions completed before the one that made the call. */
uint64_t soft_engine_ticks(const struct engine *engine);

#endif
