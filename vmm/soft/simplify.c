/*
 * See simplify.h. Flags can be seen after any instruction that may fault or leave the block, and wherever a run is told
 * to stop, but there instructions are decoded one by one (run.c). So those of an instruction are dead when another sets
 * them all later in its block, and everything between the two works on registers alone and reads no flag.
 */
#include "vmm/soft/simplify.h"

#include "vmm/soft/alu.h"
#include "vmm/soft/block.h"

/* The usual operations without flags. */
#define QUIET(name, expression, bits)                                                                                  \
    static UOP(quiet_##name##_##bits)                                                                                  \
    {                                                                                                                  \
        SET_REG##bits(u->dst, expression);                                                                             \
        NEXT();                                                                                                        \
    }
#define QUIET_ALU(name, operator)                                                                                      \
    QUIET(name##_rr, DST(32) operator SRC(32), 32)                                                                     \
    QUIET(name##_ri, DST(32) operator(uint32_t) u->imm, 32)                                                            \
    QUIET(name##_rr, DST(64) operator SRC(64), 64)                                                                     \
    QUIET(name##_ri, DST(64) operator(uint64_t)(int64_t) u->imm, 64)

QUIET_ALU(add, +)
QUIET_ALU(or, |)
QUIET_ALU(and, &)
QUIET_ALU(sub, -)
QUIET_ALU(xor, ^)
QUIET(inc, DST(32) + 1, 32)
QUIET(inc, DST(64) + 1, 64)
QUIET(dec, DST(32) - 1, 32)
QUIET(dec, DST(64) - 1, 64)
QUIET(shl, DST(32) << (u->imm & 31), 32)
QUIET(shl, DST(64) << (u->imm & 63), 64)
QUIET(shr, DST(32) >> (u->imm & 31), 32)
QUIET(shr, DST(64) >> (u->imm & 63), 64)
QUIET(sar, (uint32_t)((int32_t)DST(32) >> (u->imm & 31)), 32)
QUIET(sar, (uint64_t)((int64_t)DST(64) >> (u->imm & 63)), 64)

/* By operation, whether there is an immediate operand, and whether it is one of 64 bits. */
#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        quiet_##name##_32, quiet_##name##_64                                                                           \
    }
static uop_fn *const quiet[OP_COUNT][2][2] = {
    [OP_ADD] = {BOTH(add_rr), BOTH(add_ri)}, [OP_OR] = {BOTH(or_rr), BOTH(or_ri)},
    [OP_AND] = {BOTH(and_rr), BOTH(and_ri)}, [OP_SUB] = {BOTH(sub_rr), BOTH(sub_ri)},
    [OP_XOR] = {BOTH(xor_rr), BOTH(xor_ri)}, [OP_INC] = {BOTH(inc), {NULL}},
    [OP_DEC] = {BOTH(dec), {NULL}},          [OP_SHL] = {{NULL}, BOTH(shl)},
    [OP_SHR] = {{NULL}, BOTH(shr)},          [OP_SAR] = {{NULL}, BOTH(sar)},
};

/* The operand is an immediate one, in the uop's `imm`. */
static bool has_immediate(const struct insn *insn)
{
    if (insn->op >= OP_ROL && insn->op <= OP_SAR)
        return (insn->opcode & 0xfe) != 0xd2;
    return insn->form != FORM_RM && insn->form != FORM_MR && insn->op != OP_INC && insn->op != OP_DEC;
}

static bool sets_all_flags(const struct insn *insn, bool immediate)
{
    switch (insn->op) {
    case OP_ADD ... OP_CMP:
    case OP_TEST:
    case OP_INC:
    case OP_DEC:
    case OP_NEG:
    case OP_IMUL2:
    case OP_IMUL3:
        return true;
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
        return immediate && insn->size >= 4 && (insn->immediate & 31);
    default:
        return false;
    }
}

/* Whether it gives away nothing of flags that it does not set: rotations set CF and OF and keep the rest. */
static bool shows_no_flags(const struct insn *insn)
{
    switch (insn->op) {
    case OP_ROL:
    case OP_ROR:
    case OP_MOV:
    case OP_XCHG:
    case OP_NOT:
    case OP_MOVZX8 ... OP_MOVSXD:
    case OP_CMOV:
    case OP_SETCC:
        return true;
    default:
        return false;
    }
}

struct effects soft_effects(const struct insn *insn, uop_fn *fn)
{
    struct effects e = {.op = (uint8_t)insn->op, .immediate = has_immediate(insn)};
    _Static_assert(OP_COUNT <= 256, "op is a byte");
    bool raises = fn == uop_undefined || fn == uop_general_protection;
    if (raises || (insn->flags & OF_END))
        return e;
    if (insn->op == OP_LEA) {
        e.plain = true;
    } else if (!insn->memory) {
        e.writes = sets_all_flags(insn, e.immediate);
        e.plain = e.writes || shows_no_flags(insn);
        /* INC and DEC keep CF. */
        e.reads = insn->op == OP_ADC || insn->op == OP_SBB || insn->op == OP_INC || insn->op == OP_DEC ||
                  insn->op == OP_CMOV || insn->op == OP_SETCC;
    }
    return e;
}

void soft_drop_dead_flags(struct uop *uops, const struct effects *effects, unsigned count)
{
    bool dead = false;
    for (unsigned i = count; i-- > 0;) {
        const struct effects *e = &effects[i];
        uop_fn *fn = NULL;
        if (dead && e->writes && uops[i].size >= 4)
            fn = quiet[e->op][e->immediate][uops[i].size == 8];
        if (fn)
            uops[i].fn = fn;
        else if (!e->plain || e->reads)
            dead = false;
        else if (e->writes)
            dead = true;
    }
}

/* Comparisons, and the countdown of loops, with each condition; `last` comes when the condition is known. */
#define FUSE(name, bits, cc, work, last)                                                                               \
    static UOP(name##_##bits##_##cc)                                                                                   \
    {                                                                                                                  \
        uint##bits##_t r = work;                                                                                       \
        bool taken = flags_condition(cpu, cc);                                                                         \
        last;                                                                                                          \
        if (taken)                                                                                                     \
            return soft_follow(cpu, u, 1, u->disp);                                                                    \
        return soft_follow(cpu, u, 0, uop_tail(u)->next_rip);                                                          \
    }
#define FUSE_ALL(cc, bits)                                                                                             \
    FUSE(cmp_rr, bits, cc, sub##bits(cpu, DST(bits), SRC(bits)), (void)r)                                              \
    FUSE(cmp_ri, bits, cc, sub##bits(cpu, DST(bits), (uint##bits##_t)u->imm), (void)r)                                 \
    FUSE(test_rr, bits, cc, and##bits(cpu, DST(bits), SRC(bits)), (void)r)                                             \
    FUSE(test_ri, bits, cc, and##bits(cpu, DST(bits), (uint##bits##_t)u->imm), (void)r)                                \
    FUSE(dec, bits, cc, dec##bits(cpu, DST(bits)), SET_REG##bits(u->dst, r))
#define FUSE_CONDITION(cc) FUSE_ALL(cc, 32) FUSE_ALL(cc, 64)

FOR_CONDITIONS(FUSE_CONDITION)

enum { FUSE_CMP_RR, FUSE_CMP_RI, FUSE_TEST_RR, FUSE_TEST_RI, FUSE_DEC, FUSE_KINDS };

bool soft_fuse_branch(struct uop *first, const struct effects *effects, unsigned condition, const struct uop *branch)
{
#define FUSED_PAIR(name, cc)                                                                                           \
    {                                                                                                                  \
        name##_32_##cc, name##_64_##cc                                                                                 \
    }
#define FUSED_ENTRY(cc)                                                                                                \
    {FUSED_PAIR(cmp_rr, cc), FUSED_PAIR(cmp_ri, cc), FUSED_PAIR(test_rr, cc), FUSED_PAIR(test_ri, cc),                 \
     FUSED_PAIR(dec, cc)},
    static uop_fn *const table[16][FUSE_KINDS][2] = {FOR_CONDITIONS(FUSED_ENTRY)};
    unsigned kind = effects->op == OP_DEC ? FUSE_DEC : effects->op == OP_CMP ? FUSE_CMP_RR : FUSE_TEST_RR;
    bool known = effects->op == OP_DEC || effects->op == OP_CMP || effects->op == OP_TEST;
    if (!effects->writes || !known || first->size < 4)
        return false;
    first->fn = table[condition][kind + (kind != FUSE_DEC && effects->immediate)][first->size == 8];
    first->disp = branch->disp;
    return true;
}
