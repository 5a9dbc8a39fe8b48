/* The truth harness's generator: encodings, and the registers that make their memory operands lie where they should. */
#include <string.h>

#include "base/check.h"
#include "tests/soft/truth.h"

#define CODE_END (CODE_BASE + CODE_SIZE)

void truth_byte(struct truth_gen *gen, unsigned byte)
{
    CHECK(gen->c->length < TRUTH_CODE_MAX);
    gen->c->code[gen->c->length++] = (uint8_t)byte;
}

void truth_bytes(struct truth_gen *gen, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        truth_byte(gen, value >> 8 * i & 0xff);
}

void truth_hole(struct truth_gen *gen, uint64_t address, unsigned length)
{
    CHECK(gen->c->hole_count < TRUTH_HOLES);
    gen->c->holes[gen->c->hole_count++] = (struct truth_hole){address, length};
}

/* How one memory operand is encoded. */
struct addressing {
    bool base, index, relative; /* relative: to RIP */
    unsigned base_reg, index_reg, scale;
    unsigned mod; /* with a base: 0, 1 or 2 */
    int32_t displacement;
};

static int32_t displacement_for(struct truth_gen *gen, unsigned mod)
{
    int32_t wide = (int32_t)truth_random(gen);
    return mod == 0 ? 0 : mod == 1 ? (int8_t)wide : truth_chance(gen, 2) ? wide : wide % 4096;
}

static void set_address_register(struct truth_gen *gen, unsigned reg, uint64_t value)
{
    if (gen->address32)
        value = (uint32_t)value | truth_random(gen) << 32;
    gen->c->before.gprs[reg] = value;
    gen->pinned |= 1u << reg;
}

static struct addressing choose_addressing(struct truth_gen *gen)
{
    struct addressing a = {0};
    uint64_t *gprs = gen->c->before.gprs;
    bool low = gen->ea < UINT64_C(0x40000000);
    unsigned kind = gen->fixed_addresses ? 6 + truth_below(gen, 2) : truth_below(gen, low ? 8 : 5);
    unsigned regs = gen->row->form & F_NOREX ? 8 : 16;
    a.index_reg = truth_below(gen, regs);
    a.base_reg = truth_below(gen, regs);
    a.scale = truth_below(gen, 4);
    if (kind == 7) {
        a.relative = true;
    } else if (kind == 6) {
        a.displacement = (int32_t)gen->ea;
    } else if (kind == 5 && a.index_reg != 4) { /* index and displacement */
        a.index = true;
        uint64_t index = truth_random(gen) & 0xffffff;
        set_address_register(gen, a.index_reg, index);
        a.displacement = (int32_t)(gen->ea - (index << a.scale));
    } else {
        a.base = true;
        a.mod = (a.base_reg & 7) == 5 ? 1 + truth_below(gen, 2) : truth_below(gen, 3);
        a.displacement = displacement_for(gen, a.mod);
        a.index = kind < 3 && a.index_reg != 4 && a.index_reg != a.base_reg;
        uint64_t index = a.index ? gprs[a.index_reg] << a.scale : 0;
        set_address_register(gen, a.base_reg, gen->ea - index - (uint64_t)(int64_t)a.displacement);
        if (a.index)
            gen->pinned |= 1u << a.index_reg;
    }
    return a;
}

/* ModRM, SIB and displacement; returns where a RIP-relative displacement is to be filled in, or 0. */
static unsigned emit_addressing(struct truth_gen *gen, const struct addressing *a)
{
    unsigned reg = (gen->reg & 7) << 3;
    if (a->relative) {
        truth_byte(gen, reg | 5);
        truth_bytes(gen, 0, 4);
        return gen->c->length - 4;
    }
    unsigned index = a->index ? a->index_reg & 7 : 4;
    if (!a->base) {
        truth_byte(gen, reg | 4);
        truth_byte(gen, a->scale << 6 | index << 3 | 5);
        truth_bytes(gen, (uint32_t)a->displacement, 4);
        return 0;
    }
    unsigned base = a->base_reg & 7;
    if (a->index || base == 4) {
        truth_byte(gen, a->mod << 6 | reg | 4);
        truth_byte(gen, a->scale << 6 | index << 3 | base);
    } else {
        truth_byte(gen, a->mod << 6 | reg | base);
    }
    truth_bytes(gen, (uint32_t)a->displacement, a->mod == 1 ? 1 : a->mod == 2 ? 4 : 0);
    return 0;
}

static void fill_operand(struct truth_gen *gen, unsigned size)
{
    uint8_t bytes[16];
    for (unsigned at = 0; at < size; at += 16) {
        truth_fill(gen, gen->row->values, bytes, sizeof bytes);
        for (unsigned i = 0; i < 16; i++) {
            uint64_t address = gen->ea + at + i;
            uint8_t *byte = truth_at(gen->c->memory, address, 1);
            if (byte && !(address - DATA_BASE >= DATA_RW && address - DATA_BASE < DATA_SIZE))
                *byte = bytes[i];
        }
    }
}

static void emit_prefixes(struct truth_gen *gen, bool operand16)
{
    static const uint8_t segments[] = {0x2e, 0x36, 0x3e, 0x26, 0x65};
    uint32_t form = gen->row->form;
    if (!(form & F_NOPREFIX)) {
        if (truth_chance(gen, 24))
            truth_byte(gen, segments[truth_below(gen, sizeof segments)]);
        if (form & (F_BYTE | F_V) && !gen->row->prefix && truth_chance(gen, 32))
            truth_byte(gen, 0xf2 + truth_below(gen, 2));
    }
    if (gen->address32)
        truth_byte(gen, 0x67);
    if (operand16)
        truth_byte(gen, 0x66);
    if (form & F_LOCKABLE && gen->memory ? truth_chance(gen, 5) : !(form & F_NOLOCK) && truth_chance(gen, 100)) {
        truth_byte(gen, 0xf0);
        gen->locked = true;
    }
    if (gen->row->prefix)
        truth_byte(gen, gen->row->prefix);
}

static bool choose_size(struct truth_gen *gen, bool *wide)
{
    uint32_t form = gen->row->form;
    bool operand16 = form & (F_V | F_D64) && truth_chance(gen, 5);
    *wide = form & (F_V | F_W) ? truth_chance(gen, 2) : truth_chance(gen, 16);
    if (form & F_D64)
        gen->size = operand16 && !*wide ? 2 : 8;
    else
        gen->size = form & F_BYTE ? 1 : *wide ? 8 : operand16 ? 2 : 4;
    return operand16;
}

static void emit_opcode(struct truth_gen *gen)
{
    unsigned opcode = gen->row->opcode;
    if (opcode >> 8)
        truth_byte(gen, opcode >> 8);
    if (gen->row->form & F_CC)
        opcode |= truth_below(gen, 16);
    truth_byte(gen, (opcode & 0xff) | (gen->row->form & F_PLUSR ? gen->rm & 7 : 0));
}

static void emit_immediate(struct truth_gen *gen)
{
    uint32_t form = gen->row->form;
    unsigned size = form & F_IB                                     ? 1
                    : form & F_IW                                   ? 2
                    : form & F_IZ || (form & F_IV && gen->size < 8) ? (gen->size == 2 ? 2 : 4)
                    : form & F_IV                                   ? 8
                                                                    : 0;
    gen->immediate = truth_integer(gen);
    truth_bytes(gen, gen->immediate, size);
}

/* REX and all that follows it. */
static void emit_body(struct truth_gen *gen, bool wide)
{
    uint32_t form = gen->row->form;
    struct addressing a = {0};
    unsigned rex = wide << 3, patch = 0;
    if (gen->memory)
        a = choose_addressing(gen);
    if (form & F_MODRM && gen->row->digit < 0)
        rex |= (gen->reg & 8) >> 1;
    if (gen->memory)
        rex |= (a.base ? a.base_reg >> 3 : 0) | (a.index ? a.index_reg >> 3 << 1 : 0);
    else if (form & (F_MODRM | F_PLUSR))
        rex |= gen->rm >> 3;
    /* A REX prefix with no bits set makes SPL of AH. */
    if (rex || (!(form & F_NOREX) && truth_chance(gen, 8)))
        truth_byte(gen, 0x40 | rex);
    emit_opcode(gen);
    if (gen->memory)
        patch = emit_addressing(gen, &a);
    else if (form & F_MODRM)
        truth_byte(gen, 0xc0 | (gen->reg & 7) << 3 | (gen->rm & 7));
    emit_immediate(gen);
    if (patch) {
        uint32_t displacement = (uint32_t)(gen->ea - gen->c->start - gen->c->length);
        memcpy(gen->c->code + patch, &displacement, 4);
    }
}

void truth_emit(struct truth_gen *gen)
{
    const struct truth_row *row = gen->row;
    bool wide, operand16 = choose_size(gen, &wide);
    gen->locked = false;
    gen->first = gen->c->length;
    gen->memory = row->form & F_MODRM && !(row->form & F_REG) && (row->form & F_MEM || truth_chance(gen, 2));
    unsigned regs = row->form & F_NOREX ? 8 : 16;
    gen->reg = row->digit >= 0 ? (unsigned)row->digit : truth_below(gen, regs);
    gen->rm = truth_below(gen, regs);
    gen->address32 = !gen->fixed_addresses && !(row->form & F_NOPREFIX) && truth_chance(gen, 20);
    if (gen->memory) {
        unsigned size = row->size ? row->size : gen->size;
        do
            gen->ea = truth_address(gen, size, row->form & F_A16 || truth_chance(gen, 2));
        while ((gen->fixed_addresses || gen->address32) && gen->ea >> 31);
        fill_operand(gen, size);
    }
    emit_prefixes(gen, operand16);
    emit_body(gen, wide);
    gen->c->undefined |= row->undefined;
    gen->c->approximate |= row->form & F_APPROX;
    if (row->adjust)
        row->adjust(gen);
}

static void fill_x87(struct truth_gen *gen)
{
    struct truth_state *b = &gen->c->before;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t value[16];
        truth_fill(gen, V_F80, value, sizeof value);
        memcpy(b->st[i], value, 10);
    }
    static const uint8_t precisions[] = {3, 3, 0, 2};
    b->fcw = (uint16_t)(0x40 | precisions[truth_below(gen, 4)] << 8 | truth_below(gen, 4) << 10);
    b->fcw |= truth_chance(gen, 6) ? truth_random(gen) & 0x3f : 0x3f;
    b->fsw = (uint16_t)(truth_random(gen) & 0x7f00); /* TOP and the condition codes */
    if (truth_chance(gen, 4))
        b->fsw |= truth_random(gen) & 0x7f;
    /* A pending exception shows in ES and B (SDM vol. 1, 8.1.3.3); make these rare, as every instruction then ends so.
     */
    if (b->fsw & ~b->fcw & 0x3f) {
        if (truth_chance(gen, 4))
            b->fsw |= 0x8080;
        else
            b->fsw &= 0xff80 | b->fcw;
    }
    b->ftw = truth_chance(gen, 3) ? (uint8_t)truth_random(gen) : truth_chance(gen, 4) ? 0 : 0xff;
}

static void fill_state(struct truth_gen *gen)
{
    struct truth_state *b = &gen->c->before;
    for (unsigned i = 0; i < 16; i++)
        b->gprs[i] = truth_integer(gen);
    b->gprs[4] = STACK_BASE + 2048 + truth_below(gen, 2048);
    if (!truth_chance(gen, 4))
        b->gprs[4] &= ~UINT64_C(7);
    if (truth_chance(gen, 50))
        b->gprs[4] = truth_chance(gen, 4) ? UINT64_C(0x900000000000) : STACK_BASE + truth_below(gen, 20);
    b->rflags = 0x202 | (truth_random(gen) & FLAGS_STATUS);
    if (truth_chance(gen, 3))
        b->rflags |= FLAG_DF;
    if (!(gen->row->form & F_NOAC) && truth_chance(gen, 64))
        b->rflags |= FLAG_AC, gen->c->two_faults = true; /* #AC or #PF */
    for (unsigned i = 0; i < 16; i++)
        truth_fill(gen, gen->row->values, b->xmm[i], 16);
    b->mxcsr = truth_chance(gen, 5) ? truth_random(gen) & 0xffff : 0x1f80 | truth_below(gen, 4) << 13;
    fill_x87(gen);
}

static void fill_memory(struct truth_gen *gen)
{
    struct truth_memory *memory = gen->c->memory;
    const uint8_t *pool = gen->rows->pool;
    memcpy(memory->data, pool + (truth_random(gen) & 0x3ff8), DATA_RW);
    memcpy(memory->data + DATA_RW, pool, DATA_SIZE - DATA_RW);
    memcpy(memory->stack, pool + (truth_random(gen) & 0x3ff8), STACK_SIZE);
}

void truth_generate(struct truth_case *c, const struct truth_rows *rows, uint64_t seed, uint64_t number)
{
    struct truth_gen gen = {.c = c, .rows = rows, .row = &rows->rows[number % rows->count]};
    gen.random = seed * UINT64_C(0x9e3779b97f4a7c15) ^ number * UINT64_C(0xd1342543de82ef95);
    struct truth_memory *memory = c->memory;
    *c = (struct truth_case){.seed = seed, .number = number, .row = gen.row, .memory = memory};
    c->start = CODE_BASE + 256 + truth_below(&gen, 3000);
    if (truth_chance(&gen, 12))
        c->start = CODE_BASE + PAGE - 1 - truth_below(&gen, 14);
    if (truth_chance(&gen, 100))
        c->start = CODE_END - 1 - truth_below(&gen, 8);
    fill_memory(&gen);
    fill_state(&gen);
    c->before.rip = c->start;
    c->fault_page = gen.row->size > 16;
    c->two_faults |= c->fault_page;
    if (gen.row->emit)
        gen.row->emit(&gen);
    else
        truth_emit(&gen);
    if (c->start + c->length > CODE_END)
        c->length = (unsigned)(CODE_END - c->start);
}
