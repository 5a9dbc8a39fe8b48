/*
 * The architectural state of one x86-64 processor, in canonical form.
 *
 * Two processors that would execute alike from here on have equal structs, whatever engine they come from: an engine
 * translates to and from this. What belongs to the host or what the architecture leaves undefined stays out. The time
 * stamp counter itself is guest time, which the machine has; what the guest added to it is here.
 *
 * References are to the Intel SDM, volume 3.
 */
#ifndef ENCORE_VMM_CPU_STATE_H
#define ENCORE_VMM_CPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "vmm/state.h"

/* Index into gprs: the number by which instructions encode the register. */
enum cpu_gpr {
    GPR_RAX,
    GPR_RCX,
    GPR_RDX,
    GPR_RBX,
    GPR_RSP,
    GPR_RBP,
    GPR_RSI,
    GPR_RDI,
    GPR_R8,
    GPR_R9,
    GPR_R10,
    GPR_R11,
    GPR_R12,
    GPR_R13,
    GPR_R14,
    GPR_R15,
    CPU_GPRS
};

/* Their names, in that order. */
extern const char *const cpu_gpr_names[CPU_GPRS];

/* Segment attributes: the access-rights format of the VMCS, SDM 24.4.1, table 24-2. */
#define SEGMENT_TYPE     0x0000fu /* bits 0-3 */
#define SEGMENT_S        0x00010u /* code or data, not system */
#define SEGMENT_DPL      0x00060u /* bits 5-6 */
#define SEGMENT_P        0x00080u /* present */
#define SEGMENT_AVL      0x01000u
#define SEGMENT_L        0x02000u /* 64-bit code */
#define SEGMENT_DB       0x04000u
#define SEGMENT_G        0x08000u
#define SEGMENT_UNUSABLE 0x10000u /* as after loading a null selector */
#define SEGMENT_ALL      0x1f0ffu /* every bit that may be set */

#define SEGMENT_DPL_SHIFT 5

/* Types, SDM 3.4.5.1 and 3.5; all "accessed" or "busy", as a loaded segment is. */
#define SEGMENT_TYPE_DATA 0x3u /* read, write, accessed */
#define SEGMENT_TYPE_CODE 0xbu /* execute, read, accessed */
#define SEGMENT_TYPE_LDT  0x2u
#define SEGMENT_TYPE_TSS  0xbu /* busy 32-bit or 64-bit TSS */

struct segment {
    uint16_t selector;
    uint64_t base;
    uint32_t limit; /* in bytes: scaled already where G is set */
    uint32_t attributes;
};

struct descriptor_table {
    uint64_t base;
    uint16_t limit;
};

#define CR0_PE         0x00000001u
#define CR0_MP         0x00000002u
#define CR0_EM         0x00000004u
#define CR0_TS         0x00000008u
#define CR0_ET         0x00000010u
#define CR0_NE         0x00000020u
#define CR0_WP         0x00010000u
#define CR0_AM         0x00040000u
#define CR0_NW         0x20000000u
#define CR0_CD         0x40000000u
#define CR0_PG         0x80000000u
#define CR4_PSE        0x00000010u
#define CR4_PAE        0x00000020u
#define CR4_OSFXSR     0x00000200u
#define CR4_OSXMMEXCPT 0x00000400u
#define EFER_SCE       0x00000001u
#define EFER_LME       0x00000100u
#define EFER_LMA       0x00000400u
#define EFER_NXE       0x00000800u
#define RFLAGS_FIXED   0x00000002u /* bit 1 reads as one */
#define RFLAGS_TF      0x00000100u
#define RFLAGS_IF      0x00000200u

struct cpu_state {
    uint64_t gprs[CPU_GPRS];
    uint64_t rip;
    uint64_t rflags;
    struct segment cs, ds, es, fs, gs, ss, tr, ldt;
    struct descriptor_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t cr8; /* the task priority, 0 to 15 */
    uint64_t efer;
    uint64_t star, lstar, cstar, fmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat;
    uint64_t tsc_adjust; /* IA32_TSC_ADJUST: the counter less guest time. 0 where the counter is the host's */
    uint32_t tsc_aux;    /* IA32_TSC_AUX, as far as it has a meaning */
    uint64_t dr[4];
    uint64_t dr6, dr7;
    uint16_t fcw, fsw;
    uint8_t ftw; /* abridged, as FXSAVE stores it: bit n set when physical register n is not empty */
    uint32_t mxcsr;
    uint8_t st[8][10]; /* ST(0) first, as FXSAVE stores them */
    uint8_t xmm[16][16];
    bool halted;            /* in HLT, waiting for an interrupt */
    bool interrupt_shadow;  /* one instruction after STI, MOV SS or POP SS */
    bool shadow_of_ss;      /* and it is that of MOV SS or POP SS, which holds off debug exceptions too */
    uint64_t pending_debug; /* DR6's bits of a debug trap that is held off: SDM 17.3.1.1. 0 where it cannot be known */
    bool nmi_blocked;       /* between an NMI's delivery and the next IRET */
};

/* The state after power-up, SDM 9.1.1, table 9-1. EDX, which tells the stepping of a real processor, is 0x600. */
void cpu_state_reset(struct cpu_state *cpu);

/* The field list, section "cpu". */
void cpu_state_visit(struct cpu_state *cpu, struct state *state);

/* The digest of the whole state. */
struct digest cpu_state_digest(const struct cpu_state *cpu);

#endif
