/*
 * Near control transfers: Jcc JMP CALL RET LOOP JCXZ, and going from block to block.
 */
#include "vmm/soft/block.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/stack.h"

static inline unsigned jump_index(uint64_t rip)
{
    return (unsigned)((rip ^ (rip >> 12)) % JUMP_ENTRIES);
}

#if SOFT_CHAIN
/* The block at `rip` if it was entered this way lately, and is still what the guest's memory says there. */
static inline struct block *recent_block(struct soft *cpu, uint64_t rip)
{
    struct block *block = cpu->jump[jump_index(rip)];
    if (!block || block->rip != rip || block->mode != cpu->mode)
        return NULL;
    uint64_t linear = soft_fetch_linear(cpu, rip);
    const struct tlb_entry *entry = &cpu->tlb->fetch[tlb_index(linear)];
    if (entry->tag != (linear & ~UINT64_C(4095)) || entry->addend != (block->phys & ~UINT64_C(4095)))
        return NULL;
    return block;
}
#endif

void soft_remember(struct soft *cpu, struct block *block)
{
    cpu->jump[jump_index(block->rip)] = block;
}

/* Always inline, as soft_follow is: the host's processor is to predict each handler's jumps by themselves. */
static inline __attribute__((always_inline)) void jump(struct soft *cpu, uint64_t rip)
{
#if SOFT_CHAIN
    struct block *block = recent_block(cpu, rip);
    if (__builtin_expect(block != NULL, 1))
        return soft_enter(cpu, block);
#endif
    cpu->rip = rip;
}

void soft_jump(struct soft *cpu, uint64_t rip)
{
    return jump(cpu, rip);
}

static bool may_link(struct soft *cpu, const struct block *from, uint64_t rip)
{
    /* Where a code segment has a base or a limit, each transfer is looked at. */
    bool simple = cpu->mode & (MODE_64 | MODE_FLAT);
    return simple && from->rip >> 12 == rip >> 12 && from != soft_scratch(cpu);
}

void soft_follow_unlinked(struct soft *cpu, const struct uop *u, unsigned which, uint64_t rip)
{
    struct block *from = uop_block(u);
    bool linkable = may_link(cpu, from, rip);
#if SOFT_CHAIN
    struct block *block = recent_block(cpu, rip);
    if (block) {
        if (linkable)
            uop_tail(u)->link[which] = block;
        return soft_enter(cpu, block);
    }
#endif
    cpu->rip = rip;
    if (linkable)
        cpu->patch = &uop_tail(u)->link[which];
}

/* The tail is here in the place of a uop: the last uop's handler took it for its neighbour. */
UOP(uop_fall_through)
{
    return soft_follow(cpu, u - 1, 0, ((const struct tail *)(uintptr_t)u)->next_rip);
}

/* Raises #GP(0) where a branch may not go: SDM volume 2, JMP. */
static inline void check_target(struct soft *cpu, const struct uop *u, uint64_t rip)
{
    if (soft_64bit(cpu)) {
        if (__builtin_expect(!soft_canonical(rip), 0))
            soft_raise_code(cpu, u, EXC_GP, 0);
    } else if (__builtin_expect(rip > cpu->segs[SEG_CS].limit, 0)) {
        soft_raise_code(cpu, u, EXC_GP, 0);
    }
}

#define JCC(cc)                                                                                                        \
    static UOP(jcc_##cc)                                                                                               \
    {                                                                                                                  \
        if (flags_condition(cpu, cc))                                                                                  \
            return soft_follow(cpu, u, 1, u->disp);                                                                    \
        return soft_follow(cpu, u, 0, uop_tail(u)->next_rip);                                                          \
    }                                                                                                                  \
    static UOP(jcc_checked_##cc)                                                                                       \
    {                                                                                                                  \
        if (flags_condition(cpu, cc)) {                                                                                \
            check_target(cpu, u, u->disp);                                                                             \
            return soft_follow(cpu, u, 1, u->disp);                                                                    \
        }                                                                                                              \
        return soft_follow(cpu, u, 0, uop_tail(u)->next_rip);                                                          \
    }

FOR_CONDITIONS(JCC)

static UOP(jmp)
{
    return soft_follow(cpu, u, 1, u->disp);
}

static UOP(jmp_checked)
{
    check_target(cpu, u, u->disp);
    return soft_follow(cpu, u, 1, u->disp);
}

static uint64_t target_of(struct soft *cpu, const struct uop *u)
{
    uint64_t rip = rm_get(cpu, u);
    check_target(cpu, u, rip);
    return rip;
}

static __attribute__((noinline)) UOP(jmp_indirect_long)
{
    return soft_jump(cpu, target_of(cpu, u));
}

static __attribute__((noinline)) UOP(call_indirect_long)
{
    uint64_t rip = target_of(cpu, u);
    soft_push(cpu, u, u->size, uop_tail(u)->next_rip);
    return soft_jump(cpu, rip);
}

/* What follows is for 64-bit mode: a register or, by the TLB's short way, memory says where to. Everything else goes
 * the long way, before anything has happened. */

static UOP(jmp_register_64)
{
    uint64_t rip = DST(64);
    if (__builtin_expect(!soft_canonical(rip), 0))
        return jmp_indirect_long(cpu, u);
    return jump(cpu, rip);
}

static UOP(jmp_memory_64)
{
    SHORT_ADDRESS(jmp_indirect)
    const uint8_t *host = soft_fast(cpu->tlb->read, linear, 8);
    if (__builtin_expect(!host || !soft_canonical(*(const mem64 *)host), 0))
        return jmp_indirect_long(cpu, u);
    return jump(cpu, *(const mem64 *)host);
}

static UOP(call_register_64)
{
    uint64_t linear = cpu->RSP - 8, rip = DST(64);
    uint8_t *host = soft_fast(cpu->tlb->write, linear, 8);
    if (!host || !soft_canonical(rip))
        return call_indirect_long(cpu, u);
    *(mem64 *)host = uop_tail(u)->next_rip;
    cpu->RSP = linear;
    return jump(cpu, rip);
}

static UOP(call_memory_64)
{
    SHORT_ADDRESS(call_indirect)
    const uint8_t *from = soft_fast(cpu->tlb->read, linear, 8);
    uint64_t stack = cpu->RSP - 8;
    uint8_t *to = soft_fast(cpu->tlb->write, stack, 8);
    if (__builtin_expect(!from || !to || !soft_canonical(*(const mem64 *)from), 0))
        return call_indirect_long(cpu, u);
    uint64_t rip = *(const mem64 *)from;
    *(mem64 *)to = uop_tail(u)->next_rip;
    cpu->RSP = stack;
    return jump(cpu, rip);
}

static UOP(call_near)
{
    check_target(cpu, u, u->disp);
    soft_push(cpu, u, u->size, uop_tail(u)->next_rip);
    return soft_follow(cpu, u, 1, u->disp);
}

static __attribute__((noinline)) UOP(call_64_long)
{
    check_target(cpu, u, u->disp);
    soft_store(cpu, u, cpu->RSP - 8, 8, uop_tail(u)->next_rip);
    cpu->RSP -= 8;
    return soft_follow(cpu, u, 1, u->disp);
}

static UOP(call_64)
{
    uint64_t linear = cpu->RSP - 8;
    uint8_t *host = soft_fast(cpu->tlb->write, linear, 8);
    if (!host || !soft_canonical(u->disp))
        return call_64_long(cpu, u);
    *(mem64 *)host = uop_tail(u)->next_rip;
    cpu->RSP = linear;
    return soft_follow(cpu, u, 1, u->disp);
}

static UOP(ret_near)
{
    uint64_t rip = soft_peek(cpu, u, u->size, 0);
    check_target(cpu, u, rip);
    soft_move_sp(cpu, u->size + (uint32_t)u->imm);
    return soft_jump(cpu, rip);
}

static UOP(ret_64)
{
    const uint8_t *host = soft_fast(cpu->tlb->read, cpu->RSP, 8);
    if (!host)
        return ret_near(cpu, u);
    uint64_t rip = *(const mem64 *)host;
    if (!soft_canonical(rip))
        return ret_near(cpu, u);
    cpu->RSP += 8 + (uint32_t)u->imm;
    return jump(cpu, rip);
}

/* LOOPNE LOOPE LOOP JCXZ: `size` is the size of the counter, `src` says which. */
static UOP(loop)
{
    uint64_t mask = size_mask(u->size), count = cpu->RCX & mask;
    bool taken = count == 0;
    if (u->src != 3) {
        count = (count - 1) & mask;
        taken = count != 0 && (u->src == 2 || flag_zf(cpu) == (u->src == 1));
        if (taken)
            check_target(cpu, u, u->disp);
        reg_set(cpu, AT(GPR_RCX), u->size, count);
    } else if (taken) {
        check_target(cpu, u, u->disp);
    }
    if (taken)
        return soft_follow(cpu, u, 1, u->disp);
    return soft_follow(cpu, u, 0, uop_tail(u)->next_rip);
}

uop_fn *branch_uop(const struct insn *insn, uint32_t mode)
{
#define JCC_ENTRY(cc) {jcc_##cc, jcc_checked_##cc},
    static uop_fn *const conditional[16][2] = {FOR_CONDITIONS(JCC_ENTRY)};
    bool long_mode = (mode & MODE_BITS) == MODE_64;
    bool checked = !(mode & (MODE_64 | MODE_FLAT));
    switch (insn->op) {
    case OP_JCC:
        return conditional[insn->sub][checked];
    case OP_JMP:
        return checked ? jmp_checked : jmp;
    case OP_JMP_IND:
        return !long_mode ? jmp_indirect_long : insn->memory ? jmp_memory_64 : jmp_register_64;
    case OP_CALL:
        return long_mode ? call_64 : call_near;
    case OP_CALL_IND:
        return !long_mode ? call_indirect_long : insn->memory ? call_memory_64 : call_register_64;
    case OP_RET:
        return long_mode ? ret_64 : ret_near;
    case OP_LOOP:
        return loop;
    default:
        return NULL;
    }
}
