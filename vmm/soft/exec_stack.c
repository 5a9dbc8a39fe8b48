/*
 * PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE, and PUSH and POP of segment registers.
 */
#include "vmm/soft/ops.h"
#include "vmm/soft/segment.h"
#include "vmm/soft/stack.h"

/* 64-bit pushes and pops of registers have short ways of their own. */

static __attribute__((noinline)) UOP(push_64_long)
{
    soft_store(cpu, u, cpu->RSP - 8, 8, DST(64));
    cpu->RSP -= 8;
    NEXT();
}

static UOP(push_64)
{
    uint64_t linear = cpu->RSP - 8;
    uint8_t *host = soft_fast(cpu->tlb->write, linear, 8);
    if (__builtin_expect(!host, 0))
        return push_64_long(cpu, u);
    *(mem64 *)host = DST(64);
    cpu->RSP = linear;
    NEXT();
}

static __attribute__((noinline)) UOP(pop_64_long)
{
    uint64_t value = soft_load(cpu, u, cpu->RSP, 8);
    cpu->RSP += 8;
    DST(64) = value;
    NEXT();
}

static UOP(pop_64)
{
    const uint8_t *host = soft_fast(cpu->tlb->read, cpu->RSP, 8);
    if (__builtin_expect(!host, 0))
        return pop_64_long(cpu, u);
    uint64_t value = *(const mem64 *)host;
    cpu->RSP += 8;
    DST(64) = value;
    NEXT();
}

/* The address of the memory operand at `offset`. That it is not canonical is not for UF_STACK to judge: see
 * select_stack. */
static uint64_t operand_address(struct soft *cpu, const struct uop *u, uint64_t offset, enum access access)
{
    uint64_t linear = u->flags & UF_CHECK ? soft_segment_address(cpu, u, u->seg, offset, u->size, access)
                                          : offset + cpu->seg_base[u->seg];
    if (soft_64bit(cpu) && !soft_canonical(linear))
        soft_raise_code(cpu, u, u->imm ? EXC_SS : EXC_GP, 0);
    return linear;
}

UOP_BODY(push_rm)
{
    uint64_t value = u->flags & UF_MEMORY
                         ? soft_load(cpu, u, operand_address(cpu, u, soft_offset(cpu, u), ACCESS_READ), u->size)
                         : reg_get(cpu, u->dst, u->size);
    soft_push(cpu, u, u->size, value);
}

UOP_BODY(push_immediate)
{
    soft_push(cpu, u, u->size, (uint64_t)(int64_t)u->imm);
}

UOP_BODY(pop_register)
{
    uint64_t value = soft_peek(cpu, u, u->size, 0);
    soft_move_sp(cpu, u->size);
    reg_set(cpu, u->dst, u->size, value);
}

/* The destination's address is computed after the stack pointer has moved (SDM volume 2, POP). */
UOP_BODY(pop_memory)
{
    uint64_t value = soft_peek(cpu, u, u->size, 0), old = cpu->RSP;
    soft_move_sp(cpu, u->size);
    uint64_t offset = soft_offset(cpu, u), moved = cpu->RSP;
    cpu->RSP = old; /* which it stays, should the store fail */
    soft_store(cpu, u, operand_address(cpu, u, offset, ACCESS_WRITE), u->size, value);
    cpu->RSP = moved;
}

UOP_BODY(pusha)
{
    unsigned size = u->size;
    uint64_t sp = cpu->RSP;
    soft_probe_write(cpu, u, soft_stack_address(cpu, u, -8 * (int64_t)size, 8 * size, ACCESS_WRITE), 8 * size);
    for (unsigned i = 0; i < 8; i++)
        soft_push(cpu, u, size, i == GPR_RSP ? sp : cpu->regs[i]);
}

UOP_BODY(popa)
{
    uint64_t values[8];
    for (unsigned i = 0; i < 8; i++)
        values[7 - i] = soft_peek(cpu, u, u->size, i * u->size);
    soft_move_sp(cpu, 8 * u->size);
    for (unsigned i = 0; i < 8; i++)
        if (i != GPR_RSP)
            reg_set(cpu, AT(i), u->size, values[i]);
}

uint64_t soft_rflags(const struct soft *cpu)
{
    return cpu->rflags | flags_get(cpu) | RFLAGS_FIXED;
}

/* In virtual-8086 mode flags are the monitor's unless IOPL is 3. */
static void check_v86_flags(struct soft *cpu, const struct uop *u)
{
    if (soft_v86(cpu) && soft_iopl(cpu) != 3)
        soft_raise_code(cpu, u, EXC_GP, 0);
}

UOP_BODY(pushf)
{
    check_v86_flags(cpu, u);
    soft_push(cpu, u, u->size, soft_rflags(cpu) & ~(uint64_t)(RFLAGS_RF | RFLAGS_VM));
}

void soft_set_rflags(struct soft *cpu, uint64_t value, uint64_t may_change)
{
    uint64_t old = soft_rflags(cpu);
    uint64_t rflags = (old & ~may_change) | (value & may_change);
    flags_set(cpu, rflags);
    cpu->rflags = (rflags & 0x3fffff & ~(uint64_t)(RFLAGS_STATUS | 0x8028)) | RFLAGS_FIXED;
    if ((old ^ rflags) & (RFLAGS_AC | RFLAGS_VM | RFLAGS_IOPL | RFLAGS_TF))
        soft_update_mode(cpu);
    soft_attend(cpu);
}

/* SDM volume 2, POPF: IOPL changes only at CPL 0, IF only where CPL is within IOPL. */
static UOP(popf)
{
    check_v86_flags(cpu, u);
    uint64_t value = soft_peek(cpu, u, u->size, 0);
    uint64_t may_change = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;
    if (cpu->cpl == 0)
        may_change |= RFLAGS_IOPL;
    if (cpu->cpl <= soft_iopl(cpu))
        may_change |= RFLAGS_IF;
    if (u->size == 2)
        may_change &= 0xffff;
    soft_move_sp(cpu, u->size);
    uint64_t next = uop_tail(u)->next_rip;
    /* RF is cleared, but for 16-bit operands. */
    soft_set_rflags(cpu, value & ~(uint64_t)RFLAGS_RF, may_change | (u->size == 2 ? 0 : RFLAGS_RF));
    soft_stop_after(cpu, next);
}

/* Where word `i` of the old frame is. */
static uint64_t old_frame_word(struct soft *cpu, const struct uop *u, unsigned i)
{
    uint64_t at = (cpu->RBP - i * u->size) & soft_stack_mask(cpu);
    return soft_segment_address(cpu, u, SEG_SS, at, u->size, ACCESS_READ);
}

/* Everything that ENTER may raise, in the order of its accesses: SDM volume 2, ENTER. */
static void probe_frame(struct soft *cpu, const struct uop *u, unsigned level)
{
    unsigned size = u->size, words = level ? 1 + level : 1;
    for (unsigned i = 1; i <= words; i++) {
        if (i > 1 && i <= level) {
            uint64_t old = old_frame_word(cpu, u, i - 1);
            soft_check_alignment(cpu, u, old, size);
            soft_probe_read(cpu, u, old, size);
        }
        uint64_t at = soft_stack_address(cpu, u, -(int64_t)(i * size), size, ACCESS_WRITE);
        soft_check_alignment(cpu, u, at, size);
        soft_probe_write(cpu, u, at, size);
    }
    /* The last word of the new frame must be writable too. */
    int64_t last = -(int64_t)(words * size + (uint32_t)u->imm);
    uint64_t at = soft_stack_address(cpu, u, last, size, ACCESS_WRITE);
    soft_check_alignment(cpu, u, at, size);
    soft_probe_write(cpu, u, at, size);
}

/* The old frame may lie within the new one: each word is read after those before it were pushed. */
UOP_BODY(enter)
{
    unsigned size = u->size, level = u->src & 31;
    uint64_t mask = soft_stack_mask(cpu), frame = cpu->RSP - size;
    probe_frame(cpu, u, level);
    soft_push(cpu, u, size, cpu->RBP);
    for (unsigned i = 1; i < level; i++)
        soft_push(cpu, u, size, soft_load(cpu, u, old_frame_word(cpu, u, i), size));
    if (level)
        soft_push(cpu, u, size, frame);
    soft_move_sp(cpu, -(int64_t)(uint32_t)u->imm);
    reg_set(cpu, AT(GPR_RBP), size, (frame & mask) | (mask == 0xffff ? cpu->RSP & ~mask : 0));
}

UOP_BODY(leave)
{
    uint64_t mask = soft_stack_mask(cpu);
    uint64_t at = soft_segment_address(cpu, u, SEG_SS, cpu->RBP & mask, u->size, ACCESS_READ);
    uint64_t value = soft_load(cpu, u, at, u->size);
    soft_set_sp(cpu, cpu->RBP + u->size);
    reg_set(cpu, AT(GPR_RBP), u->size, value);
}

/* With a 32-bit operand size only the low word is written (SDM volume 2, PUSH). */
UOP_BODY(push_segment)
{
    uint16_t selector = cpu->segs[u->src].selector;
    uint64_t linear = soft_stack_address(cpu, u, -(int64_t)u->size, u->size, ACCESS_WRITE);
    unsigned written = u->size == 4 ? 2 : u->size;
    soft_store(cpu, u, linear, written, selector);
    soft_move_sp(cpu, -(int64_t)u->size);
}

static UOP(pop_segment)
{
    uint16_t selector = (uint16_t)soft_peek(cpu, u, 2, 0);
    /* The width of the stack is that before the load, should this be POP SS. */
    uint64_t sp = cpu->RSP, mask = soft_stack_mask(cpu);
    soft_load_segment(cpu, u, u->src, selector);
    cpu->RSP = (mask == 0xffff ? sp & ~mask : 0) | ((sp + u->size) & mask);
    if (u->src == SEG_SS) {
        soft_set_shadow(cpu);
        cpu->shadow_ss = true;
    }
    soft_stop_after(cpu, uop_tail(u)->next_rip);
}

uop_fn *stack_uop(const struct insn *insn, uint32_t mode)
{
    bool wide = (mode & MODE_BITS) == MODE_64 && insn->size == 8;
    switch (insn->op) {
    case OP_PUSH:
        if (insn->form == FORM_NONE)
            return push_immediate;
        return wide && !insn->memory ? push_64 : push_rm;
    case OP_POP:
        if (insn->memory)
            return pop_memory;
        return wide ? pop_64 : pop_register;
    case OP_PUSHA:
        return pusha;
    case OP_POPA:
        return popa;
    case OP_PUSHF:
        return pushf;
    case OP_POPF:
        return popf;
    case OP_ENTER:
        return enter;
    case OP_LEAVE:
        return leave;
    case OP_PUSH_SEG:
        return push_segment;
    case OP_POP_SEG:
        return pop_segment;
    default:
        return NULL;
    }
}
