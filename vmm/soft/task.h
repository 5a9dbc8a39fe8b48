/*
 * Hardware task switches: SDM volume 3, chapter 8. There are none in long mode.
 */
#ifndef ENCORE_VMM_SOFT_TASK_H
#define ENCORE_VMM_SOFT_TASK_H

#include "vmm/soft/segment.h"

/* What makes the processor switch: table 8-2 says what becomes of busy flags, NT and the link. */
enum task_cause { TASK_JUMP, TASK_CALL, TASK_RETURN };

struct task_switch {
    const struct uop *u; /* the instruction, or NULL at a boundary */
    enum task_cause cause;
    uint64_t return_rip, rflags; /* what the old task is to go on with */
    uint32_t external;           /* the EXT bit of error codes */
    bool has_code;               /* push `code` on the new task's stack */
    uint32_t code;
};

/* Switches to the task of `tss`, which is present, of a TSS's type and as busy as the cause wants it. On return RIP and
 * everything else are the new task's. Faults after the switch are the new task's, too. */
void soft_task_switch(struct soft *cpu, const struct task_switch *s, struct descriptor *tss);

/* The same by way of a task gate that holds `selector`, whose own rights were checked. */
void soft_task_gate(struct soft *cpu, const struct task_switch *s, uint16_t selector);

/* IRET with NT set: back along the link of the current TSS. */
void soft_task_return(struct soft *cpu, const struct uop *u);

#endif
