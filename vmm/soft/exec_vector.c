/*
 * MMX, SSE and SSE2 instructions of the form `register op= register or memory`, shifts by constants, shuffles, and
 * FXSAVE FXRSTOR LDMXCSR STMXCSR EMMS (SDM volume 2).
 */
#include "vmm/soft/vector.h"

void vec_check(struct soft *cpu, const struct uop *u)
{
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
        soft_raise(cpu, u, EXC_UD);
    if (cpu->cr0 & CR0_TS)
        soft_raise(cpu, u, EXC_NM);
}

#define FSW_ES 0x80u

void mmx_check(struct soft *cpu, const struct uop *u)
{
    if (cpu->cr0 & CR0_EM)
        soft_raise(cpu, u, EXC_UD);
    if (cpu->cr0 & CR0_TS)
        soft_raise(cpu, u, EXC_NM);
    soft_x87_settle(cpu);
    if (cpu->fx.fsw & FSW_ES)
        soft_raise(cpu, u, EXC_MF);
}

/* The image holds the stack's registers from its top on; MMX registers are the physical ones, and set the top to 0. */
void mmx_enter(struct soft *cpu)
{
    unsigned top = (cpu->fx.fsw >> 11) & 7;
    if (top) {
        uint8_t old[8][16];
        memcpy(old, cpu->fx.st, sizeof old);
        for (unsigned i = 0; i < 8; i++)
            memcpy(cpu->fx.st[i], old[(i - top) & 7], 16);
        cpu->fx.fsw &= (uint16_t)~0x3800u;
    }
    cpu->fx.ftw = 0xff;
}

void vec_load(struct soft *cpu, const struct uop *u, unsigned size, bool aligned, void *to)
{
    uint64_t linear = soft_address(cpu, u, size, ACCESS_READ);
    if (aligned && (linear & (size - 1)))
        soft_raise_code(cpu, u, EXC_GP, 0);
    const uint8_t *host = soft_fast(cpu->tlb->read, linear, size);
    if (host)
        memcpy(to, host, size);
    else
        soft_load_bytes(cpu, u, linear, to, size);
}

void vec_store(struct soft *cpu, const struct uop *u, unsigned size, bool aligned, const void *from)
{
    uint64_t linear = soft_address(cpu, u, size, ACCESS_WRITE);
    if (aligned && (linear & (size - 1)))
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint8_t *host = soft_fast(cpu->tlb->write, linear, size);
    if (host)
        memcpy(host, from, size);
    else
        soft_store_bytes(cpu, u, linear, from, size);
}

void vec_source(struct soft *cpu, const struct uop *u, bool mmx, unsigned size, bool aligned, uint8_t *to)
{
    memset(to, 0, 16);
    if (u->flags & UF_MEMORY)
        vec_load(cpu, u, size, aligned, to);
    else
        memcpy(to, mmx ? cpu->fx.st[u->dst & 7] : vec_rm(cpu, u), mmx ? 8 : 16);
}

static const struct vec_op *vec_op_of(const struct uop *u, bool is_float)
{
    unsigned opcode = ((uint32_t)u->imm >> 8) & 0xff, prefix = ((uint32_t)u->imm >> 16) & 3;
    return is_float ? &vec_float_ops[prefix][opcode] : &vec_integer_ops[prefix][opcode];
}

UOP_BODY(integer_op)
{
    uint8_t s[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, 16, true, s);
    vec_op_of(u, false)->fn(vec_dst(cpu, u), s);
}

/* Writing an MMX register sets the rest of the x87 register to ones. */
static void put_mmx(struct soft *cpu, unsigned number, const uint8_t *value)
{
    memcpy(cpu->fx.st[number], value, 8);
    memset(cpu->fx.st[number] + 8, 0xff, 2);
}

UOP_BODY(mmx_op)
{
    const struct vec_op *op = vec_op_of(u, false);
    uint8_t s[16];
    mmx_check(cpu, u);
    if (u->flags & UF_MEMORY)
        vec_source(cpu, u, true, op->memory, false, s);
    mmx_enter(cpu);
    if (!(u->flags & UF_MEMORY))
        vec_source(cpu, u, true, 8, false, s);
    uint8_t d[8];
    memcpy(d, cpu->fx.st[u->src & 7], 8);
    op->fn(d, s);
    put_mmx(cpu, u->src & 7, d);
}

/* OM and UM, the masks of overflow and underflow. */
#define MXCSR_RANGE_MASKS 0x0c00u

static __attribute__((noinline)) void unmasked_float(struct soft *cpu, const struct uop *u, vec_fn *fn, uint8_t *d,
                                                     const uint8_t *s)
{
    unsigned opcode = ((uint32_t)u->imm >> 8) & 0xff, prefix = ((uint32_t)u->imm >> 16) & 3;
    uint32_t raised = vec_compute(cpu, fn, d, s);
    struct vec_lanes lanes = {.opcode = opcode, .size = prefix & 1 ? 8 : 4};
    lanes.count = prefix > 1 ? 1 : 16 / lanes.size;
    if (vec_may_leave_range(opcode, prefix)) {
        soft_x87_settle(cpu); /* the x87 is what exactness is found out with */
        raised = vec_exact_flags(cpu, &lanes, fn, vec_dst(cpu, u), s);
    }
    vec_merge_flags(cpu, u, raised);
}

UOP_BODY(float_op)
{
    const struct vec_op *op = vec_op_of(u, true);
    uint8_t s[16], d[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, op->memory, op->memory == 16, s);
    memcpy(d, vec_dst(cpu, u), 16);
    if (op->kind == VEC_FLOAT && (~cpu->fx.mxcsr & MXCSR_RANGE_MASKS))
        unmasked_float(cpu, u, op->fn, d, s);
    else if (op->kind == VEC_FLOAT)
        vec_float(cpu, u, op->fn, d, s);
    else
        op->fn(d, s);
    memcpy(vec_dst(cpu, u), d, 16);
}

/* Groups 12, 13 and 14: a register is shifted by a constant, which acts like a count in the low quadword. */
static void shift_constant(struct soft *cpu, const struct uop *u, bool mmx)
{
    static const uint8_t opcodes[3][8] = {
        {[2] = 0xd1, [4] = 0xe1, [6] = 0xf1}, {[2] = 0xd2, [4] = 0xe2, [6] = 0xf2}, {[2] = 0xd3, [6] = 0xf3}};
    unsigned opcode = ((uint32_t)u->imm >> 8) & 0xff, group = opcode - 0x71, which = u->src & 7;
    uint8_t s[16] = {vec_immediate(u)}, *d = mmx ? cpu->fx.st[u->dst & 7] : vec_rm(cpu, u);
    const struct vec_op *op = &vec_integer_ops[!mmx][opcodes[group][which]];
    if (op->fn)
        op->fn(d, s);
    if (mmx)
        memset(d + 8, 0xff, 2);
}

UOP_BODY(shift_mmx)
{
    mmx_check(cpu, u);
    mmx_enter(cpu);
    shift_constant(cpu, u, true);
}

UOP_BODY(shift_xmm)
{
    vec_check(cpu, u);
    shift_constant(cpu, u, false);
}

/* PSRLDQ and PSLLDQ shift by bytes. */
UOP_BODY(shift_bytes)
{
    vec_check(cpu, u);
    uint8_t old[16], *d = vec_rm(cpu, u);
    unsigned by = vec_immediate(u) > 16 ? 16 : vec_immediate(u);
    memcpy(old, d, 16);
    memset(d, 0, 16);
    if ((u->src & 7) == 3)
        memcpy(d, old + by, 16 - by);
    else
        memcpy(d + by, old, 16 - by);
}

/* PSHUFD PSHUFLW PSHUFHW: four elements of a source are chosen by two bits each. */
static void shuffle(uint8_t *d, const uint8_t *s, unsigned size, unsigned choice)
{
    uint8_t from[16];
    memcpy(from, s, 4 * size);
    for (unsigned i = 0; i < 4; i++)
        memcpy(d + i * size, from + ((choice >> (2 * i)) & 3) * size, size);
}

UOP_BODY(shuffle_words)
{
    uint8_t s[16], *d;
    unsigned prefix = ((uint32_t)u->imm >> 16) & 3;
    vec_check(cpu, u);
    vec_source(cpu, u, false, 16, true, s);
    d = vec_dst(cpu, u);
    memcpy(d, s, 16);
    if (prefix == 1)
        shuffle(d, s, 4, vec_immediate(u));
    else if (prefix == 2)
        shuffle(d + 8, s + 8, 2, vec_immediate(u));
    else
        shuffle(d, s, 2, vec_immediate(u));
}

UOP_BODY(shuffle_mmx)
{
    uint8_t s[16], d[8];
    mmx_check(cpu, u);
    if (u->flags & UF_MEMORY)
        vec_source(cpu, u, true, 8, false, s);
    mmx_enter(cpu);
    if (!(u->flags & UF_MEMORY))
        vec_source(cpu, u, true, 8, false, s);
    shuffle(d, s, 2, vec_immediate(u));
    put_mmx(cpu, u->src & 7, d);
}

/* SHUFPS and SHUFPD: half of the result from either operand. */
UOP_BODY(shuffle_float)
{
    uint8_t s[16], old[16], *d = vec_dst(cpu, u);
    unsigned choice = vec_immediate(u), prefix = ((uint32_t)u->imm >> 16) & 3;
    vec_check(cpu, u);
    vec_source(cpu, u, false, 16, true, s);
    memcpy(old, d, 16);
    if (prefix == 1) {
        memcpy(d, old + 8 * (choice & 1), 8);
        memcpy(d + 8, s + 8 * ((choice >> 1) & 1), 8);
    } else {
        for (unsigned i = 0; i < 4; i++)
            memcpy(d + 4 * i, (i < 2 ? old : s) + 4 * ((choice >> (2 * i)) & 3), 4);
    }
}

UOP_BODY(emms)
{
    mmx_check(cpu, u);
    mmx_enter(cpu); /* the top of the stack becomes 0 here too (SDM volume 3, "Effects of MMX Instructions on x87 FPU
                       State") */
    cpu->fx.ftw = 0;
}

static uop_fn *select_shift(const struct insn *insn, unsigned prefix)
{
    unsigned which = (insn->modrm >> 3) & 7;
    bool whole_bytes = insn->opcode == 0x73 && (which == 3 || which == 7);
    if (insn->memory || prefix > 1)
        return NULL;
    if (whole_bytes)
        return prefix == 1 ? shift_bytes : NULL;
    bool exists = which == 2 || which == 6 || (which == 4 && insn->opcode != 0x73);
    return !exists ? NULL : prefix == 1 ? shift_xmm : shift_mmx;
}

uop_fn *sse_uop(const struct insn *insn, struct uop *u)
{
    unsigned prefix = insn->repeat == 0xf3 ? 2 : insn->repeat == 0xf2 ? 3 : insn->operand_prefix;
    u->dst = insn->rm;
    u->src = insn->reg;
    u->imm = (int32_t)((uint32_t)(uint8_t)insn->immediate | (uint32_t)insn->opcode << 8 | prefix << 16);
    switch (insn->opcode) {
    case 0x70:
        return prefix == 0 ? shuffle_mmx : shuffle_words;
    case 0x71:
    case 0x72:
    case 0x73:
        return select_shift(insn, prefix);
    case 0x77:
        return prefix == 0 ? emms : NULL;
    case 0xc6:
        return prefix < 2 ? shuffle_float : NULL;
    default:
        break;
    }
    const struct vec_op *op = &vec_integer_ops[prefix][insn->opcode];
    if (op->fn)
        return op->kind == VEC_MMX ? mmx_op : integer_op;
    if (vec_float_ops[prefix][insn->opcode].fn)
        return float_op;
    uop_fn *move = vec_move_uop(insn, prefix);
    /* MOVD and CVTSI2SS take a general register as all other handlers do: by its byte offset. */
    bool general = insn->opcode == 0x6e || (insn->opcode == 0x7e && prefix < 2) || (insn->opcode == 0x2a && prefix > 1);
    if (general)
        u->dst = (uint8_t)(insn->rm * 8);
    if (general || insn->opcode == 0x2c || insn->opcode == 0x2d)
        u->size = insn->rex & 8 ? 8 : 4;
    return move ? move : vec_convert_uop(insn, prefix);
}

static void check_fx(struct soft *cpu, const struct uop *u, uint64_t linear)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS))
        soft_raise(cpu, u, EXC_NM);
    if (linear & 15)
        soft_raise_code(cpu, u, EXC_GP, 0);
    soft_x87_settle(cpu);
}

/* Outside 64-bit mode XMM8 to XMM15 are neither saved nor restored. The pointers to the last x87 instruction and
 * operand are zero in this processor. */
UOP_BODY(fxsave)
{
    uint64_t linear = soft_address(cpu, u, 512, ACCESS_WRITE);
    check_fx(cpu, u, linear);
    struct fx_image image = cpu->fx;
    image.mxcsr_mask = 0xffff;
    soft_probe_write(cpu, u, linear, 512);
    unsigned length = offsetof(struct fx_image, xmm) + (soft_64bit(cpu) ? 256 : 128);
    soft_store_bytes(cpu, u, linear, &image, length);
}

UOP_BODY(fxrstor)
{
    struct fx_image image;
    uint64_t linear = soft_address(cpu, u, 512, ACCESS_READ);
    check_fx(cpu, u, linear);
    soft_load_bytes(cpu, u, linear, &image, 512);
    if (image.mxcsr & ~0xffffu)
        soft_raise_code(cpu, u, EXC_GP, 0);
    unsigned length = offsetof(struct fx_image, xmm) + (soft_64bit(cpu) ? 256 : 128);
    memcpy(&cpu->fx, &image, length);
    cpu->fx.reserved = 0;
    cpu->fx.fop = 0;
    cpu->fx.fip = cpu->fx.fdp = 0;
    cpu->fx.mxcsr_mask = 0xffff;
    for (unsigned i = 0; i < 8; i++)
        memset(cpu->fx.st[i] + 10, 0, 6);
    fx_settle(&cpu->fx);
}

UOP_BODY(ldmxcsr)
{
    vec_check(cpu, u);
    uint32_t value = (uint32_t)soft_load(cpu, u, soft_address(cpu, u, 4, ACCESS_READ), 4);
    if (value & ~0xffffu)
        soft_raise_code(cpu, u, EXC_GP, 0);
    cpu->fx.mxcsr = value;
}

UOP_BODY(stmxcsr)
{
    vec_check(cpu, u);
    soft_store(cpu, u, soft_address(cpu, u, 4, ACCESS_WRITE), 4, cpu->fx.mxcsr);
}

static UOP(fence)
{
    NEXT();
}

/* CLFLUSH is checked like a read of one byte. */
UOP_BODY(clflush)
{
    soft_load(cpu, u, soft_address(cpu, u, 1, ACCESS_READ), 1);
}

uop_fn *fx_uop(const struct insn *insn)
{
    switch (insn->op) {
    case OP_FXSAVE:
        return fxsave;
    case OP_FXRSTOR:
        return fxrstor;
    case OP_LDMXCSR:
        return ldmxcsr;
    case OP_STMXCSR:
        return stmxcsr;
    case OP_FENCE:
        return fence;
    default:
        return clflush;
    }
}
