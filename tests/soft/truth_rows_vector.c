/* The truth harness's rows for MMX, SSE and SSE2: SDM vol. 2, by opcode and mandatory prefix. */
#include <string.h>

#include "tests/soft/truth.h"

#define FORM (F_MODRM | F_NOAC)

static const uint8_t mandatory[] = {0, 0x66, 0xf3, 0xf2};

static struct truth_row *add(struct truth_rows *rows, const char *family, const char *name, unsigned prefix,
                             unsigned opcode, uint32_t form, enum truth_values values, unsigned size)
{
    struct truth_row *row = truth_row_add(rows, family, name, 0x0f00 | opcode, -1, FORM | form, 0);
    row->prefix = (uint8_t)prefix;
    row->values = values;
    row->size = size;
    return row;
}

/* Predicates above 7 are reserved (SDM vol. 2, CMPPS). */
static void adjust_predicate(struct truth_gen *gen)
{
    gen->c->code[gen->c->length - 1] &= 7;
}

/* ps, pd, ss and sd forms of the arithmetic. */
static void add_arithmetic(struct truth_rows *rows)
{
    static const struct {
        const char *name;
        unsigned opcode;
        bool double_too;
        uint32_t form;
    } list[] = {{"sqrt", 0x51, true, F_SEQ},   {"add", 0x58, true, F_SEQ}, {"mul", 0x59, true, F_SEQ},
                {"sub", 0x5c, true, F_SEQ},    {"min", 0x5d, true, F_SEQ}, {"div", 0x5e, true, F_SEQ},
                {"max", 0x5f, true, F_SEQ},    {"cmp", 0xc2, true, F_IB},  {"rsqrt", 0x52, false, F_APPROX},
                {"rcp", 0x53, false, F_APPROX}};
    static const unsigned sizes[] = {16, 16, 4, 8};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        for (unsigned p = 0; p < 4; p++) {
            if (!list[i].double_too && p & 1)
                continue;
            struct truth_row *row =
                add(rows, p & 1 ? "sse2 double" : "sse single", list[i].name, mandatory[p], list[i].opcode,
                    list[i].form | (p < 2 ? F_A16 : 0), p & 1 ? V_PD : V_PS, sizes[p]);
            if (list[i].form & F_IB)
                row->adjust = adjust_predicate;
        }
    for (unsigned p = 0; p < 2; p++) {
        enum truth_values values = p ? V_PD : V_PS;
        const char *f = p ? "sse2 double" : "sse single";
        for (unsigned opcode = 0x54; opcode < 0x58; opcode++)
            add(rows, f, "and andn or xor", mandatory[p], opcode, F_A16 | F_SEQ, values, 16);
        add(rows, f, "ucomis", mandatory[p], 0x2e, F_SEQ, values, p ? 8 : 4);
        add(rows, f, "comis", mandatory[p], 0x2f, F_SEQ, values, p ? 8 : 4);
        add(rows, f, "unpckl", mandatory[p], 0x14, F_A16 | F_SEQ, values, 16);
        add(rows, f, "unpckh", mandatory[p], 0x15, F_A16 | F_SEQ, values, 16);
        add(rows, f, "shuf", mandatory[p], 0xc6, F_A16 | F_IB | F_SEQ, values, 16);
        add(rows, f, "movmsk", mandatory[p], 0x50, F_REG | F_SEQ, values, 0);
    }
}

/* With a memory operand, Intel's processors change to MMX operation and AMD's do not. */
static void adjust_cvtpi2ps(struct truth_gen *gen)
{
    gen->c->ignore_x87 |= gen->memory;
    if (gen->memory)
        gen->c->before.fsw &= 0x7f00; /* nor does AMD's look for a pending x87 exception then */
}

static void add_conversions(struct truth_rows *rows)
{
    static const struct {
        const char *name;
        uint8_t prefix, opcode;
        uint32_t form;
        enum truth_values values;
        unsigned size;
    } list[] = {
        {"cvtpi2ps", 0, 0x2a, F_NOREX, V_INT, 8},   {"cvtpi2pd", 0x66, 0x2a, F_NOREX, V_INT, 8},
        {"cvtsi2ss", 0xf3, 0x2a, F_W, V_INT, 0},    {"cvtsi2sd", 0xf2, 0x2a, F_W, V_INT, 0},
        {"cvttps2pi", 0, 0x2c, F_NOREX, V_PS, 8},   {"cvttpd2pi", 0x66, 0x2c, F_NOREX | F_A16, V_PD, 16},
        {"cvttss2si", 0xf3, 0x2c, F_W, V_PS, 4},    {"cvttsd2si", 0xf2, 0x2c, F_W, V_PD, 8},
        {"cvtps2pi", 0, 0x2d, F_NOREX, V_PS, 8},    {"cvtpd2pi", 0x66, 0x2d, F_NOREX | F_A16, V_PD, 16},
        {"cvtss2si", 0xf3, 0x2d, F_W, V_PS, 4},     {"cvtsd2si", 0xf2, 0x2d, F_W, V_PD, 8},
        {"cvtps2pd", 0, 0x5a, 0, V_PS, 8},          {"cvtpd2ps", 0x66, 0x5a, F_A16, V_PD, 16},
        {"cvtss2sd", 0xf3, 0x5a, 0, V_PS, 4},       {"cvtsd2ss", 0xf2, 0x5a, 0, V_PD, 8},
        {"cvtdq2ps", 0, 0x5b, F_A16, V_INT, 16},    {"cvtps2dq", 0x66, 0x5b, F_A16, V_PS, 16},
        {"cvttps2dq", 0xf3, 0x5b, F_A16, V_PS, 16}, {"cvttpd2dq", 0x66, 0xe6, F_A16, V_PD, 16},
        {"cvtdq2pd", 0xf3, 0xe6, 0, V_INT, 8},      {"cvtpd2dq", 0xf2, 0xe6, F_A16, V_PD, 16},
    };
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        for (unsigned again = 0; again < 2; again++) {
            bool to_single = !list[i].prefix && list[i].opcode == 0x2a;
            struct truth_row *row = add(rows, "conversions", list[i].name, list[i].prefix, list[i].opcode,
                                        list[i].form | (to_single ? 0 : F_SEQ), list[i].values, list[i].size);
            row->adjust = to_single ? adjust_cvtpi2ps : NULL;
        }
}

static void add_moves(struct truth_rows *rows)
{
    static const unsigned sizes[] = {16, 16, 4, 8};
    const char *f = "sse moves";
    for (unsigned p = 0; p < 4; p++) {
        enum truth_values values = p & 1 ? V_PD : V_PS;
        add(rows, f, "movu/movs load", mandatory[p], 0x10, F_SEQ, values, sizes[p]);
        add(rows, f, "movu/movs store", mandatory[p], 0x11, F_SEQ, values, sizes[p]);
        if (p >= 2)
            continue;
        add(rows, f, "mova load", mandatory[p], 0x28, F_A16 | F_SEQ, values, 16);
        add(rows, f, "mova store", mandatory[p], 0x29, F_A16 | F_SEQ, values, 16);
        add(rows, f, "movnt", mandatory[p], 0x2b, F_A16 | F_MEM | F_SEQ, values, 16);
        add(rows, f, "movl load", mandatory[p], 0x12, p ? F_MEM : 0, values, 8);
        add(rows, f, "movl store", mandatory[p], 0x13, F_MEM, values, 8);
        add(rows, f, "movh load", mandatory[p], 0x16, p ? F_MEM : 0, values, 8);
        add(rows, f, "movh store", mandatory[p], 0x17, F_MEM, values, 8);
    }
    add(rows, f, "movntdq", 0x66, 0xe7, F_A16 | F_MEM | F_SEQ, V_INT, 16);
    add(rows, f, "movntq", 0, 0xe7, F_MEM | F_NOREX, V_INT, 8);
    add(rows, f, "movq load", 0xf3, 0x7e, F_SEQ, V_INT, 8);
    add(rows, f, "movq store", 0x66, 0xd6, F_SEQ, V_INT, 8);
    add(rows, f, "movdqa load", 0x66, 0x6f, F_A16 | F_SEQ, V_INT, 16);
    add(rows, f, "movdqa store", 0x66, 0x7f, F_A16 | F_SEQ, V_INT, 16);
    add(rows, f, "movdqu load", 0xf3, 0x6f, F_SEQ, V_INT, 16);
    add(rows, f, "movdqu store", 0xf3, 0x7f, F_SEQ, V_INT, 16);
    add(rows, f, "movq2dq", 0xf3, 0xd6, F_REG | F_NOREX, V_INT, 0);
    add(rows, f, "movdq2q", 0xf2, 0xd6, F_REG | F_NOREX, V_INT, 0);
}

/* Good addresses only: whether bytes that the mask leaves out can fault is not defined (SDM vol. 2, MASKMOVQ). */
static void adjust_mask_move(struct truth_gen *gen)
{
    gen->c->before.gprs[7] = DATA_BASE + PAGE + truth_below(gen, PAGE);
}

/* What exists for MMX registers without a prefix, and for XMM registers with 66. */
static void add_integers(struct truth_rows *rows)
{
    static const uint8_t both[] = {0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x74, 0x75,
                                   0x76, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
                                   0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef,
                                   0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe};
    for (unsigned x = 0; x < 2; x++) {
        const char *f = x ? "sse2 integer" : "mmx";
        uint32_t form = x ? F_A16 | F_SEQ : F_NOREX | F_SEQ;
        unsigned prefix = mandatory[x], size = x ? 16 : 8;
        for (unsigned i = 0; i < sizeof both; i++)
            add(rows, f, "packed integer", prefix, both[i], form, V_INT, size);
        for (unsigned opcode = 0x71; opcode < 0x74; opcode++)
            for (int digit = 2; digit < 8; digit++) {
                bool bytes = opcode == 0x73 && (digit == 3 || digit == 7);
                if ((digit & 1 && !bytes) || (bytes && !x) || (opcode == 0x73 && digit == 4))
                    continue;
                struct truth_row *row =
                    add(rows, f, "shift by imm", prefix, opcode, F_REG | F_IB | (form & ~F_A16), V_INT, 0);
                row->digit = digit;
            }
        add(rows, f, "movd load", prefix, 0x6e, F_W | (form & ~F_A16), V_INT, 0);
        add(rows, f, "movd store", prefix, 0x7e, F_W | (form & ~F_A16), V_INT, 0);
        add(rows, f, "pinsrw", prefix, 0xc4, F_IB | (form & ~F_A16), V_INT, 2);
        add(rows, f, "pextrw", prefix, 0xc5, F_IB | F_REG | (form & ~F_A16), V_INT, 0);
        add(rows, f, "pmovmskb", prefix, 0xd7, F_REG | (form & ~F_A16), V_INT, 0);
        add(rows, f, "maskmov", prefix, 0xf7, F_REG | F_NOPREFIX | (x ? 0 : F_NOREX), V_INT, 0)->adjust =
            adjust_mask_move;
        add(rows, f, "pshufd/pshufw", prefix, 0x70, F_IB | form, V_INT, size);
    }
    add(rows, "sse2 integer", "pshufhw", 0xf3, 0x70, F_IB | F_A16 | F_SEQ, V_INT, 16);
    add(rows, "sse2 integer", "pshuflw", 0xf2, 0x70, F_IB | F_A16 | F_SEQ, V_INT, 16);
    add(rows, "sse2 integer", "punpcklqdq", 0x66, 0x6c, F_A16 | F_SEQ, V_INT, 16);
    add(rows, "sse2 integer", "punpckhqdq", 0x66, 0x6d, F_A16 | F_SEQ, V_INT, 16);
    add(rows, "mmx", "movq load", 0, 0x6f, F_NOREX | F_SEQ, V_INT, 8);
    add(rows, "mmx", "movq store", 0, 0x7f, F_NOREX | F_SEQ, V_INT, 8);
    truth_row_add(rows, "mmx", "emms", 0x0f77, -1, F_SEQ | F_NOPREFIX, 0);
}

static void put16(struct truth_gen *gen, unsigned offset, const void *bytes, unsigned size)
{
    uint8_t *at = truth_at(gen->c->memory, gen->ea + offset, size);
    if (at && gen->ea + offset + size <= DATA_BASE + DATA_RW)
        memcpy(at, bytes, size);
}

/* MXCSR's reserved bits raise #GP: mostly none are set. Underflow stays masked. */
static void put_mxcsr(struct truth_gen *gen, unsigned offset)
{
    uint32_t mxcsr = (uint32_t)(truth_random(gen) & 0xffff) | 0x800;
    if (truth_chance(gen, 10))
        mxcsr |= UINT32_C(1) << truth_below(gen, 32);
    mxcsr &= ~UINT32_C(0x20000); /* AMD's MM, which allows misaligned operands */
    put16(gen, offset, &mxcsr, 4);
}

static void adjust_ldmxcsr(struct truth_gen *gen)
{
    put_mxcsr(gen, 0);
}

static void adjust_fxrstor(struct truth_gen *gen)
{
    put_mxcsr(gen, 24);
    if (truth_chance(gen, 2)) { /* else whatever is there: a pending x87 exception, most likely */
        uint16_t control = (uint16_t)(truth_random(gen) | 0x3f);
        put16(gen, 0, &control, 2);
    }
}

/*
 * FOP, FIP and FDP are the host's, and 0 in the soft engine; MXCSR_MASK is the processor's own. What is reserved, in
 * the registers' slots and from byte 416 on, the SDM does not define (vol. 2, FXSAVE, table 3-46).
 */
static void adjust_fxsave(struct truth_gen *gen)
{
    truth_hole(gen, gen->ea + 5, 19);
    truth_hole(gen, gen->ea + 28, 4);
}

static void add_state(struct truth_rows *rows)
{
    static const struct {
        const char *name;
        int digit;
        unsigned size;
        void (*adjust)(struct truth_gen *gen);
    } list[] = {{"fxsave", 0, 512, adjust_fxsave},
                {"fxrstor", 1, 512, adjust_fxrstor},
                {"ldmxcsr", 2, 4, adjust_ldmxcsr},
                {"stmxcsr", 3, 4, NULL}};
    for (unsigned again = 0; again < 3; again++)
        for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
            struct truth_row *row = add(rows, "fxsave fxrstor mxcsr", list[i].name, 0, 0xae,
                                        F_MEM | F_W | F_NOPREFIX | (i < 2 ? F_A16 : 0), V_INT, list[i].size);
            row->digit = list[i].digit;
            row->adjust = list[i].adjust;
        }
    for (int digit = 5; digit < 7; digit++)
        add(rows, "fxsave fxrstor mxcsr", "fences", 0, 0xae, F_REG | F_NOPREFIX, V_INT, 0)->digit = digit;
}

void truth_rows_vector(struct truth_rows *rows)
{
    add_arithmetic(rows);
    add_conversions(rows);
    add_moves(rows);
    add_integers(rows);
    add_state(rows);
}
