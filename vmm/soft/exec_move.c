/*
 * Moving data: MOV LEA XCHG MOVZX MOVSX MOVSXD, CMOVcc and SETcc.
 */
#include "vmm/soft/ops.h"

#define MOVES(bits)                                                                                                    \
    static UOP(mov_rr_##bits)                                                                                          \
    {                                                                                                                  \
        SET_REG##bits(u->dst, SRC(bits));                                                                              \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(mov_ri_##bits)                                                                                          \
    {                                                                                                                  \
        SET_REG##bits(u->dst, u->imm);                                                                                 \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_LOAD(mov_rm_##bits, bits, SET_REG##bits(u->dst, m))                                                            \
    UOP_STORE(mov_mr_##bits, bits, SRC(bits))                                                                          \
    UOP_STORE(mov_mi_##bits, bits, u->imm)                                                                             \
    static UOP(xchg_rr_##bits)                                                                                         \
    {                                                                                                                  \
        uint##bits##_t old = DST(bits);                                                                                \
        SET_REG##bits(u->dst, SRC(bits));                                                                              \
        SET_REG##bits(u->src, old);                                                                                    \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_MODIFY(xchg_mr_##bits, bits, uint##bits##_t old = m; m = SRC(bits); SET_REG##bits(u->src, old))

MOVES(8)
MOVES(16)
MOVES(32)
MOVES(64)

/* MOV r64, imm64: the immediate is where other instructions have the displacement. */
static UOP(mov_ri_wide)
{
    DST(64) = u->disp;
    NEXT();
}

#define LEA(bits)                                                                                                      \
    static UOP(lea_##bits)                                                                                             \
    {                                                                                                                  \
        SET_REG##bits(u->dst, soft_offset(cpu, u));                                                                    \
        NEXT();                                                                                                        \
    }

LEA(16)
LEA(32)

static UOP(lea_64)
{
    uint64_t offset = cpu->regs[u->base] + (cpu->regs[u->index] << u->scale) + u->disp;
    DST(64) = u->flags & UF_ADDR32 ? (uint32_t)offset : offset;
    NEXT();
}

#define EXTEND(name, type, from, to)                                                                                   \
    static UOP(name##_r_##to)                                                                                          \
    {                                                                                                                  \
        SET_REG##to(u->dst, (type)SRC(from));                                                                          \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_LOAD(name##_m_##to, from, SET_REG##to(u->dst, (type)m))

#define EXTENDS(name, type, from) EXTEND(name, type, from, 16) EXTEND(name, type, from, 32) EXTEND(name, type, from, 64)
EXTENDS(movzx8, uint8_t, 8)
EXTENDS(movzx16, uint16_t, 16)
EXTENDS(movsx8, int8_t, 8)
EXTENDS(movsx16, int16_t, 16)
EXTENDS(movsxd, int32_t, 32)

#define SIZES(name)                                                                                                    \
    {                                                                                                                  \
        name##_8, name##_16, name##_32, name##_64                                                                      \
    }
#define WIDE_SIZES(name)                                                                                               \
    {                                                                                                                  \
        name##_16, name##_32, name##_64                                                                                \
    }

uop_fn *move_uop(unsigned op, enum shape shape, unsigned size)
{
    static uop_fn *const moves[SHAPES][4] = {
        [SHAPE_RR] = SIZES(mov_rr), [SHAPE_RI] = SIZES(mov_ri), [SHAPE_RM] = SIZES(mov_rm),
        [SHAPE_MR] = SIZES(mov_mr), [SHAPE_MI] = SIZES(mov_mi),
    };
    static uop_fn *const exchanges[2][4] = {SIZES(xchg_rr), SIZES(xchg_mr)};
    static uop_fn *const leas[3] = WIDE_SIZES(lea);
    if (op == OP_LEA)
        return leas[size_index(size) - 1];
    if (op == OP_XCHG)
        return exchanges[shape == SHAPE_MR][size_index(size)];
    return size == 16 ? mov_ri_wide : moves[shape][size_index(size)];
}

uop_fn *extend_uop(unsigned op, bool memory, unsigned size)
{
    static uop_fn *const table[5][2][3] = {
        {WIDE_SIZES(movzx8_r), WIDE_SIZES(movzx8_m)}, {WIDE_SIZES(movzx16_r), WIDE_SIZES(movzx16_m)},
        {WIDE_SIZES(movsx8_r), WIDE_SIZES(movsx8_m)}, {WIDE_SIZES(movsx16_r), WIDE_SIZES(movsx16_m)},
        {WIDE_SIZES(movsxd_r), WIDE_SIZES(movsxd_m)},
    };
    return table[op - OP_MOVZX8][memory][size_index(size) - 1];
}

/* CMOV always reads its source, and a 32-bit CMOV that moves nothing still clears the upper half. */
#define CMOV(cc, bits)                                                                                                 \
    static UOP(cmov_r_##cc##_##bits)                                                                                   \
    {                                                                                                                  \
        uint##bits##_t value = flags_condition(cpu, cc) ? SRC(bits) : DST(bits);                                       \
        SET_REG##bits(u->dst, value);                                                                                  \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_LOAD(cmov_m_##cc##_##bits, bits, SET_REG##bits(u->dst, flags_condition(cpu, cc) ? m : DST(bits)))

#define CONDITION(cc)                                                                                                  \
    CMOV(cc, 16) CMOV(cc, 32) CMOV(cc, 64) static UOP(set_r_##cc)                                                      \
    {                                                                                                                  \
        DST(8) = flags_condition(cpu, cc);                                                                             \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    UOP_STORE(set_m_##cc, 8, flags_condition(cpu, cc))

FOR_CONDITIONS(CONDITION)

uop_fn *condition_uop(unsigned op, unsigned condition, bool memory, unsigned size)
{
#define SETCC_ENTRY(cc) {set_r_##cc, set_m_##cc},
#define CMOV_ENTRY(cc)  {WIDE_SIZES(cmov_r_##cc), WIDE_SIZES(cmov_m_##cc)},
    static uop_fn *const sets[16][2] = {FOR_CONDITIONS(SETCC_ENTRY)};
    static uop_fn *const moves[16][2][3] = {FOR_CONDITIONS(CMOV_ENTRY)};
    if (op == OP_SETCC)
        return sets[condition][memory];
    return moves[condition][memory][size_index(size) - 1];
}
