/*
 * SSE conversions between vector and general or MMX registers, comparisons that set RFLAGS, and CMPPS with its kin.
 */
#include "vmm/soft/vector.h"

typedef struct {
    uint8_t bytes[16];
} vec128;

/* CMPPS CMPPD CMPSS CMPSD: the predicate is part of the instruction. */
#define COMPARE(form, predicate)                                                                                       \
    static void cmp##form##_##predicate(uint8_t *d, const uint8_t *s)                                                  \
    {                                                                                                                  \
        __asm__ volatile("movups %0, %%xmm0\n\tmovups %1, %%xmm1\n\tcmp" #form " $" #predicate                         \
                         ", %%xmm1, %%xmm0\n\tmovups %%xmm0, %0"                                                       \
                         : "+m"(*(vec128 *)d)                                                                          \
                         : "m"(*(const vec128 *)s)                                                                     \
                         : "xmm0", "xmm1");                                                                            \
    }
#define COMPARES(form)                                                                                                 \
    COMPARE(form, 0)                                                                                                   \
    COMPARE(form, 1)                                                                                                   \
    COMPARE(form, 2) COMPARE(form, 3) COMPARE(form, 4) COMPARE(form, 5) COMPARE(form, 6) COMPARE(form, 7)
COMPARES(ps)
COMPARES(pd)
COMPARES(ss)
COMPARES(sd)

#define COMPARE_LIST(form)                                                                                             \
    {                                                                                                                  \
        cmp##form##_0, cmp##form##_1, cmp##form##_2, cmp##form##_3, cmp##form##_4, cmp##form##_5, cmp##form##_6,       \
            cmp##form##_7                                                                                              \
    }

static unsigned prefix_of(const struct uop *u)
{
    return ((uint32_t)u->imm >> 16) & 3;
}

UOP_BODY(compare)
{
    static vec_fn *const table[4][8] = {COMPARE_LIST(ps), COMPARE_LIST(pd), COMPARE_LIST(ss), COMPARE_LIST(sd)};
    static const uint8_t sizes[4] = {16, 16, 4, 8};
    unsigned prefix = prefix_of(u);
    uint8_t s[16], d[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, sizes[prefix], prefix < 2, s);
    memcpy(d, vec_dst(cpu, u), 16);
    /* Without VEX only the low three bits of the predicate count. */
    vec_float(cpu, u, table[prefix][vec_immediate(u) & 7], d, s);
    memcpy(vec_dst(cpu, u), d, 16);
}

/* COMISS and UCOMISS leave ZF PF CF in RFLAGS; the host's flags come back in the first byte of `d`. */
#define COMI(name)                                                                                                     \
    static void op_##name(uint8_t *d, const uint8_t *s)                                                                \
    {                                                                                                                  \
        uint8_t flags;                                                                                                 \
        __asm__ volatile("movups %1, %%xmm0\n\tmovups %2, %%xmm1\n\t" #name " %%xmm1, %%xmm0\n\tlahf\n\tmovb %%ah, %0" \
                         : "=&Q"(flags) /* AH cannot go to a register that needs a REX prefix */                       \
                         : "m"(*(const vec128 *)d), "m"(*(const vec128 *)s)                                            \
                         : "xmm0", "xmm1", "rax", "cc");                                                               \
        d[0] = flags;                                                                                                  \
    }
COMI(ucomiss)
COMI(ucomisd)
COMI(comiss)
COMI(comisd)

UOP_BODY(compare_flags)
{
    static vec_fn *const table[2][2] = {{op_ucomiss, op_ucomisd}, {op_comiss, op_comisd}};
    unsigned prefix = prefix_of(u), opcode = ((uint32_t)u->imm >> 8) & 0xff;
    uint8_t s[16], d[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, prefix ? 8 : 4, false, s);
    memcpy(d, vec_dst(cpu, u), 16);
    vec_float(cpu, u, table[opcode == 0x2f][prefix], d, s);
    flags_set(cpu, d[0] & (RFLAGS_ZF | RFLAGS_PF | RFLAGS_CF));
}

/* CVTSI2SS and CVTSI2SD: `s` holds the integer. */
#define FROM_INTEGER(name, suffix, type)                                                                               \
    static void op_##name##suffix(uint8_t *d, const uint8_t *s)                                                        \
    {                                                                                                                  \
        type value;                                                                                                    \
        memcpy(&value, s, sizeof value);                                                                               \
        __asm__ volatile("movups %0, %%xmm0\n\t" #name #suffix " %1, %%xmm0\n\tmovups %%xmm0, %0"                      \
                         : "+m"(*(vec128 *)d)                                                                          \
                         : "r"(value)                                                                                  \
                         : "xmm0");                                                                                    \
    }
FROM_INTEGER(cvtsi2ss, l, uint32_t)
FROM_INTEGER(cvtsi2ss, q, uint64_t)
FROM_INTEGER(cvtsi2sd, l, uint32_t)
FROM_INTEGER(cvtsi2sd, q, uint64_t)

UOP_BODY(from_integer)
{
    static vec_fn *const table[2][2] = {{op_cvtsi2ssl, op_cvtsi2ssq}, {op_cvtsi2sdl, op_cvtsi2sdq}};
    uint8_t s[16] = {0}, d[16];
    vec_check(cpu, u);
    uint64_t value = rm_get(cpu, u);
    memcpy(s, &value, 8);
    memcpy(d, vec_dst(cpu, u), 16);
    vec_float(cpu, u, table[prefix_of(u) == 3][u->size == 8], d, s);
    memcpy(vec_dst(cpu, u), d, 16);
}

/* CVTSS2SI CVTTSS2SI CVTSD2SI CVTTSD2SI: the integer comes back in `d`. */
#define TO_INTEGER(name, type)                                                                                         \
    static void op_##name##_##type(uint8_t *d, const uint8_t *s)                                                       \
    {                                                                                                                  \
        type value;                                                                                                    \
        __asm__ volatile("movups %1, %%xmm0\n\t" #name " %%xmm0, %0"                                                   \
                         : "=r"(value)                                                                                 \
                         : "m"(*(const vec128 *)s)                                                                     \
                         : "xmm0");                                                                                    \
        memcpy(d, &value, sizeof value);                                                                               \
    }
#define TO_INTEGERS(name) TO_INTEGER(name, uint32_t) TO_INTEGER(name, uint64_t)
TO_INTEGERS(cvtss2si)
TO_INTEGERS(cvttss2si)
TO_INTEGERS(cvtsd2si)
TO_INTEGERS(cvttsd2si)

UOP_BODY(to_integer)
{
    static vec_fn *const table[2][2][2] = {
        {{op_cvtss2si_uint32_t, op_cvtss2si_uint64_t}, {op_cvttss2si_uint32_t, op_cvttss2si_uint64_t}},
        {{op_cvtsd2si_uint32_t, op_cvtsd2si_uint64_t}, {op_cvttsd2si_uint32_t, op_cvttsd2si_uint64_t}},
    };
    bool is_double = prefix_of(u) == 3, truncates = (((uint32_t)u->imm >> 8) & 0xff) == 0x2c;
    uint8_t s[16], d[16] = {0};
    vec_check(cpu, u);
    vec_source(cpu, u, false, is_double ? 8 : 4, false, s);
    vec_float(cpu, u, table[is_double][truncates][u->size == 8], d, s);
    uint64_t value;
    memcpy(&value, d, 8);
    reg_set(cpu, AT(u->src), u->size, value);
}

/* Between XMM and MMX registers. */
#define WITH_MMX(name, load, op, store)                                                                                \
    static void op_##name(uint8_t *d, const uint8_t *s)                                                                \
    {                                                                                                                  \
        __asm__ volatile(load "\n\t" op "\n\t" store "\n\temms"                                                        \
                         : "+m"(*(vec128 *)d)                                                                          \
                         : "m"(*(const vec128 *)s)                                                                     \
                         : "xmm0", "xmm1", "mm0");                                                                     \
    }
WITH_MMX(cvtpi2ps, "movups %0, %%xmm0\n\tmovq %1, %%mm0", "cvtpi2ps %%mm0, %%xmm0", "movups %%xmm0, %0")
WITH_MMX(cvtpi2pd, "movups %0, %%xmm0\n\tmovq %1, %%mm0", "cvtpi2pd %%mm0, %%xmm0", "movups %%xmm0, %0")
WITH_MMX(cvtps2pi, "movups %1, %%xmm1", "cvtps2pi %%xmm1, %%mm0", "movq %%mm0, %0")
WITH_MMX(cvttps2pi, "movups %1, %%xmm1", "cvttps2pi %%xmm1, %%mm0", "movq %%mm0, %0")
WITH_MMX(cvtpd2pi, "movups %1, %%xmm1", "cvtpd2pi %%xmm1, %%mm0", "movq %%mm0, %0")
WITH_MMX(cvttpd2pi, "movups %1, %%xmm1", "cvttpd2pi %%xmm1, %%mm0", "movq %%mm0, %0")

/* CVTPI2PD from memory does not touch the MMX registers. */
UOP_BODY(from_mmx)
{
    bool to_double = prefix_of(u) == 1, memory = u->flags & UF_MEMORY;
    uint8_t s[16], d[16];
    vec_check(cpu, u);
    soft_x87_settle(cpu); /* the host's instruction takes its source from an MMX register in any case */
    if (!(to_double && memory))
        mmx_check(cpu, u);
    if (memory)
        vec_source(cpu, u, true, 8, false, s);
    if (!(to_double && memory))
        mmx_enter(cpu);
    if (!memory)
        vec_source(cpu, u, true, 8, false, s);
    memcpy(d, vec_dst(cpu, u), 16);
    vec_float(cpu, u, to_double ? op_cvtpi2pd : op_cvtpi2ps, d, s);
    memcpy(vec_dst(cpu, u), d, 16);
}

UOP_BODY(to_mmx)
{
    static vec_fn *const table[2][2] = {{op_cvttps2pi, op_cvtps2pi}, {op_cvttpd2pi, op_cvtpd2pi}};
    bool is_double = prefix_of(u) == 1, rounds = (((uint32_t)u->imm >> 8) & 0xff) == 0x2d;
    uint8_t s[16], d[16] = {0};
    vec_check(cpu, u);
    mmx_check(cpu, u);
    vec_source(cpu, u, false, is_double ? 16 : 8, is_double, s);
    mmx_enter(cpu);
    vec_float(cpu, u, table[is_double][rounds], d, s);
    memcpy(cpu->fx.st[u->src & 7], d, 8);
    memset(cpu->fx.st[u->src & 7] + 8, 0xff, 2);
}

uop_fn *vec_convert_uop(const struct insn *insn, unsigned prefix)
{
    switch (insn->opcode) {
    case 0xc2:
        return compare;
    case 0x2e:
    case 0x2f:
        return prefix < 2 ? compare_flags : NULL;
    case 0x2a:
        return prefix < 2 ? from_mmx : from_integer;
    case 0x2c:
    case 0x2d:
        return prefix < 2 ? to_mmx : to_integer;
    default:
        return NULL;
    }
}
