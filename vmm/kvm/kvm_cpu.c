/*
 * The processor's state, between KVM's structs and struct cpu_state.
 *
 * Reading gives the canonical form: what a null segment's hidden part holds differs between Intel, AMD and emulators
 * and has no effect (SDM vol. 3, 3.4.2), so it reads as zero; the x87 last-instruction pointers are left out, since
 * processors differ in when they are kept. The time stamp counter is the host's, and IA32_TSC_ADJUST with it: what the
 * guest adds to it would be the host's time again.
 */
#include "vmm/kvm/kvm_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"

/* KVM's registers by the number that instructions use. */
static const size_t gpr_offsets[CPU_GPRS] = {
    offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx), offsetof(struct kvm_regs, rdx),
    offsetof(struct kvm_regs, rbx), offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
    offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi), offsetof(struct kvm_regs, r8),
    offsetof(struct kvm_regs, r9),  offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
    offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13), offsetof(struct kvm_regs, r14),
    offsetof(struct kvm_regs, r15),
};

struct cpu_msr {
    uint32_t index;
    size_t field;
};

static const struct cpu_msr cpu_msrs[] = {
    {0xc0000081, offsetof(struct cpu_state, star)},
    {0xc0000082, offsetof(struct cpu_state, lstar)},
    {0xc0000083, offsetof(struct cpu_state, cstar)},
    {0xc0000084, offsetof(struct cpu_state, fmask)},
    {0xc0000102, offsetof(struct cpu_state, kernel_gs_base)},
    {0x174, offsetof(struct cpu_state, sysenter_cs)},
    {0x175, offsetof(struct cpu_state, sysenter_esp)},
    {0x176, offsetof(struct cpu_state, sysenter_eip)},
    {0x277, offsetof(struct cpu_state, pat)},
};
#define CPU_MSRS (sizeof cpu_msrs / sizeof cpu_msrs[0])

struct msr_list {
    struct kvm_msrs header;
    struct kvm_msr_entry entries[CPU_MSRS];
};

static struct segment segment_from_kvm(const struct kvm_segment *from, bool base_lives)
{
    struct segment segment = {.selector = from->selector, .base = from->base, .limit = from->limit};

    if (from->unusable || !from->present) {
        segment.limit = 0;
        segment.attributes = SEGMENT_UNUSABLE;
        if (!base_lives)
            segment.base = 0;
        return segment;
    }
    segment.attributes = (from->type & 0xfu) | (from->s ? SEGMENT_S : 0) | (uint32_t)from->dpl << SEGMENT_DPL_SHIFT |
                         SEGMENT_P | (from->avl ? SEGMENT_AVL : 0) | (from->l ? SEGMENT_L : 0) |
                         (from->db ? SEGMENT_DB : 0) | (from->g ? SEGMENT_G : 0);
    return segment;
}

static struct kvm_segment segment_to_kvm(const struct segment *from)
{
    uint32_t attributes = from->attributes;

    return (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = attributes & SEGMENT_TYPE,
        .present = !!(attributes & SEGMENT_P),
        .dpl = (attributes & SEGMENT_DPL) >> SEGMENT_DPL_SHIFT,
        .db = !!(attributes & SEGMENT_DB),
        .s = !!(attributes & SEGMENT_S),
        .l = !!(attributes & SEGMENT_L),
        .g = !!(attributes & SEGMENT_G),
        .avl = !!(attributes & SEGMENT_AVL),
        .unusable = !!(attributes & SEGMENT_UNUSABLE),
    };
}

static int get_general(struct kvm_engine *kvm, struct cpu_state *cpu, struct error *error)
{
    struct kvm_regs regs;

    if (ioctl(kvm->vcpu_fd, KVM_GET_REGS, &regs) < 0)
        return error_errno(error, "KVM_GET_REGS");
    for (unsigned i = 0; i < CPU_GPRS; i++)
        memcpy(&cpu->gprs[i], (const uint8_t *)&regs + gpr_offsets[i], 8);
    cpu->rip = regs.rip;
    cpu->rflags = regs.rflags;
    /* KVM sets RF where it hands a fault to the guest, and at a triple fault leaves it so. */
    if (kvm->run->exit_reason == KVM_EXIT_SHUTDOWN)
        cpu->rflags &= ~UINT64_C(0x10000);
    return 0;
}

static int set_general(struct kvm_engine *kvm, const struct cpu_state *cpu, struct error *error)
{
    struct kvm_regs regs = {.rip = cpu->rip, .rflags = cpu->rflags};

    for (unsigned i = 0; i < CPU_GPRS; i++)
        memcpy((uint8_t *)&regs + gpr_offsets[i], &cpu->gprs[i], 8);
    if (ioctl(kvm->vcpu_fd, KVM_SET_REGS, &regs) < 0)
        return error_errno(error, "KVM_SET_REGS");
    return 0;
}

static int get_system(struct kvm_engine *kvm, struct cpu_state *cpu, struct error *error)
{
    struct kvm_sregs sregs;

    if (ioctl(kvm->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return error_errno(error, "KVM_GET_SREGS");
    cpu->cs = segment_from_kvm(&sregs.cs, false);
    cpu->ds = segment_from_kvm(&sregs.ds, false);
    cpu->es = segment_from_kvm(&sregs.es, false);
    cpu->ss = segment_from_kvm(&sregs.ss, false);
    /* In 64-bit mode FS and GS have a base even when their selector is null. */
    cpu->fs = segment_from_kvm(&sregs.fs, true);
    cpu->gs = segment_from_kvm(&sregs.gs, true);
    cpu->tr = segment_from_kvm(&sregs.tr, false);
    cpu->ldt = segment_from_kvm(&sregs.ldt, false);
    cpu->gdtr = (struct descriptor_table){.base = sregs.gdt.base, .limit = sregs.gdt.limit};
    cpu->idtr = (struct descriptor_table){.base = sregs.idt.base, .limit = sregs.idt.limit};
    cpu->cr0 = sregs.cr0;
    cpu->cr2 = sregs.cr2;
    cpu->cr3 = sregs.cr3;
    cpu->cr4 = sregs.cr4;
    cpu->cr8 = sregs.cr8;
    cpu->efer = sregs.efer;
    return 0;
}

static int set_system(struct kvm_engine *kvm, const struct cpu_state *cpu, struct error *error)
{
    struct kvm_sregs sregs;

    if (ioctl(kvm->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return error_errno(error, "KVM_GET_SREGS");
    sregs.cs = segment_to_kvm(&cpu->cs);
    sregs.ds = segment_to_kvm(&cpu->ds);
    sregs.es = segment_to_kvm(&cpu->es);
    sregs.ss = segment_to_kvm(&cpu->ss);
    sregs.fs = segment_to_kvm(&cpu->fs);
    sregs.gs = segment_to_kvm(&cpu->gs);
    sregs.tr = segment_to_kvm(&cpu->tr);
    sregs.ldt = segment_to_kvm(&cpu->ldt);
    sregs.gdt.base = cpu->gdtr.base;
    sregs.gdt.limit = cpu->gdtr.limit;
    sregs.idt.base = cpu->idtr.base;
    sregs.idt.limit = cpu->idtr.limit;
    sregs.cr0 = cpu->cr0;
    sregs.cr2 = cpu->cr2;
    sregs.cr3 = cpu->cr3;
    sregs.cr4 = cpu->cr4;
    sregs.cr8 = cpu->cr8;
    sregs.efer = cpu->efer;
    memset(sregs.interrupt_bitmap, 0, sizeof sregs.interrupt_bitmap);
    if (ioctl(kvm->vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
        return error_errno(error, "KVM_SET_SREGS: KVM does not accept this processor state");
    /* Without an interrupt controller in the kernel, KVM_RUN takes CR8 from here, and not from what was just set. */
    kvm->run->cr8 = cpu->cr8;
    return 0;
}

static void list_msrs(struct msr_list *list)
{
    *list = (struct msr_list){.header.nmsrs = CPU_MSRS};
    for (unsigned i = 0; i < CPU_MSRS; i++)
        list->entries[i].index = cpu_msrs[i].index;
}

static int get_msrs(struct kvm_engine *kvm, struct cpu_state *cpu, struct error *error)
{
    struct msr_list list;

    list_msrs(&list);
    if (ioctl(kvm->vcpu_fd, KVM_GET_MSRS, &list) != (int)CPU_MSRS)
        return error_set(error, ERROR_HOST, "KVM_GET_MSRS does not give the registers that every x86-64 has");
    for (unsigned i = 0; i < CPU_MSRS; i++)
        memcpy((uint8_t *)cpu + cpu_msrs[i].field, &list.entries[i].data, 8);
    return 0;
}

static int set_msrs(struct kvm_engine *kvm, const struct cpu_state *cpu, struct error *error)
{
    struct msr_list list;

    list_msrs(&list);
    for (unsigned i = 0; i < CPU_MSRS; i++)
        memcpy(&list.entries[i].data, (const uint8_t *)cpu + cpu_msrs[i].field, 8);
    int done = ioctl(kvm->vcpu_fd, KVM_SET_MSRS, &list);
    if (done != (int)CPU_MSRS)
        return error_set(error, ERROR_HOST, "KVM_SET_MSRS does not accept MSR 0x%x",
                         done >= 0 ? list.entries[done].index : list.entries[0].index);
    return 0;
}

/* Not every KVM has IA32_TSC_AUX. Where it is missing the guest cannot have set it either. */
#define MSR_TSC_AUX 0xc0000103u

static void get_tsc_aux(struct kvm_engine *kvm, struct cpu_state *cpu)
{
    struct msr_list list = {.header.nmsrs = 1, .entries[0].index = MSR_TSC_AUX};

    if (ioctl(kvm->vcpu_fd, KVM_GET_MSRS, &list) == 1)
        cpu->tsc_aux = (uint32_t)list.entries[0].data;
}

static int set_tsc_aux(struct kvm_engine *kvm, const struct cpu_state *cpu, struct error *error)
{
    struct msr_list list = {.header.nmsrs = 1, .entries[0] = {.index = MSR_TSC_AUX, .data = cpu->tsc_aux}};

    if (ioctl(kvm->vcpu_fd, KVM_SET_MSRS, &list) != 1 && cpu->tsc_aux)
        return error_set(error, ERROR_HOST, "KVM_SET_MSRS does not accept IA32_TSC_AUX, which this guest has set");
    return 0;
}

/* The XSAVE area begins with an FXSAVE image (SDM vol. 1, 10.5.1 and 13.4.1). KVM_GET_FPU would do, but for MXCSR: its
 * struct has the field, and KVM passes it over in both directions. */
enum fxsave_offset {
    FXSAVE_FCW = 0,
    FXSAVE_FSW = 2,
    FXSAVE_FTW = 4,
    FXSAVE_MXCSR = 24,
    FXSAVE_ST = 32,
    FXSAVE_XMM = 160,
    XSAVE_XSTATE_BV = 512,
};
#define FXSAVE_ST_STRIDE 16
#define XSTATE_X87_SSE   3u

static int get_fpu(struct kvm_engine *kvm, struct cpu_state *cpu, struct error *error)
{
    struct kvm_xsave xsave;
    const uint8_t *image = (const uint8_t *)xsave.region;

    if (ioctl(kvm->vcpu_fd, KVM_GET_XSAVE, &xsave) < 0)
        return error_errno(error, "KVM_GET_XSAVE");
    cpu->fcw = (uint16_t)bytes_load(image + FXSAVE_FCW, 2);
    cpu->fsw = (uint16_t)bytes_load(image + FXSAVE_FSW, 2);
    cpu->ftw = image[FXSAVE_FTW];
    cpu->mxcsr = (uint32_t)bytes_load(image + FXSAVE_MXCSR, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->st[i], image + FXSAVE_ST + i * FXSAVE_ST_STRIDE, sizeof cpu->st[i]);
    memcpy(cpu->xmm, image + FXSAVE_XMM, sizeof cpu->xmm);
    return 0;
}

static int set_fpu(struct kvm_engine *kvm, const struct cpu_state *cpu, struct error *error)
{
    struct kvm_xsave xsave = {0};
    uint8_t *image = (uint8_t *)xsave.region;

    bytes_store(image + FXSAVE_FCW, 2, cpu->fcw);
    bytes_store(image + FXSAVE_FSW, 2, cpu->fsw);
    image[FXSAVE_FTW] = cpu->ftw;
    bytes_store(image + FXSAVE_MXCSR, 4, cpu->mxcsr);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image + FXSAVE_ST + i * FXSAVE_ST_STRIDE, cpu->st[i], sizeof cpu->st[i]);
    memcpy(image + FXSAVE_XMM, cpu->xmm, sizeof cpu->xmm);
    bytes_store(image + XSAVE_XSTATE_BV, 8, XSTATE_X87_SSE);
    if (ioctl(kvm->vcpu_fd, KVM_SET_XSAVE, &xsave) < 0)
        return error_errno(error, "KVM_SET_XSAVE");
    return 0;
}

static int get_debug_and_events(struct kvm_engine *kvm, struct cpu_state *cpu, struct error *error)
{
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;

    if (ioctl(kvm->vcpu_fd, KVM_GET_DEBUGREGS, &debug) < 0)
        return error_errno(error, "KVM_GET_DEBUGREGS");
    memcpy(cpu->dr, debug.db, sizeof cpu->dr);
    cpu->dr6 = debug.dr6;
    cpu->dr7 = debug.dr7;
    if (ioctl(kvm->vcpu_fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return error_errno(error, "KVM_GET_VCPU_EVENTS");
    cpu->interrupt_shadow = events.interrupt.shadow != 0;
    cpu->shadow_of_ss = events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
    cpu->nmi_blocked = events.nmi.masked != 0;
    return 0;
}

static int set_debug_and_events(struct kvm_engine *kvm, const struct cpu_state *cpu, struct error *error)
{
    struct kvm_debugregs debug = {.dr6 = cpu->dr6, .dr7 = cpu->dr7};
    struct kvm_vcpu_events events = {.flags = KVM_VCPUEVENT_VALID_SHADOW};

    memcpy(debug.db, cpu->dr, sizeof cpu->dr);
    if (ioctl(kvm->vcpu_fd, KVM_SET_DEBUGREGS, &debug) < 0)
        return error_errno(error, "KVM_SET_DEBUGREGS");
    if (cpu->interrupt_shadow)
        events.interrupt.shadow = cpu->shadow_of_ss ? KVM_X86_SHADOW_INT_MOV_SS : KVM_X86_SHADOW_INT_STI;
    events.nmi.masked = cpu->nmi_blocked;
    if (ioctl(kvm->vcpu_fd, KVM_SET_VCPU_EVENTS, &events) < 0)
        return error_errno(error, "KVM_SET_VCPU_EVENTS");
    return 0;
}

int kvm_get_cpu(struct engine *engine, struct cpu_state *cpu, struct error *error)
{
    struct kvm_engine *kvm = kvm_of(engine);

    *cpu = (struct cpu_state){0};
    if (get_general(kvm, cpu, error) < 0 || get_system(kvm, cpu, error) < 0 || get_msrs(kvm, cpu, error) < 0 ||
        get_fpu(kvm, cpu, error) < 0 || get_debug_and_events(kvm, cpu, error) < 0)
        return -1;
    get_tsc_aux(kvm, cpu);
    cpu->halted = engine->halted;
    return 0;
}

int kvm_set_cpu(struct engine *engine, const struct cpu_state *cpu, uint64_t ticks, struct error *error)
{
    struct kvm_engine *kvm = kvm_of(engine);

    if (set_system(kvm, cpu, error) < 0 || set_msrs(kvm, cpu, error) < 0 || set_fpu(kvm, cpu, error) < 0 ||
        set_general(kvm, cpu, error) < 0 || set_debug_and_events(kvm, cpu, error) < 0 ||
        set_tsc_aux(kvm, cpu, error) < 0)
        return -1;
    engine->halted = cpu->halted;
    engine->halted_for_good = cpu->halted && !(cpu->rflags & RFLAGS_IF);
    kvm->entered = false;
    kvm->synced = false;
    kvm->at_exit = engine->halted || engine->exits == 0;
    kvm->incomplete = false;
    kvm->injected = false;
    return engine->caps.ticks ? kvm_counter_set(&kvm->counter, ticks, error) : 0;
}
