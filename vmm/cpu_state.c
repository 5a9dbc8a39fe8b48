/* The processor's state: power-up values and the field list; see cpu_state.h. */
#include "vmm/cpu_state.h"

#include <stdio.h>

#include "base/check.h"

const char *const cpu_gpr_names[CPU_GPRS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                             "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

void cpu_state_reset(struct cpu_state *cpu)
{
    struct segment data = {.limit = 0xffff, .attributes = SEGMENT_P | SEGMENT_S | SEGMENT_TYPE_DATA};
    *cpu = (struct cpu_state){0};
    cpu->gprs[GPR_RDX] = 0x600;
    cpu->rip = 0xfff0;
    cpu->rflags = RFLAGS_FIXED;
    cpu->ds = cpu->es = cpu->fs = cpu->gs = cpu->ss = data;
    /* The first fetch is at 0xfffffff0, 16 bytes below 4 GiB. */
    cpu->cs = (struct segment){.selector = 0xf000,
                               .base = 0xffff0000,
                               .limit = 0xffff,
                               .attributes = SEGMENT_P | SEGMENT_S | SEGMENT_TYPE_CODE};
    cpu->tr = (struct segment){.limit = 0xffff, .attributes = SEGMENT_P | SEGMENT_TYPE_TSS};
    cpu->ldt = (struct segment){.limit = 0xffff, .attributes = SEGMENT_P | SEGMENT_TYPE_LDT};
    cpu->gdtr.limit = 0xffff;
    cpu->idtr.limit = 0xffff;
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu->pat = UINT64_C(0x0007040600070406);
    cpu->dr6 = 0xffff0ff0;
    cpu->dr7 = 0x400;
    /* All x87 registers hold +0.0, tagged zero: none is empty. */
    cpu->fcw = 0x40;
    cpu->ftw = 0xff;
    cpu->mxcsr = 0x1f80;
}

static void visit_segment(struct segment *segment, const char *name, struct state *state)
{
    char field[16];
    snprintf(field, sizeof field, "%s", name);
    state_u16(state, field, &segment->selector);
    snprintf(field, sizeof field, "%s.base", name);
    state_u64(state, field, &segment->base);
    snprintf(field, sizeof field, "%s.limit", name);
    state_u32(state, field, &segment->limit);
    snprintf(field, sizeof field, "%s.attr", name);
    state_u32_max(state, field, &segment->attributes, SEGMENT_ALL);
    state_require(state, (segment->attributes & ~SEGMENT_ALL) == 0, "segment attributes have reserved bits clear");
}

static void visit_table(struct descriptor_table *table, const char *name, struct state *state)
{
    char field[16];
    snprintf(field, sizeof field, "%s.base", name);
    state_u64(state, field, &table->base);
    snprintf(field, sizeof field, "%s.limit", name);
    state_u16(state, field, &table->limit);
}

static void visit_general(struct cpu_state *cpu, struct state *state)
{
    for (unsigned i = 0; i < CPU_GPRS; i++)
        state_u64(state, cpu_gpr_names[i], &cpu->gprs[i]);
    state_u64(state, "rip", &cpu->rip);
    state_u64(state, "rflags", &cpu->rflags);
    state_require(state, cpu->rflags >> 22 == 0 && (cpu->rflags & 0x802a) == RFLAGS_FIXED,
                  "rflags has its reserved bits as the architecture fixes them");
}

static void visit_segments(struct cpu_state *cpu, struct state *state)
{
    visit_segment(&cpu->cs, "cs", state);
    visit_segment(&cpu->ds, "ds", state);
    visit_segment(&cpu->es, "es", state);
    visit_segment(&cpu->fs, "fs", state);
    visit_segment(&cpu->gs, "gs", state);
    visit_segment(&cpu->ss, "ss", state);
    visit_segment(&cpu->tr, "tr", state);
    visit_segment(&cpu->ldt, "ldt", state);
    visit_table(&cpu->gdtr, "gdtr", state);
    visit_table(&cpu->idtr, "idtr", state);
}

static void visit_system(struct cpu_state *cpu, struct state *state)
{
    state_u64(state, "cr0", &cpu->cr0);
    state_u64(state, "cr2", &cpu->cr2);
    state_u64(state, "cr3", &cpu->cr3);
    state_u64(state, "cr4", &cpu->cr4);
    state_u64(state, "cr8", &cpu->cr8);
    state_u64(state, "efer", &cpu->efer);
    state_require(state, cpu->cr0 >> 32 == 0 && cpu->cr4 >> 32 == 0, "cr0 and cr4 fit 32 bits");
    state_require(state, cpu->cr8 <= 15, "cr8 is at most 15");
    state_u64(state, "star", &cpu->star);
    state_u64(state, "lstar", &cpu->lstar);
    state_u64(state, "cstar", &cpu->cstar);
    state_u64(state, "fmask", &cpu->fmask);
    state_u64(state, "kernel_gs_base", &cpu->kernel_gs_base);
    state_u64(state, "sysenter_cs", &cpu->sysenter_cs);
    state_u64(state, "sysenter_esp", &cpu->sysenter_esp);
    state_u64(state, "sysenter_eip", &cpu->sysenter_eip);
    state_u64(state, "pat", &cpu->pat);
    state_u64(state, "tsc_adjust", &cpu->tsc_adjust);
    state_u32(state, "tsc_aux", &cpu->tsc_aux);
    state_u64(state, "dr0", &cpu->dr[0]);
    state_u64(state, "dr1", &cpu->dr[1]);
    state_u64(state, "dr2", &cpu->dr[2]);
    state_u64(state, "dr3", &cpu->dr[3]);
    state_u64(state, "dr6", &cpu->dr6);
    state_u64(state, "dr7", &cpu->dr7);
}

static void visit_floating_point(struct cpu_state *cpu, struct state *state)
{
    char field[16];
    state_u16(state, "fcw", &cpu->fcw);
    state_u16(state, "fsw", &cpu->fsw);
    state_u8(state, "ftw", &cpu->ftw);
    /* Loading an MXCSR with a reserved bit set is a fault (SDM volume 1, 10.2.3), on the host too. */
    state_u32_max(state, "mxcsr", &cpu->mxcsr, 0xffff);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(field, sizeof field, "st%u", i);
        state_bytes(state, field, cpu->st[i], sizeof cpu->st[i]);
    }
    for (unsigned i = 0; i < 16; i++) {
        snprintf(field, sizeof field, "xmm%u", i);
        state_bytes(state, field, cpu->xmm[i], sizeof cpu->xmm[i]);
    }
}

void cpu_state_visit(struct cpu_state *cpu, struct state *state)
{
    state_section(state, "cpu", 2);
    visit_general(cpu, state);
    visit_segments(cpu, state);
    visit_system(cpu, state);
    visit_floating_point(cpu, state);
    state_bool(state, "halted", &cpu->halted);
    state_bool(state, "interrupt_shadow", &cpu->interrupt_shadow);
    state_bool(state, "shadow_of_ss", &cpu->shadow_of_ss);
    state_require(state, cpu->interrupt_shadow || !cpu->shadow_of_ss, "a shadow of MOV SS is a shadow");
    state_u64(state, "pending_debug", &cpu->pending_debug);
    state_require(state, (cpu->pending_debug & ~UINT64_C(0xe00f)) == 0, "pending_debug has bits of DR6");
    state_bool(state, "nmi_blocked", &cpu->nmi_blocked);
}

struct digest cpu_state_digest(const struct cpu_state *cpu)
{
    struct bytes_writer saved = bytes_writer(4096);
    struct state state = state_save(&saved);
    struct cpu_state copy = *cpu; /* visitors take what they might restore into */
    struct error error;

    cpu_state_visit(&copy, &state);
    CHECK(state_end(&state, &error) == 0);
    struct digest digest = digest_of(saved.data, saved.length, 0);
    bytes_writer_free(&saved);
    return digest;
}
