/*
 * math: arithmetic of every kind that a processor has, on numbers from a fixed sequence. Each result is stored and goes
 * into a sum, which is printed: it is the same on every machine that computes exactly. Option: rounds=NUMBER (200).
 *
 * Nothing else here uses the x87 or SSE, so the registers are free between one group of instructions and the next.
 */
#include "guests/runtime/console.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"

struct numbers {
    uint64_t integer[4];
    double wide[2];
    float narrow[4];
    uint8_t extended[8][16];
    uint64_t out[4];
} __attribute__((aligned(16)));

static struct numbers numbers;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A double with a magnitude from 2^(1 - range) to 2^range. */
static uint64_t real(uint64_t *state, unsigned range)
{
    uint64_t exponent = 1023 + 1 - range + next(state) % (2 * range);
    return (next(state) & UINT64_C(0x800fffffffffffff)) | exponent << 52;
}

static uint32_t real32(uint64_t *state, unsigned range)
{
    return (uint32_t)(next(state) & 0x807fffff) | (uint32_t)(127 + 1 - range + next(state) % (2 * range)) << 23;
}

/* clang-format off */
/* The functions of a number in (-1, 1), and of any other. */
static void x87_functions(struct numbers *n)
{
    __asm__ volatile(
        "fldl (%[x]); f2xm1; fstpt (%[to])\n"
        "fldl 8(%[x]); fldl 8(%[x]); fabs; fyl2x; fstpt 16(%[to])\n"
        "fldl 8(%[x]); fldl (%[x]); fyl2xp1; fstpt 32(%[to])\n"
        "fldl 8(%[x]); fptan; fstp %%st; fstpt 48(%[to])\n"
        "fldl (%[x]); fldl 8(%[x]); fpatan; fstpt 64(%[to])\n"
        "fldl 8(%[x]); fsincos; fmulp; fstpt 80(%[to])\n"
        "fldl 8(%[x]); fsin; fstpt 96(%[to])\n"
        "fldl 8(%[x]); fcos; fstpt 112(%[to])\n"
        : : [x] "r"(n->wide), [to] "r"(n->extended) : "memory");
}

/* The arithmetic; remainders; decimal digits, some above 9. */
static void x87_basic(struct numbers *n)
{
    __asm__ volatile(
        "fldl 8(%[x]); fldl (%[x]); fprem; fstp %%st(1); fstpt (%[to])\n"
        "fldl 8(%[x]); fldl (%[x]); fprem1; fstp %%st(1); fstpt 16(%[to])\n"
        "fldl (%[x]); fldl 8(%[x]); fprem; fstp %%st(1); fstpt 32(%[to])\n"
        "fldl (%[x]); fabs; fsqrt; fdivrl 8(%[x]); fstpt 48(%[to])\n"
        "fildq (%[i]); fbstp 64(%[to])\n"
        "fbld 16(%[i]); fdivl 8(%[x]); fstpt 80(%[to])\n"
        "fldl 8(%[x]); fxtract; fscale; fstp %%st(1); fstpt 96(%[to])\n"
        "fldl 8(%[x]); frndint; fistpq 24(%[i])\n"
        "fildl 8(%[i]); fmull (%[x]); fstpt 112(%[to])\n"
        : : [x] "r"(n->wide), [i] "r"(n->integer), [to] "r"(n->extended) : "memory");
}

static void sse(struct numbers *n)
{
    __asm__ volatile(
        "movaps (%[f]), %%xmm0; movapd (%[d]), %%xmm1\n"
        "rsqrtps %%xmm0, %%xmm2; rcpps %%xmm0, %%xmm3\n"
        "addps %%xmm2, %%xmm3; mulps %%xmm0, %%xmm3; divps %%xmm0, %%xmm2\n"
        "movaps %%xmm2, (%[to]); movaps %%xmm3, 16(%[to])\n"
        "sqrtpd %%xmm1, %%xmm2; divpd %%xmm1, %%xmm2; movapd %%xmm2, 32(%[to])\n"
        "cvtpd2ps %%xmm1, %%xmm2; maxps %%xmm0, %%xmm2; movaps %%xmm2, 48(%[to])\n"
        "cvttps2dq %%xmm0, %%xmm2; movdqa %%xmm2, 64(%[to])\n"
        "movdqa (%[i]), %%xmm2; pmaddwd 16(%[i]), %%xmm2; psadbw (%[i]), %%xmm2; movdqa %%xmm2, 80(%[to])\n"
        : : [f] "r"(n->narrow), [d] "r"(n->wide), [i] "r"(n->integer), [to] "r"(n->extended) : "memory");
}
/* clang-format on */

/* Results that the architecture defines, and flags and results that it does not. */
static void integers(struct numbers *n)
{
    uint64_t a = n->integer[0], b = n->integer[1], high;
    uint64_t *flags = n->out;
    __asm__ volatile("imul %[b], %[a]\n\tpushfq\n\tpopq (%[f])\n\t"
                     "shld $13, %[b], %[a]\n\tpushfq\n\tpopq 8(%[f])\n\t"
                     "bsf %[b], %[h]\n\tpushfq\n\tpopq 16(%[f])\n\t"
                     "and %[a], %[b]\n\tror $7, %[a]\n\tpushfq\n\tpopq 24(%[f])\n\t"
                     : [a] "+r"(a), [b] "+r"(b), [h] "=&r"(high)
                     : [f] "r"(flags)
                     : "memory", "cc");
    n->integer[2] = a / (b | 1) + high;
    n->integer[3] = a % (b | 1);
}

static uint64_t add(uint64_t sum, const void *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return sum;
}

uint32_t guest_main(const struct boot_info *info)
{
    (void)info;
    uint64_t rounds = option_number("rounds", 200, 1, 1000000000), state = 88172645463325252u, sum = 0;
    struct numbers *n = &numbers;
    void (*const groups[])(struct numbers *) = {x87_functions, x87_basic, sse, integers};
    __asm__ volatile("fninit");
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t words[2] = {real(&state, 1) - (UINT64_C(2) << 52), real(&state, 40)};
        uint32_t singles[4];
        for (unsigned i = 0; i < 4; i++)
            singles[i] = real32(&state, 30);
        __builtin_memcpy(n->wide, words, sizeof words);
        __builtin_memcpy(n->narrow, singles, sizeof singles);
        for (unsigned i = 0; i < 4; i++)
            n->integer[i] = next(&state) >> (4 + next(&state) % 40);
        for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++) {
            groups[i](n);
            sum = add(sum, n, sizeof *n);
        }
    }
    __asm__ volatile("fninit");
    console_print("sum %lx after %lu rounds\n", sum, rounds);
    return EXIT_SUCCESS;
}
