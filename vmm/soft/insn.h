/*
 * A decoded instruction: what the bytes say, before anything is decided about how to execute it.
 *
 * References are to the Intel SDM, volume 2.
 */
#ifndef ENCORE_VMM_SOFT_INSN_H
#define ENCORE_VMM_SOFT_INSN_H

#include <stdbool.h>
#include <stdint.h>

/* Operations, as the opcode table names them. Where several opcodes differ in a number only (the condition of a Jcc),
 * that number is in insn.sub. */
enum insn_op {
    OP_INVALID,
    /* clang-format off */
    /* The eight of opcode bits 3-5, in that order. */
    OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP,
    /* The eight of group 2, in the order of ModRM.reg. */
    OP_ROL, OP_ROR, OP_RCL, OP_RCR, OP_SHL, OP_SHR, OP_SAL, OP_SAR,
    OP_TEST, OP_MOV, OP_XCHG, OP_LEA, OP_INC, OP_DEC, OP_NOT, OP_NEG,
    OP_MUL, OP_IMUL, OP_DIV, OP_IDIV, OP_IMUL2, OP_IMUL3, OP_SHLD, OP_SHRD,
    OP_PUSH, OP_POP, OP_PUSH_SEG, OP_POP_SEG, OP_PUSHA, OP_POPA, OP_PUSHF, OP_POPF, OP_ENTER, OP_LEAVE,
    OP_SAHF, OP_LAHF, OP_CBW, OP_CWD, OP_MOVZX8, OP_MOVZX16, OP_MOVSX8, OP_MOVSX16, OP_MOVSXD,
    OP_CMOV, OP_SETCC, OP_JCC, OP_JMP, OP_CALL, OP_RET, OP_JMP_IND, OP_CALL_IND, OP_JMP_FAR, OP_CALL_FAR,
    OP_JMP_FAR_IND, OP_CALL_FAR_IND, OP_RET_FAR, OP_IRET, OP_INT, OP_INT3, OP_INTO, OP_INT1, OP_LOOP,
    OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OP_INS, OP_OUTS, OP_IN, OP_OUT, OP_XLAT,
    OP_BOUND, OP_ARPL, OP_AAA, OP_AAS, OP_DAA, OP_DAS, OP_AAM, OP_AAD,
    OP_CLC, OP_STC, OP_CMC, OP_CLD, OP_STD, OP_CLI, OP_STI, OP_HLT, OP_NOP, OP_UD,
    OP_BT, OP_BTS, OP_BTR, OP_BTC, OP_BSF, OP_BSR, OP_POPCNT, OP_BSWAP, OP_CMPXCHG, OP_XADD, OP_CMPXCHG8B,
    OP_MOV_FROM_SEG, OP_MOV_TO_SEG, OP_LOAD_FAR, OP_MOV_FROM_CR, OP_MOV_TO_CR, OP_MOV_FROM_DR, OP_MOV_TO_DR,
    OP_SLDT, OP_STR, OP_LLDT, OP_LTR, OP_VERR, OP_VERW, OP_SGDT, OP_SIDT, OP_LGDT, OP_LIDT, OP_SMSW, OP_LMSW,
    OP_INVLPG, OP_SWAPGS, OP_RDTSCP, OP_CLAC, OP_STAC, OP_LAR, OP_LSL, OP_SYSCALL, OP_SYSRET, OP_CLTS, OP_INVD,
    OP_WRMSR, OP_RDTSC, OP_RDMSR, OP_SYSENTER, OP_SYSEXIT, OP_CPUID, OP_FSGSBASE, OP_MOVNTI, OP_RANDOM,
    OP_FXSAVE, OP_FXRSTOR, OP_LDMXCSR, OP_STMXCSR, OP_FENCE, OP_CLFLUSH, OP_FWAIT, OP_X87, OP_SSE,
    /* clang-format on */
    OP_COUNT,
};

/* Where the operands are. */
enum insn_form {
    FORM_NONE,
    FORM_RM,  /* ModRM: reg is the destination, rm the source */
    FORM_MR,  /* ModRM: rm is the destination, reg the source */
    FORM_M,   /* ModRM: rm alone; reg extends the opcode */
    FORM_O,   /* the register in the opcode's low three bits */
    FORM_ACC, /* the accumulator */
};

/* Immediate operands. */
enum insn_immediate {
    IMM_NONE,
    IMM_B,     /* a byte, sign-extended */
    IMM_UB,    /* a byte, zero-extended */
    IMM_W,     /* a word, zero-extended */
    IMM_Z,     /* a word or doubleword by operand size, sign-extended */
    IMM_V,     /* as long as the operand */
    IMM_ENTER, /* a word and a byte */
    IMM_FAR,   /* an offset by operand size, and a selector */
    IMM_J8,    /* a branch displacement */
    IMM_JZ,
    IMM_MOFFS, /* a memory offset as long as an address */
    IMM_ONE,   /* the number one, not in the bytes */
};

/* Attributes of opcodes. */
enum {
    OF_BYTE = 1 << 0,   /* the operand is a byte */
    OF_D64 = 1 << 1,    /* in 64-bit mode the operand size is 64 unless 66 makes it 16 */
    OF_F64 = 1 << 2,    /* in 64-bit mode the operand size is 64, whatever the prefix */
    OF_LOCK = 1 << 3,   /* LOCK is good when the destination is memory */
    OF_NO64 = 1 << 4,   /* undefined in 64-bit mode */
    OF_ONLY64 = 1 << 5, /* undefined outside it */
    OF_END = 1 << 6,    /* a block ends after it */
    OF_GROUP = 1 << 7,  /* op is the number of a group, by ModRM.reg */
    OF_SUB = 1 << 8,    /* the opcode's low four bits go to insn.sub */
    OF_PREFIX = 1 << 9, /* meaning depends on a 66, F3 or F2 prefix */
    OF_MEM = 1 << 10,   /* rm must be memory */
    OF_REG = 1 << 11,   /* rm must be a register */
    OF_CPL0 = 1 << 12,  /* #GP(0) unless the privilege level is 0 */
    OF_PROT = 1 << 13,  /* undefined in real and virtual-8086 mode */
    OF_REGMEM = 1 << 14 /* ModRM.mod is ignored: rm is a register */
};

#define REG_NONE 16 /* a register that always holds zero: no base, no index */

struct insn {
    uint16_t op; /* enum insn_op */
    uint16_t flags;
    uint8_t form;   /* enum insn_form */
    uint8_t sub;    /* condition, segment, ModRM.reg of x87 ... */
    uint8_t length; /* bytes */
    uint8_t map;    /* 1: one-byte opcodes; 2: after 0F */
    uint8_t opcode;
    uint8_t size;         /* of the operand: 1, 2, 4 or 8 */
    uint8_t address_size; /* 2, 4 or 8 */
    uint8_t repeat;       /* the last of the prefixes F2 and F3, or 0 */
    bool operand_prefix;  /* 66 */
    bool lock;
    uint8_t rex; /* 0x40 to 0x4f, or 0 */
    bool has_modrm;
    bool memory; /* rm is memory, at base + index << scale + displacement */
    bool rip_relative;
    uint8_t modrm;
    uint8_t reg; /* ModRM.reg with REX.R */
    uint8_t rm;  /* ModRM.rm with REX.B; or the opcode's register */
    uint8_t base, index, scale;
    int8_t segment; /* 0 to 5 */
    bool segment_override;
    bool stack_base; /* base is SP or BP: the default segment is SS */
    uint64_t displacement;
    uint64_t immediate;
    uint16_t selector; /* IMM_FAR; nesting level for ENTER */
};

enum insn_status {
    INSN_OK,
    INSN_UNDEFINED, /* #UD; length says how many bytes were looked at */
    INSN_TOO_LONG,  /* more than 15 bytes: #GP(0) */
    INSN_SHORT,     /* more bytes than `available` are needed to tell */
};

/* Decodes one instruction for a code segment of `bits` (16, 32 or 64). Reads only bytes[0 .. available - 1]. */
enum insn_status insn_decode(const uint8_t *bytes, unsigned available, unsigned bits, struct insn *insn);

/* One entry of the opcode table. */
struct opcode {
    uint16_t op;
    uint8_t form;
    uint8_t immediate;
    uint16_t flags;
};

enum {
    GROUP_1_ALU,
    GROUP_1A,
    GROUP_2,
    GROUP_3,
    GROUP_4,
    GROUP_5,
    GROUP_6,
    GROUP_7,
    GROUP_8,
    GROUP_9,
    GROUP_11,
    GROUP_15,
    GROUP_16,
    GROUP_P,
    OPCODE_GROUPS
};

extern const struct opcode opcode_one_byte[256];
extern const struct opcode opcode_two_byte[256];
extern const struct opcode opcode_groups[OPCODE_GROUPS][8];

#endif
