/*
 * Breaks: places and accesses at which a run stops (struct engine_stops).
 *
 * A block built while there are EXECUTE breaks ends before each of their places, and one that begins at such a place
 * does nothing but go back to the run loop. Such blocks bear MODE_BREAKS, so that the others stay as they are. An
 * access that is looked for takes the long way, since its page never gets into the TLB; and its instruction is executed
 * by itself, so that there is a boundary after it.
 */
#ifndef ENCORE_VMM_SOFT_BREAKS_H
#define ENCORE_VMM_SOFT_BREAKS_H

#include "vmm/soft/soft.h"

/* Makes the breaks of `stops` those of the run that begins. */
void soft_breaks_begin(struct soft *cpu, const struct engine_stops *stops);

/* Whether an EXECUTE break stands at this place. */
bool soft_breaks_at(const struct soft *cpu, uint64_t linear, uint64_t phys);

/* At a boundary: an access was found; it is told in engine.hit, once. */
bool soft_breaks_found(struct soft *cpu);
/* At a boundary, when nothing else comes before the instruction: it has an EXECUTE break that has not ended a run here
 * before. Told in engine.hit. */
bool soft_breaks_here(struct soft *cpu);
/* Whether the instruction here must be executed by itself, past its EXECUTE break or without a look at the blocks. */
bool soft_breaks_alone(const struct soft *cpu);

/* Whether an access of `length` bytes is looked for. `linear` is ENGINE_NO_LINEAR for the walker's own. */
bool soft_breaks_access(const struct soft *cpu, uint64_t linear, uint64_t phys, unsigned length, bool write);
/* Notes such an access, unless the instruction made one before. */
void soft_breaks_note(struct soft *cpu, uint64_t linear, uint64_t phys, unsigned length, bool write);
/* Whether accesses to this page are looked for. */
bool soft_breaks_page(const struct soft *cpu, uint64_t linear, uint64_t phys);

#endif
