/* Values and addresses for the truth harness: random, with the interesting ones much more often than chance gives. */
#include <string.h>

#include "tests/soft/truth.h"

/* SplitMix64, by Sebastiano Vigna's published constants. */
uint64_t truth_random(struct truth_gen *gen)
{
    uint64_t z = gen->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

unsigned truth_below(struct truth_gen *gen, unsigned bound)
{
    return (unsigned)((truth_random(gen) >> 32) * bound >> 32);
}

bool truth_chance(struct truth_gen *gen, unsigned n)
{
    return truth_below(gen, n) == 0;
}

uint64_t truth_integer(struct truth_gen *gen)
{
    static const uint64_t special[] = {0,
                                       1,
                                       2,
                                       0x7f,
                                       0x80,
                                       0xff,
                                       0x7fff,
                                       0x8000,
                                       0xffff,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       INT64_MAX,
                                       UINT64_C(1) << 63,
                                       UINT64_MAX,
                                       UINT64_MAX - 1,
                                       UINT64_C(0xffffffff80000000),
                                       UINT64_C(0xffffffffffffff80),
                                       UINT64_C(0xffffffffffff8000)};
    uint64_t value = truth_random(gen);
    switch (truth_below(gen, 8)) {
    case 0:
    case 1:
        return special[value % (sizeof special / sizeof *special)];
    case 2:
        return value & 0xff;
    case 3:
        return UINT64_C(1) << (value & 63);
    case 4:
        return (uint64_t)((int64_t)value >> (value & 63));
    default:
        return value;
    }
}

static uint32_t single(struct truth_gen *gen)
{
    static const uint32_t special[] = {0,          1,          0x007fffff, 0x00800000, 0x3f800000,
                                       0x3f7fffff, 0x40490fdb, 0x7f7fffff, 0x7f800000, 0x7f800001,
                                       0x7fbfffff, 0x7fc00000, 0x7fffffff, 0x4f000000, 0x4effffff,
                                       0x5f000000, 0x3f000000, 0x3fc00000, 0x40200000, 0x4b000001};
    uint64_t r = truth_random(gen);
    uint32_t sign = (uint32_t)(r >> 63) << 31;
    switch (truth_below(gen, 5)) {
    case 0:
    case 1:
        return sign | special[(r & 0xffff) % (sizeof special / sizeof *special)];
    case 2: /* of the size of 1 */
        return sign | (0x3f000000 + (uint32_t)(r & 0x1ffffff));
    case 3: /* an integer, or an integer and a half */
        return sign | (0x43800000 + ((uint32_t)r & 0x7fff8000));
    default:
        return (uint32_t)r;
    }
}

static uint64_t twice(struct truth_gen *gen)
{
    static const uint64_t special[] = {
        0,
        1,
        UINT64_C(0x000fffffffffffff),
        UINT64_C(0x0010000000000000),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0x3fefffffffffffff),
        UINT64_C(0x400921fb54442d18),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0x7ff0000000000001),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0x7fffffffffffffff),
        UINT64_C(0x41e0000000000000),
        UINT64_C(0x41dfffffffc00000),
        UINT64_C(0x43e0000000000000),
        UINT64_C(0x3fe0000000000000),
        UINT64_C(0x47efffffe0000000),
        UINT64_C(0x36a0000000000000),
        UINT64_C(0x3810000000000000),
        UINT64_C(0x380fffffffffffff),
    };
    uint64_t r = truth_random(gen), sign = r & UINT64_C(1) << 63;
    switch (truth_below(gen, 5)) {
    case 0:
    case 1:
        return sign | special[(r & 0xffff) % (sizeof special / sizeof *special)];
    case 2:
        return sign | (UINT64_C(0x3fe0000000000000) + (r & UINT64_C(0x3fffffffffffff)));
    case 3: /* exponents that a single has */
        return sign | (UINT64_C(0x3700000000000000) + (r & UINT64_C(0x10ffffffffffffff)));
    default:
        return r;
    }
}

static void extended(struct truth_gen *gen, uint8_t *bytes)
{
    static const uint16_t exponents[] = {0,      1,      0x3fff, 0x3ffe, 0x4000, 0x7ffe,
                                         0x7fff, 0x401e, 0x403e, 0x403d, 0x3f81, 0x3c01};
    static const uint64_t fractions[] = {
        0,          1,         UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1,     UINT64_C(3) << 62,
        UINT64_MAX, INT64_MAX, UINT64_C(1) << 62, UINT64_C(0xc90fdaa22168c235)};
    uint64_t fraction = truth_random(gen);
    uint16_t exponent = (uint16_t)truth_random(gen), sign = exponent & 0x8000;
    if (!truth_chance(gen, 8))
        fraction |= UINT64_C(1) << 63; /* else it may be an unnormal */
    switch (truth_below(gen, 5)) {
    case 0:
    case 1:
        exponent = sign | exponents[truth_below(gen, sizeof exponents / sizeof *exponents)];
        if (truth_chance(gen, 2))
            fraction = fractions[truth_below(gen, sizeof fractions / sizeof *fractions)];
        break;
    case 2:
        exponent = sign | (uint16_t)(0x3ff0 + truth_below(gen, 32));
        break;
    case 3: /* small integers */
        exponent = sign | (uint16_t)(0x3fff + truth_below(gen, 20));
        fraction &= ~UINT64_C(0) << (43 + truth_below(gen, 20));
        fraction |= UINT64_C(1) << 63;
        break;
    default:
        break;
    }
    memcpy(bytes, &fraction, 8);
    memcpy(bytes + 8, &exponent, 2);
}

void truth_fill(struct truth_gen *gen, enum truth_values values, uint8_t *bytes, unsigned length)
{
    uint64_t words[2];
    uint32_t lanes[4];
    switch (values) {
    case V_PS:
        for (unsigned i = 0; i < 4; i++)
            lanes[i] = single(gen);
        memcpy(words, lanes, 16);
        break;
    case V_PD:
        words[0] = twice(gen);
        words[1] = twice(gen);
        break;
    case V_F80:
        words[1] = truth_random(gen);
        extended(gen, (uint8_t *)words);
        break;
    case V_BCD:
        words[0] = truth_random(gen);
        words[1] = truth_random(gen);
        /* Digits of at most 9: else undefined (SDM vol. 1, 4.7). */
        for (unsigned i = 0; i < 32; i++)
            words[i / 16] &= ~(words[i / 16] >> (4 * (i % 16) + 3) & 1 ? UINT64_C(6) << 4 * (i % 16) : 0);
        break;
    default:
        words[0] = truth_integer(gen);
        words[1] = truth_integer(gen);
    }
    memcpy(bytes, words, length < 16 ? length : 16);
}

uint64_t truth_address(struct truth_gen *gen, unsigned size, bool aligned)
{
    uint64_t middle = DATA_BASE + PAGE + truth_below(gen, PAGE - 1024);
    uint64_t edge = 1 + truth_below(gen, size > 1 ? size : 2);
    switch (truth_below(gen, 64)) {
    case 0:
        return DATA_BASE + DATA_RW + truth_below(gen, PAGE - 1024); /* may only be read */
    case 1:
        return DATA_BASE + DATA_RW - edge;
    case 2:
        return DATA_BASE + DATA_SIZE - edge;
    case 3:
        return truth_chance(gen, 2) ? DATA_BASE - edge : UINT64_C(0x30000000) + truth_below(gen, PAGE);
    case 4: /* not canonical. Not across the edge, where makers differ in which fault comes first. */
        middle = UINT64_C(0x0000800000000000) + (truth_random(gen) >> 20);
        return aligned ? middle & ~UINT64_C(15) : middle;
    case 5:
    case 6:
    case 7:
        return DATA_BASE + PAGE + PAGE - edge; /* straddles two pages */
    case 8:
        return middle;
    default:
        return aligned ? middle & ~UINT64_C(15) : middle;
    }
}

uint8_t *truth_at(struct truth_memory *memory, uint64_t address, unsigned length)
{
    if (address >= DATA_BASE && address < DATA_BASE + DATA_SIZE && length <= DATA_BASE + DATA_SIZE - address)
        return memory->data + (address - DATA_BASE);
    if (address >= STACK_BASE && address < STACK_BASE + STACK_SIZE && length <= STACK_BASE + STACK_SIZE - address)
        return memory->stack + (address - STACK_BASE);
    return NULL;
}

void truth_set(struct truth_gen *gen, unsigned reg, uint64_t value)
{
    if (!(gen->pinned >> reg & 1))
        gen->c->before.gprs[reg] = value;
}
