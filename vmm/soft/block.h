/*
 * Finding blocks and linking them; see soft.h.
 */
#ifndef ENCORE_VMM_SOFT_BLOCK_H
#define ENCORE_VMM_SOFT_BLOCK_H

#include "vmm/soft/soft.h"

/* Lets indirect branches find the block quickly. */
void soft_remember(struct soft *cpu, struct block *block);

/* Whether a block may be linked to one at `rip`: in the same page, so that both are forgotten together. */
bool soft_may_link(struct soft *cpu, const struct block *from, uint64_t rip);

#endif
