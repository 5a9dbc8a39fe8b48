/*
 * Delivery of exceptions and interrupts, and IRET: SDM volume 3, chapter 6, and volume 2, INT and IRET.
 *
 * Nothing of the processor changes before the last access to memory has succeeded. Pushes that were made before a fault
 * lie below the stack pointer, where nobody looks.
 */
#include "vmm/soft/flags.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/observe.h"
#include "vmm/soft/segment.h"
#include "vmm/soft/stack.h"
#include "vmm/soft/task.h"

struct event {
    const struct uop *u;
    uint8_t vector;
    bool software, has_code;
    uint32_t code;
    uint32_t external; /* the EXT bit of error codes that its delivery raises */
    uint64_t rip;      /* to return to */
    uint64_t rflags;   /* the image to push */
};

#define GATE_TASK 5

struct gate {
    unsigned type, dpl, ist;
    bool present;
    uint16_t selector;
    uint64_t offset;
};

static void deliver_real(struct soft *cpu, const struct event *e)
{
    if (e->vector * 4u + 3 > cpu->idtr.limit)
        soft_raise_code(cpu, e->u, EXC_GP, 0);
    uint64_t at = cpu->idtr.base + e->vector * 4u;
    uint16_t ip = (uint16_t)soft_system_load(cpu, e->u, at, 2);
    uint16_t selector = (uint16_t)soft_system_load(cpu, e->u, at + 2, 2);
    struct soft_stack stack = soft_current_stack(cpu);
    soft_stack_push(cpu, e->u, &stack, 2, e->rflags);
    soft_stack_push(cpu, e->u, &stack, 2, cpu->segs[SEG_CS].selector);
    soft_stack_push(cpu, e->u, &stack, 2, e->rip);
    cpu->regs[GPR_RSP] = stack.sp;
    cpu->segs[SEG_CS] = soft_real_segment(cpu, &cpu->segs[SEG_CS], selector);
    cpu->rip = ip;
    cpu->rflags &= ~(uint64_t)(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF);
}

static struct gate read_gate(struct soft *cpu, const struct event *e)
{
    bool wide = soft_long_mode(cpu);
    unsigned size = wide ? 16 : 8;
    uint32_t code = e->vector * 8u + 2 + e->external;
    if ((e->vector + 1u) * size - 1 > cpu->idtr.limit)
        soft_raise_code(cpu, e->u, EXC_GP, code);
    uint64_t at = (cpu->idtr.base + e->vector * size) & cpu->linear_mask;
    uint64_t raw = soft_system_load(cpu, e->u, at, 8);
    uint64_t high = wide ? soft_system_load(cpu, e->u, at + 8, 8) : 0;
    struct gate gate = {.type = (raw >> 40) & 31, .dpl = (raw >> 45) & 3, .present = (raw >> 47) & 1};
    gate.selector = (uint16_t)(raw >> 16);
    gate.ist = wide ? (raw >> 32) & 7 : 0;
    gate.offset = (raw & 0xffff) | ((raw >> 32) & 0xffff0000) | (wide ? high << 32 : 0);
    if (!wide && (gate.type == 6 || gate.type == 7))
        gate.offset &= 0xffff;
    bool known = gate.type == 14 || gate.type == 15 || (!wide && (gate.type >= 5 && gate.type <= 7));
    if (!known || (e->software && gate.dpl < cpu->cpl))
        soft_raise_code(cpu, e->u, EXC_GP, code);
    if (!gate.present)
        soft_raise_code(cpu, e->u, EXC_NP, code);
    return gate;
}

static struct segment gate_code_segment(struct soft *cpu, const struct event *e, const struct gate *gate)
{
    uint32_t code = (gate->selector & 0xfffcu) | e->external;
    if ((gate->selector & 0xfffc) == 0)
        soft_raise_code(cpu, e->u, EXC_GP, e->external);
    struct descriptor d = soft_read_descriptor(cpu, e->u, gate->selector, EXC_GP, e->external, false);
    struct segment cs = soft_descriptor_segment(&d);
    if (!segment_is_code(&cs) || segment_dpl(&cs) > cpu->cpl)
        soft_raise_code(cpu, e->u, EXC_GP, code);
    if (!(cs.attributes & SEGMENT_P))
        soft_raise_code(cpu, e->u, EXC_NP, code);
    if (soft_long_mode(cpu) && (cs.attributes & (SEGMENT_L | SEGMENT_DB)) != SEGMENT_L)
        soft_raise_code(cpu, e->u, EXC_GP, code);
    soft_mark_descriptor(cpu, e->u, &d, 1);
    cs.attributes |= 1;
    return cs;
}

static void push_v86_segments(struct soft *cpu, const struct event *e, struct soft_stack *stack, unsigned size)
{
    soft_stack_push(cpu, e->u, stack, size, cpu->segs[SEG_GS].selector);
    soft_stack_push(cpu, e->u, stack, size, cpu->segs[SEG_FS].selector);
    soft_stack_push(cpu, e->u, stack, size, cpu->segs[SEG_DS].selector);
    soft_stack_push(cpu, e->u, stack, size, cpu->segs[SEG_ES].selector);
}

static void enter_handler(struct soft *cpu, const struct gate *gate, struct segment cs, unsigned cpl,
                          const struct soft_stack *stack, bool switched)
{
    bool v86 = soft_v86(cpu);
    cs.selector = (uint16_t)((cs.selector & 0xfffc) | cpl);
    cpu->segs[SEG_CS] = cs;
    if (switched)
        cpu->segs[SEG_SS] = stack->ss;
    cpu->cpl = cpl;
    cpu->regs[GPR_RSP] = stack->sp;
    cpu->rip = gate->offset;
    cpu->rflags &= ~(uint64_t)(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
    if (!(gate->type & 1))
        cpu->rflags &= ~(uint64_t)RFLAGS_IF;
    if (v86)
        for (unsigned seg = 0; seg < 6; seg++)
            if (seg != SEG_CS && seg != SEG_SS)
                cpu->segs[seg] = (struct segment){.attributes = SEGMENT_UNUSABLE};
}

/* The stack that the handler gets, and how its lack of room is reported: SDM volume 2, INT n. */
static struct soft_stack handler_stack(struct soft *cpu, const struct event *e, const struct gate *gate, unsigned cpl)
{
    struct soft_stack stack;
    if (cpl < cpu->cpl || gate->ist) {
        stack = soft_tss_stack(cpu, e->u, cpl, gate->ist, e->external);
    } else {
        stack = soft_current_stack(cpu);
        stack.code = e->external;
    }
    stack.user = cpl == 3;
    if (soft_long_mode(cpu)) {
        stack.mask = UINT64_MAX;
        stack.sp &= ~UINT64_C(15);
    }
    return stack;
}

static void deliver_through(struct soft *cpu, const struct event *e, const struct gate *gate)
{
    struct segment cs = gate_code_segment(cpu, e, gate);
    bool wide = soft_long_mode(cpu), v86 = soft_v86(cpu);
    unsigned cpl = segment_is_conforming(&cs) ? cpu->cpl : segment_dpl(&cs);
    bool inner = cpl < cpu->cpl;
    if (v86 && (!inner || cpl != 0))
        soft_raise_code(cpu, e->u, EXC_GP, (gate->selector & 0xfffcu) | e->external);
    struct soft_stack stack = handler_stack(cpu, e, gate, cpl);
    unsigned size = wide ? 8 : gate->type & 8 ? 4 : 2;
    unsigned words = 3u + (v86 ? 4 : 0) + (inner || wide ? 2 : 0) + e->has_code;
    soft_stack_room(cpu, e->u, &stack, size, words * size);
    bool outside = wide ? !soft_canonical(gate->offset) : gate->offset > cs.limit;
    if (outside)
        soft_raise_code(cpu, e->u, EXC_GP, e->external);
    if (v86)
        push_v86_segments(cpu, e, &stack, size);
    if (inner || wide) {
        soft_stack_push(cpu, e->u, &stack, size, cpu->segs[SEG_SS].selector);
        soft_stack_push(cpu, e->u, &stack, size, cpu->regs[GPR_RSP]);
    }
    soft_stack_push(cpu, e->u, &stack, size, e->rflags);
    soft_stack_push(cpu, e->u, &stack, size, cpu->segs[SEG_CS].selector);
    soft_stack_push(cpu, e->u, &stack, size, e->rip);
    if (e->has_code)
        soft_stack_push(cpu, e->u, &stack, size, e->code);
    enter_handler(cpu, gate, cs, cpl, &stack, inner);
}

static void deliver_protected(struct soft *cpu, const struct event *e)
{
    struct gate gate = read_gate(cpu, e);
    if (gate.type == GATE_TASK) {
        struct task_switch s = {.u = e->u,
                                .cause = TASK_CALL,
                                .return_rip = e->rip,
                                .rflags = e->rflags,
                                .external = e->external,
                                .has_code = e->has_code,
                                .code = e->code};
        soft_task_gate(cpu, &s, gate.selector);
    } else {
        deliver_through(cpu, e, &gate);
    }
}

static void tell_event(struct soft *cpu, const struct event *e, enum event_source source, uint64_t from)
{
    static const int sources[] = {[EVENT_FAULT] = ENGINE_EVENT_FAULT,
                                  [EVENT_BREAKPOINT] = ENGINE_EVENT_FAULT,
                                  [EVENT_EXTERNAL] = ENGINE_EVENT_EXTERNAL,
                                  [EVENT_SOFTWARE] = ENGINE_EVENT_SOFTWARE};
    const struct engine_event event = {.source = sources[source],
                                       .vector = e->vector,
                                       .has_code = e->has_code,
                                       .code = e->code,
                                       .from = from,
                                       .to = soft_fetch_linear(cpu, cpu->rip)};

    soft_observe_event(cpu, &event);
}

void soft_deliver(struct soft *cpu, const struct uop *u, uint8_t vector, enum event_source source, bool has_code,
                  uint32_t code, uint64_t return_rip)
{
    struct event e = {.u = u, .vector = vector, .software = source == EVENT_SOFTWARE, .rip = return_rip};
    e.has_code = has_code && (cpu->cr0 & CR0_PE);
    e.code = code;
    e.external = source != EVENT_SOFTWARE;
    uint64_t from = soft_fetch_linear(cpu, return_rip);
    /* A fault is to restart without its instruction breakpoint: RF is set in the image (SDM volume 3, 17.3.1.1). */
    e.rflags = soft_rflags(cpu) | (source == EVENT_FAULT ? RFLAGS_RF : 0);
    if (cpu->cr0 & CR0_PE)
        deliver_protected(cpu, &e);
    else
        deliver_real(cpu, &e);
    cpu->delivered = true;
    soft_update_mode(cpu);
    soft_attend(cpu);
    tell_event(cpu, &e, source, from);
}

/* IRET */

struct frame {
    uint64_t rip, rflags, rsp;
    uint16_t cs, ss;
};

static uint64_t changeable_flags(const struct soft *cpu, unsigned size)
{
    uint64_t mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;
    if (size != 2)
        mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
    if (cpu->cpl <= soft_iopl(cpu))
        mask |= RFLAGS_IF;
    if (cpu->cpl == 0)
        mask |= RFLAGS_IOPL | (size != 2 ? RFLAGS_VIF | RFLAGS_VIP : 0);
    return mask;
}

static void iret_real(struct soft *cpu, const struct uop *u)
{
    if (soft_v86(cpu) && soft_iopl(cpu) != 3)
        soft_raise_code(cpu, u, EXC_GP, 0);
    struct soft_stack stack = soft_current_stack(cpu);
    uint64_t rip = soft_stack_pop(cpu, u, &stack, u->size);
    uint16_t cs = (uint16_t)soft_stack_pop(cpu, u, &stack, u->size);
    uint64_t rflags = soft_stack_pop(cpu, u, &stack, u->size);
    if (rip > cpu->segs[SEG_CS].limit)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint64_t mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_IF;
    if (!soft_v86(cpu))
        mask |= RFLAGS_IOPL;
    if (u->size != 2)
        mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
    cpu->regs[GPR_RSP] = stack.sp;
    cpu->segs[SEG_CS] = soft_real_segment(cpu, &cpu->segs[SEG_CS], cs);
    cpu->rip = rip;
    soft_set_rflags(cpu, rflags, mask);
}

/* Back to virtual-8086 mode: nine doublewords. */
static void iret_to_v86(struct soft *cpu, const struct uop *u, const struct frame *f, struct soft_stack *stack)
{
    static const uint8_t order[4] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    uint16_t selectors[4];
    uint64_t esp = soft_stack_pop(cpu, u, stack, 4);
    uint16_t ss = (uint16_t)soft_stack_pop(cpu, u, stack, 4);
    for (unsigned i = 0; i < 4; i++)
        selectors[i] = (uint16_t)soft_stack_pop(cpu, u, stack, 4);
    soft_set_rflags(cpu, f->rflags, 0x3fffff);
    cpu->cpl = 3;
    for (unsigned i = 0; i < 4; i++)
        cpu->segs[order[i]] = soft_real_segment(cpu, &cpu->segs[order[i]], selectors[i]);
    cpu->segs[SEG_CS] = soft_real_segment(cpu, &cpu->segs[SEG_CS], f->cs);
    cpu->segs[SEG_SS] = soft_real_segment(cpu, &cpu->segs[SEG_SS], ss);
    cpu->regs[GPR_RSP] = esp;
    cpu->rip = f->rip & 0xffff;
}

/* Where a return leads, found before anything is changed. */
struct return_target {
    struct descriptor code;
    struct segment cs, ss;
    bool to_64;
};

static void check_return_code(struct soft *cpu, const struct uop *u, uint16_t selector, struct return_target *target)
{
    uint32_t code = selector & 0xfffcu;
    unsigned rpl = selector & 3;
    if (code == 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    target->code = soft_read_descriptor(cpu, u, selector, EXC_GP, 0, false);
    struct segment cs = soft_descriptor_segment(&target->code);
    bool conforming = segment_is_conforming(&cs);
    if (!segment_is_code(&cs) || rpl < cpu->cpl || (conforming ? segment_dpl(&cs) > rpl : segment_dpl(&cs) != rpl))
        soft_raise_code(cpu, u, EXC_GP, code);
    target->to_64 = soft_long_mode(cpu) && (cs.attributes & SEGMENT_L);
    if (target->to_64 && (cs.attributes & SEGMENT_DB))
        soft_raise_code(cpu, u, EXC_GP, code);
    if (!(cs.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_NP, code);
    cs.attributes |= 1;
    target->cs = cs;
}

static void check_return_rip(struct soft *cpu, const struct uop *u, struct return_target *target, uint64_t rip)
{
    if (target->to_64 ? !soft_canonical(rip) : rip > target->cs.limit)
        soft_raise_code(cpu, u, EXC_GP, 0);
    soft_mark_descriptor(cpu, u, &target->code, 1);
}

/* SS for a return to level `rpl`: in 64-bit mode it may be null, but not at level 3. */
static struct segment return_stack_segment(struct soft *cpu, const struct uop *u, uint16_t selector, unsigned rpl,
                                           bool to_64)
{
    if ((selector & 0xfffc) == 0 && to_64 && rpl != 3 && (selector & 3) == rpl)
        return (struct segment){.selector = selector, .attributes = SEGMENT_UNUSABLE | rpl << SEGMENT_DPL_SHIFT};
    return soft_stack_segment(cpu, u, selector, rpl, EXC_GP, 0);
}

/* `pops_stack`: the stack pointer is in the frame, too. */
static void return_to(struct soft *cpu, const struct frame *f, const struct return_target *target, bool pops_stack)
{
    unsigned rpl = f->cs & 3;
    bool outer = rpl > cpu->cpl;
    cpu->segs[SEG_CS] = target->cs;
    if (pops_stack) {
        cpu->segs[SEG_SS] = target->ss;
        uint64_t stack_mask = target->to_64 ? UINT64_MAX : target->ss.attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
        uint64_t kept = stack_mask == 0xffff ? cpu->regs[GPR_RSP] & ~stack_mask : 0;
        cpu->regs[GPR_RSP] = kept | (f->rsp & stack_mask);
    }
    cpu->cpl = rpl;
    cpu->rip = f->rip;
    if (outer)
        soft_null_inner_segments(cpu);
}

static void iret_protected(struct soft *cpu, const struct uop *u)
{
    if (cpu->rflags & RFLAGS_NT) {
        if (soft_long_mode(cpu))
            soft_raise_code(cpu, u, EXC_GP, 0);
        return soft_task_return(cpu, u);
    }
    struct soft_stack stack = soft_current_stack(cpu);
    struct frame f = {0};
    f.rip = soft_stack_pop(cpu, u, &stack, u->size);
    f.cs = (uint16_t)soft_stack_pop(cpu, u, &stack, u->size);
    f.rflags = soft_stack_pop(cpu, u, &stack, u->size);
    if (!soft_long_mode(cpu) && (f.rflags & RFLAGS_VM) && cpu->cpl == 0 && u->size == 4)
        return iret_to_v86(cpu, u, &f, &stack);
    bool outer = (f.cs & 3) > cpu->cpl;
    bool pops_stack = outer || soft_64bit(cpu);
    struct return_target target;
    check_return_code(cpu, u, f.cs, &target);
    if (pops_stack) {
        f.rsp = soft_stack_pop(cpu, u, &stack, u->size);
        f.ss = (uint16_t)soft_stack_pop(cpu, u, &stack, u->size);
        target.ss = return_stack_segment(cpu, u, f.ss, f.cs & 3, target.to_64);
    }
    check_return_rip(cpu, u, &target, f.rip);
    uint64_t may_change = changeable_flags(cpu, u->size);
    if (!pops_stack)
        cpu->regs[GPR_RSP] = stack.sp;
    return_to(cpu, &f, &target, pops_stack);
    soft_set_rflags(cpu, f.rflags, may_change);
}

void soft_iret(struct soft *cpu, const struct uop *u)
{
    if (soft_protected(cpu))
        iret_protected(cpu, u);
    else
        iret_real(cpu, u);
    cpu->nmi_blocked = false;
    soft_update_mode(cpu);
    soft_attend(cpu);
}

/* Far returns, which share the checks of IRET; `u->imm` more bytes are taken off. */
void soft_far_return(struct soft *cpu, const struct uop *u)
{
    struct soft_stack stack = soft_current_stack(cpu);
    struct frame f = {0};
    f.rip = soft_stack_pop(cpu, u, &stack, u->size);
    f.cs = (uint16_t)soft_stack_pop(cpu, u, &stack, u->size);
    stack.sp = stack.mask == 0xffff ? (stack.sp & ~stack.mask) | ((stack.sp + (uint32_t)u->imm) & 0xffff)
                                    : (stack.sp + (uint32_t)u->imm) & stack.mask;
    if (!soft_protected(cpu)) {
        if (f.rip > cpu->segs[SEG_CS].limit)
            soft_raise_code(cpu, u, EXC_GP, 0);
        cpu->segs[SEG_CS] = soft_real_segment(cpu, &cpu->segs[SEG_CS], f.cs);
        cpu->regs[GPR_RSP] = stack.sp;
        cpu->rip = f.rip;
        soft_update_mode(cpu);
        return;
    }
    struct return_target target;
    bool outer = (f.cs & 3) > cpu->cpl;
    check_return_code(cpu, u, f.cs, &target);
    if (outer) {
        f.rsp = soft_stack_pop(cpu, u, &stack, u->size) + (uint32_t)u->imm;
        f.ss = (uint16_t)soft_stack_pop(cpu, u, &stack, u->size);
        target.ss = return_stack_segment(cpu, u, f.ss, f.cs & 3, target.to_64);
    }
    check_return_rip(cpu, u, &target, f.rip);
    if (!outer)
        cpu->regs[GPR_RSP] = stack.sp;
    return_to(cpu, &f, &target, outer);
    soft_update_mode(cpu);
    soft_attend(cpu);
}
