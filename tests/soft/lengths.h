/*
 * The lengths of instructions, by the soft engine's decoder and by a disassembler library (Zydis).
 *
 * Ours holds bytes to be an instruction when insn_decode and soft_select both do; the library has a say on those of the
 * instruction sets that this processor has. Where the two differ, a row of a table must say why (lengths.c).
 */
#ifndef ENCORE_TESTS_SOFT_LENGTHS_H
#define ENCORE_TESTS_SOFT_LENGTHS_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#define LENGTHS_BYTES 16 /* more than any instruction has */
#define LENGTHS_ROWS  16 /* room for the table of differences */

struct lengths {
    ZydisDecoder decoders[3]; /* 16, 32 and 64 bits */
    uint64_t checked;
    uint64_t valid;                   /* for both */
    uint64_t explained[LENGTHS_ROWS]; /* by row */
};

void lengths_init(struct lengths *lengths);

/* Whether both agree on bytes[LENGTHS_BYTES] in a code segment of `bits`, or a row explains the difference. If not,
 * says on standard error what each of them holds. */
bool lengths_check(struct lengths *lengths, const uint8_t *bytes, unsigned bits);

/* A row's name, and why the SDM is with us; NULL beyond the last row. */
const char *lengths_row(unsigned row, const char **reason);

#endif
