/* Control registers, MSRs, CPUID, TSC; see msr.h. */
#include "vmm/soft/msr.h"

#include "vmm/soft/memory.h"
#include "vmm/soft/soft_engine.h"

#define CR4_ALLOWED                                                                                                    \
    (CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP)

static void fail(struct soft *cpu, const struct uop *u)
{
    soft_raise_code(cpu, u, EXC_GP, 0);
}

/* With PAE paging, writes that (re)load the page-directory-pointer entries check them: SDM volume 3, 4.4.1. */
static void check_pdptes(struct soft *cpu, const struct uop *u, uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
    bool pae = (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(cpu->efer & EFER_LME);
    if (pae && !soft_pdptes_valid(cpu, cr3))
        fail(cpu, u);
}

void soft_write_cr0(struct soft *cpu, const struct uop *u, uint64_t value)
{
    bool paging = value & CR0_PG, was_paging = cpu->cr0 & CR0_PG;
    if (value >> 32 || (paging && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        fail(cpu, u);
    if (paging && !was_paging && (cpu->efer & EFER_LME)) {
        unsigned tss = cpu->tr.attributes & (SEGMENT_S | SEGMENT_TYPE);
        bool tss16 = tss == 1 || tss == 3;
        if (!(cpu->cr4 & CR4_PAE) || (cpu->segs[SEG_CS].attributes & SEGMENT_L) || tss16)
            fail(cpu, u);
    }
    if (!paging && was_paging && soft_64bit(cpu))
        fail(cpu, u);
    uint64_t old = cpu->cr0;
    if ((old ^ value) & (CR0_PG | CR0_CD | CR0_NW))
        check_pdptes(cpu, u, value, cpu->cr3, cpu->cr4);
    cpu->cr0 =
        (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)) | CR0_ET;
    if (paging && (cpu->efer & EFER_LME))
        cpu->efer |= EFER_LMA;
    else if (!paging)
        cpu->efer &= ~(uint64_t)EFER_LMA;
    if ((old ^ cpu->cr0) & (CR0_PG | CR0_WP | CR0_PE))
        soft_flush_tlb(cpu);
    soft_update_mode(cpu);
}

void soft_write_cr3(struct soft *cpu, const struct uop *u, uint64_t value)
{
    if (soft_long_mode(cpu) && value >> PHYSICAL_BITS)
        fail(cpu, u);
    check_pdptes(cpu, u, cpu->cr0, value, cpu->cr4);
    if (value == cpu->cr3)
        return;
    cpu->cr3 = value;
    soft_flush_tlb(cpu);
}

void soft_write_cr4(struct soft *cpu, const struct uop *u, uint64_t value)
{
    if (value & ~(uint64_t)CR4_ALLOWED || (soft_long_mode(cpu) && !(value & CR4_PAE)))
        fail(cpu, u);
    uint64_t old = cpu->cr4;
    if ((old ^ value) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))
        check_pdptes(cpu, u, cpu->cr0, cpu->cr3, value);
    cpu->cr4 = value;
    if ((old ^ value) & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP))
        soft_flush_tlb(cpu);
    soft_update_mode(cpu);
}

enum {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_UCODE_REV = 0x8b,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_PAT = 0x277,
    MSR_TSC_DEADLINE = 0x6e0,
};
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_FMASK          0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

/* Strings are fast; there are neither branch trace stores nor precise events (SDM volume 4, table 2-2). */
#define MISC_ENABLE 0x1801u

#define EFER_ALLOWED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* The registers that just hold a value; `address` when it must be canonical. */
static uint64_t *plain_msr(struct soft *cpu, uint32_t index, bool *address)
{
    *address = false;
    switch (index) {
    case MSR_STAR:
        return &cpu->star;
    case MSR_SYSENTER_CS:
        return &cpu->sysenter_cs;
    case MSR_FMASK:
        return &cpu->fmask;
    case MSR_TSC_ADJUST:
        return &cpu->tsc_adjust;
    default:
        break;
    }
    *address = true;
    switch (index) {
    case MSR_SYSENTER_ESP:
        return &cpu->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &cpu->sysenter_eip;
    case MSR_LSTAR:
        return &cpu->lstar;
    case MSR_CSTAR:
        return &cpu->cstar;
    case MSR_FS_BASE:
        return &cpu->segs[SEG_FS].base;
    case MSR_GS_BASE:
        return &cpu->segs[SEG_GS].base;
    case MSR_KERNEL_GS_BASE:
        return &cpu->kernel_gs_base;
    default:
        return NULL;
    }
}

/* The local APIC has the deadline as guest time: the counter is that plus tsc_adjust. */
bool soft_read_msr(struct soft *cpu, const struct uop *u, uint32_t index, uint64_t *value)
{
    bool address;
    const uint64_t *plain = plain_msr(cpu, index, &address);
    if (plain) {
        *value = *plain;
        return true;
    }
    switch (index) {
    case MSR_TSC:
        *value = soft_tsc(cpu, u);
        return true;
    case MSR_TSC_AUX:
        *value = cpu->tsc_aux;
        return true;
    case MSR_MISC_ENABLE:
        *value = MISC_ENABLE;
        return true;
    case MSR_EFER:
        *value = cpu->efer;
        return true;
    case MSR_PAT:
        *value = cpu->pat;
        return true;
    case MSR_APIC_BASE:
        *value = soft_exit_read(cpu, ENGINE_MSR, index, 8);
        return true;
    case MSR_TSC_DEADLINE:
        *value = soft_exit_read(cpu, ENGINE_MSR, index, 8);
        if (*value)
            *value += cpu->tsc_adjust;
        return true;
    case MSR_PLATFORM_ID:
    case MSR_UCODE_REV:
        *value = 0;
        return true;
    default:
        return false;
    }
}

static bool write_efer(struct soft *cpu, uint64_t value)
{
    if (value & ~(uint64_t)EFER_ALLOWED)
        return false;
    /* Long mode cannot be enabled or disabled while paging is on. */
    if (((value ^ cpu->efer) & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    bool translates = (value ^ cpu->efer) & EFER_NXE;
    cpu->efer = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
    if (translates)
        soft_flush_tlb(cpu);
    soft_update_mode(cpu);
    return true;
}

/* Types 2 and 3, and above 7, do not exist: SDM volume 3, 11.12.2. */
static bool valid_pat(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = (value >> (8 * i)) & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

bool soft_write_msr(struct soft *cpu, const struct uop *u, uint32_t index, uint64_t value)
{
    bool address;
    uint64_t *plain = plain_msr(cpu, index, &address);
    if (plain) {
        if (address && !soft_canonical(value))
            return false;
        *plain = index == MSR_FMASK ? (uint32_t)value : value;
        soft_update_mode(cpu);
        return true;
    }
    switch (index) {
    case MSR_TSC:
        cpu->tsc_adjust += value - soft_tsc(cpu, u);
        return true;
    case MSR_TSC_AUX:
        if (value >> 32)
            return false;
        cpu->tsc_aux = (uint32_t)value;
        return true;
    case MSR_EFER:
        return write_efer(cpu, value);
    case MSR_PAT:
        if (!valid_pat(value))
            return false;
        cpu->pat = value;
        return true;
    case MSR_APIC_BASE:
    case MSR_TSC_DEADLINE:
        soft_exit_write(cpu, ENGINE_MSR, index, 8, value ? value - cpu->tsc_adjust : 0);
        return true;
    case MSR_UCODE_REV:
    case MSR_MISC_ENABLE:
        return true;
    default:
        return false;
    }
}

uint64_t soft_tsc(const struct soft *cpu, const struct uop *u)
{
    const struct engine_host *host = &cpu->engine.host;
    uint64_t ticks = soft_ticks_before(cpu, u);
    return (host->read_time ? host->read_time(host->context, ticks) : ticks) + cpu->tsc_adjust;
}

/* Bits of the feature leaves. */
enum {
    LEAF1_ECX = 1u << 13 /* CMPXCHG16B */ | 1u << 23 /* POPCNT */ | 1u << 24 /* TSC deadline */ | 1u << 30 /* RDRAND */,
    LEAF1_EDX = 1u << 0 /* x87 */ | 1u << 2 /* DE */ | 1u << 3 /* PSE */ | 1u << 4 /* TSC */ | 1u << 5 /* MSR */ |
                1u << 6 /* PAE */ | 1u << 8 /* CMPXCHG8B */ | 1u << 9 /* APIC */ | 1u << 11 /* SYSENTER */ |
                1u << 13 /* PGE */ | 1u << 15 /* CMOV */ | 1u << 16 /* PAT */ | 1u << 19 /* CLFLUSH */ |
                1u << 23 /* MMX */ | 1u << 24 /* FXSR */ | 1u << 25 /* SSE */ | 1u << 26 /* SSE2 */,
    LEAF7_EBX = 1u << 0 /* FSGSBASE */ | 1u << 1 /* TSC_ADJUST */ | 1u << 7 /* SMEP */ | 1u << 18 /* RDSEED */ |
                1u << 20 /* SMAP */,
    EXTENDED_ECX = 1u << 0 /* LAHF in 64-bit mode */,
    EXTENDED_EDX = 1u << 11 /* SYSCALL */ | 1u << 20 /* NX */ | 1u << 27 /* RDTSCP */ | 1u << 29 /* long mode */,
};

/* An in-order model, of which operating systems know that it needs none of the remedies against speculation: those
 * would cost the guest a switch of page tables at each system call. */
#define SIGNATURE    0x000106cau /* family 6, model 28, stepping 10 */
#define TSC_MHZ      (SOFT_ENGINE_CRYSTAL_HZ / 1000000 * SOFT_ENGINE_TSC_RATIO)
#define LEAF_HIGHEST 0x16

static void put_vendor(uint32_t out[4])
{
    memcpy(&out[1], "Genu", 4);
    memcpy(&out[3], "ineI", 4);
    memcpy(&out[2], "ntel", 4);
}

static void cpuid_basic(const struct soft *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)cpu;
    switch (leaf) {
    case 0:
        out[0] = LEAF_HIGHEST;
        put_vendor(out);
        break;
    case 1:
        out[0] = SIGNATURE;
        out[1] = 8u << 8; /* CLFLUSH lines of 64 bytes */
        out[2] = LEAF1_ECX;
        out[3] = LEAF1_EDX;
        break;
    case 7:
        if (subleaf == 0)
            out[1] = LEAF7_EBX;
        break;
    case 0x15: /* the counter's frequency is the crystal's, times EBX / EAX */
        out[0] = 1;
        out[1] = SOFT_ENGINE_TSC_RATIO;
        out[2] = SOFT_ENGINE_CRYSTAL_HZ;
        break;
    case 0x16: /* MHz: the processor's base and maximum, and the bus's */
        out[0] = out[1] = TSC_MHZ;
        out[2] = SOFT_ENGINE_CRYSTAL_HZ / 1000000;
        break;
    default:
        break;
    }
}

static void cpuid_extended(uint32_t leaf, uint32_t out[4])
{
    static const char brand[48] = "Encore soft processor";
    switch (leaf) {
    case 0x80000000:
        out[0] = 0x80000008;
        break;
    case 0x80000001:
        out[2] = EXTENDED_ECX;
        out[3] = EXTENDED_EDX;
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        memcpy(out, brand + 16 * (leaf - 0x80000002), 16);
        break;
    case 0x80000007:
        out[3] = 1u << 8; /* the TSC runs at a constant rate */
        break;
    case 0x80000008:
        out[0] = 48u << 8 | PHYSICAL_BITS;
        break;
    default:
        break;
    }
}

void soft_cpuid(const struct soft *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof *out);
    if (leaf < 0x80000000)
        cpuid_basic(cpu, leaf, subleaf, out);
    else
        cpuid_extended(leaf, out);
}
