/*
 * From bytes to struct insn: prefixes, opcode, ModRM, SIB, displacement, immediate (SDM volume 2, chapter 2).
 */
#include <string.h>

#include "vmm/soft/insn.h"

#define INSN_MAX 15

enum { SEGMENT_DS = 3, SEGMENT_SS = 2 };

struct reader {
    const uint8_t *bytes;
    unsigned available;
    unsigned at;
    enum insn_status status; /* the first thing that went wrong */
};

static uint8_t next(struct reader *in)
{
    if (in->status != INSN_OK)
        return 0;
    if (in->at >= INSN_MAX)
        in->status = INSN_TOO_LONG;
    else if (in->at >= in->available)
        in->status = INSN_SHORT;
    return in->status == INSN_OK ? in->bytes[in->at++] : 0;
}

static uint64_t next_number(struct reader *in, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)next(in) << (8 * i);
    return value;
}

static uint64_t next_signed(struct reader *in, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (uint64_t)((int64_t)(next_number(in, size) << unused) >> unused);
}

/* Takes the prefixes; returns the first byte that is none. A REX prefix counts only right before the opcode. */
static uint8_t decode_prefixes(struct reader *in, unsigned bits, struct insn *insn, bool *address_prefix)
{
    for (;;) {
        uint8_t byte = next(in);
        if (in->status != INSN_OK)
            return 0;
        if (bits == 64 && (byte & 0xf0) == 0x40) {
            insn->rex = byte;
            continue;
        }
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            /* In 64-bit mode ES, CS, SS and DS overrides have no effect, nor do they undo FS or GS. */
            if (bits != 64) {
                insn->segment = (byte >> 3) & 3;
                insn->segment_override = true;
            }
            break;
        case 0x64:
        case 0x65:
            insn->segment = (int8_t)(byte - 0x60);
            insn->segment_override = true;
            break;
        case 0x66:
            insn->operand_prefix = true;
            break;
        case 0x67:
            *address_prefix = true;
            break;
        case 0xf0:
            insn->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            insn->repeat = byte;
            break;
        default:
            return byte;
        }
        insn->rex = 0;
    }
}

static void decode_sib(struct reader *in, struct insn *insn, unsigned mod)
{
    uint8_t sib = next(in);
    insn->scale = sib >> 6;
    insn->index = ((sib >> 3) & 7) | ((insn->rex & 2) << 2);
    if (insn->index == 4)
        insn->index = REG_NONE;
    insn->base = (sib & 7) | ((insn->rex & 1) << 3);
    insn->stack_base = insn->base == 4 || (insn->base == 5 && mod != 0);
    if ((sib & 7) == 5 && mod == 0) {
        insn->base = REG_NONE;
        insn->displacement = next_signed(in, 4);
    }
}

/* Addressing with 32 and 64 bits: table 2-2 and 2-3. */
static void decode_memory(struct reader *in, struct insn *insn, unsigned mod, unsigned bits)
{
    unsigned rm = insn->modrm & 7;
    insn->index = REG_NONE;
    if (rm == 4) {
        decode_sib(in, insn, mod);
    } else if (rm == 5 && mod == 0) {
        insn->base = REG_NONE;
        insn->displacement = next_signed(in, 4);
        insn->rip_relative = bits == 64;
    } else {
        insn->base = (uint8_t)(rm | ((insn->rex & 1) << 3));
        insn->stack_base = insn->base == 5;
    }
    if (mod == 1)
        insn->displacement = next_signed(in, 1);
    else if (mod == 2)
        insn->displacement = next_signed(in, 4);
}

/* Addressing with 16 bits: table 2-1. */
static void decode_memory16(struct reader *in, struct insn *insn, unsigned mod)
{
    static const uint8_t bases[8] = {3, 3, 5, 5, 6, 7, 5, 3};
    static const uint8_t indexes[8] = {6, 7, 6, 7, REG_NONE, REG_NONE, REG_NONE, REG_NONE};
    unsigned rm = insn->modrm & 7;
    insn->base = bases[rm];
    insn->index = indexes[rm];
    insn->stack_base = insn->base == 5;
    if (rm == 6 && mod == 0) {
        insn->base = REG_NONE;
        insn->stack_base = false;
        insn->displacement = next_signed(in, 2);
    } else if (mod == 1) {
        insn->displacement = next_signed(in, 1);
    } else if (mod == 2) {
        insn->displacement = next_signed(in, 2);
    }
}

static void decode_modrm(struct reader *in, struct insn *insn, unsigned bits, bool register_only)
{
    insn->has_modrm = true;
    insn->modrm = next(in);
    unsigned mod = insn->modrm >> 6;
    insn->reg = ((insn->modrm >> 3) & 7) | ((insn->rex & 4) << 1);
    insn->rm = (insn->modrm & 7) | ((insn->rex & 1) << 3);
    if (mod == 3 || register_only)
        return;
    insn->memory = true;
    if (insn->address_size == 2)
        decode_memory16(in, insn, mod);
    else
        decode_memory(in, insn, mod, bits);
    if (!insn->segment_override)
        insn->segment = insn->stack_base ? SEGMENT_SS : SEGMENT_DS;
}

/* Group 7 with a register operand: instructions of their own. */
static void decode_group7_register(struct insn *insn, struct opcode *entry, unsigned bits)
{
    unsigned plain = !insn->operand_prefix && !insn->repeat;
    if (insn->modrm == 0xf8 && bits == 64)
        *entry = (struct opcode){OP_SWAPGS, FORM_NONE, IMM_NONE, OF_CPL0 | OF_END};
    else if (insn->modrm == 0xf9)
        *entry = (struct opcode){OP_RDTSCP, FORM_NONE, IMM_NONE, OF_END};
    else if (insn->modrm == 0xca && plain)
        *entry = (struct opcode){OP_CLAC, FORM_NONE, IMM_NONE, OF_CPL0 | OF_END};
    else if (insn->modrm == 0xcb && plain)
        *entry = (struct opcode){OP_STAC, FORM_NONE, IMM_NONE, OF_CPL0 | OF_END};
    else if (entry->op != OP_SMSW && entry->op != OP_LMSW)
        entry->op = OP_INVALID;
}

/* Group 9 with a register operand: RDRAND and RDSEED, which take no F2 or F3. */
static void decode_group9_register(struct insn *insn, struct opcode *entry)
{
    unsigned reg = (insn->modrm >> 3) & 7;
    if (reg >= 6 && !insn->repeat)
        *entry = (struct opcode){OP_RANDOM, FORM_M, IMM_NONE, OF_END};
}

static void decode_group15(struct insn *insn, struct opcode *entry, unsigned bits)
{
    unsigned reg = (insn->modrm >> 3) & 7;
    if (insn->repeat == 0xf3) {
        entry->op = !insn->memory && reg < 4 && bits == 64 ? OP_FSGSBASE : OP_INVALID;
        insn->operand_prefix = false; /* F3 is part of the opcode, and 66 then means nothing */
        entry->flags = OF_REG;
        insn->sub = (uint8_t)reg;
    } else if (insn->operand_prefix || insn->repeat) {
        entry->op = OP_INVALID;
    } else if (!insn->memory && reg >= 5) {
        *entry = (struct opcode){OP_FENCE, FORM_NONE, IMM_NONE, 0};
    }
}

static unsigned operand_size(const struct insn *insn, uint16_t flags, unsigned bits)
{
    if (flags & OF_BYTE)
        return 1;
    if (bits == 64) {
        if ((flags & OF_F64) || (insn->rex & 8))
            return 8;
        if (insn->operand_prefix)
            return 2;
        return flags & OF_D64 ? 8 : 4;
    }
    return (bits == 32) != insn->operand_prefix ? 4 : 2;
}

static void decode_immediate(struct reader *in, struct insn *insn, enum insn_immediate kind)
{
    unsigned z = insn->size == 1 ? 1 : insn->size == 2 ? 2 : 4;
    switch (kind) {
    case IMM_NONE:
        break;
    case IMM_ONE:
        insn->immediate = 1;
        break;
    case IMM_B:
    case IMM_J8:
        insn->immediate = next_signed(in, 1);
        break;
    case IMM_UB:
        insn->immediate = next_number(in, 1);
        break;
    case IMM_W:
        insn->immediate = next_number(in, 2);
        break;
    case IMM_Z:
    case IMM_JZ:
        insn->immediate = next_signed(in, z);
        break;
    case IMM_V:
        insn->immediate = next_number(in, insn->size);
        break;
    case IMM_ENTER:
        insn->immediate = next_number(in, 2);
        insn->selector = next(in);
        break;
    case IMM_FAR:
        insn->immediate = next_number(in, z);
        insn->selector = (uint16_t)next_number(in, 2);
        break;
    case IMM_MOFFS:
        insn->displacement = next_number(in, insn->address_size);
        insn->memory = true;
        insn->base = insn->index = REG_NONE;
        insn->reg = 0;
        if (!insn->segment_override)
            insn->segment = SEGMENT_DS;
        break;
    }
}

/* The places where one opcode means different things by mode or prefix, beyond what the table can say. */
static void decode_special(struct insn *insn, struct opcode *entry, unsigned bits)
{
    if (insn->map == 1) {
        if (insn->opcode == 0x63 && bits != 64)
            *entry = (struct opcode){OP_ARPL, FORM_MR, IMM_NONE, OF_PROT};
        if (insn->opcode == 0x90 && (insn->rex & 1))
            *entry = (struct opcode){OP_XCHG, FORM_O, IMM_NONE, 0};
        return;
    }
    if (insn->opcode == 0x01 && !insn->memory)
        decode_group7_register(insn, entry, bits);
    if (insn->opcode == 0xae)
        decode_group15(insn, entry, bits);
    if (insn->opcode == 0xb8 && insn->repeat != 0xf3)
        entry->op = OP_INVALID;
    if (insn->opcode == 0xc7 && !insn->memory)
        decode_group9_register(insn, entry);
    /* MOVNTI takes no prefix; 0F C7 /1 is told by REX.W alone. */
    if (insn->opcode == 0xc3 && (insn->operand_prefix || insn->repeat))
        entry->op = OP_INVALID;
    /* LOCK MOV CR0 is AMD's way to CR8, which this processor does not have. */
    if (insn->opcode == 0x20)
        entry->flags &= (uint16_t)~OF_LOCK;
}

static bool legal(const struct insn *insn, const struct opcode *entry, unsigned bits)
{
    if (entry->op == OP_INVALID)
        return false;
    if ((entry->flags & OF_NO64) && bits == 64)
        return false;
    if ((entry->flags & OF_MEM) && !insn->memory)
        return false;
    if ((entry->flags & OF_REG) && insn->memory)
        return false;
    if (insn->lock && !((entry->flags & OF_LOCK) && insn->memory))
        return false;
    return true;
}

static struct opcode look_up(struct reader *in, struct insn *insn, unsigned bits, bool *group)
{
    const struct opcode *table = opcode_one_byte;
    insn->map = 1;
    if (insn->opcode == 0x0f) {
        insn->opcode = next(in);
        insn->map = 2;
        table = opcode_two_byte;
    }
    struct opcode entry = table[insn->opcode];
    *group = entry.flags & OF_GROUP;
    bool modrm = entry.form == FORM_RM || entry.form == FORM_MR || entry.form == FORM_M;
    /* ARPL and MOVSXD alike have a ModRM byte; the moffs forms of MOV have none. */
    if (modrm && entry.immediate != IMM_MOFFS)
        decode_modrm(in, insn, bits, entry.flags & OF_REGMEM);
    if (*group) {
        struct opcode member = opcode_groups[entry.op][(insn->modrm >> 3) & 7];
        entry.op = member.op;
        entry.flags |= member.flags;
        if (member.immediate != IMM_NONE)
            entry.immediate = member.immediate;
    }
    decode_special(insn, &entry, bits);
    return entry;
}

enum insn_status insn_decode(const uint8_t *bytes, unsigned available, unsigned bits, struct insn *insn)
{
    struct reader in = {.bytes = bytes, .available = available};
    memset(insn, 0, sizeof *insn);
    insn->segment = SEGMENT_DS;
    insn->base = insn->index = REG_NONE;
    bool address_prefix = false, group;
    insn->opcode = decode_prefixes(&in, bits, insn, &address_prefix);
    insn->address_size = bits == 64 ? (address_prefix ? 4 : 8) : (bits == 32) != address_prefix ? 4 : 2;
    struct opcode entry = look_up(&in, insn, bits, &group);
    insn->op = entry.op;
    insn->form = entry.form;
    insn->flags = entry.flags;
    insn->size = (uint8_t)operand_size(insn, entry.flags, bits);
    if (entry.form == FORM_O)
        insn->rm = (insn->opcode & 7) | ((insn->rex & 1) << 3);
    if (entry.flags & OF_SUB)
        insn->sub = insn->opcode & 15;
    decode_immediate(&in, insn, entry.immediate);
    insn->length = (uint8_t)in.at;
    if (in.status != INSN_OK)
        return in.status;
    return legal(insn, &entry, bits) ? INSN_OK : INSN_UNDEFINED;
}
