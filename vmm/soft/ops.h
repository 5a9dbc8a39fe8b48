/*
 * What the files of instruction families share: access to operands, and the shapes of handlers.
 *
 * A handler with a memory operand is written once and compiled twice: NAME takes the address and the TLB's short way,
 * and hands over, before anything has happened, to NAME_long when that does not do. So the short way needs no stack
 * frame and makes no calls.
 */
#ifndef ENCORE_VMM_SOFT_OPS_H
#define ENCORE_VMM_SOFT_OPS_H

#include "vmm/soft/flags.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/soft.h"

typedef uint8_t __attribute__((may_alias)) reg8;
typedef uint16_t __attribute__((may_alias)) reg16;
typedef uint32_t __attribute__((may_alias)) reg32;
typedef uint64_t __attribute__((may_alias)) reg64;
typedef uint16_t __attribute__((may_alias, aligned(1))) mem16;
typedef uint32_t __attribute__((may_alias, aligned(1))) mem32;
typedef uint64_t __attribute__((may_alias, aligned(1))) mem64;
typedef uint8_t __attribute__((may_alias)) mem8;

#define REG_AT(bits, offset) (*(reg##bits *)((char *)cpu->regs + (offset)))
#define DST(bits)            REG_AT(bits, u->dst)
#define SRC(bits)            REG_AT(bits, u->src)

/* Writing 32 bits of a register clears the upper half; writing 8 or 16 keeps the rest. */
#define SET_REG8(offset, value)  (REG_AT(8, offset) = (uint8_t)(value))
#define SET_REG16(offset, value) (REG_AT(16, offset) = (uint16_t)(value))
#define SET_REG32(offset, value) (REG_AT(64, offset) = (uint32_t)(value))
#define SET_REG64(offset, value) (REG_AT(64, offset) = (uint64_t)(value))

/* Byte offsets of whole registers. */
#define AT(number) ((number)*8)

#define RAX regs[GPR_RAX]
#define RCX regs[GPR_RCX]
#define RDX regs[GPR_RDX]
#define RBX regs[GPR_RBX]
#define RSP regs[GPR_RSP]
#define RBP regs[GPR_RBP]
#define RSI regs[GPR_RSI]
#define RDI regs[GPR_RDI]

#define SHORT_ADDRESS(name)                                                                                            \
    uint64_t linear = cpu->regs[u->base] + (cpu->regs[u->index] << u->scale) + u->disp;                                \
    if (__builtin_expect(u->flags & (UF_ODD_ADDRESS | UF_ADDR32), 0)) {                                                \
        if (u->flags & UF_ODD_ADDRESS)                                                                                 \
            return name##_long(cpu, u);                                                                                \
        linear &= 0xffffffff;                                                                                          \
    }                                                                                                                  \
    linear += cpu->seg_base[u->seg];

/* A handler whose body has locals in memory: it is a function of its own, lest its frame stay on the stack when the
 * handler goes on to the next. */
#define UOP_BODY(name)                                                                                                 \
    static void name##_body(struct soft *cpu, const struct uop *u);                                                    \
    static UOP(name)                                                                                                   \
    {                                                                                                                  \
        name##_body(cpu, u);                                                                                           \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static __attribute__((noinline)) void name##_body(struct soft *cpu, __attribute__((unused)) const struct uop *u)

/* A handler that reads memory: the body finds the operand in `m`. */
#define UOP_LOAD(name, bits, body)                                                                                     \
    static __attribute__((noinline)) UOP(name##_long)                                                                  \
    {                                                                                                                  \
        uint##bits##_t m =                                                                                             \
            (uint##bits##_t)soft_load(cpu, u, soft_address(cpu, u, (bits) / 8, ACCESS_READ), (bits) / 8);              \
        body;                                                                                                          \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(name)                                                                                                   \
    {                                                                                                                  \
        SHORT_ADDRESS(name)                                                                                            \
        const uint8_t *host = soft_fast(cpu->tlb->read, linear, (bits) / 8);                                           \
        if (__builtin_expect(!host, 0))                                                                                \
            return name##_long(cpu, u);                                                                                \
        uint##bits##_t m = *(const mem##bits *)host;                                                                   \
        body;                                                                                                          \
        NEXT();                                                                                                        \
    }

/* A handler that writes `value` to memory. */
#define UOP_STORE(name, bits, value)                                                                                   \
    static __attribute__((noinline)) UOP(name##_long)                                                                  \
    {                                                                                                                  \
        uint##bits##_t m = (uint##bits##_t)(value);                                                                    \
        soft_store(cpu, u, soft_address(cpu, u, (bits) / 8, ACCESS_WRITE), (bits) / 8, m);                             \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(name)                                                                                                   \
    {                                                                                                                  \
        SHORT_ADDRESS(name)                                                                                            \
        uint8_t *host = soft_fast(cpu->tlb->write, linear, (bits) / 8);                                                \
        if (__builtin_expect(!host, 0))                                                                                \
            return name##_long(cpu, u);                                                                                \
        *(mem##bits *)host = (uint##bits##_t)(value);                                                                  \
        NEXT();                                                                                                        \
    }

/* A handler that reads memory, changes `m` and writes it back. */
#define UOP_MODIFY(name, bits, body)                                                                                   \
    static __attribute__((noinline)) UOP(name##_long)                                                                  \
    {                                                                                                                  \
        uint64_t linear = soft_address(cpu, u, (bits) / 8, ACCESS_WRITE);                                              \
        soft_probe_write(cpu, u, linear, (bits) / 8);                                                                  \
        uint##bits##_t m = (uint##bits##_t)soft_load(cpu, u, linear, (bits) / 8);                                      \
        body;                                                                                                          \
        soft_store(cpu, u, linear, (bits) / 8, m);                                                                     \
        NEXT();                                                                                                        \
    }                                                                                                                  \
    static UOP(name)                                                                                                   \
    {                                                                                                                  \
        SHORT_ADDRESS(name)                                                                                            \
        uint8_t *host = soft_fast(cpu->tlb->write, linear, (bits) / 8);                                                \
        if (__builtin_expect(!host, 0))                                                                                \
            return name##_long(cpu, u);                                                                                \
        uint##bits##_t m = *(const mem##bits *)host;                                                                   \
        body;                                                                                                          \
        *(mem##bits *)host = m;                                                                                        \
        NEXT();                                                                                                        \
    }

/* For handlers that serve all sizes: the rm operand is `dst`, ModRM.reg is `src`. */

static inline uint64_t reg_get(const struct soft *cpu, unsigned offset, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, (const char *)cpu->regs + offset, size);
    return value;
}

static inline void reg_set(struct soft *cpu, unsigned offset, unsigned size, uint64_t value)
{
    if (size == 4) {
        value = (uint32_t)value;
        size = 8;
    }
    memcpy((char *)cpu->regs + offset, &value, size);
}

static inline uint64_t rm_get_size(struct soft *cpu, const struct uop *u, unsigned size)
{
    if (u->flags & UF_MEMORY)
        return soft_load(cpu, u, soft_address(cpu, u, size, ACCESS_READ), size);
    return reg_get(cpu, u->dst, size);
}

static inline uint64_t rm_get(struct soft *cpu, const struct uop *u)
{
    return rm_get_size(cpu, u, u->size);
}

static inline void rm_set(struct soft *cpu, const struct uop *u, uint64_t value)
{
    if (u->flags & UF_MEMORY)
        soft_store(cpu, u, soft_address(cpu, u, u->size, ACCESS_WRITE), u->size, value);
    else
        reg_set(cpu, u->dst, u->size, value);
}

/* Reads rm for changing it: after this, rm_put cannot fail. */
static inline uint64_t rm_take(struct soft *cpu, const struct uop *u, uint64_t *linear)
{
    if (!(u->flags & UF_MEMORY))
        return reg_get(cpu, u->dst, u->size);
    *linear = soft_address(cpu, u, u->size, ACCESS_WRITE);
    soft_probe_write(cpu, u, *linear, u->size);
    return soft_load(cpu, u, *linear, u->size);
}

static inline void rm_put(struct soft *cpu, const struct uop *u, uint64_t linear, uint64_t value)
{
    if (u->flags & UF_MEMORY)
        soft_store(cpu, u, linear, u->size, value);
    else
        reg_set(cpu, u->dst, u->size, value);
}

static inline uint64_t size_mask(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

static inline int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (int64_t)(value << unused) >> unused;
}

/* For handlers that are there once for each condition. */
#define FOR_CONDITIONS(macro)                                                                                          \
    macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7) macro(8) macro(9) macro(10) macro(11)      \
        macro(12) macro(13) macro(14) macro(15)

/* The shapes that the operands of hot instructions have. */
enum shape { SHAPE_RR, SHAPE_RI, SHAPE_RM, SHAPE_MR, SHAPE_MI, SHAPES };

/* The index of an operand size: 0 to 3. */
static inline unsigned size_index(unsigned size)
{
    return (unsigned)__builtin_ctz(size);
}

/* The handler for an operation, by family; NULL where there is none. */
uop_fn *alu_uop(unsigned op, enum shape shape, unsigned size);
uop_fn *unary_uop(unsigned op, bool memory, unsigned size);
uop_fn *move_uop(unsigned op, enum shape shape, unsigned size);
uop_fn *extend_uop(unsigned op, bool memory, unsigned size);
uop_fn *condition_uop(unsigned op, unsigned condition, bool memory, unsigned size);
uop_fn *shift_uop(const struct insn *insn);
uop_fn *double_shift_uop(const struct insn *insn);
uop_fn *branch_uop(const struct insn *insn, uint32_t mode);
uop_fn *stack_uop(const struct insn *insn, uint32_t mode);
uop_fn *multiply_uop(const struct insn *insn);
uop_fn *bits_uop(const struct insn *insn);
uop_fn *string_uop(const struct insn *insn);
uop_fn *decimal_uop(const struct insn *insn);
uop_fn *flags_uop(const struct insn *insn);
uop_fn *far_uop(const struct insn *insn);
uop_fn *descriptor_uop(const struct insn *insn, struct uop *u);
uop_fn *system_uop(const struct insn *insn);
uop_fn *x87_uop(const struct insn *insn, struct uop *u);
uop_fn *sse_uop(const struct insn *insn, struct uop *u);
uop_fn *fx_uop(const struct insn *insn);

/* select.c: handlers that only raise. */
UOP(uop_undefined);
UOP(uop_general_protection);
/* branch.c: what a tail's fn is. */
UOP(uop_fall_through);

#endif
