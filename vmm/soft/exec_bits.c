/*
 * BT BTS BTR BTC BSF BSR POPCNT BSWAP CMPXCHG XADD CMPXCHG8B CMPXCHG16B and the flag instructions (SDM volume 2).
 */
#include "vmm/soft/ops.h"

/* The word of a bit string that holds bit `index`, which may be far from the operand and negative. */
static uint64_t string_address(struct soft *cpu, const struct uop *u, int64_t index, bool write)
{
    struct uop at = *u;
    at.disp += (uint64_t)((index >> (3 + __builtin_ctz(u->size))) * u->size);
    uint64_t offset = soft_offset(cpu, &at);
    enum access access = write ? ACCESS_WRITE : ACCESS_READ;
    if (u->flags & UF_CHECK)
        return soft_segment_address(cpu, u, u->seg, offset, u->size, access);
    return offset + cpu->seg_base[u->seg];
}

/* `register_index`: the bit number is in ModRM.reg, and addresses a string when rm is memory. ZF is kept, as are the
 * flags that the manual leaves undefined. */
static void bit_test(struct soft *cpu, const struct uop *u, unsigned op, bool register_index)
{
    uint64_t index = register_index ? reg_get(cpu, u->src, u->size) : (uint64_t)u->imm;
    bool write = op != OP_BT;
    uint64_t linear = 0, value;
    if (u->flags & UF_MEMORY) {
        linear = string_address(cpu, u, register_index ? sign_extend(index, u->size) : 0, write);
        if (write)
            soft_probe_write(cpu, u, linear, u->size);
        value = soft_load(cpu, u, linear, u->size);
    } else {
        value = reg_get(cpu, u->dst, u->size);
    }
    uint64_t bit = UINT64_C(1) << (index % (8 * u->size));
    flags_set_cf(cpu, value & bit);
    if (op == OP_BTS)
        value |= bit;
    else if (op == OP_BTR)
        value &= ~bit;
    else if (op == OP_BTC)
        value ^= bit;
    if (write)
        rm_put(cpu, u, linear, value);
}

#define BIT_TEST(name, op)                                                                                             \
    static UOP(name##_reg)                                                                                             \
    {                                                                                                                  \
        bit_test(cpu, u, op, true);                                                                                    \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(name##_imm)                                                                                             \
    {                                                                                                                  \
        bit_test(cpu, u, op, false);                                                                                   \
        NEXT();                                                                                                        \
    }

BIT_TEST(bt, OP_BT)
BIT_TEST(bts, OP_BTS)
BIT_TEST(btr, OP_BTR)
BIT_TEST(btc, OP_BTC)

/* Of zero: ZF is set and the destination keeps its value. The undefined flags are kept. */
static void bit_scan(struct soft *cpu, const struct uop *u, bool reverse)
{
    uint64_t value = rm_get(cpu, u);
    uint64_t rflags = flags_get(cpu) & ~(uint64_t)RFLAGS_ZF;
    if (value == 0) {
        rflags |= RFLAGS_ZF;
    } else {
        unsigned index = (unsigned)(reverse ? 63 - __builtin_clzll(value) : __builtin_ctzll(value));
        reg_set(cpu, u->src, u->size, index);
    }
    flags_set(cpu, rflags);
}

static UOP(bsf)
{
    bit_scan(cpu, u, false);
    NEXT();
}

static UOP(bsr)
{
    bit_scan(cpu, u, true);
    NEXT();
}

UOP_BODY(popcnt)
{
    uint64_t value = rm_get(cpu, u);
    reg_set(cpu, u->src, u->size, (uint64_t)__builtin_popcountll(value));
    flags_set(cpu, value ? 0 : RFLAGS_ZF);
}

/* Of a 16-bit register the result is undefined: zero, as processors do. */
UOP_BODY(bswap)
{
    uint64_t value = reg_get(cpu, u->dst, 8);
    value = u->size == 8 ? __builtin_bswap64(value) : u->size == 4 ? __builtin_bswap32((uint32_t)value) : 0;
    reg_set(cpu, u->dst, u->size, value);
}

static void compare_flags(struct soft *cpu, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t r = a - b;
    flags_result(cpu, sign_extend(r, size), flags_carries((~a & b) | ((~a | b) & r), 8 * size));
}

UOP_BODY(cmpxchg)
{
    uint64_t linear = 0, value = rm_take(cpu, u, &linear);
    uint64_t accumulator = reg_get(cpu, AT(GPR_RAX), u->size);
    compare_flags(cpu, accumulator, value, u->size);
    if (accumulator == value) {
        rm_put(cpu, u, linear, reg_get(cpu, u->src, u->size));
    } else {
        /* The destination is written with what it held; of the two registers only the accumulator is. */
        if (u->flags & UF_MEMORY)
            soft_store(cpu, u, linear, u->size, value);
        reg_set(cpu, AT(GPR_RAX), u->size, value);
    }
}

UOP_BODY(xadd)
{
    uint64_t linear = 0, a = rm_take(cpu, u, &linear), b = reg_get(cpu, u->src, u->size);
    uint64_t r = (a + b) & size_mask(u->size);
    flags_result(cpu, sign_extend(r, u->size), flags_carries((a & b) | ((a | b) & ~r), 8 * u->size));
    reg_set(cpu, u->src, u->size, a);
    rm_put(cpu, u, linear, r);
}

/* CMPXCHG8B, and CMPXCHG16B with REX.W. */
UOP_BODY(cmpxchg_pair)
{
    unsigned half = u->size == 8 ? 8 : 4;
    uint64_t linear = soft_address(cpu, u, 2 * half, ACCESS_WRITE);
    if (half == 8 && (linear & 15))
        soft_raise_code(cpu, u, EXC_GP, 0);
    soft_probe_write(cpu, u, linear, 2 * half);
    uint64_t memory[2] = {soft_load(cpu, u, linear, half), soft_load(cpu, u, linear + half, half)};
    uint64_t mask = size_mask(half);
    bool equal = memory[0] == (cpu->RAX & mask) && memory[1] == (cpu->RDX & mask);
    uint64_t rflags = flags_get(cpu) & ~(uint64_t)RFLAGS_ZF;
    flags_set(cpu, rflags | (equal ? RFLAGS_ZF : 0));
    soft_store(cpu, u, linear, half, equal ? cpu->RBX : memory[0]);
    soft_store(cpu, u, linear + half, half, equal ? cpu->RCX : memory[1]);
    if (!equal) {
        reg_set(cpu, AT(GPR_RAX), half, memory[0]);
        reg_set(cpu, AT(GPR_RDX), half, memory[1]);
    }
}

uop_fn *bits_uop(const struct insn *insn)
{
    bool by_register = insn->opcode != 0xba;
    switch (insn->op) {
    case OP_BT:
        return by_register ? bt_reg : bt_imm;
    case OP_BTS:
        return by_register ? bts_reg : bts_imm;
    case OP_BTR:
        return by_register ? btr_reg : btr_imm;
    case OP_BTC:
        return by_register ? btc_reg : btc_imm;
    case OP_BSF:
        return bsf;
    case OP_BSR:
        return bsr;
    case OP_POPCNT:
        return popcnt;
    case OP_BSWAP:
        return bswap;
    case OP_CMPXCHG:
        return cmpxchg;
    case OP_XADD:
        return xadd;
    default:
        return cmpxchg_pair;
    }
}

static UOP(clc)
{
    flags_set_cf(cpu, false);
    NEXT();
}

static UOP(stc)
{
    flags_set_cf(cpu, true);
    NEXT();
}

static UOP(cmc)
{
    flags_set_cf(cpu, !flag_cf(cpu));
    NEXT();
}

static UOP(cld)
{
    cpu->rflags &= ~(uint64_t)RFLAGS_DF;
    NEXT();
}

static UOP(std)
{
    cpu->rflags |= RFLAGS_DF;
    NEXT();
}

static UOP(lahf)
{
    REG_AT(8, AT(GPR_RAX) + 1) = (uint8_t)(flags_get(cpu) | RFLAGS_FIXED);
    NEXT();
}

static UOP(sahf)
{
    uint8_t ah = REG_AT(8, AT(GPR_RAX) + 1);
    flags_set(cpu, (flags_get(cpu) & RFLAGS_OF) | (ah & 0xd5));
    NEXT();
}

static UOP(nop)
{
    NEXT();
}

uop_fn *flags_uop(const struct insn *insn)
{
    switch (insn->op) {
    case OP_CLC:
        return clc;
    case OP_STC:
        return stc;
    case OP_CMC:
        return cmc;
    case OP_CLD:
        return cld;
    case OP_STD:
        return std;
    case OP_LAHF:
        return lahf;
    case OP_SAHF:
        return sahf;
    default:
        return nop;
    }
}
