/*
 * The soft engine's decoder on arbitrary bytes. The first byte of the input chooses the width of the code segment.
 *
 * No instruction is longer than 15 bytes; fewer bytes than it has are always noticed; the bytes after it never matter;
 * and a disassembler library, where there is one, agrees on its length (tests/soft/lengths.h).
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tests/soft/lengths.h"
#include "vmm/soft/insn.h"

#define INSN_MAX 15

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct insn insn, again;
    uint8_t bytes[INSN_MAX + 1] = {0};

    if (size < 2)
        return 0;
    unsigned bits = 16u << data[0] % 3;
    memcpy(bytes, data + 1, size - 1 < INSN_MAX ? size - 1 : INSN_MAX);
    enum insn_status status = insn_decode(bytes, INSN_MAX, bits, &insn);
    CHECK(insn.length <= INSN_MAX && status != INSN_SHORT);
    for (unsigned available = 0; status == INSN_OK && available < insn.length; available++)
        CHECK(insn_decode(bytes, available, bits, &again) == INSN_SHORT);
    struct lengths lengths;
    lengths_init(&lengths);
    CHECK(lengths_check(&lengths, bytes, bits));
    for (unsigned i = insn.length; i < INSN_MAX; i++)
        bytes[i] = (uint8_t)~bytes[i];
    CHECK(insn_decode(bytes, INSN_MAX, bits, &again) == status && again.length == insn.length);
    return 0;
}
