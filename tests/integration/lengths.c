/*
 * A disassembler library (Zydis) agrees with the soft engine's decoder on the length of every valid instruction: of all
 * opcodes of both maps with every ModRM byte, SIB bytes of each kind and combinations of prefixes; and of random bytes.
 *
 *     lengths [--seed S] [--random N]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/soft/lengths.h"

struct prefixes {
    uint8_t bytes[2], length;
    bool only_64; /* REX; elsewhere these are instructions of their own */
};

static const struct prefixes prefixes[] = {
    {{0}, 0, false},
    {{0x66}, 1, false},
    {{0xf2}, 1, false},
    {{0xf3}, 1, false},
    {{0x67}, 1, false},
    {{0xf0}, 1, false},
    {{0x2e}, 1, false},
    {{0x64}, 1, false},
    {{0x66, 0xf2}, 2, false},
    {{0x66, 0xf3}, 2, false},
    {{0x67, 0x66}, 2, false},
    {{0xf3, 0xf2}, 2, false},
    {{0x66, 0xf0}, 2, false},
    {{0x40}, 1, true},
    {{0x41}, 1, true},
    {{0x44}, 1, true},
    {{0x48}, 1, true},
    {{0x4f}, 1, true},
    {{0x66, 0x48}, 2, true},
    {{0xf2, 0x48}, 2, true},
    {{0xf3, 0x48}, 2, true},
    {{0xf0, 0x48}, 2, true},
    {{0x67, 0x41}, 2, true},
    /* A REX prefix that does not stand before the opcode is dropped. */
    {{0x48, 0x66}, 2, true},
    {{0x48, 0x2e}, 2, true},
    {{0x48, 0x41}, 2, true},
};

/* Base 5 with and without index 4, each scale, and all else. */
static const uint8_t sibs[] = {0x00, 0x05, 0x25, 0x20, 0x45, 0x65, 0xe5, 0xff};

static bool check_opcode(struct lengths *lengths, const struct prefixes *prefix, unsigned map, unsigned opcode,
                         unsigned bits)
{
    bool good = true;
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        bool sib = modrm < 0xc0 && (modrm & 7) == 4;
        for (unsigned i = 0; i < (sib ? sizeof sibs : 1); i++) {
            uint8_t bytes[LENGTHS_BYTES];
            unsigned at = prefix->length;
            memset(bytes, 0x11, sizeof bytes);
            memcpy(bytes, prefix->bytes, prefix->length);
            if (map == 2)
                bytes[at++] = 0x0f;
            bytes[at++] = (uint8_t)opcode;
            bytes[at++] = (uint8_t)modrm;
            bytes[at] = sibs[i];
            good &= lengths_check(lengths, bytes, bits);
        }
    }
    return good;
}

static bool check_systematically(struct lengths *lengths)
{
    unsigned bad = 0;
    for (unsigned bits = 16; bits <= 64; bits *= 2)
        for (unsigned i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
            for (unsigned opcode = 0; opcode < 512 && bad < 20; opcode++)
                if (bits == 64 || !prefixes[i].only_64)
                    bad += !check_opcode(lengths, &prefixes[i], 1 + opcode / 256, opcode % 256, bits);
    return bad == 0;
}

static bool check_random(struct lengths *lengths, uint64_t seed, uint64_t count)
{
    uint64_t state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15), words[2];
    unsigned bad = 0;
    for (uint64_t n = 0; n < count && bad < 20; n++) {
        uint8_t bytes[LENGTHS_BYTES];
        for (unsigned i = 0; i < 2; i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            words[i] = state * UINT64_C(0x2545f4914f6cdd1d); /* Vigna's xorshift64* */
        }
        memcpy(bytes, words, sizeof bytes);
        /* Half of the time an opcode of the second map. */
        if (n & 1)
            bytes[0] = 0x0f;
        bad += !lengths_check(lengths, bytes, 16u << n % 3);
    }
    return bad == 0;
}

static int report(const struct lengths *lengths, const char *name, bool good)
{
    const char *row, *reason;
    printf("%s - lengths: %s (%lu checked, %lu of them instructions)\n", good ? "ok" : "not ok", name,
           (unsigned long)lengths->checked, (unsigned long)lengths->valid);
    for (unsigned i = 0; (row = lengths_row(i, &reason)); i++)
        printf("    %10lu differ: %s: %s\n", (unsigned long)lengths->explained[i], row, reason);
    return !good;
}

int main(int count, char **words)
{
    struct lengths lengths;
    uint64_t seed = 1, random = 3000000;
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--seed") == 0)
            seed = strtoull(words[i + 1], NULL, 0);
        if (strcmp(words[i], "--random") == 0)
            random = strtoull(words[i + 1], NULL, 0);
    }
    lengths_init(&lengths);
    int failed = report(&lengths, "opcodes x ModRM x SIB x prefixes", check_systematically(&lengths));
    lengths_init(&lengths);
    return failed | report(&lengths, "random bytes", check_random(&lengths, seed, random));
}
