/*
 * Instructions that load, store and ask about segment registers, and those for the tables of descriptors: GDTR, IDTR,
 * LDTR and TR (SDM volume 2; volume 3, 2.4 and chapter 3).
 */
#include "vmm/soft/ops.h"
#include "vmm/soft/segment.h"

static uint64_t here(const struct uop *u)
{
    return uop_tail(u)->next_rip;
}

/* A selector goes to memory as 16 bits, to a register as wide as the operand. */
static void put_selector(struct soft *cpu, const struct uop *u, uint16_t selector)
{
    if (u->flags & UF_MEMORY)
        soft_store(cpu, u, soft_address(cpu, u, 2, ACCESS_WRITE), 2, selector);
    else
        reg_set(cpu, u->dst, u->size, selector);
}

static UOP(mov_from_segment)
{
    put_selector(cpu, u, cpu->segs[u->src / 8].selector);
    NEXT();
}

static UOP(mov_to_segment)
{
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    unsigned seg = u->src / 8;
    soft_load_segment(cpu, u, seg, selector);
    if (seg == SEG_SS) {
        soft_set_shadow(cpu);
        cpu->shadow_ss = true;
    }
    soft_stop_after(cpu, here(u));
}

/* LES LDS LSS LFS LGS: `imm` is the segment register. */
static UOP(load_far)
{
    uint64_t linear = soft_address(cpu, u, u->size + 2, ACCESS_READ);
    uint64_t offset = soft_load(cpu, u, linear, u->size);
    uint16_t selector = (uint16_t)soft_load(cpu, u, linear + u->size, 2);
    soft_load_segment(cpu, u, (unsigned)u->imm, selector);
    reg_set(cpu, u->src, u->size, offset);
    soft_stop_after(cpu, here(u));
}

static UOP(sldt)
{
    put_selector(cpu, u, cpu->ldt.selector);
    NEXT();
}

static UOP(str)
{
    put_selector(cpu, u, cpu->tr.selector);
    NEXT();
}

/* In long mode the base has 64 bits, and must be canonical. */
static void check_base(struct soft *cpu, const struct uop *u, const struct segment *s)
{
    if (soft_long_mode(cpu) && !soft_canonical(s->base))
        soft_raise_code(cpu, u, EXC_GP, s->selector & 0xfffcu);
}

UOP_BODY(lldt)
{
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    struct segment s = {.selector = selector, .attributes = SEGMENT_UNUSABLE};
    if (selector & 0xfffc) {
        if (selector & 4)
            soft_raise_code(cpu, u, EXC_GP, selector & 0xfffcu);
        struct descriptor d = soft_read_descriptor(cpu, u, selector, EXC_GP, 0, true);
        s = soft_descriptor_segment(&d);
        if ((s.attributes & (SEGMENT_S | SEGMENT_TYPE)) != SEGMENT_TYPE_LDT)
            soft_raise_code(cpu, u, EXC_GP, selector & 0xfffcu);
        if (!(s.attributes & SEGMENT_P))
            soft_raise_code(cpu, u, EXC_NP, selector & 0xfffcu);
        check_base(cpu, u, &s);
    }
    cpu->ldt = s;
}

UOP_BODY(ltr)
{
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    if (!(selector & 0xfffc))
        soft_raise_code(cpu, u, EXC_GP, 0);
    if (selector & 4)
        soft_raise_code(cpu, u, EXC_GP, selector & 0xfffcu);
    struct descriptor d = soft_read_descriptor(cpu, u, selector, EXC_GP, 0, true);
    struct segment s = soft_descriptor_segment(&d);
    unsigned type = s.attributes & (SEGMENT_S | SEGMENT_TYPE);
    if (type != 9 && !(type == 1 && !soft_long_mode(cpu)))
        soft_raise_code(cpu, u, EXC_GP, selector & 0xfffcu);
    if (!(s.attributes & SEGMENT_P))
        soft_raise_code(cpu, u, EXC_NP, selector & 0xfffcu);
    check_base(cpu, u, &s);
    soft_mark_descriptor(cpu, u, &d, 2);
    s.attributes |= 2; /* busy */
    cpu->tr = s;
}

/* VERR VERW LAR LSL ask about a selector without loading it. Returns false where ZF becomes 0. */
static bool query(struct soft *cpu, const struct uop *u, uint16_t selector, struct segment *s, uint64_t *raw)
{
    uint64_t base = cpu->gdtr.base, limit = cpu->gdtr.limit;
    if (!(selector & 0xfffc))
        return false;
    if (selector & 4) {
        if (cpu->ldt.attributes & SEGMENT_UNUSABLE || !(cpu->ldt.selector & 0xfffc))
            return false;
        base = cpu->ldt.base;
        limit = cpu->ldt.limit;
    }
    if ((selector & 0xfff8u) + 7u > limit)
        return false;
    struct descriptor d = {.selector = selector};
    d.raw = soft_system_load(cpu, u, (base + (selector & 0xfff8)) & cpu->linear_mask, 8);
    *s = soft_descriptor_segment(&d);
    *raw = d.raw;
    unsigned dpl = segment_dpl(s);
    return segment_is_conforming(s) || (cpu->cpl <= dpl && (selector & 3u) <= dpl);
}

static void set_zf(struct soft *cpu, bool zf)
{
    flags_set(cpu, (flags_get(cpu) & ~(uint64_t)RFLAGS_ZF) | (zf ? RFLAGS_ZF : 0));
}

UOP_BODY(verr)
{
    struct segment s;
    uint64_t raw;
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    bool good = query(cpu, u, selector, &s, &raw) && (s.attributes & SEGMENT_S);
    set_zf(cpu, good && (!segment_is_code(&s) || (segment_type(&s) & TYPE_WRITABLE)));
}

UOP_BODY(verw)
{
    struct segment s;
    uint64_t raw;
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    set_zf(cpu, query(cpu, u, selector, &s, &raw) && segment_is_writable(&s));
}

/* The system types that LAR (bit 0) and LSL (bit 1) accept: SDM volume 2, LAR and LSL, by type. */
static bool system_type_allowed(const struct soft *cpu, unsigned type, bool lsl)
{
    uint16_t legacy = lsl ? 0x0a0e : 0x1a3e, wide = lsl ? 0x0a04 : 0x1a04;
    return ((soft_long_mode(cpu) ? wide : legacy) >> type) & 1;
}

UOP_BODY(lar)
{
    struct segment s;
    uint64_t raw;
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    bool good = query(cpu, u, selector, &s, &raw) &&
                ((s.attributes & SEGMENT_S) || system_type_allowed(cpu, segment_type(&s), false));
    if (good)
        reg_set(cpu, u->src, u->size, (raw >> 32) & 0x00ffff00);
    set_zf(cpu, good);
}

UOP_BODY(lsl)
{
    struct segment s;
    uint64_t raw;
    uint16_t selector = (uint16_t)rm_get_size(cpu, u, 2);
    bool good = query(cpu, u, selector, &s, &raw) &&
                ((s.attributes & SEGMENT_S) || system_type_allowed(cpu, segment_type(&s), true));
    if (good)
        reg_set(cpu, u->src, u->size, s.limit);
    set_zf(cpu, good);
}

UOP_BODY(arpl)
{
    uint64_t linear = 0, value = rm_take(cpu, u, &linear);
    unsigned rpl = cpu->regs[u->src / 8] & 3;
    bool raise = (value & 3) < rpl;
    set_zf(cpu, raise);
    if (raise)
        rm_put(cpu, u, linear, (value & ~UINT64_C(3)) | rpl);
}

static void store_table(struct soft *cpu, const struct uop *u, const struct descriptor_table *table)
{
    unsigned width = soft_64bit(cpu) ? 8 : 4;
    uint64_t linear = soft_address(cpu, u, 2 + width, ACCESS_WRITE);
    soft_probe_write(cpu, u, linear, 2 + width);
    soft_store(cpu, u, linear, 2, table->limit);
    soft_store(cpu, u, linear + 2, width, table->base);
}

static void load_table(struct soft *cpu, const struct uop *u, struct descriptor_table *table)
{
    unsigned width = soft_64bit(cpu) ? 8 : 4;
    uint64_t linear = soft_address(cpu, u, 2 + width, ACCESS_READ);
    uint16_t limit = (uint16_t)soft_load(cpu, u, linear, 2);
    uint64_t base = soft_load(cpu, u, linear + 2, width);
    if (!soft_64bit(cpu) && u->size == 2)
        base &= 0xffffff;
    if (width == 8 && !soft_canonical(base))
        soft_raise_code(cpu, u, EXC_GP, 0);
    *table = (struct descriptor_table){base, limit};
}

static UOP(sgdt)
{
    store_table(cpu, u, &cpu->gdtr);
    NEXT();
}

static UOP(sidt)
{
    store_table(cpu, u, &cpu->idtr);
    NEXT();
}

static UOP(lgdt)
{
    load_table(cpu, u, &cpu->gdtr);
    NEXT();
}

static UOP(lidt)
{
    load_table(cpu, u, &cpu->idtr);
    NEXT();
}

/* NULL also for instructions of other families: the system instructions are then asked. */
uop_fn *descriptor_uop(const struct insn *insn, struct uop *u)
{
    static uop_fn *const table[OP_COUNT] = {
        [OP_MOV_FROM_SEG] = mov_from_segment,
        [OP_MOV_TO_SEG] = mov_to_segment,
        [OP_LOAD_FAR] = load_far,
        [OP_SLDT] = sldt,
        [OP_STR] = str,
        [OP_LLDT] = lldt,
        [OP_LTR] = ltr,
        [OP_VERR] = verr,
        [OP_VERW] = verw,
        [OP_LAR] = lar,
        [OP_LSL] = lsl,
        [OP_ARPL] = arpl,
        [OP_SGDT] = sgdt,
        [OP_SIDT] = sidt,
        [OP_LGDT] = lgdt,
        [OP_LIDT] = lidt,
    };
    bool to_or_from = insn->op == OP_MOV_FROM_SEG || insn->op == OP_MOV_TO_SEG;
    /* Segment registers 6 and 7 do not exist, and CS cannot be loaded this way. */
    if (to_or_from) {
        unsigned seg = (insn->modrm >> 3) & 7;
        if (seg > SEG_GS || (insn->op == OP_MOV_TO_SEG && seg == SEG_CS))
            return NULL;
        u->src = (uint8_t)(seg * 8);
    }
    if (insn->op == OP_LOAD_FAR)
        u->imm = insn->map == 1         ? (insn->opcode == 0xc4 ? SEG_ES : SEG_DS)
                 : insn->opcode == 0xb2 ? SEG_SS
                 : insn->opcode == 0xb4 ? SEG_FS
                                        : SEG_GS;
    if (insn->op == OP_ARPL)
        u->size = 2;
    return table[insn->op];
}
