/*
 * Shifts and rotates: ROL ROR RCL RCR SHL SHR SAR SHLD SHRD (SDM volume 2).
 *
 * What the manual leaves undefined is fixed here, the same on every host: AF after a shift is clear, and OF after a
 * count other than one is what the rule for a count of one gives for the last bit moved.
 */
#include "vmm/soft/ops.h"

/* Where a shift leaves OF and CF: at the top of the carries. AF is clear. */
static inline uint64_t shift_carries(bool cf, bool of)
{
    return (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}

static inline uint64_t top_bit(uint64_t value, unsigned bits)
{
    return (value >> (bits - 1)) & 1;
}

/* `count` is 1 to 31, or 63; it may be more than the operand has bits. */
static inline uint64_t shift_left(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    uint64_t r = a << count;
    bool cf = count <= bits ? (a >> (bits - count)) & 1 : 0;
    int64_t result = sign_extend(r, bits / 8);
    flags_result(cpu, result, shift_carries(cf, cf ^ (result < 0)));
    return r;
}

static inline uint64_t shift_right(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    uint64_t r = a >> count;
    bool cf = (a >> (count - 1)) & 1;
    /* For a count of one OF is the operand's sign: the last bit moved out of the place below the sign. */
    bool of = count == 1 && top_bit(a, bits);
    flags_result(cpu, sign_extend(r, bits / 8), shift_carries(cf, of));
    return r;
}

static inline uint64_t shift_arithmetic(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    int64_t wide = sign_extend(a, bits / 8);
    int64_t r = wide >> count;
    flags_result(cpu, sign_extend((uint64_t)r, bits / 8), shift_carries((wide >> (count - 1)) & 1, false));
    return (uint64_t)r;
}

static void set_rotate_flags(struct soft *cpu, bool cf, bool of)
{
    /* Rotates leave SF ZF AF PF alone. */
    cpu->flag_carry = (cpu->flag_carry & 8) | shift_carries(cf, of);
}

static inline uint64_t rotate_left(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned by = count % bits;
    uint64_t r = by ? a << by | a >> (bits - by) : a;
    bool cf = r & 1;
    set_rotate_flags(cpu, cf, cf ^ top_bit(r, bits));
    return r;
}

static inline uint64_t rotate_right(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned by = count % bits;
    uint64_t r = by ? a >> by | a << (bits - by) : a;
    bool cf = top_bit(r, bits);
    set_rotate_flags(cpu, cf, cf ^ top_bit(r, bits - 1));
    return r;
}

/* Through the carry: the operand is one bit longer. */
static uint64_t rotate_carry_left(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned by = count % (bits + 1);
    bool cf = flag_cf(cpu);
    for (unsigned i = 0; i < by; i++) {
        bool out = top_bit(a, bits);
        a = a << 1 | cf;
        cf = out;
    }
    set_rotate_flags(cpu, cf, cf ^ top_bit(a, bits));
    return a;
}

static uint64_t rotate_carry_right(struct soft *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned by = count % (bits + 1);
    bool cf = flag_cf(cpu);
    for (unsigned i = 0; i < by; i++) {
        bool out = a & 1;
        a = a >> 1 | (uint64_t)cf << (bits - 1);
        cf = out;
    }
    set_rotate_flags(cpu, cf, top_bit(a, bits) ^ top_bit(a, bits - 1));
    return a;
}

static uint64_t shift(struct soft *cpu, unsigned op, uint64_t a, unsigned count, unsigned bits)
{
    switch (op) {
    case OP_ROL:
        return rotate_left(cpu, a, count, bits);
    case OP_ROR:
        return rotate_right(cpu, a, count, bits);
    case OP_RCL:
        return rotate_carry_left(cpu, a, count, bits);
    case OP_RCR:
        return rotate_carry_right(cpu, a, count, bits);
    case OP_SHR:
        return shift_right(cpu, a, count, bits);
    case OP_SAR:
        return shift_arithmetic(cpu, a, count, bits);
    default:
        return shift_left(cpu, a, count, bits);
    }
}

static unsigned masked_count(const struct uop *u, uint64_t count)
{
    return (unsigned)count & (u->size == 8 ? 63 : 31);
}

/* A count of zero changes no flag; memory is written all the same. A 32-bit register loses its upper half. */
static void shift_by(struct soft *cpu, const struct uop *u, unsigned op, uint64_t count)
{
    uint64_t linear = 0, value = rm_take(cpu, u, &linear);
    unsigned by = masked_count(u, count);
    if (by)
        value = shift(cpu, op, value, by, u->size * 8);
    rm_put(cpu, u, linear, value & size_mask(u->size));
}

#define SHIFT(op, number)                                                                                              \
    static UOP(op##_imm)                                                                                               \
    {                                                                                                                  \
        shift_by(cpu, u, number, (uint64_t)u->imm);                                                                    \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(op##_cl)                                                                                                \
    {                                                                                                                  \
        shift_by(cpu, u, number, cpu->RCX);                                                                            \
        NEXT();                                                                                                        \
    }

SHIFT(rol, OP_ROL)
SHIFT(ror, OP_ROR)
SHIFT(rcl, OP_RCL)
SHIFT(rcr, OP_RCR)
SHIFT(shl, OP_SHL)
SHIFT(shr, OP_SHR)
SHIFT(sar, OP_SAR)

/* The common ones: a register by a constant or by CL. */
#define QUICK(op, function, bits)                                                                                      \
    static UOP(op##_reg_imm_##bits)                                                                                    \
    {                                                                                                                  \
        SET_REG##bits(u->dst, function(cpu, DST(bits), (unsigned)u->imm &((bits)-1), bits));                           \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(op##_reg_cl_##bits)                                                                                     \
    {                                                                                                                  \
        unsigned count = (unsigned)cpu->RCX & ((bits)-1);                                                              \
        uint##bits##_t value = DST(bits);                                                                              \
        if (count)                                                                                                     \
            value = (uint##bits##_t)function(cpu, value, count, bits);                                                 \
        SET_REG##bits(u->dst, value);                                                                                  \
        NEXT();                                                                                                        \
    }

QUICK(rol, rotate_left, 32)
QUICK(rol, rotate_left, 64)
QUICK(ror, rotate_right, 32)
QUICK(ror, rotate_right, 64)
QUICK(shl, shift_left, 32)
QUICK(shl, shift_left, 64)
QUICK(shr, shift_right, 32)
QUICK(shr, shift_right, 64)
QUICK(sar, shift_arithmetic, 32)
QUICK(sar, shift_arithmetic, 64)

uop_fn *shift_uop(const struct insn *insn)
{
    static uop_fn *const table[8][2] = {{rol_imm, rol_cl}, {ror_imm, ror_cl}, {rcl_imm, rcl_cl}, {rcr_imm, rcr_cl},
                                        {shl_imm, shl_cl}, {shr_imm, shr_cl}, {shl_imm, shl_cl}, {sar_imm, sar_cl}};
    static uop_fn *const quick[8][2][2] = {
        [OP_ROL - OP_ROL] = {{rol_reg_imm_32, rol_reg_cl_32}, {rol_reg_imm_64, rol_reg_cl_64}},
        [OP_ROR - OP_ROL] = {{ror_reg_imm_32, ror_reg_cl_32}, {ror_reg_imm_64, ror_reg_cl_64}},
        [OP_SHL - OP_ROL] = {{shl_reg_imm_32, shl_reg_cl_32}, {shl_reg_imm_64, shl_reg_cl_64}},
        [OP_SHR - OP_ROL] = {{shr_reg_imm_32, shr_reg_cl_32}, {shr_reg_imm_64, shr_reg_cl_64}},
        [OP_SAR - OP_ROL] = {{sar_reg_imm_32, sar_reg_cl_32}, {sar_reg_imm_64, sar_reg_cl_64}},
    };
    bool by_cl = (insn->opcode & 0xfe) == 0xd2;
    unsigned op = insn->op - OP_ROL;
    bool zero = !by_cl && (insn->immediate & (insn->size == 8 ? 63 : 31)) == 0;
    if (insn->size >= 4 && !insn->memory && quick[op][0][0] && !zero)
        return quick[op][insn->size == 8][by_cl];
    return table[op][by_cl];
}

/* SHLD and SHRD. For 16 bits, counts above 16 are undefined: the bits come round again, as from a 32-bit pair. */
static void double_shift(struct soft *cpu, const struct uop *u, bool left, uint64_t raw_count)
{
    unsigned bits = u->size * 8, count = masked_count(u, raw_count);
    uint64_t linear = 0, a = rm_take(cpu, u, &linear), b = reg_get(cpu, u->src, u->size);
    if (count == 0) {
        rm_put(cpu, u, linear, a);
        return;
    }
    unsigned by = count;
    if (by > bits) {
        /* Only for 16 bits: after 16 places the operand is `b`, and `a` follows it. */
        uint64_t old = a;
        a = b;
        b = old;
        by -= bits;
    }
    uint64_t r;
    bool cf;
    if (by == bits) {
        r = b;
        cf = left ? a & 1 : top_bit(a, bits);
    } else if (left) {
        r = a << by | b >> (bits - by);
        cf = (a >> (bits - by)) & 1;
    } else {
        r = a >> by | b << (bits - by);
        cf = (a >> (by - 1)) & 1;
    }
    r &= size_mask(u->size);
    bool before = left ? cf : by > 1 && by <= bits ? (b >> (by - 2)) & 1 : top_bit(a, bits);
    flags_result(cpu, sign_extend(r, u->size), shift_carries(cf, before ^ top_bit(r, bits)));
    rm_put(cpu, u, linear, r);
}

static UOP(shld_imm)
{
    double_shift(cpu, u, true, (uint64_t)u->imm);
    NEXT();
}

static UOP(shld_cl)
{
    double_shift(cpu, u, true, cpu->RCX);
    NEXT();
}

static UOP(shrd_imm)
{
    double_shift(cpu, u, false, (uint64_t)u->imm);
    NEXT();
}

static UOP(shrd_cl)
{
    double_shift(cpu, u, false, cpu->RCX);
    NEXT();
}

uop_fn *double_shift_uop(const struct insn *insn)
{
    bool by_cl = insn->opcode & 1;
    if (insn->op == OP_SHLD)
        return by_cl ? shld_cl : shld_imm;
    return by_cl ? shrd_cl : shrd_imm;
}
