/* The truth harness's rows for integer instructions: SDM vol. 2, with the flags that each leaves undefined. */
#include <stdio.h>

#include "base/check.h"
#include "tests/soft/truth.h"

#define CF FLAG_CF
#define PF FLAG_PF
#define AF FLAG_AF
#define ZF FLAG_ZF
#define SF FLAG_SF
#define OF FLAG_OF

struct truth_row *truth_row_add(struct truth_rows *rows, const char *family, const char *name, unsigned opcode,
                                int digit, uint32_t form, uint32_t undefined)
{
    CHECK(rows->count < TRUTH_ROWS);
    struct truth_row *row = &rows->rows[rows->count++];
    *row = (struct truth_row){.family = family,
                              .opcode = (uint16_t)opcode,
                              .digit = digit,
                              .form = form | (digit >= 0 ? F_MODRM : 0),
                              .undefined = undefined};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static unsigned count_mask(const struct truth_gen *gen)
{
    return gen->size == 8 ? 63 : 31;
}

/* Shifts by CL: favours counts near the width; and tells what is undefined, by the count. */
static void set_undefined_shift(struct truth_gen *gen, unsigned count, unsigned digit)
{
    unsigned bits = gen->size * 8;
    count &= count_mask(gen);
    if (digit == 2 || digit == 3)
        count %= bits < 32 ? bits + 1 : bits; /* RCL and RCR go around through CF */
    if (count == 0)
        return;
    if (digit >= 4)
        gen->c->undefined |= AF;
    if (count != 1)
        gen->c->undefined |= OF;
    if (digit >= 4 && digit != 7 && count >= bits)
        gen->c->undefined |= CF;
    /* The rotates' OF is only defined for a masked count of one, before it is taken modulo the width. */
}

static void adjust_shift_cl(struct truth_gen *gen)
{
    if (!truth_chance(gen, 3))
        truth_set(gen, 1, (truth_random(gen) & ~UINT64_C(0xff)) | truth_below(gen, gen->size * 8 + 4));
    set_undefined_shift(gen, (uint8_t)gen->c->before.gprs[1], (unsigned)gen->row->digit);
}

static void adjust_shift_imm(struct truth_gen *gen)
{
    uint8_t *imm = &gen->c->code[gen->c->length - 1];
    if (gen->fixed_addresses)
        *imm = 1; /* in a run: no undefined flags */
    else if (!truth_chance(gen, 3))
        *imm = (uint8_t)truth_below(gen, gen->size * 8 + 4);
    set_undefined_shift(gen, *imm, (unsigned)gen->row->digit);
}

static void adjust_shift_one(struct truth_gen *gen)
{
    set_undefined_shift(gen, 1, (unsigned)gen->row->digit);
}

/* SHLD and SHRD: with a count beyond the width, all is undefined, the result too; so there is none (16 bits only). */
static void adjust_double_shift(struct truth_gen *gen)
{
    bool by_cl = gen->row->opcode & 1;
    uint8_t *imm = &gen->c->code[gen->c->length - 1];
    if (by_cl && gen->size == 2)
        truth_set(gen, 1, gen->c->before.gprs[1] & ~UINT64_C(0x10));
    if (!by_cl && gen->size == 2)
        *imm &= 0xef;
    if (by_cl && gen->size == 2 && gen->c->before.gprs[1] & 0x10)
        gen->c->skip = true;
    unsigned count = (by_cl ? (uint8_t)gen->c->before.gprs[1] : *imm) & count_mask(gen);
    if (count)
        gen->c->undefined |= AF;
    if (count > 1)
        gen->c->undefined |= OF;
}

/* BT and its kin with a register's bit offset reach far beyond the operand; keep it within the data pages, mostly. */
static void adjust_bit_offset(struct truth_gen *gen)
{
    if (!gen->memory)
        return;
    int64_t offset = (int64_t)(truth_random(gen) % 8192) - 4096;
    if (truth_chance(gen, 50))
        offset = truth_chance(gen, 2) ? INT64_MIN : INT64_MAX;
    uint64_t value = (uint64_t)offset;
    if (gen->size < 8 && !truth_chance(gen, 4)) /* the upper part of the register is not the offset */
        value = gen->size == 4 ? (uint32_t)value | truth_random(gen) << 32
                               : (uint16_t)value | (truth_random(gen) & ~UINT64_C(0xffff));
    if (gen->pinned >> gen->reg & 1)
        gen->c->skip = true; /* address and offset in one register: too far away to be safe */
    truth_set(gen, gen->reg, value);
}

static void adjust_divide(struct truth_gen *gen)
{
    uint64_t *gprs = gen->c->before.gprs;
    if (gen->fixed_addresses)
        return;
    if (gen->size == 1) {
        if (!truth_chance(gen, 4))
            truth_set(gen, 0, (gprs[0] & ~UINT64_C(0xff00)) | (truth_random(gen) & 0x700));
        if (truth_chance(gen, 4))
            truth_set(gen, 0, gprs[0] | 0xff00);
        return;
    }
    switch (truth_below(gen, 4)) {
    case 0:
        truth_set(gen, 2, 0);
        break;
    case 1:
        truth_set(gen, 2, UINT64_MAX);
        break;
    case 2:
        truth_set(gen, 2, truth_random(gen) & 0xff);
        break;
    default:
        break;
    }
}

static void adjust_cmpxchg(struct truth_gen *gen)
{
    if (!truth_chance(gen, 2))
        return;
    if (!gen->memory) {
        truth_set(gen, 0, gen->c->before.gprs[gen->rm]);
        return;
    }
    const uint8_t *at = truth_at(gen->c->memory, gen->ea, 8);
    uint64_t value = 0;
    for (unsigned i = 0; at && i < 8; i++)
        value |= (uint64_t)at[i] << 8 * i;
    truth_set(gen, 0, value);
}

static void adjust_cmpxchg_pair(struct truth_gen *gen)
{
    unsigned half = gen->size == 8 ? 8 : 4;
    const uint8_t *at = truth_at(gen->c->memory, gen->ea, 2 * half);
    if (!at || truth_chance(gen, 2))
        return;
    uint64_t low = 0, high = 0;
    for (unsigned i = 0; i < half; i++) {
        low |= (uint64_t)at[i] << 8 * i;
        high |= (uint64_t)at[half + i] << 8 * i;
    }
    truth_set(gen, 0, low);
    truth_set(gen, 2, high);
}

/* MOV between AL or rAX and a 64-bit address (SDM vol. 2, MOV: A0 to A3). */
static void emit_moffs(struct truth_gen *gen)
{
    bool byte = !(gen->row->opcode & 1), wide = truth_chance(gen, 2), half = truth_chance(gen, 5);
    gen->address32 = truth_chance(gen, 8);
    do
        gen->ea = truth_address(gen, byte ? 1 : wide ? 8 : half ? 2 : 4, false);
    while (gen->address32 && gen->ea >> 32);
    if (gen->address32)
        truth_byte(gen, 0x67);
    if (half)
        truth_byte(gen, 0x66);
    if (wide)
        truth_byte(gen, 0x48);
    truth_byte(gen, gen->row->opcode);
    truth_bytes(gen, gen->ea, gen->address32 ? 4 : 8);
}

/* LEA never touches memory, so its address may be any. */
static void adjust_lea(struct truth_gen *gen)
{
    for (unsigned i = 0; i < 16; i++)
        if (truth_chance(gen, 2))
            gen->c->before.gprs[i] = truth_integer(gen);
}

static void add_alu(struct truth_rows *rows)
{
    static const char *const names[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
    for (unsigned i = 0; i < 8; i++) {
        uint32_t undefined = i == 1 || i == 4 || i == 6 ? AF : 0, lock = i == 7 ? 0 : F_LOCKABLE;
        const char *f = "alu";
        truth_row_add(rows, f, names[i], 8 * i, -1, F_MODRM | F_BYTE | lock | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 8 * i + 1, -1, F_MODRM | F_V | lock | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 8 * i + 2, -1, F_MODRM | F_BYTE | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 8 * i + 3, -1, F_MODRM | F_V | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 8 * i + 4, -1, F_BYTE | F_IB | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 8 * i + 5, -1, F_V | F_IZ | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 0x80, (int)i, F_BYTE | F_IB | lock | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 0x81, (int)i, F_V | F_IZ | lock | F_SEQ, undefined);
        truth_row_add(rows, f, names[i], 0x83, (int)i, F_V | F_IB | lock | F_SEQ, undefined);
    }
    const char *f = "inc dec neg not test";
    for (unsigned wide = 0; wide < 2; wide++) {
        uint32_t size = wide ? F_V : F_BYTE;
        truth_row_add(rows, f, "inc", 0xfe + wide, 0, size | F_LOCKABLE | F_SEQ, 0);
        truth_row_add(rows, f, "dec", 0xfe + wide, 1, size | F_LOCKABLE | F_SEQ, 0);
        truth_row_add(rows, f, "test imm", 0xf6 + wide, 0, size | (wide ? F_IZ : F_IB) | F_SEQ, AF);
        truth_row_add(rows, f, "test imm /1", 0xf6 + wide, 1, size | (wide ? F_IZ : F_IB), AF);
        truth_row_add(rows, f, "not", 0xf6 + wide, 2, size | F_LOCKABLE | F_SEQ, 0);
        truth_row_add(rows, f, "neg", 0xf6 + wide, 3, size | F_LOCKABLE | F_SEQ, 0);
        truth_row_add(rows, f, "test", 0x84 + wide, -1, F_MODRM | size | F_SEQ, AF);
        truth_row_add(rows, f, "test rax", 0xa8 + wide, -1, size | (wide ? F_IZ : F_IB) | F_SEQ, AF);
    }
}

static void add_multiply_shift(struct truth_rows *rows)
{
    static const char *const shifts[] = {"rol", "ror", "rcl", "rcr", "shl", "shr", "sal /6", "sar"};
    const uint32_t mul = SF | ZF | AF | PF;
    for (unsigned wide = 0; wide < 2; wide++) {
        uint32_t size = wide ? F_V : F_BYTE;
        truth_row_add(rows, "mul", "mul", 0xf6 + wide, 4, size, mul);
        truth_row_add(rows, "mul", "imul", 0xf6 + wide, 5, size, mul);
        truth_row_add(rows, "div", "div", 0xf6 + wide, 6, size, FLAGS_STATUS)->adjust = adjust_divide;
        truth_row_add(rows, "div", "idiv", 0xf6 + wide, 7, size, FLAGS_STATUS)->adjust = adjust_divide;
        for (unsigned i = 0; i < 8; i++) {
            const char *f = i < 4 ? "rotates" : "shifts";
            truth_row_add(rows, f, shifts[i], 0xc0 + wide, (int)i, size | F_IB | F_SEQ, 0)->adjust = adjust_shift_imm;
            truth_row_add(rows, f, shifts[i], 0xd0 + wide, (int)i, size | F_SEQ, 0)->adjust = adjust_shift_one;
            truth_row_add(rows, f, shifts[i], 0xd2 + wide, (int)i, size, 0)->adjust = adjust_shift_cl;
        }
    }
    truth_row_add(rows, "mul", "imul r,rm", 0x0faf, -1, F_MODRM | F_V, mul);
    truth_row_add(rows, "mul", "imul imm", 0x69, -1, F_MODRM | F_V | F_IZ, mul);
    truth_row_add(rows, "mul", "imul imm8", 0x6b, -1, F_MODRM | F_V | F_IB, mul);
    for (unsigned i = 0; i < 2; i++) {
        const char *name = i ? "shrd" : "shld";
        truth_row_add(rows, "shifts", name, 0x0fa4 + 8 * i, -1, F_MODRM | F_V | F_IB, 0)->adjust = adjust_double_shift;
        truth_row_add(rows, "shifts", name, 0x0fa5 + 8 * i, -1, F_MODRM | F_V, 0)->adjust = adjust_double_shift;
    }
}

static void add_bits(struct truth_rows *rows)
{
    static const char *const names[] = {"bt", "bts", "btr", "btc"};
    const uint32_t undefined = OF | SF | AF | PF;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t lock = i ? F_LOCKABLE : 0;
        truth_row_add(rows, "bits", names[i], 0x0fa3 + 8 * i, -1, F_MODRM | F_V | lock, undefined)->adjust =
            adjust_bit_offset;
        truth_row_add(rows, "bits", names[i], 0x0fba, 4 + (int)i, F_V | F_IB | lock, undefined);
    }
    truth_row_add(rows, "bits", "bsf", 0x0fbc, -1, F_MODRM | F_V | F_NOPREFIX, undefined | CF);
    truth_row_add(rows, "bits", "bsr", 0x0fbd, -1, F_MODRM | F_V | F_NOPREFIX, undefined | CF);
    truth_row_add(rows, "bits", "popcnt", 0x0fb8, -1, F_MODRM | F_V | F_NOPREFIX | F_SEQ, 0)->prefix = 0xf3;
}

static void add_moves(struct truth_rows *rows)
{
    const char *f = "mov";
    for (unsigned wide = 0; wide < 2; wide++) {
        uint32_t size = wide ? F_V : F_BYTE;
        truth_row_add(rows, f, "mov rm,r", 0x88 + wide, -1, F_MODRM | size | F_SEQ, 0);
        truth_row_add(rows, f, "mov r,rm", 0x8a + wide, -1, F_MODRM | size | F_SEQ, 0);
        truth_row_add(rows, f, "mov r,imm", 0xb0 + 8 * wide, -1, F_PLUSR | size | (wide ? F_IV : F_IB) | F_SEQ, 0);
        truth_row_add(rows, f, "mov rm,imm", 0xc6 + wide, 0, size | (wide ? F_IZ : F_IB) | F_SEQ, 0);
        truth_row_add(rows, f, "mov rax,moffs", 0xa0 + wide, -1, 0, 0)->emit = emit_moffs;
        truth_row_add(rows, f, "mov moffs,rax", 0xa2 + wide, -1, 0, 0)->emit = emit_moffs;
        truth_row_add(rows, f, "movzx", 0x0fb6 + wide, -1, F_MODRM | F_V | F_SEQ, 0)->size = 1 + wide;
        truth_row_add(rows, f, "movsx", 0x0fbe + wide, -1, F_MODRM | F_V | F_SEQ, 0)->size = 1 + wide;
        truth_row_add(rows, "xchg", "xchg", 0x86 + wide, -1, F_MODRM | size | F_LOCKABLE | F_SEQ, 0);
        truth_row_add(rows, "xchg", "xadd", 0x0fc0 + wide, -1, F_MODRM | size | F_LOCKABLE | F_SEQ, 0);
        truth_row_add(rows, "xchg", "cmpxchg", 0x0fb0 + wide, -1, F_MODRM | size | F_LOCKABLE, 0)->adjust =
            adjust_cmpxchg;
    }
    truth_row_add(rows, f, "movsxd", 0x63, -1, F_MODRM | F_V | F_SEQ, 0)->size = 4;
    truth_row_add(rows, f, "movnti", 0x0fc3, -1, F_MODRM | F_W | F_MEM | F_NOPREFIX | F_SEQ, 0);
    truth_row_add(rows, "xchg", "xchg rax", 0x90, -1, F_PLUSR | F_V | F_SEQ, 0);
    struct truth_row *pair =
        truth_row_add(rows, "xchg", "cmpxchg8b/16b", 0x0fc7, 1, F_W | F_MEM | F_LOCKABLE | F_A16, 0);
    pair->adjust = adjust_cmpxchg_pair;
    pair->size = 16;
    truth_row_add(rows, f, "bswap", 0x0fc8, -1, F_PLUSR | F_W | F_SEQ, 0);
    truth_row_add(rows, f, "lea", 0x8d, -1, F_MODRM | F_V | F_MEM, 0)->adjust = adjust_lea;
    truth_row_add(rows, "cmov setcc", "cmov", 0x0f40, -1, F_MODRM | F_V | F_CC | F_SEQ, 0);
    truth_row_add(rows, "cmov setcc", "setcc", 0x0f90, -1, F_MODRM | F_BYTE | F_CC | F_SEQ, 0);
    for (unsigned i = 0; i < 2; i++)
        truth_row_add(rows, "convert", i ? "cwd cdq cqo" : "cbw cwde cdqe", 0x98 + i, -1, F_V | F_SEQ, 0);
}

static void add_flags(struct truth_rows *rows)
{
    static const struct {
        const char *name;
        unsigned opcode;
        uint32_t form;
    } list[] = {{"cmc", 0xf5, F_SEQ}, {"clc", 0xf8, F_SEQ}, {"stc", 0xf9, F_SEQ}, {"cld", 0xfc, F_SEQ},
                {"std", 0xfd, F_SEQ}, {"lahf", 0x9f, 0},    {"sahf", 0x9e, F_SEQ}};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        truth_row_add(rows, "flags", list[i].name, list[i].opcode, -1, list[i].form, 0);
}

void truth_rows_integer(struct truth_rows *rows)
{
    add_alu(rows);
    add_multiply_shift(rows);
    add_bits(rows);
    add_moves(rows);
    add_flags(rows);
}
