/*
 * Hardware task switches; see task.h.
 *
 * All that can fail in the old task's context is tried first: the new TSS is read, and what will be written is probed.
 * Then the old state is saved and the new one loaded, and only then are the new task's segments looked at, so that
 * their faults are taken in the new task (SDM volume 3, 8.3).
 */
#include "vmm/soft/task.h"

#include "vmm/soft/flags.h"
#include "vmm/soft/memory.h"

/* The two formats of a TSS, SDM volume 3, 8.2.1 and 8.6: offsets, and bytes of a general register. */
struct tss_format {
    unsigned size, cr3, ip, flags, gprs, segments, segment_step, segment_count, ldt, trap, least_limit;
};
static const struct tss_format tss32 = {4, 0x1c, 0x20, 0x24, 0x28, 0x48, 4, 6, 0x60, 0x64, 0x67};
static const struct tss_format tss16 = {2, 0, 0x0e, 0x10, 0x12, 0x22, 2, 4, 0x2a, 0, 0x2b};

/* What a TSS holds of a task. */
struct task_image {
    bool wide; /* from a 32-bit TSS */
    uint32_t cr3, ip, flags, gprs[8];
    uint16_t segments[6], ldt;
    bool trap;
};

static const struct tss_format *format_of(const struct segment *tss)
{
    return segment_type(tss) & 8 ? &tss32 : &tss16;
}

static uint64_t at(const struct segment *tss, unsigned offset)
{
    return (tss->base + offset) & 0xffffffff;
}

static void read_image(struct soft *cpu, const struct uop *u, const struct segment *tss, struct task_image *image)
{
    const struct tss_format *f = format_of(tss);
    *image = (struct task_image){.wide = f == &tss32};
    image->ip = (uint32_t)soft_system_load(cpu, u, at(tss, f->ip), f->size);
    image->flags = (uint32_t)soft_system_load(cpu, u, at(tss, f->flags), f->size);
    /* A 16-bit TSS leaves the upper halves as ones. */
    for (unsigned i = 0; i < 8; i++)
        image->gprs[i] = (uint32_t)soft_system_load(cpu, u, at(tss, f->gprs + i * f->size), f->size) |
                         (image->wide ? 0 : 0xffff0000);
    for (unsigned i = 0; i < f->segment_count; i++)
        image->segments[i] = (uint16_t)soft_system_load(cpu, u, at(tss, f->segments + i * f->segment_step), 2);
    image->ldt = (uint16_t)soft_system_load(cpu, u, at(tss, f->ldt), 2);
    if (image->wide) {
        image->cr3 = (uint32_t)soft_system_load(cpu, u, at(tss, f->cr3), 4);
        image->trap = soft_system_load(cpu, u, at(tss, f->trap), 1) & 1;
    }
}

static void save_old_task(struct soft *cpu, const struct task_switch *s)
{
    const struct segment *tss = &cpu->tr;
    const struct tss_format *f = format_of(tss);
    uint64_t flags = s->cause == TASK_RETURN ? s->rflags & ~(uint64_t)RFLAGS_NT : s->rflags;
    soft_system_store(cpu, s->u, at(tss, f->ip), f->size, s->return_rip);
    soft_system_store(cpu, s->u, at(tss, f->flags), f->size, flags);
    for (unsigned i = 0; i < 8; i++)
        soft_system_store(cpu, s->u, at(tss, f->gprs + i * f->size), f->size, cpu->regs[i]);
    for (unsigned i = 0; i < f->segment_count; i++)
        soft_system_store(cpu, s->u, at(tss, f->segments + i * f->segment_step), 2, cpu->segs[i].selector);
}

/* The byte that holds the type of a GDT entry. */
static uint64_t type_byte(const struct soft *cpu, uint16_t selector)
{
    return (cpu->gdtr.base + (selector & 0xfff8u) + 5) & 0xffffffff;
}

/* Raises whatever writing the two TSSs and their descriptors would raise. */
static void probe_writes(struct soft *cpu, const struct task_switch *s, const struct descriptor *new_tss,
                         const struct segment *tss)
{
    const struct tss_format *f = format_of(&cpu->tr);
    if ((cpu->tr.attributes & SEGMENT_UNUSABLE) || cpu->tr.limit < f->least_limit)
        soft_raise_code(cpu, s->u, EXC_TS, (cpu->tr.selector & 0xfffcu) | s->external);
    unsigned end = f->segments + f->segment_count * f->segment_step;
    soft_system_probe_write(cpu, s->u, at(&cpu->tr, f->ip), end - f->ip);
    if (s->cause != TASK_CALL)
        soft_system_probe_write(cpu, s->u, type_byte(cpu, cpu->tr.selector), 1);
    if (s->cause == TASK_CALL)
        soft_system_probe_write(cpu, s->u, at(tss, 0), 2);
    soft_system_probe_write(cpu, s->u, new_tss->linear + 5, 1);
}

/* Table 8-2. */
static void link_tasks(struct soft *cpu, const struct task_switch *s, struct descriptor *new_tss,
                       const struct segment *tss)
{
    if (s->cause == TASK_CALL)
        soft_system_store(cpu, s->u, at(tss, 0), 2, cpu->tr.selector);
    if (s->cause != TASK_CALL) {
        uint64_t byte = type_byte(cpu, cpu->tr.selector);
        soft_system_store(cpu, s->u, byte, 1, soft_system_load(cpu, s->u, byte, 1) & ~UINT64_C(2));
    }
    if (s->cause != TASK_RETURN)
        soft_mark_descriptor(cpu, s->u, new_tss, 2);
}

static void load_image(struct soft *cpu, const struct task_image *image, enum task_cause cause)
{
    for (unsigned i = 0; i < 8; i++)
        cpu->regs[i] = image->gprs[i];
    if (image->wide && (cpu->cr0 & CR0_PG) && cpu->cr3 != image->cr3) {
        cpu->cr3 = image->cr3;
        soft_flush_tlb(cpu);
    }
    soft_set_rflags(cpu, image->flags | (cause == TASK_CALL ? RFLAGS_NT : 0), 0x3fffff);
    cpu->rip = image->ip;
    cpu->ldt = (struct segment){.selector = image->ldt, .attributes = SEGMENT_UNUSABLE};
    for (unsigned i = 0; i < 6; i++)
        cpu->segs[i] = (struct segment){.selector = image->segments[i], .attributes = SEGMENT_UNUSABLE};
    cpu->cpl = soft_v86(cpu) ? 3 : image->segments[SEG_CS] & 3;
    cpu->cr0 |= CR0_TS;
    cpu->dr7 &= ~UINT64_C(0x155); /* local breakpoints are a task's own */
    if (image->trap)
        cpu->pending_db |= DR6_BT;
}

static void load_ldt(struct soft *cpu, uint16_t selector, uint32_t external)
{
    if ((selector & 0xfffc) == 0)
        return;
    uint32_t code = (selector & 0xfffcu) | external;
    if (selector & 4)
        soft_raise_code(cpu, NULL, EXC_TS, code);
    struct descriptor d = soft_read_descriptor(cpu, NULL, selector, EXC_TS, external, false);
    struct segment s = soft_descriptor_segment(&d);
    if ((s.attributes & (SEGMENT_S | SEGMENT_TYPE)) != SEGMENT_TYPE_LDT || !(s.attributes & SEGMENT_P))
        soft_raise_code(cpu, NULL, EXC_TS, code);
    cpu->ldt = s;
}

static void load_code(struct soft *cpu, uint16_t selector, uint32_t external)
{
    uint32_t code = (selector & 0xfffcu) | external;
    if ((selector & 0xfffc) == 0)
        soft_raise_code(cpu, NULL, EXC_TS, code);
    struct descriptor d = soft_read_descriptor(cpu, NULL, selector, EXC_TS, external, false);
    struct segment s = soft_descriptor_segment(&d);
    unsigned dpl = segment_dpl(&s), rpl = selector & 3;
    if (!segment_is_code(&s) || (segment_is_conforming(&s) ? dpl > rpl : dpl != rpl))
        soft_raise_code(cpu, NULL, EXC_TS, code);
    if (!(s.attributes & SEGMENT_P))
        soft_raise_code(cpu, NULL, EXC_NP, code);
    soft_mark_descriptor(cpu, NULL, &d, 1);
    s.attributes |= 1;
    cpu->segs[SEG_CS] = s;
}

/* SDM volume 3, table 8-1, from the LDT on. */
static void load_segments(struct soft *cpu, const struct task_image *image, uint32_t external)
{
    static const uint8_t data[4] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    load_ldt(cpu, image->ldt, external);
    if (soft_v86(cpu)) {
        for (unsigned i = 0; i < 6; i++)
            cpu->segs[i] = soft_real_segment(cpu, &cpu->segs[i], image->segments[i]);
        return;
    }
    load_code(cpu, image->segments[SEG_CS], external);
    cpu->segs[SEG_SS] = soft_stack_segment(cpu, NULL, image->segments[SEG_SS], cpu->cpl, EXC_TS, external);
    for (unsigned i = 0; i < 4; i++)
        if (image->segments[data[i]] & 0xfffc)
            cpu->segs[data[i]] = soft_data_segment(cpu, NULL, image->segments[data[i]], EXC_TS, external);
}

void soft_task_switch(struct soft *cpu, const struct task_switch *s, struct descriptor *new_tss)
{
    struct segment tss = soft_descriptor_segment(new_tss);
    struct task_image image;
    if (tss.limit < format_of(&tss)->least_limit)
        soft_raise_code(cpu, s->u, EXC_TS, (new_tss->selector & 0xfffcu) | s->external);
    probe_writes(cpu, s, new_tss, &tss);
    read_image(cpu, s->u, &tss, &image);
    save_old_task(cpu, s);
    link_tasks(cpu, s, new_tss, &tss);
    cpu->tr = tss;
    cpu->tr.attributes |= 2; /* busy */
    cpu->patch = NULL;
    cpu->delivered = true;
    load_image(cpu, &image, s->cause);
    soft_update_mode(cpu);
    soft_attend(cpu);
    load_segments(cpu, &image, s->external);
    soft_update_mode(cpu);
    if (cpu->rip > cpu->segs[SEG_CS].limit)
        soft_raise_code(cpu, NULL, EXC_GP, s->external);
    if (s->has_code) {
        struct soft_stack stack = soft_current_stack(cpu);
        stack.code = s->external;
        soft_stack_push(cpu, NULL, &stack, image.wide ? 4 : 2, s->code);
        cpu->regs[GPR_RSP] = stack.sp;
    }
}

void soft_task_gate(struct soft *cpu, const struct task_switch *s, uint16_t selector)
{
    uint32_t code = (selector & 0xfffcu) | s->external;
    if ((selector & 4) || (selector & 0xfffc) == 0)
        soft_raise_code(cpu, s->u, EXC_GP, code);
    struct descriptor d = soft_read_descriptor(cpu, s->u, selector, EXC_GP, s->external, false);
    struct segment tss = soft_descriptor_segment(&d);
    unsigned type = tss.attributes & (SEGMENT_S | SEGMENT_TYPE);
    if (type != 1 && type != 9)
        soft_raise_code(cpu, s->u, EXC_GP, code);
    if (!(tss.attributes & SEGMENT_P))
        soft_raise_code(cpu, s->u, EXC_NP, code);
    soft_task_switch(cpu, s, &d);
}

void soft_task_return(struct soft *cpu, const struct uop *u)
{
    struct task_switch s = {
        .u = u, .cause = TASK_RETURN, .return_rip = uop_tail(u)->next_rip, .rflags = soft_rflags(cpu)};
    uint16_t selector = (uint16_t)soft_system_load(cpu, u, at(&cpu->tr, 0), 2);
    uint32_t code = selector & 0xfffcu;
    if ((selector & 4) || code == 0)
        soft_raise_code(cpu, u, EXC_TS, code);
    struct descriptor d = soft_read_descriptor(cpu, u, selector, EXC_TS, 0, false);
    struct segment tss = soft_descriptor_segment(&d);
    unsigned type = tss.attributes & (SEGMENT_S | SEGMENT_TYPE);
    if (type != 3 && type != 11)
        soft_raise_code(cpu, u, EXC_TS, code);
    if (!(tss.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_NP, code);
    soft_task_switch(cpu, &s, &d);
}
