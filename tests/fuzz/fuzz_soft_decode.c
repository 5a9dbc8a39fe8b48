/*
 * The soft engine's decoder against Capstone: for what both hold to be an instruction, the lengths agree. The first
 * byte of the input chooses the width of the code segment.
 *
 * Where the two are known to differ for good reason is listed in differs().
 */
#include <capstone/capstone.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/soft/insn.h"

#define INSN_MAX 15

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Capstone 4 takes the length of branches in 64-bit mode from the operand prefix, as AMD's processors do and Intel's do
 * not; it gives UD0 and UD1 no ModRM byte, and branches with REX.W operands of odd lengths; and it does not drop a REX
 * prefix that is not next to the opcode. */
static int differs(const struct insn *insn, const cs_insn *other, unsigned bits)
{
    int branch = insn->op == OP_JMP || insn->op == OP_CALL || insn->op == OP_JCC || insn->op == OP_LOOP;
    int odd = insn->op == OP_UD || insn->op == OP_RET;
    int rex_first = 0;
    for (unsigned i = 0; i + 1 < insn->length; i++)
        rex_first |= bits == 64 && (other->bytes[i] & 0xf0) == 0x40 && i < 4;
    /* Nor does it take the operand size from 66 where F2 or F3 stands with it. */
    odd |= insn->operand_prefix && insn->repeat;
    return odd || (branch && (insn->operand_prefix || (insn->rex & 8))) || (rex_first && !insn->rex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const cs_mode modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    static csh handles[3];
    struct insn insn;
    uint8_t bytes[INSN_MAX] = {0};

    if (size < 2)
        return 0;
    unsigned which = data[0] % 3, bits = 16u << which;
    memcpy(bytes, data + 1, size - 1 < INSN_MAX ? size - 1 : INSN_MAX);
    if (!handles[which] && cs_open(CS_ARCH_X86, modes[which], &handles[which]) != CS_ERR_OK)
        abort();
    /* Fewer bytes than the instruction has are always noticed, and the rest never matters. */
    enum insn_status status = insn_decode(bytes, INSN_MAX, bits, &insn);
    if (insn.length > INSN_MAX)
        abort();
    for (unsigned available = 0; status == INSN_OK && available < insn.length; available++) {
        struct insn part;
        if (insn_decode(bytes, available, bits, &part) != INSN_SHORT)
            abort();
    }
    cs_insn *other = NULL;
    size_t count = status == INSN_OK ? cs_disasm(handles[which], bytes, INSN_MAX, 0x1000, 1, &other) : 0;
    if (count && other->size != insn.length && !differs(&insn, other, bits)) {
        fprintf(stderr, "%u bits:", bits);
        for (unsigned i = 0; i < INSN_MAX; i++)
            fprintf(stderr, " %02x", bytes[i]);
        fprintf(stderr, "\n%u bytes here, %u for Capstone: %s %s\n", insn.length, other->size, other->mnemonic,
                other->op_str);
        abort();
    }
    if (count)
        cs_free(other, count);
    return 0;
}
