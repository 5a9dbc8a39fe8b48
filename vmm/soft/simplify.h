/*
 * What the instructions of one block let each other leave out: flags that are overwritten before anyone can look at
 * them, and the step from a comparison to the branch that follows it.
 */
#ifndef ENCORE_VMM_SOFT_SIMPLIFY_H
#define ENCORE_VMM_SOFT_SIMPLIFY_H

#include "vmm/soft/ops.h"

/* What matters of an instruction here. */
struct effects {
    bool plain;  /* it works on registers alone, and can neither fault nor end the block */
    bool reads;  /* any status flag */
    bool writes; /* all of them */
    uint8_t op;  /* enum insn_op, when `writes` */
    bool immediate;
};

/* `fn` is what soft_select made of it. */
struct effects soft_effects(const struct insn *insn, uop_fn *fn);

/* Takes handlers that set no flags where nobody can see them. effects[n] belongs to uops[n]. */
void soft_drop_dead_flags(struct uop *uops, const struct effects *effects, unsigned count);

/* Makes one uop of `first` and the conditional branch `branch` after it, in `first`; false where that is not done. */
bool soft_fuse_branch(struct uop *first, const struct effects *effects, unsigned condition, const struct uop *branch);

#endif
