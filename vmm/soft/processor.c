/*
 * The processor's state to and from its canonical form, and what is derived from it.
 */
#include "vmm/soft/engine_ops.h"
#include "vmm/soft/flags.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/segment.h"

uint64_t soft_ticks(const struct soft *cpu)
{
    /* In a host call the instruction that makes it is charged, but not complete. */
    return cpu->limit - (uint64_t)cpu->left - cpu->in_exit;
}

static bool flat(const struct segment *s)
{
    return s->base == 0 && s->limit == 0xffffffff && !(s->attributes & SEGMENT_UNUSABLE);
}

static bool flat_data(const struct segment *s)
{
    return flat(s) && segment_is_writable(s) && !(segment_type(s) & TYPE_EXPANDDOWN);
}

static uint32_t segment_mode(const struct soft *cpu)
{
    const struct segment *cs = &cpu->segs[SEG_CS], *ss = &cpu->segs[SEG_SS];
    if (soft_long_mode(cpu) && (cs->attributes & SEGMENT_L))
        return MODE_64;
    uint32_t mode = cs->attributes & SEGMENT_DB ? MODE_32 : MODE_16;
    mode |= ss->attributes & SEGMENT_DB ? MODE_STACK32 : MODE_STACK16;
    bool all_flat = soft_protected(cpu) && flat(cs) && (segment_type(cs) & TYPE_WRITABLE) && flat_data(ss) &&
                    flat_data(&cpu->segs[SEG_DS]) && flat_data(&cpu->segs[SEG_ES]);
    /* With a 16-bit code segment IP must wrap at 64 KiB: leave that to the checked way. */
    return mode | (all_flat && (mode & MODE_32) ? MODE_FLAT : 0);
}

void soft_update_mode(struct soft *cpu)
{
    uint32_t mode = segment_mode(cpu);
    mode |= cpu->cpl << MODE_CPL_SHIFT;
    if (soft_protected(cpu))
        mode |= MODE_PROTECTED;
    if (cpu->breaks.code)
        mode |= MODE_BREAKS;
    if (cpu->observed.blocks)
        mode |= MODE_OBSERVED;
    cpu->mode = mode;
    bool wide = (mode & MODE_BITS) == MODE_64;
    for (unsigned i = 0; i < 6; i++)
        cpu->seg_base[i] = wide && i < SEG_FS ? 0 : cpu->segs[i].base;
    cpu->seg_base[SEG_NONE] = 0;
    cpu->linear_mask = soft_long_mode(cpu) ? UINT64_MAX : 0xffffffff;
    if (cpu->cpl == 3)
        cpu->tlb = &cpu->tlbs[TLB_USER];
    else
        cpu->tlb = &cpu->tlbs[cpu->rflags & RFLAGS_AC ? TLB_SUPERVISOR_AC : TLB_SUPERVISOR];
    bool data_breakpoints = false;
    for (unsigned i = 0; i < 4; i++)
        data_breakpoints |= ((cpu->dr7 >> (2 * i)) & 3) && ((cpu->dr7 >> (16 + 4 * i)) & 1);
    bool alignment = (cpu->cr0 & CR0_AM) && (cpu->rflags & RFLAGS_AC) && cpu->cpl == 3;
    bool no_tlb = data_breakpoints || alignment;
    if (no_tlb && !cpu->no_tlb)
        soft_flush_tlb(cpu);
    cpu->no_tlb = no_tlb;
}

static void get_fx(const struct soft *cpu, struct cpu_state *state)
{
    state->fcw = cpu->fx.fcw;
    state->fsw = cpu->fx.fsw;
    state->ftw = cpu->fx.ftw;
    state->mxcsr = cpu->fx.mxcsr;
    for (unsigned i = 0; i < 8; i++)
        memcpy(state->st[i], cpu->fx.st[i], 10);
    memcpy(state->xmm, cpu->fx.xmm, sizeof state->xmm);
}

static void set_fx(struct soft *cpu, const struct cpu_state *state)
{
    memset(&cpu->fx, 0, sizeof cpu->fx);
    cpu->fx.fcw = state->fcw;
    cpu->fx.fsw = state->fsw;
    cpu->fx.ftw = state->ftw;
    cpu->fx.mxcsr = state->mxcsr & 0xffff;
    cpu->fx.mxcsr_mask = 0xffff;
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->fx.st[i], state->st[i], 10);
    memcpy(cpu->fx.xmm, state->xmm, sizeof state->xmm);
    fx_settle(&cpu->fx);
}

int soft_get_cpu(struct engine *engine, struct cpu_state *state, struct error *error)
{
    struct soft *cpu = (struct soft *)engine;
    (void)error;
    soft_x87_settle(cpu);
    *state = (struct cpu_state){
        .rip = cpu->rip,
        .rflags = soft_rflags(cpu),
        .cs = cpu->segs[SEG_CS],
        .ds = cpu->segs[SEG_DS],
        .es = cpu->segs[SEG_ES],
        .fs = cpu->segs[SEG_FS],
        .gs = cpu->segs[SEG_GS],
        .ss = cpu->segs[SEG_SS],
        .tr = cpu->tr,
        .ldt = cpu->ldt,
        .gdtr = cpu->gdtr,
        .idtr = cpu->idtr,
        .cr0 = cpu->cr0,
        .cr2 = cpu->cr2,
        .cr3 = cpu->cr3,
        .cr4 = cpu->cr4,
        .cr8 = cpu->cr8,
        .efer = cpu->efer,
        .star = cpu->star,
        .lstar = cpu->lstar,
        .cstar = cpu->cstar,
        .fmask = cpu->fmask,
        .kernel_gs_base = cpu->kernel_gs_base,
        .sysenter_cs = cpu->sysenter_cs,
        .sysenter_esp = cpu->sysenter_esp,
        .sysenter_eip = cpu->sysenter_eip,
        .pat = cpu->pat,
        .tsc_adjust = cpu->tsc_adjust,
        .tsc_aux = cpu->tsc_aux,
        .dr6 = cpu->dr6,
        .dr7 = cpu->dr7,
        .halted = engine->halted,
        .interrupt_shadow = cpu->shadow,
        .shadow_of_ss = cpu->shadow_ss,
        .pending_debug = cpu->pending_db,
        .nmi_blocked = cpu->nmi_blocked,
    };
    memcpy(state->gprs, cpu->regs, sizeof state->gprs);
    memcpy(state->dr, cpu->dr, sizeof state->dr);
    get_fx(cpu, state);
    return 0;
}

static void set_system(struct soft *cpu, const struct cpu_state *state)
{
    cpu->cr0 = state->cr0;
    cpu->cr2 = state->cr2;
    cpu->cr3 = state->cr3;
    cpu->cr4 = state->cr4;
    cpu->cr8 = state->cr8;
    cpu->efer = state->efer;
    cpu->star = state->star;
    cpu->lstar = state->lstar;
    cpu->cstar = state->cstar;
    cpu->fmask = state->fmask;
    cpu->kernel_gs_base = state->kernel_gs_base;
    cpu->sysenter_cs = state->sysenter_cs;
    cpu->sysenter_esp = state->sysenter_esp;
    cpu->sysenter_eip = state->sysenter_eip;
    cpu->pat = state->pat;
    cpu->tsc_adjust = state->tsc_adjust;
    cpu->tsc_aux = state->tsc_aux;
    memcpy(cpu->dr, state->dr, sizeof cpu->dr);
    cpu->dr6 = state->dr6;
    cpu->dr7 = state->dr7;
}

int soft_set_cpu(struct engine *engine, const struct cpu_state *state, uint64_t ticks, struct error *error)
{
    struct soft *cpu = (struct soft *)engine;
    (void)error;
    memcpy(cpu->regs, state->gprs, sizeof state->gprs);
    cpu->regs[REG_NONE] = 0;
    cpu->rip = state->rip;
    cpu->segs[SEG_CS] = state->cs;
    cpu->segs[SEG_DS] = state->ds;
    cpu->segs[SEG_ES] = state->es;
    cpu->segs[SEG_FS] = state->fs;
    cpu->segs[SEG_GS] = state->gs;
    cpu->segs[SEG_SS] = state->ss;
    cpu->tr = state->tr;
    cpu->ldt = state->ldt;
    cpu->gdtr = state->gdtr;
    cpu->idtr = state->idtr;
    set_system(cpu, state);
    set_fx(cpu, state);
    flags_set(cpu, state->rflags);
    cpu->rflags = (state->rflags & 0x3fffff & ~(uint64_t)(RFLAGS_STATUS | 0x8028)) | RFLAGS_FIXED;
    /* The privilege level is the DPL of SS; in real mode it is 0, in virtual-8086 mode 3 (SDM volume 3, 5.5). */
    cpu->cpl = !(cpu->cr0 & CR0_PE) ? 0 : soft_v86(cpu) ? 3 : segment_dpl(&cpu->segs[SEG_SS]);
    engine->halted = state->halted;
    engine->halted_for_good = state->halted && !(state->rflags & RFLAGS_IF);
    cpu->halting = false;
    cpu->shadow = state->interrupt_shadow;
    cpu->shadow_ss = state->shadow_of_ss;
    cpu->nmi_blocked = state->nmi_blocked;
    cpu->pending_db = state->pending_debug;
    cpu->alone = false;
    cpu->breaks.found = cpu->breaks.told = false;
    cpu->patch = NULL;
    cpu->left = 0;
    cpu->limit = ticks;
    /* The boundary after HLT, and the one before the first instruction, are named by their exits. */
    bool at_exit = state->halted || engine->exits == 0;
    cpu->exit_number = at_exit ? engine->exits : UINT64_MAX;
    cpu->exit_ticks = ticks;
    soft_drop_all(cpu);
    for (unsigned i = 0; i < TLB_COUNT; i++)
        cpu->tlbs[i].used = true;
    soft_flush_tlb(cpu);
    soft_update_mode(cpu);
    return 0;
}
