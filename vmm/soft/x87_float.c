/*
 * The x87's extended format: unpacking, and rounding with its exceptions (SDM volume 1, 4.2, 4.8 and 8.5).
 */
#include "vmm/soft/x87_float.h"

#include <string.h>

enum { BIAS = 16383, EXPONENT_MAX = 16383, EXPONENT_MIN = -16382, EXPONENT_MOVE = 24576 };

enum { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO };

#define INTEGER_BIT (UINT64_C(1) << 63)

struct x87_operand x87_unpack(const uint8_t *st)
{
    uint64_t significand;
    uint16_t top;
    memcpy(&significand, st, 8);
    memcpy(&top, st + 8, 2);
    unsigned exponent = top & 0x7fff;
    struct x87_operand x = {.kind = X87_FINITE, .negative = top >> 15, .significand = significand};
    if (exponent && !(significand & INTEGER_BIT)) {
        x.kind = X87_UNSUPPORTED;
    } else if (exponent == 0x7fff) {
        x.kind = significand == INTEGER_BIT ? X87_INFINITE : X87_NAN;
    } else if (significand == 0) {
        x.kind = X87_ZERO;
    } else {
        int shift = __builtin_clzll(significand);
        x.denormal = exponent == 0;
        x.significand <<= shift;
        x.exponent = (exponent ? (int)exponent : 1) - BIAS - shift;
    }
    return x;
}

void x87_pack(uint8_t *st, bool negative, unsigned exponent, uint64_t significand)
{
    uint16_t top = (uint16_t)(exponent | (negative ? 0x8000u : 0));
    memcpy(st, &significand, 8);
    memcpy(st + 8, &top, 2);
}

/* A significand with its first 64 bits kept. */
struct rounded {
    uint64_t significand;
    bool carried; /* it became 2^64, and so 1.0 of the next exponent */
    bool inexact, up;
};

static struct rounded round_bits(uint128 bits, bool inexact, bool negative, unsigned mode)
{
    uint64_t rest = (uint64_t)bits;
    struct rounded r = {.significand = (uint64_t)(bits >> 64), .inexact = rest || inexact};
    if (mode == ROUND_NEAREST)
        r.up = rest > INTEGER_BIT || (rest == INTEGER_BIT && (r.significand & 1));
    else
        r.up = rest && mode == (negative ? ROUND_DOWN : ROUND_UP);
    if (r.up && ++r.significand == 0) {
        r.significand = INTEGER_BIT;
        r.carried = true;
    }
    return r;
}

/* The result of a masked overflow, by rounding mode: infinity, or the greatest number (SDM volume 1, table 4-10). */
static unsigned overflow(bool negative, unsigned mode, uint8_t *st)
{
    bool infinite = mode == ROUND_NEAREST || mode == (negative ? ROUND_DOWN : ROUND_UP);
    if (infinite)
        x87_pack(st, negative, 0x7fff, INTEGER_BIT);
    else
        x87_pack(st, negative, 0x7ffe, UINT64_MAX);
    return X87_OE | X87_PE | (infinite ? X87_C1 : 0);
}

/* A masked underflow: a denormal, zero, or the least normal number. */
static unsigned underflow(const struct x87_exact *v, unsigned mode, uint8_t *st)
{
    unsigned by = (unsigned)(EXPONENT_MIN - v->exponent);
    uint128 bits = by < 128 ? v->significand >> by : 0;
    bool lost = by >= 128 || (bits << by) != v->significand;
    /* What was shifted out counts as a bit below the last. */
    struct rounded r = round_bits(bits | lost, v->inexact, v->negative, mode);
    x87_pack(st, v->negative, r.significand >> 63 ? 1 : 0, r.significand);
    return (r.inexact ? X87_UE | X87_PE : 0) | (r.up ? X87_C1 : 0);
}

unsigned x87_round(const struct x87_exact *value, uint16_t fcw, uint8_t *st)
{
    unsigned mode = (fcw >> 10) & 3, flags;
    struct rounded r = round_bits(value->significand, value->inexact, value->negative, mode);
    int exponent = value->exponent + r.carried;
    flags = (r.inexact ? X87_PE : 0) | (r.up ? X87_C1 : 0);
    if (exponent > EXPONENT_MAX) {
        if (fcw & X87_OE)
            return overflow(value->negative, mode, st);
        flags |= X87_OE;
        exponent -= EXPONENT_MOVE;
    } else if (exponent < EXPONENT_MIN) {
        if (fcw & X87_UE)
            return underflow(value, mode, st);
        flags |= X87_UE;
        exponent += EXPONENT_MOVE;
    }
    x87_pack(st, value->negative, (unsigned)(exponent + BIAS), r.significand);
    return flags;
}

void x87_set_top(struct fx_image *fx, unsigned top)
{
    unsigned by = (top - ((fx->fsw >> 11) & 7)) & 7;
    uint8_t old[8][16];
    memcpy(old, fx->st, sizeof old);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx->st[i], old[(i + by) & 7], 16);
    fx->fsw = (uint16_t)((fx->fsw & ~0x3800u) | top << 11);
}
