/*
 * F2XM1 FYL2X FPTAN FPATAN FYL2XP1 FSINCOS FSIN FCOS, on an FXSAVE image: the same on every host.
 *
 * Here are their special operands, exceptions and the stack, by the pages of the instructions in SDM volume 2 and by
 * volume 1, 4.9.2 (the order: stack, invalid operation or division by zero, denormal operand, then what rounding
 * raises). What the architecture leaves open is fixed thus. C1 tells whether the last result was rounded up. C0 and C3
 * stay as they were. The result is rounded as RC says; PC has no effect. Every result that is not exact sets PE.
 * Operands outside the domain of F2XM1 and FYL2XP1, where results are undefined, give ST(0) as the result and PE;
 * FYL2XP1 of more than 1 - sqrt(1/2), where it is undefined too, is y * log2(x + 1) as before that.
 */
#include <string.h>

#include "vmm/soft/x87_float.h"

enum {
    F2XM1 = 0xf0,
    FYL2X = 0xf1,
    FPTAN = 0xf2,
    FPATAN = 0xf3,
    FYL2XP1 = 0xf9,
    FSINCOS = 0xfb,
    FSIN = 0xfe,
    FCOS = 0xff,
};

#define QUIET_BIT   (UINT64_C(1) << 62)
#define INTEGER_BIT (UINT64_C(1) << 63)

/* What an instruction comes to, before it is known whether exceptions let it happen. */
struct outcome {
    unsigned flags;
    bool done; /* the result is in `result`, by a rule for special operands */
    uint8_t result[10];
    struct x87_operand x, y; /* ST(0) and ST(1) */
};

bool x87_is_function(unsigned modrm)
{
    return (modrm >= F2XM1 && modrm <= FPATAN) || modrm == FYL2XP1 || modrm == FSINCOS || modrm >= FSIN;
}

static bool has_two(unsigned modrm)
{
    return modrm == FYL2X || modrm == FPATAN || modrm == FYL2XP1;
}

static bool pushes(unsigned modrm)
{
    return modrm == FPTAN || modrm == FSINCOS;
}

static bool is_angle(unsigned modrm)
{
    return modrm == FPTAN || modrm >= FSINCOS;
}

/* ---- Special operands ---- */

static void give(struct outcome *o, bool negative, unsigned exponent, uint64_t significand)
{
    x87_pack(o->result, negative, exponent, significand);
    o->done = true;
}

static void give_zero(struct outcome *o, bool negative)
{
    give(o, negative, 0, 0);
}

static void give_infinity(struct outcome *o, bool negative)
{
    give(o, negative, 0x7fff, INTEGER_BIT);
}

static void give_one(struct outcome *o)
{
    give(o, false, 0x3fff, INTEGER_BIT);
}

static void give_invalid(struct outcome *o)
{
    o->flags = X87_IE;
    give(o, true, 0x7fff, INTEGER_BIT | QUIET_BIT);
}

/* Outside the domain, where the result is undefined: ST(0), taken for inexact. */
static void give_operand(struct outcome *o)
{
    o->flags |= X87_PE;
    give(o, o->x.negative, (unsigned)(o->x.exponent + 16383), o->x.significand);
}

static bool is_signaling(const struct x87_operand *x)
{
    return x->kind == X87_NAN && !(x->significand & QUIET_BIT);
}

/* Which of two operands becomes the result when one is a NaN, SDM volume 1, table 4-7. */
static const struct x87_operand *choose_nan(const struct x87_operand *x, const struct x87_operand *y)
{
    if (x->kind != X87_NAN || y->kind != X87_NAN)
        return x->kind == X87_NAN ? x : y;
    if (is_signaling(x) != is_signaling(y))
        return is_signaling(x) ? y : x;
    if (x->significand != y->significand)
        return x->significand > y->significand ? x : y;
    return x->negative ? y : x;
}

static void find_nan(struct outcome *o, bool two)
{
    const struct x87_operand *x = &o->x, *y = two ? &o->y : &o->x;
    if (x->kind == X87_UNSUPPORTED || y->kind == X87_UNSUPPORTED) {
        give_invalid(o);
    } else if (x->kind == X87_NAN || y->kind == X87_NAN) {
        const struct x87_operand *nan = choose_nan(x, y);
        if (is_signaling(x) || is_signaling(y))
            o->flags = X87_IE;
        give(o, nan->negative, 0x7fff, nan->significand | QUIET_BIT);
    }
}

static void round_into(struct outcome *o, struct x87_exact value, uint16_t fcw)
{
    o->flags |= x87_round(&value, fcw, o->result);
    o->done = true;
}

/* Is the magnitude less than 1 (-1), 1 (0), or more (1)? */
static int against_one(const struct x87_operand *x)
{
    if (x->kind == X87_INFINITE)
        return 1;
    if (x->kind == X87_ZERO || x->exponent < 0)
        return -1;
    return x->exponent > 0 || x->significand != INTEGER_BIT;
}

static void special_f2xm1(struct outcome *o)
{
    const struct x87_operand *x = &o->x;
    if (x->kind == X87_ZERO) {
        give_zero(o, x->negative);
    } else if (against_one(x) >= 0) {
        if (against_one(x) == 0)
            x->negative ? give(o, true, 0x3ffe, INTEGER_BIT) : give_one(o);
        else if (x->kind == X87_INFINITE)
            x->negative ? give(o, true, 0x3fff, INTEGER_BIT) : give_infinity(o, false);
        else
            give_operand(o);
    }
}

static void special_fyl2x(struct outcome *o)
{
    const struct x87_operand *x = &o->x, *y = &o->y;
    int side = against_one(x);
    if (x->negative && x->kind != X87_ZERO) {
        give_invalid(o);
    } else if (x->kind == X87_ZERO) {
        if (y->kind == X87_ZERO)
            give_invalid(o);
        else if (y->kind == X87_FINITE)
            o->flags = X87_ZE;
        if (!o->done)
            give_infinity(o, !y->negative);
    } else if (y->kind == X87_INFINITE) {
        side == 0 ? give_invalid(o) : give_infinity(o, y->negative != (side < 0));
    } else if (y->kind == X87_ZERO || side == 0) {
        x->kind == X87_INFINITE ? give_invalid(o) : give_zero(o, y->negative != (side < 0));
    } else if (x->kind == X87_INFINITE) {
        give_infinity(o, y->negative);
    }
}

static void special_fyl2xp1(struct outcome *o)
{
    const struct x87_operand *x = &o->x, *y = &o->y;
    bool negative = x->negative != y->negative;
    if (x->kind == X87_INFINITE && x->negative) {
        give_invalid(o);
    } else if (x->kind == X87_ZERO || y->kind == X87_ZERO) {
        if (x->kind == X87_INFINITE || y->kind == X87_INFINITE)
            give_invalid(o);
        else
            give_zero(o, negative);
    } else if (x->kind == X87_INFINITE || y->kind == X87_INFINITE) {
        give_infinity(o, negative);
    } else if (x->negative && against_one(x) >= 0) {
        give_operand(o); /* there is no logarithm */
    }
}

static void special_fpatan(struct outcome *o, uint16_t fcw)
{
    const struct x87_operand *x = &o->x, *y = &o->y;
    unsigned quarters = 0;
    if (y->kind == X87_INFINITE)
        quarters = x->kind != X87_INFINITE ? 2 : x->negative ? 3 : 1;
    else if (y->kind == X87_FINITE && x->kind == X87_ZERO)
        quarters = 2;
    else if (y->kind == X87_ZERO || x->kind == X87_INFINITE)
        quarters = x->negative ? 4 : 0;
    else
        return;
    if (quarters)
        round_into(o, x87_pi(y->negative, quarters), fcw);
    else
        give_zero(o, y->negative);
}

static void special_angle(struct outcome *o, unsigned modrm)
{
    if (o->x.kind == X87_INFINITE)
        give_invalid(o);
    else if (o->x.kind == X87_ZERO)
        modrm == FCOS ? give_one(o) : give_zero(o, o->x.negative);
}

/* ---- The instruction ---- */

static struct x87_exact compute(const struct outcome *o, unsigned modrm)
{
    switch (modrm) {
    case F2XM1:
        return x87_f2xm1(o->x);
    case FYL2X:
        return x87_fyl2x(o->x, o->y);
    case FPTAN:
        return x87_tan(o->x);
    case FPATAN:
        return x87_fpatan(o->x, o->y);
    case FYL2XP1:
        return x87_fyl2xp1(o->x, o->y);
    case FCOS:
        return x87_cos(o->x);
    default:
        return x87_sin(o->x);
    }
}

static void find_special(struct outcome *o, unsigned modrm, uint16_t fcw)
{
    if (modrm == F2XM1)
        special_f2xm1(o);
    else if (modrm == FYL2X)
        special_fyl2x(o);
    else if (modrm == FYL2XP1)
        special_fyl2xp1(o);
    else if (modrm == FPATAN)
        special_fpatan(o, fcw);
    else
        special_angle(o, modrm);
}

static bool is_empty(const struct fx_image *fx, unsigned i)
{
    unsigned top = (fx->fsw >> 11) & 7;
    return !((fx->ftw >> ((top + i) & 7)) & 1);
}

/* The second result of FPTAN and FSINCOS: 1.0 and the cosine; both are the same NaN where the first is one. */
static void second(struct outcome *o, const struct outcome *first, unsigned modrm, uint16_t fcw)
{
    if (first->x.kind == X87_INFINITE || first->x.kind >= X87_NAN)
        memcpy(o->result, first->result, 10);
    else if (modrm == FPTAN || first->x.kind == X87_ZERO)
        give_one(o);
    else
        round_into(o, x87_cos(first->x), fcw);
}

/* Sets the flags, and says whether an unmasked one keeps the result from being stored. */
static bool stops(struct fx_image *fx, unsigned flags)
{
    fx->fsw |= (uint16_t)flags;
    fx_settle(fx);
    return flags & ~fx->fcw & (X87_IE | X87_DE | X87_ZE);
}

/* ST(0), or ST(1) and a pop, or ST(0) and a push. */
static void store(struct fx_image *fx, unsigned modrm, const uint8_t *result, const uint8_t *pushed)
{
    unsigned top = (fx->fsw >> 11) & 7;
    memcpy(fx->st[has_two(modrm)], result, 10);
    if (has_two(modrm)) {
        fx->ftw &= (uint8_t) ~(1u << top);
        x87_set_top(fx, (top + 1) & 7);
    } else if (pushes(modrm)) {
        x87_set_top(fx, (top - 1) & 7);
        fx->ftw |= (uint8_t)(1u << ((top - 1) & 7));
        memcpy(fx->st[0], pushed, 10);
    }
}

/* A register that is empty, or one that should be: both results are the default NaN. */
static bool stack_fault(struct fx_image *fx, unsigned modrm)
{
    struct outcome o = {0};
    bool under = is_empty(fx, 0) || (has_two(modrm) && is_empty(fx, 1));
    bool over = pushes(modrm) && !is_empty(fx, 7);
    if (!under && !over)
        return false;
    give_invalid(&o);
    if (!stops(fx, X87_IE | X87_SF | (under ? 0 : X87_C1))) {
        unsigned top = (fx->fsw >> 11) & 7;
        fx->ftw |= (uint8_t)(1u << ((top + has_two(modrm)) & 7));
        store(fx, modrm, o.result, o.result);
    }
    return true;
}

void x87_function(struct fx_image *fx, unsigned modrm)
{
    struct outcome o = {.x = x87_unpack(fx->st[0]), .y = x87_unpack(fx->st[1])}, other = {0};
    bool two = has_two(modrm);

    fx->fsw &= (uint16_t)~X87_C1;
    if (is_angle(modrm))
        fx->fsw &= (uint16_t)~X87_C2;
    if (stack_fault(fx, modrm))
        return;
    find_nan(&o, two);
    if (!o.done && is_angle(modrm) && o.x.kind == X87_FINITE && o.x.exponent >= 63) {
        fx->fsw |= X87_C2; /* out of range: nothing happens (SDM volume 1, 8.3.8) */
        return;
    }
    if (!o.done) {
        find_special(&o, modrm, fx->fcw);
        if ((o.x.denormal || (two && o.y.denormal)) && !(o.flags & (X87_IE | X87_ZE))) {
            o.flags |= X87_DE;
            if (stops(fx, X87_DE))
                return;
        }
    }
    if (!o.done)
        round_into(&o, compute(&o, modrm), fx->fcw);
    if (pushes(modrm)) {
        second(&other, &o, modrm, fx->fcw);
        if (other.flags)
            o.flags = (o.flags & ~(unsigned)X87_C1) | other.flags;
    }
    if (!stops(fx, o.flags))
        store(fx, modrm, o.result, other.result);
}
