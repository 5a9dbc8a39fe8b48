/*
 * MUL IMUL DIV IDIV CBW CWD and the decimal adjustments (SDM volume 2).
 *
 * The flags that multiplication leaves undefined are set from the low half of the product, AF clear; division leaves
 * all flags as they are.
 */
#include "vmm/soft/ops.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

static void multiply_flags(struct soft *cpu, uint64_t low, unsigned size, bool overflow)
{
    flags_result(cpu, sign_extend(low, size), (uint64_t)overflow << 63);
}

/* The product goes to AX for bytes, to DX:AX and wider for the rest. */
static void set_wide(struct soft *cpu, unsigned size, u128 value)
{
    if (size == 1) {
        reg_set(cpu, AT(GPR_RAX), 2, (uint64_t)value);
        return;
    }
    reg_set(cpu, AT(GPR_RAX), size, (uint64_t)value & size_mask(size));
    reg_set(cpu, AT(GPR_RDX), size, (uint64_t)(value >> (8 * size)) & size_mask(size));
}

UOP_BODY(mul)
{
    uint64_t a = cpu->RAX & size_mask(u->size), b = rm_get(cpu, u);
    u128 product = (u128)a * b;
    set_wide(cpu, u->size, product);
    multiply_flags(cpu, (uint64_t)product, u->size, product >> (8 * u->size) != 0);
}

UOP_BODY(imul)
{
    int64_t a = sign_extend(cpu->RAX, u->size), b = sign_extend(rm_get(cpu, u), u->size);
    i128 product = (i128)a * b;
    set_wide(cpu, u->size, (u128)product);
    multiply_flags(cpu, (uint64_t)product, u->size, sign_extend((uint64_t)product, u->size) != product);
}

static void imul_into(struct soft *cpu, const struct uop *u, int64_t a, int64_t b)
{
    i128 product = (i128)a * b;
    reg_set(cpu, u->src, u->size, (uint64_t)product);
    multiply_flags(cpu, (uint64_t)product, u->size, sign_extend((uint64_t)product, u->size) != product);
}

UOP_BODY(imul2)
{
    int64_t b = sign_extend(rm_get(cpu, u), u->size);
    imul_into(cpu, u, sign_extend(reg_get(cpu, u->src, u->size), u->size), b);
}

UOP_BODY(imul3)
{
    imul_into(cpu, u, sign_extend(rm_get(cpu, u), u->size), u->imm);
}

#define IMUL_REG(bits)                                                                                                 \
    static UOP(imul2_reg_##bits)                                                                                       \
    {                                                                                                                  \
        int##bits##_t r, a = (int##bits##_t)SRC(bits), b = (int##bits##_t)DST(bits);                                   \
        bool overflow = __builtin_mul_overflow(a, b, &r);                                                              \
        SET_REG##bits(u->src, (uint##bits##_t)r);                                                                      \
        flags_result(cpu, r, (uint64_t)overflow << 63);                                                                \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(imul3_reg_##bits)                                                                                       \
    {                                                                                                                  \
        int##bits##_t r, a = (int##bits##_t)DST(bits);                                                                 \
        bool overflow = __builtin_mul_overflow(a, u->imm, &r);                                                         \
        SET_REG##bits(u->src, (uint##bits##_t)r);                                                                      \
        flags_result(cpu, r, (uint64_t)overflow << 63);                                                                \
        NEXT();                                                                                                        \
    }

IMUL_REG(32)
IMUL_REG(64)

static u128 dividend(const struct soft *cpu, unsigned size)
{
    if (size == 1)
        return (uint16_t)cpu->RAX;
    uint64_t mask = size_mask(size);
    return (u128)(cpu->RDX & mask) << (8 * size) | (cpu->RAX & mask);
}

static void set_quotient(struct soft *cpu, unsigned size, uint64_t quotient, uint64_t remainder)
{
    if (size == 1) {
        reg_set(cpu, AT(GPR_RAX), 2, (quotient & 0xff) | (remainder & 0xff) << 8);
        return;
    }
    reg_set(cpu, AT(GPR_RAX), size, quotient);
    reg_set(cpu, AT(GPR_RDX), size, remainder);
}

UOP_BODY(div_unsigned)
{
    uint64_t divisor = rm_get(cpu, u);
    u128 a = dividend(cpu, u->size);
    if (divisor == 0)
        soft_raise(cpu, u, EXC_DE);
    if (a >> 64 == 0) {
        /* The usual case, where the host divides 64 bits by 64. */
        uint64_t low = (uint64_t)a;
        if (low / divisor > size_mask(u->size))
            soft_raise(cpu, u, EXC_DE);
        set_quotient(cpu, u->size, low / divisor, low % divisor);
    } else {
        if (a / divisor > size_mask(u->size))
            soft_raise(cpu, u, EXC_DE);
        set_quotient(cpu, u->size, (uint64_t)(a / divisor), (uint64_t)(a % divisor));
    }
}

UOP_BODY(div_signed)
{
    int64_t divisor = sign_extend(rm_get(cpu, u), u->size);
    unsigned unused = 128 - (u->size == 1 ? 16 : 16 * u->size);
    i128 a = (i128)(dividend(cpu, u->size) << unused) >> unused;
    if (divisor == 0)
        soft_raise(cpu, u, EXC_DE);
    /* On absolute values, so that the most negative dividend cannot overflow here. */
    u128 size_a = a < 0 ? -(u128)a : (u128)a;
    u128 size_b = divisor < 0 ? -(u128)divisor : (u128)divisor;
    u128 quotient = size_a / size_b, remainder = size_a % size_b;
    bool negative = (a < 0) != (divisor < 0);
    u128 most = ((u128)1 << (8 * u->size - 1)) - !negative;
    if (quotient > most)
        soft_raise(cpu, u, EXC_DE);
    set_quotient(cpu, u->size, (uint64_t)(negative ? -quotient : quotient), (uint64_t)(a < 0 ? -remainder : remainder));
}

static UOP(cbw)
{
    reg_set(cpu, AT(GPR_RAX), u->size, (uint64_t)sign_extend(cpu->RAX, u->size / 2));
    NEXT();
}

static UOP(cwd)
{
    reg_set(cpu, AT(GPR_RDX), u->size, sign_extend(cpu->RAX, u->size) < 0 ? UINT64_MAX : 0);
    NEXT();
}

uop_fn *multiply_uop(const struct insn *insn)
{
    bool quick = !insn->memory && insn->size >= 4, wide = insn->size == 8;
    switch (insn->op) {
    case OP_MUL:
        return mul;
    case OP_IMUL:
        return imul;
    case OP_IMUL2:
        return !quick ? imul2 : wide ? imul2_reg_64 : imul2_reg_32;
    case OP_IMUL3:
        return !quick ? imul3 : wide ? imul3_reg_64 : imul3_reg_32;
    case OP_DIV:
        return div_unsigned;
    case OP_IDIV:
        return div_signed;
    case OP_CBW:
        return cbw;
    default:
        return cwd;
    }
}

/* Decimal arithmetic. OF is undefined after all of these: it is cleared. */

static void decimal_flags(struct soft *cpu, uint8_t al, bool cf, bool af)
{
    flags_result(cpu, (int8_t)al, (uint64_t)cf << 63 | (uint64_t)cf << 62 | (uint64_t)af << 3);
}

static void adjust_packed(struct soft *cpu, bool subtract)
{
    uint8_t old = (uint8_t)cpu->RAX, al = old;
    bool cf = flag_cf(cpu), carry = cf, af = (old & 15) > 9 || flag_af(cpu);
    if (af) {
        carry = cf || (subtract ? old < 6 : old > 0xf9);
        al = (uint8_t)(subtract ? al - 6 : al + 6);
    }
    if (old > 0x99 || cf) {
        al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
        carry = true;
    } else if (!subtract) {
        /* DAA clears CF where neither digit needed it; DAS keeps the borrow of the low digit. */
        carry = false;
    }
    REG_AT(8, AT(GPR_RAX)) = al;
    decimal_flags(cpu, al, carry, af);
}

static UOP(daa)
{
    adjust_packed(cpu, false);
    NEXT();
}

static UOP(das)
{
    adjust_packed(cpu, true);
    NEXT();
}

static void adjust_unpacked(struct soft *cpu, int by)
{
    uint16_t ax = (uint16_t)cpu->RAX;
    bool adjust = (ax & 15) > 9 || flag_af(cpu);
    if (adjust)
        ax = (uint16_t)(ax + by);
    ax &= 0xff0f;
    REG_AT(16, AT(GPR_RAX)) = ax;
    decimal_flags(cpu, (uint8_t)ax, adjust, adjust);
}

static UOP(aaa)
{
    adjust_unpacked(cpu, 0x106);
    NEXT();
}

static UOP(aas)
{
    adjust_unpacked(cpu, -0x106);
    NEXT();
}

UOP_BODY(aam)
{
    uint8_t al = (uint8_t)cpu->RAX, base = (uint8_t)u->imm;
    if (base == 0)
        soft_raise(cpu, u, EXC_DE);
    REG_AT(16, AT(GPR_RAX)) = (uint16_t)((al / base) << 8 | al % base);
    decimal_flags(cpu, al % base, false, false);
}

UOP_BODY(aad)
{
    uint16_t ax = (uint16_t)cpu->RAX;
    uint8_t al = (uint8_t)(ax + (ax >> 8) * (uint8_t)u->imm);
    REG_AT(16, AT(GPR_RAX)) = al;
    decimal_flags(cpu, al, false, false);
}

uop_fn *decimal_uop(const struct insn *insn)
{
    static uop_fn *const table[] = {aaa, aas, daa, das, aam, aad};
    return table[insn->op - OP_AAA];
}
