/*
 * The truth harness: what the soft engine does, against what the host's own processor does.
 *
 * A case is one user-mode instruction (or a short run of them) with random operands, flags and memory. It is a function
 * of the seed and its number alone. Both sides start from the same state and the same memory at the same linear
 * addresses, execute the case, and run into an INT3 or a fault; what they leave behind is compared. See
 * docs/soft-engine.md, "How its truth is shown".
 */
#ifndef ENCORE_TESTS_SOFT_TRUTH_H
#define ENCORE_TESTS_SOFT_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u

/* Linear addresses, the same on both sides. Pages next to each area are not mapped. */
#define CODE_BASE  UINT64_C(0x20004000) /* 2 pages that may be read and executed */
#define DATA_BASE  UINT64_C(0x20010000) /* 3 pages that may be read and written, then 1 that may be read */
#define STACK_BASE UINT64_C(0x20020000) /* 2 pages that may be read and written */
#define CODE_SIZE  (2 * PAGE)
#define DATA_SIZE  (4 * PAGE)
#define DATA_RW    (3 * PAGE)
#define STACK_SIZE (2 * PAGE)

#define FLAG_CF      0x0001u
#define FLAG_PF      0x0004u
#define FLAG_AF      0x0010u
#define FLAG_ZF      0x0040u
#define FLAG_SF      0x0080u
#define FLAG_DF      0x0400u
#define FLAG_OF      0x0800u
#define FLAG_AC      0x40000u
#define FLAGS_STATUS 0x08d5u /* the six arithmetic flags */

/* What user code can see of a processor, and how it stopped. */
struct truth_state {
    uint64_t gprs[16]; /* by the number that encodes the register */
    uint64_t rip, rflags;
    uint16_t fcw, fsw;
    uint8_t ftw; /* abridged */
    uint32_t mxcsr;
    uint8_t st[8][10];
    uint8_t xmm[16][16];
    unsigned vector; /* of the exception that ended the case */
    uint64_t error_code, cr2;
};

struct truth_memory {
    uint8_t data[DATA_SIZE];
    uint8_t stack[STACK_SIZE];
};

/* A part of memory whose contents are not compared. */
struct truth_hole {
    uint64_t address;
    unsigned length;
};

#define TRUTH_CODE_MAX 160
#define TRUTH_HOLES    4

struct truth_row;

struct truth_case {
    uint64_t seed, number;
    const struct truth_row *row;
    struct truth_state before;
    struct truth_memory *memory; /* as it is before */
    uint8_t code[TRUTH_CODE_MAX];
    unsigned length;
    uint64_t start;     /* linear address of code[0] */
    uint32_t undefined; /* flags that the architecture leaves undefined here */
    bool skip;          /* not to be run: it could touch the harness itself, or has no defined result */
    bool approximate;   /* results in XMM registers may differ by the error that RCPPS is allowed */
    bool function;      /* results in x87 registers may differ by two units in the last place, and C1 */
    bool ignore_x87;    /* makers differ in whether it changes to MMX operation */
    bool fault_writes;  /* a fault may leave the stack below RSP written, or not */
    bool two_faults;    /* it may have two faults at once, and which is seen first is not defined */
    bool any_operand;   /* of what RSI and RDI point to, processors differ in which is read first */
    bool fault_page;    /* an operand of many bytes: which of them faults first is not defined, but the page is */
    struct truth_hole holes[TRUTH_HOLES];
    unsigned hole_count;
};

/* ---- The rows: one for each opcode and form (truth_rows*.c) ---- */

/* What an instruction's encoding has, and what its operands want. */
enum {
    F_MODRM = 1 << 0,
    F_REG = 1 << 1,       /* register form only */
    F_MEM = 1 << 2,       /* memory form only */
    F_BYTE = 1 << 3,      /* 8-bit operands */
    F_V = 1 << 4,         /* 16, 32 or 64 bits, by 66 and REX.W */
    F_W = 1 << 5,         /* 32 or 64 bits, by REX.W */
    F_D64 = 1 << 6,       /* 64 bits without REX.W; 16 with 66 */
    F_IB = 1 << 7,        /* imm8 */
    F_IZ = 1 << 8,        /* imm16 or imm32 */
    F_IV = 1 << 9,        /* as wide as the operand */
    F_IW = 1 << 10,       /* imm16 */
    F_LOCKABLE = 1 << 11, /* may have LOCK in its memory form */
    F_PLUSR = 1 << 12,    /* register in the opcode */
    F_CC = 1 << 13,       /* condition in the opcode */
    F_A16 = 1 << 14,      /* memory operand is to be aligned to 16 bytes */
    F_SEQ = 1 << 15,      /* may be one of a run of instructions */
    F_NOREX = 1 << 16,    /* REX.R and REX.B left clear */
    F_APPROX = 1 << 17,   /* RCPPS and its kin */
    F_STRING = 1 << 18,   /* string instruction: REP, RSI, RDI and RCX */
    F_NOAC = 1 << 19,     /* never with alignment checking */
    F_NOLOCK = 1 << 20,   /* never with LOCK, which makes it another instruction or one that is not modelled */
    F_NOPREFIX = 1 << 21,
};

/* What values make an operand interesting. */
enum truth_values { V_INT, V_PS, V_PD, V_F80, V_BCD };

struct truth_gen;

struct truth_row {
    const char *family;
    char name[28];
    uint8_t prefix;  /* mandatory prefix, or 0 */
    uint16_t opcode; /* 0x0fXX for the two-byte map */
    int digit;       /* of ModRM.reg, or -1: any */
    uint32_t form;
    uint32_t undefined;
    enum truth_values values;
    unsigned size; /* of the memory operand; 0: as the operand size says */
    /* Sets up what this instruction needs beyond the rule, once it has been emitted; or NULL. */
    void (*adjust)(struct truth_gen *gen);
    /* Emits all of it; NULL: truth_emit. */
    void (*emit)(struct truth_gen *gen);
};

#define TRUTH_ROWS 1400

struct truth_rows {
    struct truth_row rows[TRUTH_ROWS];
    unsigned count;
    uint8_t pool[32 * 1024]; /* what memory is filled from: the same for all seeds */
};

/* Appends a row and returns it for the less usual fields. */
struct truth_row *truth_row_add(struct truth_rows *rows, const char *family, const char *name, unsigned opcode,
                                int digit, uint32_t form, uint32_t undefined);

void truth_rows_integer(struct truth_rows *rows);
void truth_rows_special(struct truth_rows *rows);
void truth_rows_vector(struct truth_rows *rows);
void truth_rows_x87(struct truth_rows *rows);

/* ---- The generator (truth_gen.c; truth_values.c for values and addresses) ---- */

struct truth_gen {
    struct truth_case *c;
    const struct truth_row *row;
    const struct truth_rows *rows;
    uint64_t random; /* state */
    unsigned size;   /* of the operand, in bytes */
    bool memory;     /* the ModRM operand is in memory, at `ea` */
    bool locked;
    bool address32;       /* prefix 67 */
    bool fixed_addresses; /* memory operands must not depend on registers */
    uint64_t ea;
    unsigned reg, rm; /* ModRM fields with their REX bits */
    unsigned first;   /* where the instruction begins in the code */
    unsigned pinned;  /* bit n: general register n is part of an address */
    uint64_t immediate;
};

uint64_t truth_random(struct truth_gen *gen);
/* Below `bound`. */
unsigned truth_below(struct truth_gen *gen, unsigned bound);
/* Once in `n`. */
bool truth_chance(struct truth_gen *gen, unsigned n);
uint64_t truth_integer(struct truth_gen *gen);
void truth_fill(struct truth_gen *gen, enum truth_values values, uint8_t *bytes, unsigned length);
/* An address for an operand of `size` bytes: mostly good, sometimes on an edge or beyond. */
uint64_t truth_address(struct truth_gen *gen, unsigned size, bool aligned);
/* Where memory holds linear `address`, or NULL unless `length` bytes are in one area. */
uint8_t *truth_at(struct truth_memory *memory, uint64_t address, unsigned length);
void truth_byte(struct truth_gen *gen, unsigned byte);
void truth_bytes(struct truth_gen *gen, uint64_t value, unsigned count);
void truth_hole(struct truth_gen *gen, uint64_t address, unsigned length);
/* Gives a general register a value, unless an address depends on it. */
void truth_set(struct truth_gen *gen, unsigned reg, uint64_t value);
/* Emits the row's instruction after the code there is. */
void truth_emit(struct truth_gen *gen);
/* Makes case `number` of `seed`; c->memory must be set. */
void truth_generate(struct truth_case *c, const struct truth_rows *rows, uint64_t seed, uint64_t number);

/* ---- The two sides. `after` and `memory` receive what the case left. ---- */

struct truth_native;
struct truth_native *truth_native_new(void);
void truth_native_run(struct truth_native *native, const struct truth_case *c, struct truth_state *after,
                      struct truth_memory *memory);

struct truth_soft;
struct truth_soft *truth_soft_new(void);
/* Returns false, with words, when the engine did not stop as it should. */
bool truth_soft_run(struct truth_soft *soft, const struct truth_case *c, struct truth_state *after,
                    struct truth_memory *memory, char *words, size_t size);

#endif
