/*
 * What the vector files share: operands in the FXSAVE image, and operations as functions on 16 bytes.
 *
 * Arithmetic is done by the host's own instruction, so NaN payloads, rounding and flags are exact. For floating point
 * the guest's MXCSR is in force meanwhile, with all exceptions masked: which of them the guest has unmasked is looked
 * at afterwards, before the result is written.
 */
#ifndef ENCORE_VMM_SOFT_VECTOR_H
#define ENCORE_VMM_SOFT_VECTOR_H

#include "vmm/soft/ops.h"

/* d op= s */
typedef void vec_fn(uint8_t *d, const uint8_t *s);

enum vec_kind {
    VEC_NONE,
    VEC_INTEGER, /* xmm, xmm or m128, aligned */
    VEC_MMX,     /* mm, mm or m64 */
    VEC_FLOAT,   /* xmm, xmm or memory, under MXCSR */
};

struct vec_op {
    vec_fn *fn;
    uint8_t kind;
    uint8_t memory; /* bytes of the source operand in memory */
};

/* By prefix (0: none, 1: 66, 2: F3, 3: F2) and opcode. */
extern const struct vec_op vec_integer_ops[4][256];
extern const struct vec_op vec_float_ops[4][256];

#define MXCSR_DEFAULT 0x1f80u

/* #UD, #NM and, for MMX, #MF as SDM volume 3, 2.5 and 13.1 have them. */
void vec_check(struct soft *cpu, const struct uop *u);
void mmx_check(struct soft *cpu, const struct uop *u);
/* Readies the x87 registers for an MMX instruction, which changes them all. */
void mmx_enter(struct soft *cpu);

/* Runs `fn` under the guest's MXCSR; raises #XM before `d` may be used. */
void vec_float(struct soft *cpu, const struct uop *u, vec_fn *fn, uint8_t *d, const uint8_t *s);
/* Runs `fn` under the guest's MXCSR; returns the flags that it raised. */
uint32_t vec_compute(const struct soft *cpu, vec_fn *fn, uint8_t *d, const uint8_t *s);

/* vector_exact.c: an operation on elements, of `size` bytes in its operands. */
struct vec_lanes {
    unsigned opcode, size, count;
};
/* Whether an operation may overflow or underflow at all. */
bool vec_may_leave_range(unsigned opcode, unsigned prefix);
/* The flags that `fn` raises where overflow or underflow is unmasked. `d` and `s` are the operands. */
uint32_t vec_exact_flags(const struct soft *cpu, const struct vec_lanes *lanes, vec_fn *fn, const uint8_t *d,
                         const uint8_t *s);

/* The host's flags after a computation, merged into the guest's MXCSR; raises #XM. */
void vec_merge_flags(struct soft *cpu, const struct uop *u, uint32_t raised);
uint32_t vec_begin_float(const struct soft *cpu);
uint32_t vec_end_float(void);

/* The source operand of `size` bytes: a register of the FXSAVE image, or memory. */
void vec_source(struct soft *cpu, const struct uop *u, bool mmx, unsigned size, bool aligned, uint8_t *to);

/* Reads and writes with a short way. */
void vec_load(struct soft *cpu, const struct uop *u, unsigned size, bool aligned, void *to);
void vec_store(struct soft *cpu, const struct uop *u, unsigned size, bool aligned, const void *from);

static inline uint8_t *vec_dst(struct soft *cpu, const struct uop *u)
{
    return cpu->fx.xmm[u->src & 15];
}

static inline uint8_t *vec_rm(struct soft *cpu, const struct uop *u)
{
    return cpu->fx.xmm[u->dst & 15];
}

/* For vector uops ModRM.reg is in `src` and rm in `dst`, as register numbers; imm holds the immediate byte, the opcode
 * and the prefix. */
static inline uint8_t vec_immediate(const struct uop *u)
{
    return (uint8_t)u->imm;
}

uop_fn *vec_move_uop(const struct insn *insn, unsigned prefix);
uop_fn *vec_convert_uop(const struct insn *insn, unsigned prefix);

#endif
