/*
 * Segment checks, descriptors, loads of data segments, and the stacks of a TSS; see segment.h.
 */
#include "vmm/soft/segment.h"

#include "vmm/soft/memory.h"
#include "vmm/soft/stack.h"

static bool within_limit(const struct segment *s, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;
    if ((s->attributes & SEGMENT_S) && (segment_type(s) & (TYPE_CODE | TYPE_EXPANDDOWN)) == TYPE_EXPANDDOWN) {
        uint64_t top = s->attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
        return offset > s->limit && last <= top;
    }
    /* An access that runs over 4 GiB wraps where the segment spans all of it. */
    return last <= s->limit || (s->limit == 0xffffffff && offset <= s->limit);
}

void soft_check_limit(struct soft *cpu, const struct uop *u, const struct segment *s, uint64_t offset, unsigned size,
                      uint8_t vector, uint32_t code)
{
    if (!within_limit(s, offset, size))
        soft_raise_code(cpu, u, vector, code);
}

void soft_check_segment(struct soft *cpu, const struct uop *u, unsigned seg, uint64_t offset, unsigned size, bool write)
{
    const struct segment *s = &cpu->segs[seg];
    uint8_t vector = seg == SEG_SS ? EXC_SS : EXC_GP;
    if (soft_protected(cpu)) {
        unsigned type = segment_type(s);
        bool readable = !(type & TYPE_CODE) || (type & TYPE_WRITABLE);
        bool writable = !(type & TYPE_CODE) && (type & TYPE_WRITABLE);
        if ((s->attributes & SEGMENT_UNUSABLE) || !(write ? writable : readable))
            soft_raise_code(cpu, u, vector, 0);
    }
    soft_check_limit(cpu, u, s, offset, size, vector, 0);
}

struct descriptor soft_read_descriptor(struct soft *cpu, const struct uop *u, uint16_t selector, uint8_t vector,
                                       uint32_t external, bool wide)
{
    struct descriptor d = {.selector = selector};
    uint64_t base = cpu->gdtr.base, limit = cpu->gdtr.limit;
    uint32_t code = (selector & 0xfffcu) | external;
    if (selector & 4) {
        if (cpu->ldt.attributes & SEGMENT_UNUSABLE || (cpu->ldt.selector & 0xfffc) == 0)
            soft_raise_code(cpu, u, vector, code);
        base = cpu->ldt.base;
        limit = cpu->ldt.limit;
    }
    uint64_t offset = selector & 0xfff8;
    if (offset + 7 > limit)
        soft_raise_code(cpu, u, vector, code);
    d.linear = (base + offset) & cpu->linear_mask;
    d.raw = soft_system_load(cpu, u, d.linear, 8);
    bool system = !((d.raw >> 44) & 1);
    if (wide && system && soft_long_mode(cpu)) {
        if (offset + 15 > limit)
            soft_raise_code(cpu, u, vector, code);
        d.high = soft_system_load(cpu, u, d.linear + 8, 8);
        /* The type of the upper half is zero, lest it be taken for a descriptor of its own (SDM volume 3, 5.8.3.1). */
        if ((d.high >> 40) & 31)
            soft_raise_code(cpu, u, vector, code);
    }
    return d;
}

struct segment soft_descriptor_segment(const struct descriptor *d)
{
    uint32_t low = (uint32_t)d->raw, high = (uint32_t)(d->raw >> 32);
    struct segment s = {.selector = d->selector};
    s.base = (low >> 16) | (high & 0xff) << 16 | (high & 0xff000000);
    s.base |= d->high << 32;
    s.limit = (low & 0xffff) | (high & 0xf0000);
    if (high & 0x800000)
        s.limit = s.limit << 12 | 0xfff;
    s.attributes = ((high >> 8) & 0xff) | ((high >> 8) & 0xf000);
    return s;
}

void soft_mark_descriptor(struct soft *cpu, const struct uop *u, struct descriptor *d, unsigned type_bit)
{
    uint64_t bit = (uint64_t)type_bit << 40;
    if (d->raw & bit)
        return;
    d->raw |= bit;
    soft_system_store(cpu, u, d->linear + 5, 1, (d->raw >> 40) & 0xff);
}

struct segment soft_real_segment(const struct soft *cpu, const struct segment *old, uint16_t selector)
{
    struct segment s = *old;
    s.selector = selector;
    s.base = (uint64_t)selector << 4;
    if (soft_v86(cpu)) {
        s.limit = 0xffff;
        s.attributes = SEGMENT_P | SEGMENT_S | SEGMENT_DPL | SEGMENT_TYPE_DATA;
    }
    return s;
}

static struct segment null_segment(uint16_t selector)
{
    return (struct segment){.selector = selector, .attributes = SEGMENT_UNUSABLE};
}

struct segment soft_stack_segment(struct soft *cpu, const struct uop *u, uint16_t selector, unsigned cpl,
                                  uint8_t vector, uint32_t external)
{
    uint32_t code = (selector & 0xfffcu) | external;
    if ((selector & 0xfffc) == 0)
        soft_raise_code(cpu, u, vector, external);
    struct descriptor d = soft_read_descriptor(cpu, u, selector, vector, external, false);
    struct segment s = soft_descriptor_segment(&d);
    if ((selector & 3) != cpl || !segment_is_writable(&s) || segment_dpl(&s) != cpl)
        soft_raise_code(cpu, u, vector, code);
    if (!(s.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_SS, code);
    soft_mark_descriptor(cpu, u, &d, 1);
    s.attributes |= 1;
    return s;
}

struct segment soft_data_segment(struct soft *cpu, const struct uop *u, uint16_t selector, uint8_t vector,
                                 uint32_t external)
{
    uint32_t code = (selector & 0xfffcu) | external;
    struct descriptor d = soft_read_descriptor(cpu, u, selector, vector, external, false);
    struct segment s = soft_descriptor_segment(&d);
    unsigned rpl = selector & 3, type = segment_type(&s);
    bool readable = (s.attributes & SEGMENT_S) && (!(type & TYPE_CODE) || (type & TYPE_WRITABLE));
    bool allowed = segment_is_conforming(&s) || (rpl <= segment_dpl(&s) && cpu->cpl <= segment_dpl(&s));
    if (!readable || !allowed)
        soft_raise_code(cpu, u, vector, code);
    if (!(s.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_NP, code);
    soft_mark_descriptor(cpu, u, &d, 1);
    s.attributes |= 1;
    return s;
}

void soft_load_segment(struct soft *cpu, const struct uop *u, unsigned seg, uint16_t selector)
{
    bool is_stack = seg == SEG_SS;
    struct segment s;
    if (!soft_protected(cpu)) {
        s = soft_real_segment(cpu, &cpu->segs[seg], selector);
    } else if ((selector & 0xfffc) == 0 && (!is_stack || (soft_64bit(cpu) && cpu->cpl < 3))) {
        if (is_stack && (selector & 3) != cpu->cpl)
            soft_raise_code(cpu, u, EXC_GP, 0);
        s = null_segment(selector);
        if (is_stack)
            s.attributes |= cpu->cpl << SEGMENT_DPL_SHIFT;
    } else if (is_stack) {
        s = soft_stack_segment(cpu, u, selector, cpu->cpl, EXC_GP, 0);
    } else {
        s = soft_data_segment(cpu, u, selector, EXC_GP, 0);
    }
    cpu->segs[seg] = s;
    soft_update_mode(cpu);
}

void soft_null_inner_segments(struct soft *cpu)
{
    static const uint8_t data[4] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < 4; i++) {
        struct segment *s = &cpu->segs[data[i]];
        if (!(s->attributes & SEGMENT_UNUSABLE) && !segment_is_conforming(s) && segment_dpl(s) < cpu->cpl)
            *s = null_segment(0);
    }
}

struct soft_stack soft_current_stack(const struct soft *cpu)
{
    return (struct soft_stack){
        .ss = cpu->segs[SEG_SS], .sp = cpu->regs[GPR_RSP], .mask = soft_stack_mask(cpu), .user = cpu->cpl == 3};
}

/* In long mode the TSS holds stack pointers alone, and SS is a null selector of the new level. */
static struct soft_stack long_tss_stack(struct soft *cpu, const struct uop *u, unsigned dpl, unsigned ist,
                                        uint32_t external)
{
    uint64_t offset = ist ? 0x24 + 8 * (ist - 1) : 4 + 8 * dpl;
    if (offset + 7 > cpu->tr.limit)
        soft_raise_code(cpu, u, EXC_TS, (cpu->tr.selector & 0xfffcu) | external);
    uint64_t rsp = soft_system_load(cpu, u, cpu->tr.base + offset, 8);
    if (!soft_canonical(rsp))
        soft_raise_code(cpu, u, EXC_SS, external);
    struct segment ss = null_segment((uint16_t)dpl);
    ss.attributes |= dpl << SEGMENT_DPL_SHIFT;
    return (struct soft_stack){ss, rsp, UINT64_MAX, dpl == 3, external};
}

struct soft_stack soft_tss_stack(struct soft *cpu, const struct uop *u, unsigned dpl, unsigned ist, uint32_t external)
{
    if (soft_long_mode(cpu))
        return long_tss_stack(cpu, u, dpl, ist, external);
    bool wide = segment_type(&cpu->tr) & 8; /* a 32-bit TSS */
    uint64_t offset = wide ? 4 + 8 * dpl : 2 + 4 * dpl;
    if (offset + (wide ? 5 : 3) > cpu->tr.limit)
        soft_raise_code(cpu, u, EXC_TS, (cpu->tr.selector & 0xfffcu) | external);
    uint64_t at = cpu->tr.base + offset;
    uint64_t sp = soft_system_load(cpu, u, at & 0xffffffff, wide ? 4 : 2);
    uint16_t selector = (uint16_t)soft_system_load(cpu, u, (at + (wide ? 4 : 2)) & 0xffffffff, 2);
    struct segment ss = soft_stack_segment(cpu, u, selector, dpl, EXC_TS, external);
    uint64_t mask = ss.attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
    return (struct soft_stack){ss, sp, mask, false, (selector & 0xfffcu) | external};
}

static uint64_t stack_linear(struct soft *cpu, const struct uop *u, const struct soft_stack *stack, uint64_t sp,
                             unsigned size)
{
    sp &= stack->mask;
    if (stack->mask == UINT64_MAX) {
        if (!soft_canonical(sp))
            soft_raise_code(cpu, u, EXC_SS, stack->code);
        return sp;
    }
    soft_check_limit(cpu, u, &stack->ss, sp, size, EXC_SS, stack->code);
    return (stack->ss.base + sp) & 0xffffffff;
}

void soft_stack_room(struct soft *cpu, const struct uop *u, const struct soft_stack *stack, unsigned size,
                     unsigned bytes)
{
    for (unsigned by = size; by <= bytes; by += size)
        stack_linear(cpu, u, stack, stack->sp - by, size);
}

/* Pushes on an inner stack are the supervisor's already while the privilege level is still the user's. */
void soft_stack_push(struct soft *cpu, const struct uop *u, struct soft_stack *stack, unsigned size, uint64_t value)
{
    uint64_t sp = stack->sp - size;
    uint64_t linear = stack_linear(cpu, u, stack, sp, size);
    if (stack->user || cpu->cpl < 3)
        soft_store(cpu, u, linear, size, value);
    else
        soft_system_store(cpu, u, linear, size, value);
    stack->sp = stack->mask == 0xffff ? (stack->sp & ~stack->mask) | (sp & stack->mask) : sp & stack->mask;
}

uint64_t soft_stack_pop(struct soft *cpu, const struct uop *u, struct soft_stack *stack, unsigned size)
{
    uint64_t value = soft_load(cpu, u, stack_linear(cpu, u, stack, stack->sp, size), size);
    uint64_t sp = stack->sp + size;
    stack->sp = stack->mask == 0xffff ? (stack->sp & ~stack->mask) | (sp & stack->mask) : sp & stack->mask;
    return value;
}
