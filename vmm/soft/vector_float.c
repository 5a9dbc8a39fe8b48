/*
 * SSE and SSE2 floating point: the host's instructions under the guest's MXCSR.
 *
 * RCPPS, RSQRTPS and their scalar forms are approximations that differ from one maker's processors to another's. Here
 * they are computed by division and square root, the same on every host, within the error that the manual allows.
 */
#include <math.h>

#include "vmm/soft/vector.h"

typedef struct {
    uint8_t bytes[16];
} vec128;

uint32_t vec_begin_float(const struct soft *cpu)
{
    /* Masks set, flags clear; rounding, flush-to-zero and denormals-are-zeros as the guest has them. */
    uint32_t mxcsr = (cpu->fx.mxcsr & 0xe040u) | 0x1f80u;
    /* Flush-to-zero has no effect while underflow is unmasked. */
    return cpu->fx.mxcsr & 0x800u ? mxcsr : mxcsr & ~0x8000u;
}

uint32_t vec_end_float(void)
{
    uint32_t flags, usual = MXCSR_DEFAULT;
    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(flags) : "m"(usual));
    return flags & 0x3f;
}

void vec_merge_flags(struct soft *cpu, const struct uop *u, uint32_t raised)
{
    uint32_t unmasked = raised & ~(cpu->fx.mxcsr >> 7) & 0x3f;
    /* Exceptions found before the computation keep those found after it from being reported (SDM vol. 1, 11.5.2). */
    if (unmasked & 7)
        raised &= 7;
    cpu->fx.mxcsr |= raised;
    if (unmasked)
        soft_raise(cpu, u, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

uint32_t vec_compute(const struct soft *cpu, vec_fn *fn, uint8_t *d, const uint8_t *s)
{
    uint32_t mxcsr = vec_begin_float(cpu);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    fn(d, s);
    return vec_end_float();
}

void vec_float(struct soft *cpu, const struct uop *u, vec_fn *fn, uint8_t *d, const uint8_t *s)
{
    vec_merge_flags(cpu, u, vec_compute(cpu, fn, d, s));
}

#define FLOAT_OP(name)                                                                                                 \
    static void op_##name(uint8_t *d, const uint8_t *s)                                                                \
    {                                                                                                                  \
        __asm__ volatile("movups %0, %%xmm0\n\tmovups %1, %%xmm1\n\t" #name " %%xmm1, %%xmm0\n\tmovups %%xmm0, %0"     \
                         : "+m"(*(vec128 *)d)                                                                          \
                         : "m"(*(const vec128 *)s)                                                                     \
                         : "xmm0", "xmm1");                                                                            \
    }

/* The four forms of an operation: packed and scalar, single and double. */
#define FOUR(X, opcode, name)                                                                                          \
    X(0, opcode, name##ps, 16) X(1, opcode, name##pd, 16) X(2, opcode, name##ss, 4) X(3, opcode, name##sd, 8)

#define FLOAT_OPS(X)                                                                                                   \
    FOUR(X, 0x51, sqrt)                                                                                                \
    FOUR(X, 0x58, add)                                                                                                 \
    FOUR(X, 0x59, mul)                                                                                                 \
    FOUR(X, 0x5c, sub)                                                                                                 \
    FOUR(X, 0x5d, min)                                                                                                 \
    FOUR(X, 0x5e, div)                                                                                                 \
    FOUR(X, 0x5f, max)                                                                                                 \
    X(0, 0x5a, cvtps2pd, 8)                                                                                            \
    X(1, 0x5a, cvtpd2ps, 16)                                                                                           \
    X(2, 0x5a, cvtss2sd, 4)                                                                                            \
    X(3, 0x5a, cvtsd2ss, 8)                                                                                            \
    X(0, 0x5b, cvtdq2ps, 16)                                                                                           \
    X(1, 0x5b, cvtps2dq, 16)                                                                                           \
    X(2, 0x5b, cvttps2dq, 16)                                                                                          \
    X(1, 0xe6, cvttpd2dq, 16)                                                                                          \
    X(2, 0xe6, cvtdq2pd, 8)                                                                                            \
    X(3, 0xe6, cvtpd2dq, 16)

#define DEFINE(prefix, opcode, name, memory) FLOAT_OP(name)
FLOAT_OPS(DEFINE)

/* One float: a denormal counts as zero, a result too small becomes zero, and no flag is raised. */
static uint32_t approximate(uint32_t bits, bool root)
{
    float x, r;
    uint32_t sign = bits & 0x80000000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return bits | 0x00400000;
    if (magnitude < 0x00800000)
        return sign | 0x7f800000;
    if (root && sign)
        return 0xffc00000;
    memcpy(&x, &bits, 4);
    r = root ? (float)(1.0 / sqrt((double)x)) : (float)(1.0 / (double)x);
    memcpy(&bits, &r, 4);
    return (bits & 0x7fffffff) < 0x00800000 ? sign : bits;
}

static void approximate_all(uint8_t *d, const uint8_t *s, unsigned count, bool root)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, s + 4 * i, 4);
        bits = approximate(bits, root);
        memcpy(d + 4 * i, &bits, 4);
    }
}

static void op_rsqrtps(uint8_t *d, const uint8_t *s)
{
    approximate_all(d, s, 4, true);
}

static void op_rsqrtss(uint8_t *d, const uint8_t *s)
{
    approximate_all(d, s, 1, true);
}

static void op_rcpps(uint8_t *d, const uint8_t *s)
{
    approximate_all(d, s, 4, false);
}

static void op_rcpss(uint8_t *d, const uint8_t *s)
{
    approximate_all(d, s, 1, false);
}

#define ENTRY(prefix, opcode, name, memory) [prefix][opcode] = {op_##name, VEC_FLOAT, memory},

/* The approximations are VEC_INTEGER, or rather without MXCSR: they raise nothing. */
const struct vec_op vec_float_ops[4][256] = {
    FLOAT_OPS(ENTRY)[0][0x52] = {op_rsqrtps, VEC_INTEGER, 16},
    [2][0x52] = {op_rsqrtss, VEC_INTEGER, 4},
    [0][0x53] = {op_rcpps, VEC_INTEGER, 16},
    [2][0x53] = {op_rcpss, VEC_INTEGER, 4},
};
