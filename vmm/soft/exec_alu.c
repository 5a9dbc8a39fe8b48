/*
 * Integer arithmetic and logic: ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NOT NEG (SDM volume 2).
 */
#include "vmm/soft/ops.h"

/* The carry out of each bit of a + b (+ carry) = r, and the borrow out of each bit of a - b (- borrow) = r. */
static inline uint64_t carries_add(uint64_t a, uint64_t b, uint64_t r)
{
    return (a & b) | ((a | b) & ~r);
}

static inline uint64_t carries_sub(uint64_t a, uint64_t b, uint64_t r)
{
    return (~a & b) | ((~a | b) & r);
}

#define ALU_CORE(bits)                                                                                                 \
    static inline uint##bits##_t add##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                       \
    {                                                                                                                  \
        uint##bits##_t r = (uint##bits##_t)(a + b);                                                                    \
        flags_result(cpu, (int##bits##_t)r, flags_carries(carries_add(a, b, r), bits));                                \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t adc##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                       \
    {                                                                                                                  \
        uint##bits##_t r = (uint##bits##_t)(a + b + flag_cf(cpu));                                                     \
        flags_result(cpu, (int##bits##_t)r, flags_carries(carries_add(a, b, r), bits));                                \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t sub##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                       \
    {                                                                                                                  \
        uint##bits##_t r = (uint##bits##_t)(a - b);                                                                    \
        flags_result(cpu, (int##bits##_t)r, flags_carries(carries_sub(a, b, r), bits));                                \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t sbb##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                       \
    {                                                                                                                  \
        uint##bits##_t r = (uint##bits##_t)(a - b - flag_cf(cpu));                                                     \
        flags_result(cpu, (int##bits##_t)r, flags_carries(carries_sub(a, b, r), bits));                                \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t logic##bits(struct soft *cpu, uint##bits##_t r)                                       \
    {                                                                                                                  \
        flags_result(cpu, (int##bits##_t)r, 0);                                                                        \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t or ##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                       \
    {                                                                                                                  \
        return logic##bits(cpu, a | b);                                                                                \
    }                                                                                                                  \
    static inline uint##bits##_t and##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                       \
    {                                                                                                                  \
        return logic##bits(cpu, a & b);                                                                                \
    }                                                                                                                  \
    static inline uint##bits##_t xor ##bits(struct soft *cpu, uint##bits##_t a, uint##bits##_t b)                      \
    {                                                                                                                  \
        return logic##bits(cpu, a ^ b);                                                                                \
    }                                                                                                                  \
    /* INC and DEC keep CF, which moves the carry into the sign as OF needs it. */                                     \
    static inline void step_flags##bits(struct soft *cpu, uint##bits##_t r, bool overflow, bool adjust)                \
    {                                                                                                                  \
        uint64_t cf = flag_cf(cpu);                                                                                    \
        flags_result(cpu, (int##bits##_t)r, cf << 63 | (cf ^ overflow) << 62 | (uint64_t)adjust << 3);                 \
    }                                                                                                                  \
    static inline uint##bits##_t inc##bits(struct soft *cpu, uint##bits##_t a)                                         \
    {                                                                                                                  \
        uint##bits##_t r = (uint##bits##_t)(a + 1);                                                                    \
        step_flags##bits(cpu, r, r == (uint##bits##_t)(UINT64_C(1) << (bits - 1)), (r & 15) == 0);                     \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t dec##bits(struct soft *cpu, uint##bits##_t a)                                         \
    {                                                                                                                  \
        uint##bits##_t r = (uint##bits##_t)(a - 1);                                                                    \
        step_flags##bits(cpu, r, a == (uint##bits##_t)(UINT64_C(1) << (bits - 1)), (a & 15) == 0);                     \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint##bits##_t not ##bits(struct soft * cpu, uint##bits##_t a)                                       \
    {                                                                                                                  \
        (void)cpu;                                                                                                     \
        return (uint##bits##_t) ~a;                                                                                    \
    }                                                                                                                  \
    static inline uint##bits##_t neg##bits(struct soft *cpu, uint##bits##_t a)                                         \
    {                                                                                                                  \
        return sub##bits(cpu, 0, a);                                                                                   \
    }

ALU_CORE(8)
ALU_CORE(16)
ALU_CORE(32)
ALU_CORE(64)

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
