/*
 * Integer arithmetic and logic: ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NOT NEG (SDM volume 2).
 */
#include "vmm/soft/alu.h"
#include "vmm/soft/ops.h"

/* The five shapes of an operation that writes its destination. */
#define ALU_WRITES(op, bits)                                                                                           \
    static UOP(op##_rr_##bits)                                                                                         \
    {                                                                                                                  \
        SET_REG##bits(u->dst, op##bits(cpu, DST(bits), SRC(bits)));                                                    \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(op##_ri_##bits)                                                                                         \
    {                                                                                                                  \
        SET_REG##bits(u->dst, op##bits(cpu, DST(bits), (uint##bits##_t)u->imm));                                       \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_LOAD(op##_rm_##bits, bits, SET_REG##bits(u->dst, op##bits(cpu, DST(bits), m)))                                 \
    UOP_MODIFY(op##_mr_##bits, bits, m = op##bits(cpu, m, SRC(bits)))                                                  \
    UOP_MODIFY(op##_mi_##bits, bits, m = op##bits(cpu, m, (uint##bits##_t)u->imm))

/* Those of one that sets the flags only. `core` computes them. */
#define ALU_COMPARES(op, core, bits)                                                                                   \
    static UOP(op##_rr_##bits)                                                                                         \
    {                                                                                                                  \
        core##bits(cpu, DST(bits), SRC(bits));                                                                         \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(op##_ri_##bits)                                                                                         \
    {                                                                                                                  \
        core##bits(cpu, DST(bits), (uint##bits##_t)u->imm);                                                            \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_LOAD(op##_rm_##bits, bits, core##bits(cpu, DST(bits), m))                                                      \
    UOP_LOAD(op##_mr_##bits, bits, core##bits(cpu, m, SRC(bits)))                                                      \
    UOP_LOAD(op##_mi_##bits, bits, core##bits(cpu, m, (uint##bits##_t)u->imm))

#define ALL_SIZES(macro, ...) macro(__VA_ARGS__, 8) macro(__VA_ARGS__, 16) macro(__VA_ARGS__, 32) macro(__VA_ARGS__, 64)

ALL_SIZES(ALU_WRITES, add)
ALL_SIZES(ALU_WRITES, or)
ALL_SIZES(ALU_WRITES, adc)
ALL_SIZES(ALU_WRITES, sbb)
ALL_SIZES(ALU_WRITES, and)
ALL_SIZES(ALU_WRITES, sub)
ALL_SIZES(ALU_WRITES, xor)
ALL_SIZES(ALU_COMPARES, cmp, sub)
ALL_SIZES(ALU_COMPARES, test, and)

#define UNARY(op, bits)                                                                                                \
    static UOP(op##_r_##bits)                                                                                          \
    {                                                                                                                  \
        SET_REG##bits(u->dst, op##bits(cpu, DST(bits)));                                                               \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_MODIFY(op##_m_##bits, bits, m = op##bits(cpu, m))

ALL_SIZES(UNARY, inc)
ALL_SIZES(UNARY, dec)
ALL_SIZES(UNARY, not )
ALL_SIZES(UNARY, neg)

#define SIZES(name)                                                                                                    \
    {                                                                                                                  \
        name##_8, name##_16, name##_32, name##_64                                                                      \
    }
#define SHAPES_OF(op)                                                                                                  \
    {                                                                                                                  \
        [SHAPE_RR] = SIZES(op##_rr), [SHAPE_RI] = SIZES(op##_ri), [SHAPE_RM] = SIZES(op##_rm),                         \
        [SHAPE_MR] = SIZES(op##_mr), [SHAPE_MI] = SIZES(op##_mi)                                                       \
    }

uop_fn *alu_uop(unsigned op, enum shape shape, unsigned size)
{
    static uop_fn *const table[9][SHAPES][4] = {
        SHAPES_OF(add), SHAPES_OF(or),  SHAPES_OF(adc), SHAPES_OF(sbb),  SHAPES_OF(and),
        SHAPES_OF(sub), SHAPES_OF(xor), SHAPES_OF(cmp), SHAPES_OF(test),
    };
    return table[op == OP_TEST ? 8 : op - OP_ADD][shape][size_index(size)];
}

uop_fn *unary_uop(unsigned op, bool memory, unsigned size)
{
    static uop_fn *const table[4][2][4] = {
        {SIZES(inc_r), SIZES(inc_m)},
        {SIZES(dec_r), SIZES(dec_m)},
        {SIZES(not_r), SIZES(not_m)},
        {SIZES(neg_r), SIZES(neg_m)},
    };
    return table[op - OP_INC][memory][size_index(size)];
}
