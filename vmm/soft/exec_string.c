/*
 * String instructions and port input and output: MOVS CMPS STOS LODS SCAS INS OUTS IN OUT XLAT (SDM volume 2).
 *
 * Each iteration of a REP is a boundary and a tick. The first was paid when the block was entered, each further one is
 * taken from `left` before it starts; so a fault in an iteration gives back one, like any other instruction.
 */
#include "vmm/soft/ops.h"

/* What one string instruction works on. */
struct string {
    unsigned size, address_size;
    int64_t step;
};

static struct string string_of(const struct soft *cpu, const struct uop *u)
{
    struct string s = {.size = u->size, .address_size = u->flags & UF_ADDR16 ? 2 : u->flags & UF_ADDR32 ? 4 : 8};
    s.step = cpu->rflags & RFLAGS_DF ? -(int64_t)s.size : s.size;
    return s;
}

static uint64_t source(struct soft *cpu, const struct uop *u, const struct string *s)
{
    uint64_t offset = cpu->RSI & size_mask(s->address_size);
    if (u->flags & UF_CHECK)
        return soft_segment_address(cpu, u, u->seg, offset, s->size, ACCESS_READ);
    return offset + cpu->seg_base[u->seg];
}

static uint64_t destination(struct soft *cpu, const struct uop *u, const struct string *s, enum access access)
{
    uint64_t offset = cpu->RDI & size_mask(s->address_size);
    return soft_segment_address(cpu, u, SEG_ES, offset, s->size, access);
}

static void advance_source(struct soft *cpu, const struct string *s, int64_t count)
{
    reg_set(cpu, AT(GPR_RSI), s->address_size, cpu->RSI + (uint64_t)(s->step * count));
}

static void advance_destination(struct soft *cpu, const struct string *s, int64_t count)
{
    reg_set(cpu, AT(GPR_RDI), s->address_size, cpu->RDI + (uint64_t)(s->step * count));
}

/* One iteration; returns whether a REPE or REPNE goes on. */
typedef bool element_fn(struct soft *cpu, const struct uop *u, const struct string *s);

static bool movs_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    uint64_t from = source(cpu, u, s);
    soft_probe_read(cpu, u, from, s->size);
    uint64_t to = destination(cpu, u, s, ACCESS_WRITE);
    soft_probe_write(cpu, u, to, s->size);
    soft_store(cpu, u, to, s->size, soft_load(cpu, u, from, s->size));
    advance_source(cpu, s, 1);
    advance_destination(cpu, s, 1);
    return true;
}

static bool stos_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    soft_store(cpu, u, destination(cpu, u, s, ACCESS_WRITE), s->size, cpu->RAX);
    advance_destination(cpu, s, 1);
    return true;
}

static bool lods_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    reg_set(cpu, AT(GPR_RAX), s->size, soft_load(cpu, u, source(cpu, u, s), s->size));
    advance_source(cpu, s, 1);
    return true;
}

static bool compare(struct soft *cpu, const struct uop *u, uint64_t a, uint64_t b, const struct string *s)
{
    uint64_t r = a - b;
    flags_result(cpu, sign_extend(r, s->size), flags_carries((~a & b) | ((~a | b) & r), 8 * s->size));
    return flag_zf(cpu) == !(u->flags & UF_REPNE);
}

static bool cmps_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    uint64_t a = soft_load(cpu, u, source(cpu, u, s), s->size);
    uint64_t b = soft_load(cpu, u, destination(cpu, u, s, ACCESS_READ), s->size);
    advance_source(cpu, s, 1);
    advance_destination(cpu, s, 1);
    return compare(cpu, u, a, b, s);
}

static bool scas_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    uint64_t b = soft_load(cpu, u, destination(cpu, u, s, ACCESS_READ), s->size);
    advance_destination(cpu, s, 1);
    return compare(cpu, u, cpu->RAX & size_mask(s->size), b, s);
}

/* SDM volume 1, 19.5.2: the permission bitmap of the TSS, unless CPL is within IOPL. */
static void check_permission(struct soft *cpu, const struct uop *u, uint16_t port, unsigned size)
{
    if (!(cpu->cr0 & CR0_PE) || (!soft_v86(cpu) && cpu->cpl <= soft_iopl(cpu)))
        return;
    /* Only a 32-bit or 64-bit TSS has one. */
    bool has_map = (cpu->tr.attributes & 8) && cpu->tr.limit >= 103;
    if (!has_map)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint64_t map = soft_system_load(cpu, u, cpu->tr.base + 102, 2);
    uint64_t at = map + port / 8;
    if (at + 1 > cpu->tr.limit)
        soft_raise_code(cpu, u, EXC_GP, 0);
    uint64_t bits = soft_system_load(cpu, u, cpu->tr.base + at, 2) >> (port % 8);
    if (bits & ((1u << size) - 1))
        soft_raise_code(cpu, u, EXC_GP, 0);
}

static void check_port(struct soft *cpu, const struct uop *u, uint16_t port, unsigned size)
{
    check_permission(cpu, u, port, size);
    if (cpu->dr7 & 0xff)
        soft_watch_port(cpu, port, size);
}

static bool ins_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    uint16_t port = (uint16_t)cpu->RDX;
    check_port(cpu, u, port, s->size);
    uint64_t to = destination(cpu, u, s, ACCESS_WRITE);
    soft_probe_write(cpu, u, to, s->size);
    soft_store(cpu, u, to, s->size, soft_exit_read(cpu, ENGINE_PORT, port, s->size));
    advance_destination(cpu, s, 1);
    return true;
}

static bool outs_element(struct soft *cpu, const struct uop *u, const struct string *s)
{
    uint16_t port = (uint16_t)cpu->RDX;
    check_port(cpu, u, port, s->size);
    uint64_t value = soft_load(cpu, u, source(cpu, u, s), s->size);
    soft_exit_write(cpu, ENGINE_PORT, port, s->size, value);
    advance_source(cpu, s, 1);
    return true;
}

/* How many whole elements from `linear` lie in its page. */
static uint64_t room(uint64_t linear, unsigned size)
{
    return (4096 - (linear & 4095)) / size;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many iterations may be done at once, the present one included: they must be paid for. */
static uint64_t affordable(const struct soft *cpu, const struct string *s)
{
    return least(cpu->RCX & size_mask(s->address_size), (uint64_t)cpu->left + 1);
}

static bool simple_string(const struct soft *cpu, const struct uop *u, const struct string *s)
{
    return s->step > 0 && s->address_size >= 4 && !(u->flags & UF_CHECK) && !(cpu->rflags & RFLAGS_TF);
}

/* Many iterations of REP MOVS at once, where both strings lie in plain memory; returns how many were done. */
static uint64_t movs_bulk(struct soft *cpu, const struct uop *u, const struct string *s)
{
    if (!simple_string(cpu, u, s))
        return 0;
    uint64_t from = source(cpu, u, s), to = destination(cpu, u, s, ACCESS_WRITE);
    uint64_t count = least(affordable(cpu, s), least(room(from, s->size), room(to, s->size)));
    const uint8_t *host_from = soft_fast(cpu->tlb->read, from, s->size);
    uint8_t *host_to = soft_fast(cpu->tlb->write, to, s->size);
    if (count < 2 || !host_from || !host_to)
        return 0;
    /* A destination ahead of the source and within it repeats what was copied: go element by element. */
    if (host_to > host_from && host_to < host_from + count * s->size)
        return 0;
    memmove(host_to, host_from, count * s->size);
    advance_source(cpu, s, (int64_t)count);
    advance_destination(cpu, s, (int64_t)count);
    return count;
}

static uint64_t stos_bulk(struct soft *cpu, const struct uop *u, const struct string *s)
{
    if (!simple_string(cpu, u, s))
        return 0;
    uint64_t to = destination(cpu, u, s, ACCESS_WRITE);
    uint64_t count = least(affordable(cpu, s), room(to, s->size));
    uint8_t *host = soft_fast(cpu->tlb->write, to, s->size);
    if (count < 2 || !host)
        return 0;
    for (uint64_t i = 0; i < count; i++)
        memcpy(host + i * s->size, &cpu->RAX, s->size);
    advance_destination(cpu, s, (int64_t)count);
    return count;
}

typedef uint64_t bulk_fn(struct soft *cpu, const struct uop *u, const struct string *s);

/* Returns whether the instruction is complete; if not, RIP stays on it. */
static __attribute__((noinline)) bool repeat(struct soft *cpu, const struct uop *u, element_fn *element, bulk_fn *bulk)
{
    struct string s = string_of(cpu, u);
    uint64_t mask = size_mask(s.address_size);
    if (!(u->flags & (UF_REP | UF_REPNE))) {
        element(cpu, u, &s);
        return true;
    }
    bool compares = element == cmps_element || element == scas_element;
    while (cpu->RCX & mask) {
        uint64_t done = bulk ? bulk(cpu, u, &s) : 0;
        bool on = true;
        if (done == 0) {
            on = element(cpu, u, &s);
            done = 1;
        }
        cpu->left -= (int64_t)(done - 1);
        reg_set(cpu, AT(GPR_RCX), s.address_size, (cpu->RCX & mask) - done);
        if ((compares && !on) || (cpu->RCX & mask) == 0)
            break;
        if (cpu->left <= 0 || soft_interrupted(cpu) || (cpu->rflags & RFLAGS_TF)) {
            /* An instruction breakpoint here was passed already, and an interrupt saves RF set (SDM volume 3,
             * 17.3.1.1). */
            cpu->rflags |= RFLAGS_RF;
            soft_stop_after(cpu, uop_block(u)->rip + u->off);
            return false;
        }
        cpu->left--;
    }
    return true;
}

#define STRING(name, bulk)                                                                                             \
    static UOP(name)                                                                                                   \
    {                                                                                                                  \
        if (repeat(cpu, u, name##_element, bulk))                                                                      \
            NEXT();                                                                                                    \
    }

STRING(movs, movs_bulk)
STRING(stos, stos_bulk)
STRING(lods, NULL)
STRING(cmps, NULL)
STRING(scas, NULL)
STRING(ins, NULL)
STRING(outs, NULL)

UOP_BODY(in_port)
{
    uint16_t port = u->src ? (uint16_t)u->imm : (uint16_t)cpu->RDX;
    check_port(cpu, u, port, u->size);
    reg_set(cpu, AT(GPR_RAX), u->size, soft_exit_read(cpu, ENGINE_PORT, port, u->size));
}

UOP_BODY(out_port)
{
    uint16_t port = u->src ? (uint16_t)u->imm : (uint16_t)cpu->RDX;
    check_port(cpu, u, port, u->size);
    soft_exit_write(cpu, ENGINE_PORT, port, u->size, reg_get(cpu, AT(GPR_RAX), u->size));
}

UOP_BODY(xlat)
{
    struct string s = string_of(cpu, u);
    uint64_t offset = (cpu->RBX + (uint8_t)cpu->RAX) & size_mask(s.address_size);
    uint64_t linear = u->flags & UF_CHECK ? soft_segment_address(cpu, u, u->seg, offset, 1, ACCESS_READ)
                                          : offset + cpu->seg_base[u->seg];
    REG_AT(8, AT(GPR_RAX)) = (uint8_t)soft_load(cpu, u, linear, 1);
}

uop_fn *string_uop(const struct insn *insn)
{
    switch (insn->op) {
    case OP_MOVS:
        return movs;
    case OP_STOS:
        return stos;
    case OP_LODS:
        return lods;
    case OP_CMPS:
        return cmps;
    case OP_SCAS:
        return scas;
    case OP_INS:
        return ins;
    case OP_OUTS:
        return outs;
    case OP_IN:
        return in_port;
    case OP_OUT:
        return out_port;
    case OP_XLAT:
        return xlat;
    default:
        return NULL;
    }
}
