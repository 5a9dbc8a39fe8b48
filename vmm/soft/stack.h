/*
 * The stack, whatever its width: SDM volume 1, 6.2.
 */
#ifndef ENCORE_VMM_SOFT_STACK_H
#define ENCORE_VMM_SOFT_STACK_H

#include "vmm/soft/memory.h"
#include "vmm/soft/soft.h"

static inline uint64_t soft_stack_mask(const struct soft *cpu)
{
    return cpu->mode & MODE_STACK16 ? 0xffff : cpu->mode & MODE_STACK32 ? 0xffffffff : UINT64_MAX;
}

/* Sets the stack pointer; a 16-bit one keeps the upper bits of ESP. */
static inline void soft_set_sp(struct soft *cpu, uint64_t sp)
{
    uint64_t mask = soft_stack_mask(cpu);
    uint64_t kept = mask == 0xffff ? cpu->regs[GPR_RSP] & ~mask : 0;
    cpu->regs[GPR_RSP] = kept | (sp & mask);
}

static inline void soft_move_sp(struct soft *cpu, int64_t by)
{
    soft_set_sp(cpu, cpu->regs[GPR_RSP] + (uint64_t)by);
}

/* The linear address `by` bytes above the top of the stack. */
static inline uint64_t soft_stack_address(struct soft *cpu, const struct uop *u, int64_t by, unsigned size,
                                          enum access access)
{
    uint64_t offset = (cpu->regs[GPR_RSP] + (uint64_t)by) & soft_stack_mask(cpu);
    return soft_segment_address(cpu, u, SEG_SS, offset, size, access);
}

/* What is `by` bytes above the top of the stack; nothing is taken off. */
static inline uint64_t soft_peek(struct soft *cpu, const struct uop *u, unsigned size, int64_t by)
{
    return soft_load(cpu, u, soft_stack_address(cpu, u, by, size, ACCESS_READ), size);
}

static inline void soft_push(struct soft *cpu, const struct uop *u, unsigned size, uint64_t value)
{
    soft_store(cpu, u, soft_stack_address(cpu, u, -(int64_t)size, size, ACCESS_WRITE), size, value);
    soft_move_sp(cpu, -(int64_t)size);
}

#endif
