/*
 * Moves between vector registers, general registers and memory: MOVAPS MOVD MOVSS MOVHPS PMOVMSKB PINSRW ...
 */
#include "vmm/soft/segment.h"
#include "vmm/soft/vector.h"

/* All of a register. */

static inline void load_whole(struct soft *cpu, const struct uop *u, bool aligned)
{
    uint8_t value[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, 16, aligned, value);
    memcpy(vec_dst(cpu, u), value, 16);
}

static inline void store_whole(struct soft *cpu, const struct uop *u, bool aligned)
{
    vec_check(cpu, u);
    if (u->flags & UF_MEMORY)
        vec_store(cpu, u, 16, aligned, vec_dst(cpu, u));
    else
        memcpy(vec_rm(cpu, u), vec_dst(cpu, u), 16);
}

static UOP(load_aligned)
{
    load_whole(cpu, u, true);
    NEXT();
}

static UOP(load_unaligned)
{
    load_whole(cpu, u, false);
    NEXT();
}

static UOP(store_aligned)
{
    store_whole(cpu, u, true);
    NEXT();
}

static UOP(store_unaligned)
{
    store_whole(cpu, u, false);
    NEXT();
}

/* The low part: loads from memory clear the rest, moves between registers keep it. */

static void load_low(struct soft *cpu, const struct uop *u, unsigned size)
{
    uint8_t value[16], *d = vec_dst(cpu, u);
    vec_check(cpu, u);
    vec_source(cpu, u, false, size, false, value);
    memcpy(d, value, u->flags & UF_MEMORY ? 16 : size);
}

static void store_low(struct soft *cpu, const struct uop *u, unsigned size)
{
    vec_check(cpu, u);
    if (u->flags & UF_MEMORY)
        vec_store(cpu, u, size, false, vec_dst(cpu, u));
    else
        memcpy(vec_rm(cpu, u), vec_dst(cpu, u), size);
}

static UOP(movss_load)
{
    load_low(cpu, u, 4);
    NEXT();
}

static UOP(movsd_load)
{
    load_low(cpu, u, 8);
    NEXT();
}

static UOP(movss_store)
{
    store_low(cpu, u, 4);
    NEXT();
}

static UOP(movsd_store)
{
    store_low(cpu, u, 8);
    NEXT();
}

/* MOVQ between XMM registers and memory: the upper half is cleared in registers too. */
UOP_BODY(movq_load)
{
    uint8_t value[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, 8, false, value);
    memset(value + 8, 0, 8);
    memcpy(vec_dst(cpu, u), value, 16);
}

UOP_BODY(movq_store)
{
    store_low(cpu, u, 8);
    if (!(u->flags & UF_MEMORY))
        memset(vec_rm(cpu, u) + 8, 0, 8);
}

/* Halves: MOVLPS MOVHPS and, between registers, MOVHLPS MOVLHPS. */

UOP_BODY(low_half_load)
{
    uint8_t value[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, 8, false, value);
    memcpy(vec_dst(cpu, u), value + (u->flags & UF_MEMORY ? 0 : 8), 8);
}

UOP_BODY(high_half_load)
{
    uint8_t value[16];
    vec_check(cpu, u);
    vec_source(cpu, u, false, 8, false, value);
    memcpy(vec_dst(cpu, u) + 8, value, 8);
}

UOP_BODY(low_half_store)
{
    vec_check(cpu, u);
    vec_store(cpu, u, 8, false, vec_dst(cpu, u));
}

UOP_BODY(high_half_store)
{
    vec_check(cpu, u);
    vec_store(cpu, u, 8, false, vec_dst(cpu, u) + 8);
}

/* To and from general registers: MOVD and, with REX.W, MOVQ. */

UOP_BODY(movd_to_xmm)
{
    vec_check(cpu, u);
    uint64_t value[2] = {rm_get(cpu, u), 0};
    memcpy(vec_dst(cpu, u), value, 16);
}

UOP_BODY(movd_from_xmm)
{
    uint64_t value;
    vec_check(cpu, u);
    memcpy(&value, vec_dst(cpu, u), 8);
    rm_set(cpu, u, value & size_mask(u->size));
}

static void put_mmx(struct soft *cpu, unsigned number, uint64_t value)
{
    mmx_enter(cpu);
    memcpy(cpu->fx.st[number & 7], &value, 8);
    memset(cpu->fx.st[number & 7] + 8, 0xff, 2);
}

static uint64_t get_mmx(struct soft *cpu, unsigned number)
{
    uint64_t value;
    mmx_enter(cpu);
    memcpy(&value, cpu->fx.st[number & 7], 8);
    return value;
}

UOP_BODY(movd_to_mmx)
{
    mmx_check(cpu, u);
    put_mmx(cpu, u->src, rm_get(cpu, u));
}

/* What is stored is read before the registers are readied, lest a fault come between. */
static uint64_t peek_mmx(const struct soft *cpu, unsigned number)
{
    uint64_t value;
    unsigned top = (cpu->fx.fsw >> 11) & 7;
    memcpy(&value, cpu->fx.st[((number & 7) - top) & 7], 8);
    return value;
}

UOP_BODY(movd_from_mmx)
{
    mmx_check(cpu, u);
    rm_set(cpu, u, peek_mmx(cpu, u->src) & size_mask(u->size));
    mmx_enter(cpu);
}

UOP_BODY(movq_mmx_load)
{
    mmx_check(cpu, u);
    uint64_t value =
        u->flags & UF_MEMORY ? soft_load(cpu, u, soft_address(cpu, u, 8, ACCESS_READ), 8) : get_mmx(cpu, u->dst);
    put_mmx(cpu, u->src, value);
}

UOP_BODY(movq_mmx_store)
{
    mmx_check(cpu, u);
    uint64_t value = peek_mmx(cpu, u->src);
    if (u->flags & UF_MEMORY)
        soft_store(cpu, u, soft_address(cpu, u, 8, ACCESS_WRITE), 8, value);
    mmx_enter(cpu);
    if (!(u->flags & UF_MEMORY))
        put_mmx(cpu, u->dst, value);
}

UOP_BODY(movq2dq)
{
    vec_check(cpu, u);
    mmx_check(cpu, u);
    uint64_t value[2] = {get_mmx(cpu, u->dst), 0};
    memcpy(vec_dst(cpu, u), value, 16);
}

UOP_BODY(movdq2q)
{
    uint64_t value;
    vec_check(cpu, u);
    mmx_check(cpu, u);
    memcpy(&value, vec_rm(cpu, u), 8);
    put_mmx(cpu, u->src, value);
}

/* The signs of the elements, as a number in a general register. */
static void signs(struct soft *cpu, const struct uop *u, const uint8_t *from, unsigned length, unsigned size)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < length / size; i++)
        mask |= (unsigned)(from[i * size + size - 1] >> 7) << i;
    reg_set(cpu, AT(u->src), 8, mask);
}

UOP_BODY(movmskps)
{
    vec_check(cpu, u);
    signs(cpu, u, vec_rm(cpu, u), 16, 4);
}

UOP_BODY(movmskpd)
{
    vec_check(cpu, u);
    signs(cpu, u, vec_rm(cpu, u), 16, 8);
}

UOP_BODY(pmovmskb)
{
    vec_check(cpu, u);
    signs(cpu, u, vec_rm(cpu, u), 16, 1);
}

UOP_BODY(pmovmskb_mmx)
{
    mmx_check(cpu, u);
    uint64_t value = get_mmx(cpu, u->dst);
    signs(cpu, u, (const uint8_t *)&value, 8, 1);
}

UOP_BODY(pinsrw)
{
    vec_check(cpu, u);
    uint16_t word = (uint16_t)(u->flags & UF_MEMORY ? rm_get_size(cpu, u, 2) : cpu->regs[u->dst]);
    memcpy(vec_dst(cpu, u) + 2 * (vec_immediate(u) & 7), &word, 2);
}

UOP_BODY(pinsrw_mmx)
{
    mmx_check(cpu, u);
    uint16_t word = (uint16_t)(u->flags & UF_MEMORY ? rm_get_size(cpu, u, 2) : cpu->regs[u->dst]);
    uint64_t value = get_mmx(cpu, u->src);
    memcpy((uint8_t *)&value + 2 * (vec_immediate(u) & 3), &word, 2);
    put_mmx(cpu, u->src, value);
}

UOP_BODY(pextrw)
{
    uint16_t word;
    vec_check(cpu, u);
    memcpy(&word, vec_rm(cpu, u) + 2 * (vec_immediate(u) & 7), 2);
    cpu->regs[u->src] = word;
}

UOP_BODY(pextrw_mmx)
{
    mmx_check(cpu, u);
    uint64_t value = get_mmx(cpu, u->dst);
    cpu->regs[u->src] = (value >> (16 * (vec_immediate(u) & 3))) & 0xffff;
}

/* Bytes whose mask has its top bit set go to DS:rDI. Nothing is read, and a mask of zero writes nothing. */
static void mask_move(struct soft *cpu, const struct uop *u, const uint8_t *value, const uint8_t *mask, unsigned length)
{
    unsigned address_size = u->flags & UF_ADDR16 ? 2 : u->flags & UF_ADDR32 ? 4 : 8;
    uint64_t offset = cpu->RDI & size_mask(address_size);
    uint64_t linear = u->flags & UF_CHECK ? soft_segment_address(cpu, u, u->seg, offset, length, ACCESS_WRITE)
                                          : offset + cpu->seg_base[u->seg];
    for (unsigned i = 0; i < length; i++)
        if (mask[i] & 0x80)
            soft_probe_write(cpu, u, linear + i, 1);
    for (unsigned i = 0; i < length; i++)
        if (mask[i] & 0x80)
            soft_store(cpu, u, linear + i, 1, value[i]);
}

UOP_BODY(maskmovdqu)
{
    vec_check(cpu, u);
    mask_move(cpu, u, vec_dst(cpu, u), vec_rm(cpu, u), 16);
}

UOP_BODY(maskmovq)
{
    mmx_check(cpu, u);
    uint64_t value = peek_mmx(cpu, u->src), mask = peek_mmx(cpu, u->dst);
    mask_move(cpu, u, (const uint8_t *)&value, (const uint8_t *)&mask, 8);
    mmx_enter(cpu);
}

struct move {
    uop_fn *to_register, *to_memory; /* rm is a register, or memory; NULL: undefined */
};

#define ANY(fn)                                                                                                        \
    {                                                                                                                  \
        fn, fn                                                                                                         \
    }
#define REGISTER(fn)                                                                                                   \
    {                                                                                                                  \
        fn, NULL                                                                                                       \
    }
#define IN_MEMORY(fn)                                                                                                  \
    {                                                                                                                  \
        NULL, fn                                                                                                       \
    }

static const struct move moves[4][256] = {
    [0] = {[0x10] = ANY(load_unaligned),
           [0x11] = ANY(store_unaligned),
           [0x12] = ANY(low_half_load),
           [0x13] = IN_MEMORY(low_half_store),
           [0x16] = ANY(high_half_load),
           [0x17] = IN_MEMORY(high_half_store),
           [0x28] = ANY(load_aligned),
           [0x29] = ANY(store_aligned),
           [0x2b] = IN_MEMORY(store_aligned),
           [0x50] = REGISTER(movmskps),
           [0x6e] = ANY(movd_to_mmx),
           [0x6f] = ANY(movq_mmx_load),
           [0x7e] = ANY(movd_from_mmx),
           [0x7f] = ANY(movq_mmx_store),
           [0xc4] = ANY(pinsrw_mmx),
           [0xc5] = REGISTER(pextrw_mmx),
           [0xd7] = REGISTER(pmovmskb_mmx),
           [0xe7] = IN_MEMORY(movq_mmx_store),
           [0xf7] = REGISTER(maskmovq)},
    [1] = {[0x10] = ANY(load_unaligned),       [0x11] = ANY(store_unaligned),      [0x12] = IN_MEMORY(low_half_load),
           [0x13] = IN_MEMORY(low_half_store), [0x16] = IN_MEMORY(high_half_load), [0x17] = IN_MEMORY(high_half_store),
           [0x28] = ANY(load_aligned),         [0x29] = ANY(store_aligned),        [0x2b] = IN_MEMORY(store_aligned),
           [0x50] = REGISTER(movmskpd),        [0x6e] = ANY(movd_to_xmm),          [0x6f] = ANY(load_aligned),
           [0x7e] = ANY(movd_from_xmm),        [0x7f] = ANY(store_aligned),        [0xc4] = ANY(pinsrw),
           [0xc5] = REGISTER(pextrw),          [0xd6] = ANY(movq_store),           [0xd7] = REGISTER(pmovmskb),
           [0xe7] = IN_MEMORY(store_aligned),  [0xf7] = REGISTER(maskmovdqu)},
    [2] = {[0x10] = ANY(movss_load),
           [0x11] = ANY(movss_store),
           [0x6f] = ANY(load_unaligned),
           [0x7e] = ANY(movq_load),
           [0x7f] = ANY(store_unaligned),
           [0xd6] = REGISTER(movq2dq)},
    [3] = {[0x10] = ANY(movsd_load), [0x11] = ANY(movsd_store), [0xd6] = REGISTER(movdq2q)},
};

/* MOVD's general register is named by its byte offset, as in every handler that uses rm_get. */
uop_fn *vec_move_uop(const struct insn *insn, unsigned prefix)
{
    const struct move *move = &moves[prefix][insn->opcode];
    return insn->memory ? move->to_memory : move->to_register;
}
