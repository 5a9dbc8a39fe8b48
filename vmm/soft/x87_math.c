/*
 * The x87's transcendental functions, to 113 bits.
 *
 * Makers' processors differ in the last bits of these (SDM volume 1, 8.3.10, promises less than one unit of them), and
 * a replay must not. gcc's libquadmath computes with integers and with the basic operations of IEEE arithmetic alone,
 * which are the same everywhere: its results have an error far below the 64 bits that are kept. Exponents are kept
 * apart where the format's range could be left, so rounding happens once, in x87_round.
 *
 * Angles are reduced by the pi of 66 bits that the SDM names (8.3.8): exactly, in integers.
 */
#include <string.h>

#include "vmm/soft/x87_float.h"

typedef __float128 quad;

/* Of quadmath.h, which clang does not find. */
quad sinq(quad), cosq(quad), tanq(quad), atan2q(quad, quad), log2q(quad), log1pq(quad), expm1q(quad);

#define QUAD_BIAS 16383
/* Below 2^TINY, or for arguments of 64 bits below 2^SMALL, the second term of a series only tells which way to round.
 */
#define TINY  (-56)
#define SMALL (-40)

/* Constants by their bits: log2(e), ln(2) and pi, rounded to 113 bits. */
static const uint64_t log2_e_bits[2] = {UINT64_C(0xe1777d0ffda0d23a), UINT64_C(0x3fff71547652b82f)};
static const uint64_t ln_2_bits[2] = {UINT64_C(0xf35793c7673007e6), UINT64_C(0x3ffe62e42fefa39e)};
static const uint64_t pi_bits[2] = {UINT64_C(0x8469898cc51701b8), UINT64_C(0x4000921fb54442d1)};

static quad quad_of(const uint64_t bits[2])
{
    quad q;
    memcpy(&q, bits, sizeof q);
    return q;
}

/* (-1)^negative * significand * 2^(exponent - 63), within the normal range. */
static quad make(bool negative, uint64_t significand, int exponent)
{
    uint128 bits = (uint128)(significand << 1) << 48;
    bits |= (uint128)(unsigned)(exponent + QUAD_BIAS) << 112 | (uint128)negative << 127;
    quad q;
    memcpy(&q, &bits, sizeof q);
    return q;
}

/* q * 2^exponent, q normal. */
static struct x87_exact take(quad q, int exponent)
{
    uint128 bits;
    memcpy(&bits, &q, sizeof bits);
    return (struct x87_exact){.negative = bits >> 127,
                              .inexact = true,
                              .exponent = (int)((bits >> 112) & 0x7fff) - QUAD_BIAS + exponent,
                              .significand = (uint128)1 << 127 | bits << 16 >> 1};
}

/* A little less than `q`, or more. */
static struct x87_exact beside(struct x87_exact x, bool more)
{
    x.significand += more ? 1 : -(uint128)1;
    if (!(x.significand >> 127)) {
        x.significand = x.significand << 1 | 1;
        x.exponent--;
    }
    return x;
}

/* An operand that is not denormal. */
static quad value(struct x87_operand x)
{
    return make(x.negative, x.significand, x.exponent);
}

static quad part(struct x87_operand x)
{
    return make(x.negative, x.significand, 0);
}

struct x87_exact x87_pi(bool negative, unsigned quarters)
{
    quad pi = quad_of(pi_bits) * (quad)quarters;
    return take(negative ? -pi : pi, -2);
}

/* An angle less a multiple of pi/2: at most pi/4 in magnitude. */
struct reduced {
    quad angle;
    unsigned quadrant;
};

/* pi * 2^64, in 66 bits. */
#define PI_66 ((uint128)3 << 64 | UINT64_C(0x243f6a8885a308d3))

static struct reduced reduce(struct x87_operand x)
{
    if (x.exponent < -2)
        return (struct reduced){value(x), 0};
    /* x = significand * 2^(exponent + 2) in units of 2^-65, of which PI_66 is pi/2. */
    uint128 rest = x.significand % PI_66;
    unsigned quotient = 0; /* significand < pi/2 there */
    for (int i = 0; i < x.exponent + 2; i++) {
        rest <<= 1;
        quotient <<= 1;
        if (rest >= PI_66) {
            rest -= PI_66;
            quotient |= 1;
        }
    }
    bool beyond = rest > PI_66 / 2;
    if (beyond) {
        rest = PI_66 - rest;
        quotient++;
    }
    /* Of at most 66 bits, so both halves and their sum are exact. */
    quad angle = (quad)(uint64_t)(rest >> 32) * (quad)(UINT64_C(1) << 32) + (quad)(uint64_t)(rest & 0xffffffff);
    angle *= make(false, UINT64_C(1) << 63, -65);
    if (x.negative)
        quotient = 0 - quotient;
    return (struct reduced){beyond != x.negative ? -angle : angle, quotient & 3};
}

static bool is_small(quad q)
{
    const quad limit = make(false, UINT64_C(1) << 63, SMALL);
    return q < limit && q > -limit;
}

static struct x87_exact sin_of(quad angle)
{
    return is_small(angle) ? beside(take(angle, 0), false) : take(sinq(angle), 0);
}

static struct x87_exact cos_of(quad angle)
{
    return is_small(angle) ? beside(take(1, 0), false) : take(cosq(angle), 0);
}

static struct x87_exact tan_of(quad angle)
{
    return is_small(angle) ? beside(take(angle, 0), true) : take(tanq(angle), 0);
}

/* -1 / tan(angle) */
static struct x87_exact minus_cot_of(quad angle)
{
    return is_small(angle) ? beside(take(-1 / angle, 0), false) : take(-1 / tanq(angle), 0);
}

static struct x87_exact negate_if(bool condition, struct x87_exact x)
{
    x.negative ^= condition;
    return x;
}

struct x87_exact x87_sin(struct x87_operand x)
{
    if (x.exponent < SMALL)
        return beside(take(part(x), x.exponent), false);
    struct reduced r = reduce(x);
    return negate_if(r.quadrant & 2, r.quadrant & 1 ? cos_of(r.angle) : sin_of(r.angle));
}

struct x87_exact x87_cos(struct x87_operand x)
{
    if (x.exponent < SMALL)
        return cos_of(0);
    struct reduced r = reduce(x);
    return negate_if(r.quadrant == 1 || r.quadrant == 2, r.quadrant & 1 ? sin_of(r.angle) : cos_of(r.angle));
}

struct x87_exact x87_tan(struct x87_operand x)
{
    if (x.exponent < SMALL)
        return beside(take(part(x), x.exponent), true);
    struct reduced r = reduce(x);
    return r.quadrant & 1 ? minus_cot_of(r.angle) : tan_of(r.angle);
}

struct x87_exact x87_f2xm1(struct x87_operand x)
{
    if (x.exponent < -120)
        return take(part(x) * quad_of(ln_2_bits), x.exponent);
    return take(expm1q(value(x) * quad_of(ln_2_bits)), 0);
}

/* log2(x), where a power of two is exact. */
struct x87_exact x87_fyl2x(struct x87_operand x, struct x87_operand y)
{
    bool power = x.significand == UINT64_C(1) << 63;
    quad log;
    if (power)
        log = (quad)x.exponent;
    else if (x.exponent < -16000) /* the least are not normal in the quad's range */
        log = log2q(make(false, x.significand, x.exponent + 1024)) - 1024;
    else
        log = log2q(value(x));
    struct x87_exact result = take(log * part(y), y.exponent);
    result.inexact = !power;
    return result;
}

struct x87_exact x87_fyl2xp1(struct x87_operand x, struct x87_operand y)
{
    quad y_part = part(y) * quad_of(log2_e_bits);
    if (x.exponent < -120)
        return take(part(x) * y_part, x.exponent + y.exponent);
    return take(log1pq(value(x)) * y_part, y.exponent);
}

struct x87_exact x87_fpatan(struct x87_operand x, struct x87_operand y)
{
    int ratio = y.exponent - x.exponent;
    if (ratio > 120)
        return x87_pi(y.negative, 2);
    if (ratio >= (x.negative ? -120 : TINY))
        return take(atan2q(make(y.negative, y.significand, ratio), part(x)), 0);
    if (x.negative)
        return x87_pi(y.negative, 4);
    return beside(take(part(y) / part(x), ratio), false);
}
