/*
 * The x87: each instruction is executed by the host's own, on the guest's registers (SDM volume 1, chapter 8).
 *
 * The guest's x87 state is loaded from its FXSAVE image with its own control word, and the very same instructions run.
 * Saving and loading takes longer than most of them, so the state stays in the host's registers (cpu->x87_on_host)
 * until something else needs it there or in the image: code compiled for x86-64 uses the x87 for `long double` alone
 * (System V ABI, AMD64 supplement, 3.2.3), of which there is none within a run. An exception that the guest has
 * unmasked becomes pending on the host exactly as it would on the guest, and the state is saved before any host
 * instruction could trip over it: while it is on the host, nothing is pending. Done here are the instructions that load
 * and store the environment, for their formats hold addresses of host code; and, in x87_functions.c, the transcendental
 * ones, in whose results makers differ; and what the architecture leaves to the processor in FPREM, FPREM1 and FBLD.
 *
 * The pointers to the last instruction and operand, and the last opcode, are always zero in this processor: makers
 * differ in when they are saved at all. Errors are reported by #MF; CR0.NE clear, which would report them through an
 * external interrupt controller, is not modelled.
 */
#include "vmm/soft/vector.h"
#include "vmm/soft/x87_float.h"

#define FSW_ES 0x0080u
#define FSW_B  0x8000u

/* 8 * 64 register forms: opcode bytes D8 + i, C0 + j, then RET; and 8 * 8 forms that take their operand at (%rdi). */
extern const uint8_t x87_register_stubs[], x87_memory_stubs[];
__asm__(".pushsection .text\n"
        "x87_register_stubs:\n"
        ".set opcode, 0xd8\n"
        ".rept 8\n"
        ".set modrm, 0xc0\n"
        ".rept 64\n"
        ".byte opcode, modrm, 0xc3, 0xcc\n"
        ".set modrm, modrm + 1\n"
        ".endr\n"
        ".set opcode, opcode + 1\n"
        ".endr\n"
        "x87_memory_stubs:\n"
        ".set opcode, 0xd8\n"
        ".rept 8\n"
        ".set modrm, 0x07\n"
        ".rept 8\n"
        ".byte opcode, modrm, 0xc3, 0xcc\n"
        ".set modrm, modrm + 8\n"
        ".endr\n"
        ".set opcode, opcode + 1\n"
        ".endr\n"
        ".popsection\n");

/* Which register forms exist: bit n of [opcode - D8] for ModRM C0 + n. Those that no manual defines (D9 D8, DC D0, DC
 * D8, DD C8, DE D0, DF C8 to DF D8) are other names of FSTP, FCOM, FCOMP and FXCH, to the host as to the guest. */
static const uint64_t register_forms[8] = {
    UINT64_C(0xffffffffffffffff), UINT64_C(0xffff7f33ff01ffff), UINT64_C(0x00000200ffffffff),
    UINT64_C(0x00ffff1fffffffff), UINT64_C(0xffffffffffffffff), UINT64_C(0x0000ffffffffffff),
    UINT64_C(0xffffffff02ffffff), UINT64_C(0x00ffff01ffffffff),
};

/* Bytes of the memory forms: positive to read, negative to write, 0 undefined, ENVIRONMENT done here. */
enum { ENVIRONMENT = 100 };
static const int8_t memory_forms[8][8] = {
    {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, -4, -4, ENVIRONMENT, 2, ENVIRONMENT, ENVIRONMENT},
    {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, -4, -4, 0, 10, 0, -10},
    {8, 8, 8, 8, 8, 8, 8, 8}, {8, 0, -8, -8, ENVIRONMENT, 0, ENVIRONMENT, ENVIRONMENT},
    {2, 2, 2, 2, 2, 2, 2, 2}, {2, 0, -2, -2, 10, 8, -10, -8},
};

/* The opcode's low three bits, ModRM.reg and rm are in `imm`. */
static unsigned x87_opcode(const struct uop *u)
{
    return ((uint32_t)u->imm >> 8) & 7;
}

static unsigned x87_modrm(const struct uop *u)
{
    return (uint32_t)u->imm & 0xff;
}

/* The host's instruction: see the stubs. */
static const uint8_t *stub_of(const struct uop *u)
{
    unsigned opcode = x87_opcode(u), modrm = x87_modrm(u);
    if (u->flags & UF_MEMORY)
        return x87_memory_stubs + 4 * (8 * opcode + ((modrm >> 3) & 7));
    return x87_register_stubs + 4 * (64 * opcode + (modrm & 63));
}

static void check_available(struct soft *cpu, const struct uop *u)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        soft_raise(cpu, u, EXC_NM);
}

static void check_pending(struct soft *cpu, const struct uop *u)
{
    if (cpu->x87_on_host || !(cpu->fx.fsw & FSW_ES))
        return;
    if (!(cpu->cr0 & CR0_NE))
        soft_give_up(cpu, u, "an x87 error with CR0.NE clear (reported by way of IRQ 13) is not modelled");
    soft_raise(cpu, u, EXC_MF);
}

static void load_host(struct soft *cpu)
{
    uint32_t guest_mxcsr = cpu->fx.mxcsr;
    cpu->fx.mxcsr = MXCSR_DEFAULT;
    __asm__ volatile("fxrstor64 %0"
                     :
                     : "m"(cpu->fx)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15");
    cpu->fx.mxcsr = guest_mxcsr;
    cpu->x87_on_host = true;
}

void soft_x87_save(struct soft *cpu)
{
    struct fx_image image;
    __asm__ volatile("fxsave64 %0\n\tfninit" : "=m"(image));
    cpu->fx.fcw = image.fcw;
    cpu->fx.fsw = image.fsw;
    cpu->fx.ftw = image.ftw;
    /* What the host does with the bytes that are reserved beyond each register is its own affair. */
    for (unsigned i = 0; i < 8; i++)
        memcpy(cpu->fx.st[i], image.st[i], 10);
    cpu->x87_on_host = false;
}

static uint16_t status_word(const struct soft *cpu)
{
    uint16_t fsw = cpu->fx.fsw;
    if (cpu->x87_on_host)
        __asm__ volatile("fnstsw %0" : "=a"(fsw));
    return fsw;
}

static uint16_t control_word(const struct soft *cpu)
{
    uint16_t fcw = cpu->fx.fcw;
    if (cpu->x87_on_host)
        __asm__ volatile("fnstcw %0" : "=m"(fcw));
    return fcw;
}

/* Calls the stub of `u` with the guest's state on the host; past the red zone, which the call would write to. */
static void on_host(struct soft *cpu, const struct uop *u, void *operand)
{
    uint16_t fsw;
    if (!cpu->x87_on_host)
        load_host(cpu);
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "call *%[stub]\n\t"
                     "leaq 128(%%rsp), %%rsp\n\t"
                     "fnstsw %[fsw]"
                     : [fsw] "=a"(fsw), "+D"(operand)
                     : [stub] "r"(stub_of(u))
                     : "memory", "cc");
    if (__builtin_expect(fsw & FSW_ES, 0))
        soft_x87_save(cpu);
}

/* The same with the status flags going in and out as in RFLAGS. */
static uint64_t on_host_flags(struct soft *cpu, const struct uop *u, uint64_t flags)
{
    if (!cpu->x87_on_host)
        load_host(cpu);
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "pushq %[flags]\n\tpopfq\n\t"
                     "call *%[stub]\n\t"
                     "pushfq\n\tpopq %[flags]\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : [flags] "+r"(flags)
                     : [stub] "r"(stub_of(u))
                     : "memory", "cc");
    if (status_word(cpu) & FSW_ES)
        soft_x87_save(cpu);
    return flags;
}

/* The unmasked exceptions that are flagged. */
static unsigned unmasked(const struct soft *cpu)
{
    return cpu->fx.fsw & ~cpu->fx.fcw & 0x3f;
}

/* Brings ES and B in line with the flags and masks. */
static void settle_summary(struct soft *cpu)
{
    cpu->fx.fsw &= (uint16_t) ~(FSW_ES | FSW_B);
    if (unmasked(cpu))
        cpu->fx.fsw |= FSW_ES | FSW_B;
}

UOP_BODY(register_form)
{
    check_available(cpu, u);
    check_pending(cpu, u);
    on_host(cpu, u, NULL);
}

/* FCMOVcc reads the status flags, FUCOMI FCOMI FUCOMIP FCOMIP set them. */
UOP_BODY(flags_form)
{
    check_available(cpu, u);
    check_pending(cpu, u);
    uint64_t flags = on_host_flags(cpu, u, flags_get(cpu) | RFLAGS_FIXED);
    if (x87_modrm(u) >= 0xe8)
        flags_set(cpu, flags);
}

/* Functions in whose last bits makers differ. */
UOP_BODY(function_form)
{
    check_available(cpu, u);
    soft_x87_settle(cpu);
    check_pending(cpu, u);
    x87_function(&cpu->fx, x87_modrm(u));
}

UOP_BODY(remainder_form)
{
    check_available(cpu, u);
    soft_x87_settle(cpu);
    check_pending(cpu, u);
    if (!x87_partial_remainder(&cpu->fx))
        on_host(cpu, u, NULL);
}

static bool uses_flags(unsigned opcode, unsigned modrm)
{
    bool moves = (opcode == 2 || opcode == 3) && modrm < 0xe0;
    return moves || ((opcode == 3 || opcode == 7) && modrm >= 0xe8 && modrm < 0xf8);
}

static void load_form_long(struct soft *cpu, const struct uop *u, uint64_t linear)
{
    uint8_t operand[16] = {0};
    soft_load_bytes(cpu, u, linear, operand, u->size);
    on_host(cpu, u, operand);
}

/* The number that 18 digits make; digits above 9, which are undefined, count as what they are. Sets `odd` if there are
 * such. At most 15 * (10^18 - 1) / 9, below 2^63. */
static int64_t decimal(const uint8_t *digits, bool *odd)
{
    int64_t value = 0;
    for (unsigned i = 9; i-- > 0;) {
        unsigned high = digits[i] >> 4, low = digits[i] & 15;
        *odd |= high > 9 || low > 9;
        value = value * 100 + high * 10 + low;
    }
    return digits[9] & 0x80 ? -value : value;
}

/* With digits that are undefined, FILD loads what they make. */
UOP_BODY(fbld)
{
    uint8_t operand[16];
    struct uop fild = *u;
    bool odd = false;
    check_available(cpu, u);
    check_pending(cpu, u);
    soft_load_bytes(cpu, u, soft_address(cpu, u, 10, ACCESS_READ), operand, 10);
    int64_t value = decimal(operand, &odd);
    if (odd) {
        memcpy(operand, &value, 8);
        fild.imm = 7 << 8 | 5 << 3;
    }
    on_host(cpu, &fild, operand);
}

UOP_BODY(load_form)
{
    check_available(cpu, u);
    check_pending(cpu, u);
    uint64_t linear = soft_address(cpu, u, u->size, ACCESS_READ);
    uint8_t *host = soft_fast(cpu->tlb->read, linear, u->size);
    if (host)
        on_host(cpu, u, host);
    else
        load_form_long(cpu, u, linear);
}

/* An unmasked exception keeps the result from being stored, unless it is inexactness (SDM volume 1, 8.5). */
static void store_form_long(struct soft *cpu, const struct uop *u, uint64_t linear)
{
    uint8_t operand[16] = {0};
    soft_probe_write(cpu, u, linear, u->size);
    on_host(cpu, u, operand);
    if (cpu->x87_on_host || !(unmasked(cpu) & ~0x20u))
        soft_store_bytes(cpu, u, linear, operand, u->size);
}

UOP_BODY(store_form)
{
    check_available(cpu, u);
    check_pending(cpu, u);
    uint64_t linear = soft_address(cpu, u, u->size, ACCESS_WRITE);
    uint8_t *host = soft_fast(cpu->tlb->write, linear, u->size);
    if (host)
        on_host(cpu, u, host);
    else
        store_form_long(cpu, u, linear);
}

static void initialize(struct soft *cpu)
{
    x87_set_top(&cpu->fx, 0);
    cpu->fx.fcw = 0x37f;
    cpu->fx.fsw = 0;
    cpu->fx.ftw = 0;
}

/* The two-bit tag of physical register `n`, SDM volume 1, 8.1.7: valid, zero, special or empty. */
static unsigned full_tag(const struct soft *cpu, unsigned n)
{
    if (!((cpu->fx.ftw >> n) & 1))
        return 3;
    unsigned top = (cpu->fx.fsw >> 11) & 7;
    const uint8_t *st = cpu->fx.st[(n - top) & 7];
    uint64_t significand;
    uint16_t exponent;
    memcpy(&significand, st, 8);
    memcpy(&exponent, st + 8, 2);
    exponent &= 0x7fff;
    if (exponent == 0 && significand == 0)
        return 1;
    return exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
}

/* The environment: 7 words, or as many doublewords; the pointers are zero. */
static unsigned put_environment(const struct soft *cpu, unsigned word, uint8_t *to)
{
    unsigned tags = 0;
    for (unsigned n = 0; n < 8; n++)
        tags |= full_tag(cpu, n) << (2 * n);
    uint16_t values[3] = {cpu->fx.fcw, cpu->fx.fsw, (uint16_t)tags};
    memset(to, 0, 7 * word);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(to + i * word, &values[i], 2);
        /* The unused upper halves are ones. */
        if (word == 4)
            memset(to + i * word + 2, 0xff, 2);
    }
    if (word == 4)
        memset(to + 6 * word + 2, 0xff, 2);
    return 7 * word;
}

static void take_environment(struct soft *cpu, unsigned word, const uint8_t *from)
{
    uint16_t fcw, fsw, tags;
    memcpy(&fcw, from, 2);
    memcpy(&fsw, from + word, 2);
    memcpy(&tags, from + 2 * word, 2);
    x87_set_top(&cpu->fx, (fsw >> 11) & 7);
    cpu->fx.fcw = (uint16_t)((fcw & 0x1f3f) | 0x40);
    cpu->fx.fsw = fsw;
    cpu->fx.ftw = 0;
    for (unsigned n = 0; n < 8; n++)
        if (((tags >> (2 * n)) & 3) != 3)
            cpu->fx.ftw |= (uint8_t)(1u << n);
    settle_summary(cpu);
}

#define FSAVE_MAX (28 + 80)

/* FNSTENV masks all exceptions after it; FNSAVE initializes. */
UOP_BODY(store_environment)
{
    uint8_t bytes[FSAVE_MAX];
    bool save = x87_opcode(u) == 5;
    unsigned word = u->size == 2 ? 2 : 4;
    check_available(cpu, u);
    soft_x87_settle(cpu);
    unsigned length = put_environment(cpu, word, bytes);
    for (unsigned i = 0; save && i < 8; i++, length += 10)
        memcpy(bytes + length, cpu->fx.st[i], 10);
    soft_store_bytes(cpu, u, soft_address(cpu, u, length, ACCESS_WRITE), bytes, length);
    if (save) {
        initialize(cpu);
    } else {
        cpu->fx.fcw |= 0x3f;
        settle_summary(cpu);
    }
}

UOP_BODY(load_environment)
{
    uint8_t bytes[FSAVE_MAX];
    bool restore = x87_opcode(u) == 5;
    unsigned word = u->size == 2 ? 2 : 4, length = 7 * word + (restore ? 80 : 0);
    check_available(cpu, u);
    soft_x87_settle(cpu);
    check_pending(cpu, u);
    soft_load_bytes(cpu, u, soft_address(cpu, u, length, ACCESS_READ), bytes, length);
    take_environment(cpu, word, bytes);
    for (unsigned i = 0; restore && i < 8; i++)
        memcpy(cpu->fx.st[i], bytes + 7 * word + 10 * i, 10);
}

UOP_BODY(fnstcw)
{
    check_available(cpu, u);
    soft_store(cpu, u, soft_address(cpu, u, 2, ACCESS_WRITE), 2, control_word(cpu));
}

UOP_BODY(fnstsw)
{
    check_available(cpu, u);
    soft_store(cpu, u, soft_address(cpu, u, 2, ACCESS_WRITE), 2, status_word(cpu));
}

static UOP(fnstsw_ax)
{
    check_available(cpu, u);
    REG_AT(16, AT(GPR_RAX)) = status_word(cpu);
    NEXT();
}

static UOP(fnclex)
{
    check_available(cpu, u);
    soft_x87_settle(cpu);
    cpu->fx.fsw &= 0x7f00;
    NEXT();
}

static UOP(fninit)
{
    check_available(cpu, u);
    soft_x87_settle(cpu);
    initialize(cpu);
    NEXT();
}

/* FENI, FDISI and FSETPM of old coprocessors do nothing. */
static UOP(old_nop)
{
    check_available(cpu, u);
    NEXT();
}

UOP_BODY(fwait)
{
    if ((cpu->cr0 & CR0_MP) && (cpu->cr0 & CR0_TS))
        soft_raise(cpu, u, EXC_NM);
    check_pending(cpu, u);
}

static uop_fn *select_environment(unsigned opcode, unsigned reg)
{
    if (reg == 4)
        return load_environment;
    if (reg == 6)
        return store_environment;
    return opcode == 1 ? fnstcw : fnstsw;
}

uop_fn *x87_uop(const struct insn *insn, struct uop *u)
{
    if (insn->op == OP_FWAIT)
        return fwait;
    unsigned opcode = insn->opcode & 7, reg = (insn->modrm >> 3) & 7;
    u->imm = (int32_t)(opcode << 8 | insn->modrm);
    if (insn->memory) {
        int size = memory_forms[opcode][reg];
        if (size == ENVIRONMENT)
            return select_environment(opcode, reg);
        u->size = (uint8_t)(size < 0 ? -size : size);
        if (opcode == 7 && reg == 4)
            return fbld;
        return size < 0 ? store_form : size ? load_form : NULL;
    }
    if (!((register_forms[opcode] >> (insn->modrm & 63)) & 1))
        return NULL;
    if (opcode == 3 && (insn->modrm & 0xf8) == 0xe0)
        return insn->modrm == 0xe2 ? fnclex : insn->modrm == 0xe3 ? fninit : old_nop;
    if (opcode == 7 && insn->modrm == 0xe0)
        return fnstsw_ax;
    if (opcode == 1 && x87_is_function(insn->modrm))
        return function_form;
    if (opcode == 1 && (insn->modrm == 0xf5 || insn->modrm == 0xf8))
        return remainder_form;
    return uses_flags(opcode, insn->modrm) ? flags_form : register_form;
}
