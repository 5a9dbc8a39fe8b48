/* The truth harness's rows for stacks, branches and strings, for what user code may not do, and for runs of several. */
#include <string.h>

#include "base/check.h"
#include "tests/soft/truth.h"

#define UNMAPPED_CODE (CODE_BASE + CODE_SIZE)

static void write_stack(struct truth_gen *gen, uint64_t address, uint64_t value)
{
    uint8_t *at = truth_at(gen->c->memory, address, 8);
    if (at)
        memcpy(at, &value, 8);
}

/* Somewhere to go: an INT3 in the code pages outside of the instruction, or nowhere. */
static uint64_t target(struct truth_gen *gen)
{
    if (truth_chance(gen, 20))
        return UNMAPPED_CODE + truth_below(gen, PAGE);
    if (truth_chance(gen, 20))
        return DATA_BASE + truth_below(gen, DATA_RW); /* may not be executed */
    uint64_t to;
    do
        to = CODE_BASE + truth_below(gen, CODE_SIZE);
    while (to >= gen->c->start && to < gen->c->start + 32);
    return to;
}

static void adjust_relative(struct truth_gen *gen)
{
    uint8_t *code = gen->c->code + gen->c->length;
    uint64_t next = gen->c->start + gen->c->length;
    if (gen->row->form & F_IB) {
        int8_t by = (int8_t)truth_random(gen);
        if (by < 0 && by > -32)
            by = (int8_t)(by - 32);
        code[-1] = (uint8_t)by;
    } else {
        uint32_t by = (uint32_t)(target(gen) - next);
        memcpy(code - 4, &by, 4);
    }
    if (truth_chance(gen, 2))
        truth_set(gen, 1, truth_below(gen, 3)); /* for LOOP and JRCXZ */
}

static void adjust_indirect(struct truth_gen *gen)
{
    uint64_t to = truth_chance(gen, 30) ? UINT64_C(0x0000900000000000) : target(gen);
    uint8_t *at = truth_at(gen->c->memory, gen->ea, 8);
    if (!gen->memory)
        truth_set(gen, gen->rm, to);
    else if (at && gen->ea + 8 <= DATA_BASE + DATA_RW)
        memcpy(at, &to, 8);
}

/* Whether CALL finds the stack or its target bad first is not defined. */
static void adjust_call(struct truth_gen *gen)
{
    gen->c->two_faults = true;
    adjust_indirect(gen);
}

static void adjust_return(struct truth_gen *gen)
{
    write_stack(gen, gen->c->before.gprs[4], truth_chance(gen, 30) ? UINT64_C(0x0000900000000000) : target(gen));
}

/* POPF without TF: single-stepping is for another test. */
static void adjust_popf(struct truth_gen *gen)
{
    uint8_t *at = truth_at(gen->c->memory, gen->c->before.gprs[4], 8);
    if (at)
        at[1] &= 0xfe;
}

static void adjust_enter(struct truth_gen *gen)
{
    uint8_t *code = gen->c->code + gen->c->length;
    code[-2] &= 0x0f;
    if (truth_chance(gen, 2))
        code[-1] &= 0xe7;
    /* Above the new frame, or within it. */
    uint64_t sp = gen->c->before.gprs[4];
    uint64_t frame =
        truth_chance(gen, 2) ? (sp & ~UINT64_C(15)) + 512 + truth_below(gen, 512) : sp + 64 - truth_below(gen, 256);
    gen->c->before.gprs[5] = truth_chance(gen, 20) ? STACK_BASE + truth_below(gen, 64) : frame;
}

static void emit_enter(struct truth_gen *gen)
{
    gen->c->fault_writes = true;
    truth_emit(gen);
    truth_byte(gen, truth_chance(gen, 2) ? 0 : (unsigned)truth_random(gen) & 0xff);
    adjust_enter(gen);
}

static void adjust_leave(struct truth_gen *gen)
{
    gen->c->before.gprs[5] =
        truth_chance(gen, 2) ? STACK_BASE + 100 + truth_below(gen, 7000) : truth_address(gen, 8, true);
}

static void adjust_xlat(struct truth_gen *gen)
{
    gen->c->before.gprs[3] = truth_address(gen, 1, false) - (uint8_t)gen->c->before.gprs[0];
}

static void add_stack(struct truth_rows *rows)
{
    const char *f = "stack";
    truth_row_add(rows, f, "push r", 0x50, -1, F_PLUSR | F_D64, 0);
    truth_row_add(rows, f, "pop r", 0x58, -1, F_PLUSR | F_D64, 0);
    truth_row_add(rows, f, "push rm", 0xff, 6, F_D64, 0);
    truth_row_add(rows, f, "pop rm", 0x8f, 0, F_D64, 0);
    truth_row_add(rows, f, "push imm", 0x68, -1, F_D64 | F_IZ, 0);
    truth_row_add(rows, f, "push imm8", 0x6a, -1, F_D64 | F_IB, 0);
    truth_row_add(rows, f, "pushf", 0x9c, -1, F_D64, 0);
    truth_row_add(rows, f, "popf", 0x9d, -1, F_D64, 0)->adjust = adjust_popf;
    truth_row_add(rows, f, "push fs", 0x0fa0, -1, F_D64, 0);
    truth_row_add(rows, f, "push gs", 0x0fa8, -1, F_D64, 0);
    truth_row_add(rows, f, "enter", 0xc8, -1, F_IW | F_D64, 0)->emit = emit_enter;
    truth_row_add(rows, f, "leave", 0xc9, -1, F_D64, 0)->adjust = adjust_leave;
    truth_row_add(rows, f, "xlat", 0xd7, -1, 0, 0)->adjust = adjust_xlat;
    truth_row_add(rows, f, "mov rm,sreg", 0x8c, -1, F_MODRM | F_V, 0)->size = 2;
}

static void add_branches(struct truth_rows *rows)
{
    /* No 66 prefix here: Intel's processors ignore it and AMD's do not (docs/soft-engine.md, section 3). */
    const char *f = "branches";
    truth_row_add(rows, f, "jcc rel8", 0x70, -1, F_CC | F_IB, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "jcc rel32", 0x0f80, -1, F_CC | F_IZ, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "jmp rel8", 0xeb, -1, F_IB, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "jmp rel32", 0xe9, -1, F_IZ, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "call rel32", 0xe8, -1, F_IZ, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "loopne", 0xe0, -1, F_IB, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "loope", 0xe1, -1, F_IB, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "loop", 0xe2, -1, F_IB, 0)->adjust = adjust_relative;
    truth_row_add(rows, f, "jrcxz", 0xe3, -1, F_IB, 0)->adjust = adjust_relative;
    struct truth_row *row = truth_row_add(rows, f, "call rm", 0xff, 2, 0, 0);
    row->adjust = adjust_call;
    row->size = 8;
    row = truth_row_add(rows, f, "jmp rm", 0xff, 4, 0, 0);
    row->adjust = adjust_indirect;
    row->size = 8;
    truth_row_add(rows, f, "ret", 0xc3, -1, 0, 0)->adjust = adjust_return;
    truth_row_add(rows, f, "ret imm", 0xc2, -1, F_IW, 0)->adjust = adjust_return;
}

static void emit_string(struct truth_gen *gen)
{
    struct truth_state *b = &gen->c->before;
    bool wide = truth_chance(gen, 2), half = truth_chance(gen, 4), byte = !(gen->row->opcode & 1);
    unsigned size = byte ? 1 : wide ? 8 : half ? 2 : 4;
    gen->c->any_operand = gen->row->opcode == 0xa6 || gen->row->opcode == 0xa7; /* CMPS */
    gen->address32 = truth_chance(gen, 8);
    do
        b->gprs[6] = truth_address(gen, size, truth_chance(gen, 2));
    while (gen->address32 && b->gprs[6] >> 32);
    do
        b->gprs[7] = truth_address(gen, size, truth_chance(gen, 2));
    while (gen->address32 && b->gprs[7] >> 32);
    if (truth_chance(gen, 4) && b->gprs[6] >> 32 == 0) /* they overlap */
        b->gprs[7] = b->gprs[6] + truth_below(gen, 33) - 16;
    b->gprs[1] = truth_chance(gen, 3) ? truth_below(gen, 4) : truth_below(gen, 600);
    const uint8_t *source = truth_at(gen->c->memory, b->gprs[6], 64);
    uint8_t *destination = truth_at(gen->c->memory, b->gprs[7], 64);
    if (source && destination && b->gprs[7] + 64 <= DATA_BASE + DATA_RW && truth_chance(gen, 2))
        memmove(destination, source, 64); /* so that comparisons go on for a while */
    if (gen->address32)
        for (unsigned i = 0; i < 3; i++) {
            static const uint8_t counted[] = {1, 6, 7};
            b->gprs[counted[i]] |= truth_random(gen) << 32;
            truth_byte(gen, i == 0 ? 0x67 : 0x2e);
        }
    if (half)
        truth_byte(gen, 0x66);
    if (!truth_chance(gen, 4))
        truth_byte(gen, truth_chance(gen, 3) ? 0xf2 : 0xf3);
    if (wide)
        truth_byte(gen, 0x48);
    truth_byte(gen, gen->row->opcode);
}

static void add_strings(struct truth_rows *rows)
{
    static const struct {
        const char *name;
        unsigned opcode;
    } list[] = {{"movs", 0xa4}, {"cmps", 0xa6}, {"stos", 0xaa}, {"lods", 0xac}, {"scas", 0xae}};
    /* Each row several times, for there is much to vary. */
    for (unsigned again = 0; again < 3; again++)
        for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
            for (unsigned wide = 0; wide < 2; wide++)
                truth_row_add(rows, "strings", list[i].name, list[i].opcode + wide, -1, F_NOAC, 0)->emit = emit_string;
}

/* INT n: those that Linux gives to user code or makes its own use of are left out, and those of the reserved
 * exceptions, for which kernels were seen that report their own idea of the fault. */
static void adjust_interrupt(struct truth_gen *gen)
{
    uint8_t *vector = &gen->c->code[gen->c->length - 1];
    if (*vector == 0x80 || (*vector >= 22 && *vector < 32))
        *vector = 0x81;
}

static void adjust_absent(struct truth_gen *gen)
{
    gen->c->skip = gen->c->start + gen->c->length >= CODE_BASE + CODE_SIZE;
}

static void add_illegal(struct truth_rows *rows)
{
    static const uint8_t absent[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
                                     0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea};
    static const uint8_t privileged[] = {0xf4, 0xfa, 0xfb, 0xe4, 0xe5, 0xe6, 0xe7, 0xec,
                                         0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f};
    static const uint16_t privileged2[] = {0x0f06, 0x0f08, 0x0f09, 0x0f30, 0x0f32, 0x0f07};
    static const uint16_t absent2[] = {0x0f0b, 0x0fb9, 0x0fff, 0x0f04, 0x0f0a, 0x0f0c, 0x0f24,
                                       0x0f25, 0x0f26, 0x0f27, 0x0f36, 0x0fa6, 0x0fa7};
    static const struct {
        unsigned opcode;
        uint8_t digits; /* bit n: digit n is not an instruction */
    } groups[] = {{0xfe, 0xfc}, {0xff, 0x80}, {0xc6, 0x7e}, {0xc7, 0x7e}, {0x0fba, 0x0f}, {0x0fc7, 0x05}};
    const char *f = "illegal";
    /* UD0 and UD1 have a ModRM byte; whether it is fetched is not defined. */
    const uint32_t form = F_NOLOCK;
    for (unsigned i = 0; i < sizeof absent; i++)
        truth_row_add(rows, f, "absent", absent[i], -1, form, 0);
    for (unsigned i = 0; i < sizeof absent2 / sizeof *absent2; i++)
        truth_row_add(rows, f, "absent", absent2[i], -1, form | F_MODRM | F_REG | F_NOPREFIX, 0)->adjust =
            adjust_absent;
    for (unsigned i = 0; i < sizeof privileged; i++)
        truth_row_add(rows, f, "privileged", privileged[i], -1, form | F_NOPREFIX, 0);
    for (unsigned i = 0; i < sizeof privileged2 / sizeof *privileged2; i++)
        truth_row_add(rows, f, "privileged", privileged2[i], -1, form | F_NOPREFIX, 0);
    for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++)
        for (int digit = 0; digit < 8; digit++)
            if (groups[i].digits >> digit & 1)
                truth_row_add(rows, f, "group", groups[i].opcode, digit, form | F_NOPREFIX | F_IB, 0);
    truth_row_add(rows, f, "mov cr", 0x0f20, -1, form | F_MODRM | F_REG | F_NOPREFIX, 0);
    truth_row_add(rows, f, "mov cr", 0x0f22, -1, form | F_MODRM | F_REG | F_NOPREFIX, 0);
    truth_row_add(rows, f, "mov dr", 0x0f21, -1, form | F_MODRM | F_REG | F_NOPREFIX | F_NOREX, 0);
    truth_row_add(rows, f, "lgdt", 0x0f01, 2, form | F_MEM | F_NOPREFIX, 0);
    truth_row_add(rows, f, "lidt", 0x0f01, 3, form | F_MEM | F_NOPREFIX, 0);
    truth_row_add(rows, f, "lmsw", 0x0f01, 6, form | F_MEM | F_NOPREFIX, 0);
    truth_row_add(rows, f, "invlpg", 0x0f01, 7, form | F_MEM | F_NOPREFIX, 0);
    truth_row_add(rows, f, "lldt", 0x0f00, 2, form | F_NOPREFIX, 0);
    truth_row_add(rows, f, "ltr", 0x0f00, 3, form | F_NOPREFIX, 0);
    truth_row_add(rows, f, "int", 0xcd, -1, form | F_IB | F_NOPREFIX, 0)->adjust = adjust_interrupt;
    truth_row_add(rows, f, "int3", 0xcc, -1, form, 0);
    truth_row_add(rows, f, "nop rm", 0x0f1f, -1, F_MODRM | F_V, 0);
    truth_row_add(rows, f, "prefetch", 0x0f18, -1, F_MODRM | F_MEM | F_NOREX, 0);
    truth_row_add(rows, f, "prefetchw", 0x0f0d, 1, F_MEM, 0);
    truth_row_add(rows, f, "clflush", 0x0fae, 7, F_MEM | F_NOPREFIX, 0)->size = 1;
    truth_row_add(rows, f, "fences", 0x0fae, 7, F_REG | F_NOPREFIX, 0);
}

/* Two to nine instructions that depend on no undefined flags, some of them jumped over. */
static void emit_run(struct truth_gen *gen)
{
    const struct truth_row *run = gen->row;
    unsigned count = 2 + truth_below(gen, 8);
    gen->fixed_addresses = true;
    for (unsigned i = 0; i < count; i++) {
        unsigned patch = 0;
        if (truth_chance(gen, 5)) {
            truth_byte(gen, 0x70 | truth_below(gen, 16));
            truth_byte(gen, 0);
            patch = gen->c->length;
        }
        do
            gen->row = &gen->rows->rows[truth_below(gen, gen->rows->count)];
        while (!(gen->row->form & F_SEQ) || (!run->prefix && gen->row->values != V_INT));
        truth_emit(gen);
        if (patch)
            gen->c->code[patch - 1] = (uint8_t)(gen->c->length - patch);
    }
    gen->row = run;
}

static void add_runs(struct truth_rows *rows)
{
    for (unsigned i = 0; i < 40; i++) {
        struct truth_row *row = truth_row_add(rows, "runs of instructions", "run", 0, -1, F_NOAC, 0);
        row->emit = emit_run;
        row->prefix = i & 1; /* integer instructions only, or all */
        row->values = i & 1 ? V_PD : V_INT;
    }
}

void truth_rows_special(struct truth_rows *rows)
{
    add_stack(rows);
    add_branches(rows);
    add_strings(rows);
    add_illegal(rows);
    add_runs(rows);
}
