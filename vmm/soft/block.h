/*
 * Finding blocks and linking them; see soft.h.
 */
#ifndef ENCORE_VMM_SOFT_BLOCK_H
#define ENCORE_VMM_SOFT_BLOCK_H

#include "vmm/soft/soft.h"

/* Lets indirect branches find the block quickly. */
void soft_remember(struct soft *cpu, struct block *block);

/* Goes on from the last uop of a block at `rip`, which is that of its tail's link `which`: 0 when it falls through, 1
 * when it branches. Links stay within a page, so that both blocks are forgotten together. */
void soft_follow_unlinked(struct soft *cpu, const struct uop *u, unsigned which, uint64_t rip);

/* Always inline: each handler is to have an indirect jump of its own, which is predicted by itself. */
static inline __attribute__((always_inline)) void soft_follow(struct soft *cpu, const struct uop *u, unsigned which,
                                                              uint64_t rip)
{
#if SOFT_CHAIN
    struct block *block = uop_tail(u)->link[which];
    if (__builtin_expect(block != NULL, 1))
        return soft_enter(cpu, block);
#endif
    return soft_follow_unlinked(cpu, u, which, rip);
}

#endif
