/*
 * Far control transfers: JMP CALL RET between segments, call gates, INT, IRET, SYSCALL, SYSENTER (SDM volume 2, and
 * volume 3, 5.8).
 */
#include "vmm/soft/ops.h"
#include "vmm/soft/segment.h"
#include "vmm/soft/stack.h"
#include "vmm/soft/task.h"

struct far_target {
    uint16_t selector;
    uint64_t offset;
};

static struct far_target immediate_target(const struct uop *u)
{
    return (struct far_target){(uint16_t)(u->src | u->dst << 8), u->disp};
}

static struct far_target memory_target(struct soft *cpu, const struct uop *u)
{
    uint64_t linear = soft_address(cpu, u, u->size + 2, ACCESS_READ);
    struct far_target target;
    target.offset = soft_load(cpu, u, linear, u->size);
    target.selector = (uint16_t)soft_load(cpu, u, linear + u->size, 2);
    return target;
}

/* A code segment that control may be given to directly, SDM volume 3, 5.8.1. */
static struct segment direct_code(struct soft *cpu, const struct uop *u, struct descriptor *d, uint64_t offset)
{
    struct segment cs = soft_descriptor_segment(d);
    uint32_t code = d->selector & 0xfffcu;
    unsigned rpl = d->selector & 3, dpl = segment_dpl(&cs);
    bool allowed = segment_is_conforming(&cs) ? dpl <= cpu->cpl : rpl <= cpu->cpl && dpl == cpu->cpl;
    bool is_64 = soft_long_mode(cpu) && (cs.attributes & SEGMENT_L);
    if (!allowed || (is_64 && (cs.attributes & SEGMENT_DB)))
        soft_raise_code(cpu, u, EXC_GP, code);
    if (!(cs.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_NP, code);
    if (is_64 ? !soft_canonical(offset) : offset > cs.limit)
        soft_raise_code(cpu, u, EXC_GP, 0);
    soft_mark_descriptor(cpu, u, d, 1);
    cs.attributes |= 1;
    cs.selector = (uint16_t)((d->selector & 0xfffc) | cpu->cpl);
    return cs;
}

static void go(struct soft *cpu, const struct segment *cs, uint64_t rip)
{
    cpu->segs[SEG_CS] = *cs;
    cpu->patch = NULL;
    cpu->rip = rip;
    soft_update_mode(cpu);
    soft_attend(cpu);
}

static void far_real(struct soft *cpu, const struct uop *u, struct far_target target, bool call)
{
    if (target.offset > cpu->segs[SEG_CS].limit)
        soft_raise_code(cpu, u, EXC_GP, 0);
    if (call) {
        struct soft_stack stack = soft_current_stack(cpu);
        soft_stack_push(cpu, u, &stack, u->size, cpu->segs[SEG_CS].selector);
        soft_stack_push(cpu, u, &stack, u->size, uop_tail(u)->next_rip);
        cpu->RSP = stack.sp;
    }
    struct segment cs = soft_real_segment(cpu, &cpu->segs[SEG_CS], target.selector);
    go(cpu, &cs, target.offset);
}

/* Where a call gate leads, SDM volume 3, 5.8.3. */
static struct far_target gate_target(struct soft *cpu, const struct uop *u, const struct descriptor *gate)
{
    unsigned type = (gate->raw >> 40) & 15, dpl = (gate->raw >> 45) & 3;
    uint32_t code = gate->selector & 0xfffcu;
    if (dpl < cpu->cpl || dpl < (gate->selector & 3u))
        soft_raise_code(cpu, u, EXC_GP, code);
    if (!((gate->raw >> 47) & 1))
        soft_raise_code(cpu, u, EXC_NP, code);
    uint64_t offset = (gate->raw & 0xffff) | ((gate->raw >> 32) & 0xffff0000);
    if (soft_long_mode(cpu))
        offset |= gate->high << 32;
    else if (type == 4)
        offset &= 0xffff;
    return (struct far_target){(uint16_t)(gate->raw >> 16), offset};
}

/* The code segment behind a call gate, checked and marked as accessed: SDM volume 3, 5.8.4. */
static struct segment gate_code(struct soft *cpu, const struct uop *u, struct far_target target, bool call)
{
    bool wide = soft_long_mode(cpu);
    uint32_t code = target.selector & 0xfffcu;
    if (code == 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    struct descriptor d = soft_read_descriptor(cpu, u, target.selector, EXC_GP, 0, false);
    struct segment cs = soft_descriptor_segment(&d);
    unsigned dpl = segment_dpl(&cs);
    bool same_level = segment_is_conforming(&cs) || dpl == cpu->cpl;
    bool allowed = segment_is_code(&cs) && dpl <= cpu->cpl && (call || same_level);
    bool is_64 = (cs.attributes & (SEGMENT_L | SEGMENT_DB)) == SEGMENT_L;
    if (!allowed || (wide && !is_64))
        soft_raise_code(cpu, u, EXC_GP, code);
    if (!(cs.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_NP, code);
    if (wide ? !soft_canonical(target.offset) : target.offset > cs.limit)
        soft_raise_code(cpu, u, EXC_GP, 0);
    soft_mark_descriptor(cpu, u, &d, 1);
    cs.attributes |= 1;
    return cs;
}

/* The stack of inner level `cpl`, with the caller's stack pointer on it and, outside long mode, `copies` of the words
 * that the caller pushed: SDM volume 3, 5.8.5. */
static struct soft_stack gate_stack(struct soft *cpu, const struct uop *u, unsigned cpl, unsigned size, unsigned copies)
{
    struct soft_stack stack = soft_tss_stack(cpu, u, cpl, 0, 0);
    soft_stack_room(cpu, u, &stack, size, (4 + copies) * size);
    struct soft_stack old = soft_current_stack(cpu);
    uint64_t words[31];
    for (unsigned i = 0; i < copies; i++)
        words[i] = soft_stack_pop(cpu, u, &old, size);
    soft_stack_push(cpu, u, &stack, size, cpu->segs[SEG_SS].selector);
    soft_stack_push(cpu, u, &stack, size, cpu->RSP);
    for (unsigned i = copies; i > 0; i--)
        soft_stack_push(cpu, u, &stack, size, words[i - 1]);
    return stack;
}

/* A jump or call to another task, by its TSS or a task gate; false when `d` is neither, or in long mode. */
static bool far_task(struct soft *cpu, const struct uop *u, struct descriptor *d, bool call)
{
    struct task_switch s = {
        .u = u, .cause = call ? TASK_CALL : TASK_JUMP, .return_rip = uop_tail(u)->next_rip, .rflags = soft_rflags(cpu)};
    unsigned type = (d->raw >> 40) & 31, dpl = (d->raw >> 45) & 3;
    bool gate = type == 5, available = type == 1 || type == 9;
    if (soft_long_mode(cpu) || !(gate || available))
        return false;
    uint32_t code = d->selector & 0xfffcu;
    if (dpl < cpu->cpl || dpl < (d->selector & 3u) || (!gate && (d->selector & 4)))
        soft_raise_code(cpu, u, EXC_GP, code);
    if (!((d->raw >> 47) & 1))
        soft_raise_code(cpu, u, EXC_NP, code);
    if (gate)
        soft_task_gate(cpu, &s, (uint16_t)(d->raw >> 16));
    else
        soft_task_switch(cpu, &s, d);
    return true;
}

/* Through a call gate, to the same or (for CALL) an inner level: SDM volume 3, 5.8.3 to 5.8.5. */
static void far_gate(struct soft *cpu, const struct uop *u, const struct descriptor *gate, bool call)
{
    bool wide = soft_long_mode(cpu);
    unsigned size = wide ? 8 : ((gate->raw >> 40) & 15) == 12 ? 4 : 2;
    unsigned copies = wide ? 0 : (gate->raw >> 32) & 31;
    struct far_target target = gate_target(cpu, u, gate);
    struct segment cs = gate_code(cpu, u, target, call);
    unsigned cpl = segment_is_conforming(&cs) ? cpu->cpl : segment_dpl(&cs);
    if (call) {
        struct soft_stack stack = soft_current_stack(cpu);
        if (wide)
            stack.mask = UINT64_MAX;
        if (cpl < cpu->cpl)
            stack = gate_stack(cpu, u, cpl, size, copies);
        soft_stack_push(cpu, u, &stack, size, cpu->segs[SEG_CS].selector);
        soft_stack_push(cpu, u, &stack, size, uop_tail(u)->next_rip);
        cpu->RSP = stack.sp;
        cpu->segs[SEG_SS] = stack.ss;
        cpu->cpl = cpl;
    }
    cs.selector = (uint16_t)((target.selector & 0xfffc) | cpl);
    go(cpu, &cs, target.offset);
}

static void far_protected(struct soft *cpu, const struct uop *u, struct far_target target, bool call)
{
    if ((target.selector & 0xfffc) == 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    struct descriptor d = soft_read_descriptor(cpu, u, target.selector, EXC_GP, 0, true);
    struct segment cs = soft_descriptor_segment(&d);
    if (segment_is_code(&cs)) {
        cs = direct_code(cpu, u, &d, target.offset);
        if (call) {
            struct soft_stack stack = soft_current_stack(cpu);
            soft_stack_push(cpu, u, &stack, u->size, cpu->segs[SEG_CS].selector);
            soft_stack_push(cpu, u, &stack, u->size, uop_tail(u)->next_rip);
            cpu->RSP = stack.sp;
        }
        return go(cpu, &cs, target.offset);
    }
    unsigned type = segment_type(&cs);
    bool system = !(cs.attributes & SEGMENT_S);
    if (system && (type == 12 || (type == 4 && !soft_long_mode(cpu))))
        return far_gate(cpu, u, &d, call);
    if (far_task(cpu, u, &d, call))
        return;
    soft_raise_code(cpu, u, EXC_GP, target.selector & 0xfffcu);
}

static void far_transfer(struct soft *cpu, const struct uop *u, struct far_target target, bool call)
{
    if (soft_protected(cpu))
        far_protected(cpu, u, target, call);
    else
        far_real(cpu, u, target, call);
}

static UOP(jmp_far)
{
    far_transfer(cpu, u, immediate_target(u), false);
}

static UOP(call_far)
{
    far_transfer(cpu, u, immediate_target(u), true);
}

static UOP(jmp_far_indirect)
{
    far_transfer(cpu, u, memory_target(cpu, u), false);
}

static UOP(call_far_indirect)
{
    far_transfer(cpu, u, memory_target(cpu, u), true);
}

static UOP(ret_far)
{
    soft_far_return(cpu, u);
    cpu->patch = NULL;
    soft_attend(cpu);
}

static UOP(iret)
{
    soft_iret(cpu, u);
    cpu->patch = NULL;
}

/* INT n, INT3 and INTO return to the instruction after them. */
static void software_interrupt(struct soft *cpu, const struct uop *u, uint8_t vector)
{
    cpu->patch = NULL;
    soft_deliver(cpu, u, vector, EVENT_SOFTWARE, false, 0, uop_tail(u)->next_rip);
}

static UOP(int_n)
{
    if (soft_v86(cpu) && soft_iopl(cpu) != 3)
        soft_raise_code(cpu, u, EXC_GP, 0);
    software_interrupt(cpu, u, (uint8_t)u->imm);
}

static UOP(int3)
{
    software_interrupt(cpu, u, EXC_BP);
}

static UOP(into)
{
    if (flag_of(cpu))
        return software_interrupt(cpu, u, EXC_OF);
    NEXT();
}

/* INT1 is not subject to the gate's privilege level (SDM volume 2, INT1). */
static UOP(int1)
{
    cpu->patch = NULL;
    soft_deliver(cpu, u, EXC_DB, EVENT_EXTERNAL, false, 0, uop_tail(u)->next_rip);
}

static struct segment flat_code(uint16_t selector, unsigned dpl, bool wide)
{
    uint32_t attributes = SEGMENT_TYPE_CODE | SEGMENT_S | SEGMENT_P | SEGMENT_G | dpl << SEGMENT_DPL_SHIFT;
    return (struct segment){
        .selector = selector, .limit = 0xffffffff, .attributes = attributes | (wide ? SEGMENT_L : SEGMENT_DB)};
}

static struct segment flat_stack(uint16_t selector, unsigned dpl)
{
    return (struct segment){.selector = selector,
                            .limit = 0xffffffff,
                            .attributes = SEGMENT_TYPE_DATA | SEGMENT_S | SEGMENT_P | SEGMENT_G | SEGMENT_DB |
                                          dpl << SEGMENT_DPL_SHIFT};
}

static void switch_level(struct soft *cpu, unsigned cpl, uint16_t cs, uint16_t ss, bool wide)
{
    cpu->cpl = cpl;
    cpu->segs[SEG_CS] = flat_code(cs, cpl, wide);
    cpu->segs[SEG_SS] = flat_stack(ss, cpl);
    cpu->patch = NULL;
    soft_update_mode(cpu);
    soft_attend(cpu);
}

/* SYSCALL and SYSRET are for 64-bit mode alone (SDM volume 2). */
static UOP(syscall)
{
    if (!(cpu->efer & EFER_SCE) || !soft_64bit(cpu))
        soft_raise(cpu, u, EXC_UD);
    uint16_t cs = (uint16_t)(cpu->star >> 32) & 0xfffc;
    cpu->RCX = uop_tail(u)->next_rip;
    cpu->regs[GPR_R11] = soft_rflags(cpu) & ~(uint64_t)RFLAGS_RF;
    cpu->rip = cpu->lstar;
    soft_set_rflags(cpu, 0, cpu->fmask | RFLAGS_RF);
    switch_level(cpu, 0, cs, cs + 8, true);
}

static UOP(sysret)
{
    if (!(cpu->efer & EFER_SCE) || !soft_64bit(cpu))
        soft_raise(cpu, u, EXC_UD);
    if (cpu->cpl != 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint16_t base = (uint16_t)(cpu->star >> 48);
    bool wide = u->size == 8;
    if (wide && !soft_canonical(cpu->RCX))
        soft_raise_code(cpu, u, EXC_GP, 0);
    cpu->rip = wide ? cpu->RCX : (uint32_t)cpu->RCX;
    soft_set_rflags(cpu, cpu->regs[GPR_R11] & ~(uint64_t)RFLAGS_RF, 0x3fffff & ~(uint64_t)RFLAGS_VM);
    switch_level(cpu, 3, (uint16_t)((wide ? base + 16 : base) | 3), (uint16_t)((base + 8) | 3), wide);
}

/* SYSENTER and SYSEXIT are for all protected modes, compatibility and virtual-8086 mode among them. */
static UOP(sysenter)
{
    bool wide = soft_long_mode(cpu);
    if (!(cpu->cr0 & CR0_PE) || (cpu->sysenter_cs & 0xfffc) == 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffc;
    cpu->rip = wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
    cpu->RSP = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    cpu->rflags &= ~(uint64_t)(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
    switch_level(cpu, 0, cs, cs + 8, wide);
}

static UOP(sysexit)
{
    bool wide = u->size == 8;
    if (!(cpu->cr0 & CR0_PE) || (cpu->sysenter_cs & 0xfffc) == 0 || cpu->cpl != 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    if (wide && !(soft_canonical(cpu->RDX) && soft_canonical(cpu->RCX)))
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint16_t cs = (uint16_t)((cpu->sysenter_cs & 0xfffc) + (wide ? 32 : 16));
    cpu->rip = wide ? cpu->RDX : (uint32_t)cpu->RDX;
    cpu->RSP = wide ? cpu->RCX : (uint32_t)cpu->RCX;
    switch_level(cpu, 3, cs | 3, (uint16_t)(cs + 8) | 3, wide);
}

uop_fn *far_uop(const struct insn *insn)
{
    switch (insn->op) {
    case OP_JMP_FAR:
        return jmp_far;
    case OP_CALL_FAR:
        return call_far;
    case OP_JMP_FAR_IND:
        return jmp_far_indirect;
    case OP_CALL_FAR_IND:
        return call_far_indirect;
    case OP_RET_FAR:
        return ret_far;
    case OP_IRET:
        return iret;
    case OP_INT:
        return int_n;
    case OP_INT3:
        return int3;
    case OP_INTO:
        return into;
    case OP_INT1:
        return int1;
    case OP_SYSCALL:
        return syscall;
    case OP_SYSRET:
        return sysret;
    case OP_SYSENTER:
        return sysenter;
    case OP_SYSEXIT:
        return sysexit;
    default:
        return NULL;
    }
}
