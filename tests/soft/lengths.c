/* Our decoder against Zydis; see lengths.h. */
#include "tests/soft/lengths.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "vmm/soft/ops.h"

/* What the two hold of the same bytes. */
struct opinions {
    unsigned bits;
    const uint8_t *bytes;
    struct insn ours;
    bool ours_valid;
    ZydisDecodedInstruction theirs;
    bool theirs_valid;
};

struct row {
    const char *name, *reason;
    bool (*explains)(const struct opinions *o);
};

static bool is_opcode(const struct opinions *o, unsigned map, unsigned first, unsigned last)
{
    return o->ours.map == map && o->ours.opcode >= first && o->ours.opcode <= last;
}

static bool is_salc(const struct opinions *o)
{
    return o->theirs_valid && o->theirs.mnemonic == ZYDIS_MNEMONIC_SALC;
}

static bool is_rsm(const struct opinions *o)
{
    return o->theirs_valid && o->theirs.mnemonic == ZYDIS_MNEMONIC_RSM;
}

/* MOV to or from a control or debug register that is not there. */
static bool is_no_control_register(const struct opinions *o)
{
    unsigned reg = o->ours.reg;
    bool control = !(o->ours.opcode & 1);
    return is_opcode(o, 2, 0x20, 0x23) && o->ours_valid && !o->theirs_valid &&
           (control ? reg == 1 || (reg >= 5 && reg <= 7) || reg > 8 : reg > 7);
}

static bool is_prefetch_register(const struct opinions *o)
{
    return is_opcode(o, 2, 0x0d, 0x0d) && !o->ours.memory && !o->ours_valid;
}

/* No row is about a length: where both hold bytes to be an instruction, they must agree. */
static const struct row rows[] = {
    {"SALC", "D6 is empty in the SDM's opcode map (volume 2, table A-2); this processor raises #UD", is_salc},
    {"RSM", "outside system-management mode, which this processor does not have, RSM raises #UD (volume 2, RSM)",
     is_rsm},
    {"no such control register",
     "the SDM gives MOV to CR1, CR5 or DR8 a #UD (volume 2, MOV); ours raises it when the instruction is executed",
     is_no_control_register},
    {"PREFETCH with a register", "PREFETCHW takes m8 (volume 2, PREFETCHW); with a register AMD's processors raise #UD",
     is_prefetch_register},
};

const char *lengths_row(unsigned row, const char **reason)
{
    if (row >= sizeof rows / sizeof rows[0])
        return NULL;
    *reason = rows[row].reason;
    return rows[row].name;
}

void lengths_init(struct lengths *lengths)
{
    static const ZydisMachineMode modes[3] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                              ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth widths[3] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64};
    /* What this processor does not have, and so takes for what it was before. */
    static const ZydisDecoderMode off[] = {ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_KNC,
                                           ZYDIS_DECODER_MODE_MPX,          ZYDIS_DECODER_MODE_CET,
                                           ZYDIS_DECODER_MODE_LZCNT,        ZYDIS_DECODER_MODE_TZCNT,
                                           ZYDIS_DECODER_MODE_WBNOINVD,     ZYDIS_DECODER_MODE_CLDEMOTE};
    *lengths = (struct lengths){0};
    for (unsigned i = 0; i < 3; i++) {
        CHECK(ZYAN_SUCCESS(ZydisDecoderInit(&lengths->decoders[i], modes[i], widths[i])));
        for (unsigned j = 0; j < sizeof off / sizeof off[0]; j++)
            CHECK(ZYAN_SUCCESS(ZydisDecoderEnableMode(&lengths->decoders[i], off[j], ZYAN_FALSE)));
    }
}

/* The instruction sets of this processor (docs/soft-engine.md, section 3). */
static bool in_our_sets(const ZydisDecodedInstruction *theirs)
{
    switch (theirs->meta.isa_set) {
    case ZYDIS_ISA_SET_I86:
    case ZYDIS_ISA_SET_I186:
    case ZYDIS_ISA_SET_I286PROTECTED:
    case ZYDIS_ISA_SET_I286REAL:
    case ZYDIS_ISA_SET_I386:
    case ZYDIS_ISA_SET_I486:
    case ZYDIS_ISA_SET_I486REAL:
    case ZYDIS_ISA_SET_PENTIUMREAL:
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_PPRO:
    case ZYDIS_ISA_SET_CMOV:
    case ZYDIS_ISA_SET_X87:
    case ZYDIS_ISA_SET_FCMOV:
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSEMXCSR:
    case ZYDIS_ISA_SET_SSE_PREFETCH:
    case ZYDIS_ISA_SET_PREFETCH_NOP:
    case ZYDIS_ISA_SET_FXSAVE:
    case ZYDIS_ISA_SET_FXSAVE64:
    case ZYDIS_ISA_SET_CLFSH:
    case ZYDIS_ISA_SET_CMPXCHG16B:
    case ZYDIS_ISA_SET_POPCNT:
    case ZYDIS_ISA_SET_LONGMODE:
    case ZYDIS_ISA_SET_LAHF:
    case ZYDIS_ISA_SET_RDTSCP:
    case ZYDIS_ISA_SET_RDRAND:
    case ZYDIS_ISA_SET_RDSEED:
    case ZYDIS_ISA_SET_RDWRFSGS:
    case ZYDIS_ISA_SET_SMAP:
    case ZYDIS_ISA_SET_FAT_NOP:
    case ZYDIS_ISA_SET_PAUSE:
    case ZYDIS_ISA_SET_AMD:         /* SYSCALL and SYSRET outside 64-bit mode: ours raise #UD when executed */
    case ZYDIS_ISA_SET_PREFETCHWT1: /* 0F 0D is PREFETCH, which hints at nothing here, for all ModRM.reg */
        return true;
    default:
        return false;
    }
}

static struct opinions ask(const struct lengths *lengths, const uint8_t *bytes, unsigned bits)
{
    struct opinions o = {.bits = bits, .bytes = bytes};
    static const uint32_t modes[3] = {MODE_16 | MODE_STACK16, MODE_32 | MODE_STACK32, MODE_64};
    struct uop uop = {0};
    if (insn_decode(bytes, LENGTHS_BYTES, bits, &o.ours) == INSN_OK) {
        uop_fn *fn = soft_select(&o.ours, modes[bits / 32] | MODE_PROTECTED, o.ours.length, &uop);
        /* UD0, UD1 and UD2 are instructions, and this is what they do. */
        o.ours_valid = (fn && fn != uop_undefined) || o.ours.op == OP_UD;
    }
    o.theirs_valid = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&lengths->decoders[bits / 32], ZYAN_NULL, bytes,
                                                                LENGTHS_BYTES, &o.theirs)) &&
                     in_our_sets(&o.theirs);
    return o;
}

static void print(const struct opinions *o)
{
    fprintf(stderr, "%u bits:", o->bits);
    for (unsigned i = 0; i < LENGTHS_BYTES; i++)
        fprintf(stderr, " %02x", o->bytes[i]);
    fprintf(stderr, "\n    ours: %s, %u bytes", o->ours_valid ? "valid" : "undefined", o->ours.length);
    fprintf(stderr, "\n    Zydis: %s, %u bytes, %s (%s)\n", o->theirs_valid ? "valid" : "undefined", o->theirs.length,
            ZydisMnemonicGetString(o->theirs.mnemonic), ZydisISASetGetString(o->theirs.meta.isa_set));
}

bool lengths_check(struct lengths *lengths, const uint8_t *bytes, unsigned bits)
{
    const struct opinions o = ask(lengths, bytes, bits);
    lengths->checked++;
    if (o.ours_valid == o.theirs_valid && (!o.ours_valid || o.ours.length == o.theirs.length)) {
        lengths->valid += o.ours_valid;
        return true;
    }
    for (unsigned row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        if (rows[row].explains(&o)) {
            lengths->explained[row]++;
            return true;
        }
    }
    print(&o);
    return false;
}
