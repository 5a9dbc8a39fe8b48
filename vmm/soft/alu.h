/*
 * Integer arithmetic and logic with the flags it sets, by operand size: add32(cpu, a, b) and so on.
 */
#ifndef ENCORE_VMM_SOFT_ALU_H
#define ENCORE_VMM_SOFT_ALU_H

#include "vmm/soft/flags.h"

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

#endif
