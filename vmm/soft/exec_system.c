/*
 * System instructions: control and debug registers, model-specific registers, CPUID, and what else only matters to an
 * operating system (SDM volume 2). Segments and descriptors have a file of their own, exec_descriptor.c.
 */
#include "vmm/soft/msr.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/segment.h"

static uint64_t here(const struct uop *u)
{
    return uop_tail(u)->next_rip;
}

UOP_BODY(bound)
{
    uint64_t linear = soft_address(cpu, u, 2 * u->size, ACCESS_READ);
    int64_t index = sign_extend(reg_get(cpu, u->src, u->size), u->size);
    int64_t low = sign_extend(soft_load(cpu, u, linear, u->size), u->size);
    int64_t high = sign_extend(soft_load(cpu, u, linear + u->size, u->size), u->size);
    if (index < low || index > high)
        soft_raise(cpu, u, EXC_BR);
}

UOP_BODY(smsw)
{
    if (u->flags & UF_MEMORY)
        soft_store(cpu, u, soft_address(cpu, u, 2, ACCESS_WRITE), 2, cpu->cr0 & 0xffff);
    else
        reg_set(cpu, u->dst, u->size, cpu->cr0);
}

/* LMSW sets PE MP EM TS, and cannot clear PE. */
static UOP(lmsw)
{
    uint64_t value = rm_get_size(cpu, u, 2);
    uint64_t cr0 = (cpu->cr0 & ~UINT64_C(14)) | (value & 15);
    soft_write_cr0(cpu, u, cr0);
    soft_stop_after(cpu, here(u));
}

/* Translations are never stale (see soft.h), so there is nothing to invalidate. */
static UOP(invlpg)
{
    NEXT();
}

static UOP(clts)
{
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    NEXT();
}

UOP_BODY(swapgs)
{
    uint64_t base = cpu->segs[SEG_GS].base;
    cpu->segs[SEG_GS].base = cpu->seg_base[SEG_GS] = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
}

static void set_ac(struct soft *cpu, const struct uop *u, bool ac)
{
    if (!(soft_protected(cpu)))
        soft_raise(cpu, u, EXC_UD);
    cpu->rflags = (cpu->rflags & ~(uint64_t)RFLAGS_AC) | (ac ? RFLAGS_AC : 0);
    soft_update_mode(cpu);
}

static UOP(clac)
{
    set_ac(cpu, u, false);
    NEXT();
}

static UOP(stac)
{
    set_ac(cpu, u, true);
    NEXT();
}

UOP_BODY(cli)
{
    if (cpu->cpl > soft_iopl(cpu))
        soft_raise_code(cpu, u, EXC_GP, 0);
    cpu->rflags &= ~(uint64_t)RFLAGS_IF;
}

/* After STI that set IF one more instruction runs before an interrupt is taken. */
static UOP(sti)
{
    if (cpu->cpl > soft_iopl(cpu))
        soft_raise_code(cpu, u, EXC_GP, 0);
    if (!(cpu->rflags & RFLAGS_IF))
        soft_set_shadow(cpu);
    cpu->rflags |= RFLAGS_IF;
    soft_stop_after(cpu, here(u));
}

static UOP(hlt)
{
    cpu->engine.exits++;
    cpu->engine.look = true;
    cpu->engine.halted = cpu->halting = true;
    cpu->engine.halted_for_good = !(cpu->rflags & RFLAGS_IF);
    soft_exit_done(cpu);
    soft_stop_after(cpu, here(u));
}

/* CR8 is the local APIC's task priority, bits 7 to 4 (SDM volume 3, 10.8.6), which has it. This is the number that its
 * register has as a model specific one (10.12.1.2). */
#define TASK_PRIORITY 0x808

/* Those that do not exist were seen to when the instruction was selected. */
static uint64_t *control_register(struct soft *cpu, unsigned number)
{
    switch (number) {
    case 0:
        return &cpu->cr0;
    case 2:
        return &cpu->cr2;
    case 3:
        return &cpu->cr3;
    case 4:
        return &cpu->cr4;
    default:
        cpu->cr8 = soft_exit_read(cpu, ENGINE_MSR, TASK_PRIORITY, 8) >> 4 & 15;
        return &cpu->cr8;
    }
}

UOP_BODY(mov_from_cr)
{
    if (u->src / 8 == 8)
        soft_alone(cpu, u); /* it leaves the processor */
    reg_set(cpu, u->dst, soft_64bit(cpu) ? 8 : 4, *control_register(cpu, u->src / 8));
}

static UOP(mov_to_cr)
{
    uint64_t value = reg_get(cpu, u->dst, soft_64bit(cpu) ? 8 : 4);
    switch (u->src / 8) {
    case 0:
        soft_write_cr0(cpu, u, value);
        break;
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        soft_write_cr3(cpu, u, value);
        break;
    case 4:
        soft_write_cr4(cpu, u, value);
        break;
    default:
        if (value > 15)
            soft_raise_code(cpu, u, EXC_GP, 0);
        cpu->cr8 = value;
        soft_exit_write(cpu, ENGINE_MSR, TASK_PRIORITY, 8, value << 4);
        break;
    }
    soft_stop_after(cpu, here(u));
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE; with DR7.GD any access is #DB. */
static unsigned debug_register(struct soft *cpu, const struct uop *u)
{
    unsigned number = u->src / 8;
    if (number > 7 || ((cpu->cr4 & CR4_DE) && (number == 4 || number == 5)))
        soft_raise(cpu, u, EXC_UD);
    if (cpu->cpl != 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    if (cpu->dr7 & DR7_GD) {
        cpu->dr6 |= DR6_BD;
        cpu->dr7 &= ~(uint64_t)DR7_GD;
        soft_raise(cpu, u, EXC_DB);
    }
    return number == 4 || number == 5 ? number + 2 : number;
}

UOP_BODY(mov_from_dr)
{
    unsigned number = debug_register(cpu, u);
    uint64_t value = number < 4 ? cpu->dr[number] : number == 6 ? cpu->dr6 : cpu->dr7;
    reg_set(cpu, u->dst, soft_64bit(cpu) ? 8 : 4, value);
}

static UOP(mov_to_dr)
{
    unsigned number = debug_register(cpu, u);
    uint64_t value = reg_get(cpu, u->dst, soft_64bit(cpu) ? 8 : 4);
    if (number >= 6 && value >> 32)
        soft_raise_code(cpu, u, EXC_GP, 0);
    if (number < 4)
        cpu->dr[number] = value;
    else if (number == 6)
        cpu->dr6 = (value & 0xe00f) | 0xffff0ff0;
    else
        cpu->dr7 = (value & 0xffff23ff) | 0x400;
    soft_update_mode(cpu);
    soft_flush_tlb(cpu);
    soft_stop_after(cpu, here(u));
}

UOP_BODY(rdtsc)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint64_t tsc = soft_tsc(cpu, u);
    cpu->RAX = (uint32_t)tsc;
    cpu->RDX = tsc >> 32;
}

UOP_BODY(rdtscp)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint64_t tsc = soft_tsc(cpu, u);
    cpu->RAX = (uint32_t)tsc;
    cpu->RDX = tsc >> 32;
    cpu->RCX = cpu->tsc_aux;
}

/* RDRAND and RDSEED: SDM volume 1, 7.3.17. CF tells whether there were random bytes; the other flags are clear. */
UOP_BODY(random)
{
    uint8_t bytes[8] = {0};
    uint64_t value;
    bool there = cpu->engine.host.entropy;
    if (there) {
        soft_x87_settle(cpu);
        cpu->in_exit = true;
        engine_exit_entropy(&cpu->engine, bytes, u->size);
        soft_exit_done(cpu);
    }
    memcpy(&value, bytes, sizeof value);
    reg_set(cpu, u->dst, u->size, value);
    flags_set(cpu, there ? RFLAGS_CF : 0);
}

UOP_BODY(rdmsr)
{
    uint64_t value;
    if (!soft_read_msr(cpu, u, (uint32_t)cpu->RCX, &value))
        soft_raise_code(cpu, u, EXC_GP, 0);
    cpu->RAX = (uint32_t)value;
    cpu->RDX = value >> 32;
}

static UOP(wrmsr)
{
    uint64_t value = (uint32_t)cpu->RAX | cpu->RDX << 32;
    if (!soft_write_msr(cpu, u, (uint32_t)cpu->RCX, value))
        soft_raise_code(cpu, u, EXC_GP, 0);
    soft_stop_after(cpu, here(u));
}

UOP_BODY(cpuid)
{
    uint32_t out[4];
    soft_cpuid(cpu, (uint32_t)cpu->RAX, (uint32_t)cpu->RCX, out);
    cpu->RAX = out[0];
    cpu->RBX = out[1];
    cpu->RCX = out[2];
    cpu->RDX = out[3];
}

/* RDFSBASE RDGSBASE WRFSBASE WRGSBASE, by ModRM.reg. */
UOP_BODY(fsgsbase)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        soft_raise(cpu, u, EXC_UD);
    unsigned reg = (u->src / 8) & 7, seg = reg & 1 ? SEG_GS : SEG_FS;
    if (reg < 2) {
        reg_set(cpu, u->dst, u->size, cpu->seg_base[seg]);
    } else {
        uint64_t base = reg_get(cpu, u->dst, u->size);
        if (!soft_canonical(base))
            soft_raise_code(cpu, u, EXC_GP, 0);
        cpu->segs[seg].base = cpu->seg_base[seg] = base;
    }
}

UOP_BODY(movnti)
{
    soft_store(cpu, u, soft_address(cpu, u, u->size, ACCESS_WRITE), u->size, reg_get(cpu, u->src, u->size));
}

/* INVD and WBINVD: there is no cache. */
static UOP(no_cache)
{
    NEXT();
}

uop_fn *system_uop(const struct insn *insn)
{
    static uop_fn *const table[OP_COUNT] = {
        [OP_BOUND] = bound,
        [OP_SMSW] = smsw,
        [OP_LMSW] = lmsw,
        [OP_INVLPG] = invlpg,
        [OP_CLTS] = clts,
        [OP_SWAPGS] = swapgs,
        [OP_CLAC] = clac,
        [OP_STAC] = stac,
        [OP_CLI] = cli,
        [OP_STI] = sti,
        [OP_HLT] = hlt,
        [OP_MOV_FROM_CR] = mov_from_cr,
        [OP_MOV_TO_CR] = mov_to_cr,
        [OP_MOV_FROM_DR] = mov_from_dr,
        [OP_MOV_TO_DR] = mov_to_dr,
        [OP_RDTSC] = rdtsc,
        [OP_RDTSCP] = rdtscp,
        [OP_RANDOM] = random,
        [OP_RDMSR] = rdmsr,
        [OP_WRMSR] = wrmsr,
        [OP_CPUID] = cpuid,
        [OP_FSGSBASE] = fsgsbase,
        [OP_MOVNTI] = movnti,
        [OP_INVD] = no_cache,
    };
    return table[insn->op];
}
