/*
 * Lazy status flags.
 *
 * An instruction that sets the flags stores three words, and no flag is worked out until someone asks:
 *   flag_zero   ZF is set when it is 0
 *   flag_sign   SF is its bit 63; PF is the parity of its low byte
 *   flag_carry  the carries out of each bit of the addition or borrows of the subtraction: CF is bit 63, OF is bit 63
 *               exclusive-or bit 62 (carry out of and into the sign), AF is bit 3
 * For operands shorter than 64 bits the result is sign-extended, and the carries are moved up so that those of the
 * operand's top bits are at the top; AF's carry stays at bit 3. Any combination of flags can be held in this form.
 */
#ifndef ENCORE_VMM_SOFT_FLAGS_H
#define ENCORE_VMM_SOFT_FLAGS_H

#include "vmm/soft/soft.h"

static inline bool flag_cf(const struct soft *cpu)
{
    return cpu->flag_carry >> 63;
}

static inline bool flag_zf(const struct soft *cpu)
{
    return cpu->flag_zero == 0;
}

static inline bool flag_sf(const struct soft *cpu)
{
    return cpu->flag_sign >> 63;
}

static inline bool flag_of(const struct soft *cpu)
{
    return (cpu->flag_carry ^ (cpu->flag_carry << 1)) >> 63;
}

static inline bool flag_af(const struct soft *cpu)
{
    return (cpu->flag_carry >> 3) & 1;
}

static inline bool flag_pf(const struct soft *cpu)
{
    return !__builtin_parity((uint8_t)cpu->flag_sign);
}

/* The six status flags at their places in RFLAGS. */
static inline uint64_t flags_get(const struct soft *cpu)
{
    return (uint64_t)flag_cf(cpu) | (uint64_t)flag_pf(cpu) << 2 | (uint64_t)flag_af(cpu) << 4 |
           (uint64_t)flag_zf(cpu) << 6 | (uint64_t)flag_sf(cpu) << 7 | (uint64_t)flag_of(cpu) << 11;
}

/* Sets the six from their places in RFLAGS. */
static inline void flags_set(struct soft *cpu, uint64_t rflags)
{
    uint64_t carry = rflags & RFLAGS_CF;
    uint64_t into_sign = carry ^ ((rflags >> 11) & 1);
    cpu->flag_zero = !(rflags & RFLAGS_ZF);
    /* A low byte of 0 has even parity, one of 1 has odd. */
    cpu->flag_sign = ((rflags >> 7) & 1) << 63 | !(rflags & RFLAGS_PF);
    cpu->flag_carry = carry << 63 | into_sign << 62 | ((rflags >> 4) & 1) << 3;
}

static inline void flags_set_cf(struct soft *cpu, bool cf)
{
    /* OF is kept by moving the carry into the sign along. */
    uint64_t change = (uint64_t)(flag_cf(cpu) != cf);
    cpu->flag_carry ^= change << 63 | change << 62;
}

/* The carries `raw` of a result of `bits` bits, in the stored form. */
static inline uint64_t flags_carries(uint64_t raw, unsigned bits)
{
    return bits == 64 ? raw : raw << (64 - bits) | (raw & 8);
}

static inline void flags_result(struct soft *cpu, int64_t result, uint64_t carries)
{
    cpu->flag_zero = (uint64_t)result;
    cpu->flag_sign = (uint64_t)result;
    cpu->flag_carry = carries;
}

/* The sixteen conditions, SDM volume 1, appendix B; `condition` should be a constant. */
static inline __attribute__((always_inline)) bool flags_condition(const struct soft *cpu, unsigned condition)
{
    bool holds;
    switch (condition >> 1) {
    case 0:
        holds = flag_of(cpu);
        break;
    case 1:
        holds = flag_cf(cpu);
        break;
    case 2:
        holds = flag_zf(cpu);
        break;
    case 3:
        holds = (cpu->flag_carry >> 63) | (cpu->flag_zero == 0);
        break;
    case 4:
        holds = flag_sf(cpu);
        break;
    case 5:
        holds = flag_pf(cpu);
        break;
    case 6:
        holds = (cpu->flag_sign ^ cpu->flag_carry ^ (cpu->flag_carry << 1)) >> 63;
        break;
    default:
        holds = (cpu->flag_sign ^ cpu->flag_carry ^ (cpu->flag_carry << 1)) >> 63 | (cpu->flag_zero == 0);
        break;
    }
    return holds != (condition & 1);
}

#endif
