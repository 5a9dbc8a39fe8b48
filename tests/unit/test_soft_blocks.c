/*
 * What the soft engine leaves out within a block never shows: random loops are run to each of their boundaries at one
 * go, and instruction by instruction, and the processor and its memory must be the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/bench_pc.h"

#define PROGRAMS     60
#define INSTRUCTIONS 24
#define ROUNDS       3
#define TICKS_MAX    (ROUNDS * (4 * INSTRUCTIONS + 2) + 1)
#define SEED         UINT64_C(20261123)

struct program {
    uint8_t bytes[1024];
    unsigned length;
    uint64_t random;
};

static unsigned pick(struct program *p, unsigned below)
{
    p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(p->random >> 33) % below;
}

static void put(struct program *p, unsigned count, const unsigned *bytes)
{
    for (unsigned i = 0; i < count; i++)
        p->bytes[p->length++] = (uint8_t)bytes[i];
}
#define PUT(...) put(p, sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned), (unsigned[]){__VA_ARGS__})

/* RAX RCX RDX RSI RDI; RBX points to data, R9 counts the rounds. */
static unsigned reg(struct program *p)
{
    static const uint8_t regs[] = {0, 1, 2, 6, 7};
    return regs[pick(p, 5)];
}

static void put_one(struct program *p)
{
    unsigned a = reg(p), b = reg(p), operation = pick(p, 8), rex = pick(p, 2) ? 0x48 : 0x40, byte = pick(p, 256);
    switch (pick(p, 14)) {
    case 0:
    case 1:
        PUT(rex, operation << 3 | 1, 0xc0 | b << 3 | a);
        break;
    case 2:
    case 3:
        PUT(rex, 0x83, 0xc0 | operation << 3 | a, byte);
        break;
    case 4:
        PUT(rex, 0xff, 0xc0 | (operation & 1) << 3 | a);
        break;
    case 5:
        PUT(rex, 0xc1, 0xc0 | (4 + operation % 4) << 3 | a, byte);
        break;
    case 6:
        PUT(rex, 0xf, 0xaf, 0xc0 | b << 3 | a);
        break;
    case 7:
        PUT(rex, 0x85, 0xc0 | b << 3 | a);
        break;
    case 8:
        PUT(rex, 0xf, 0x40 | (byte & 15), 0xc0 | b << 3 | a);
        break;
    case 9:
        PUT(0x40, 0xf, 0x90 | (byte & 15), 0xc0 | a);
        break;
    case 10:
        PUT(rex, operation << 3 | (byte & 2) | 1, b << 3 | 3); /* to or from memory */
        break;
    case 11:
        PUT(rex, 0x8d, 0x44 | b << 3, a << 3 | a, byte);
        break;
    case 12:
        PUT(rex, 0xf7, 0xd0 | (operation & 1) << 3 | a);
        break;
    default:
        PUT(0xd9, 0xe8, 0xde, 0xc1, 0xdb, 0x43, 16); /* FLD1; FADDP; FILD: overflows the stack in time */
        break;
    }
}

/* Instructions, some of them behind a conditional jump over the next one, in a loop. */
static void make_program(struct program *p, unsigned number)
{
    *p = (struct program){.random = SEED + number};
    for (unsigned i = 0; i < INSTRUCTIONS; i++) {
        if (pick(p, 4)) {
            put_one(p);
            continue;
        }
        unsigned at = p->length;
        PUT(0x70 | pick(p, 16), 0);
        put_one(p);
        p->bytes[at + 1] = (uint8_t)(p->length - at - 2);
    }
    PUT(0x49, 0xff, 0xc9); /* dec %r9 */
    unsigned back = (unsigned)-(int)(p->length + 6);
    PUT(0xf, 0x85, back & 0xff, back >> 8 & 0xff, back >> 16 & 0xff, back >> 24 & 0xff, 0xf4);
}

static void reset(struct pc *pc, const struct program *p)
{
    pc_long_mode(pc, 0);
    memcpy(pc->ram.bytes + PC_CODE, p->bytes, p->length);
    for (unsigned i = 0; i < 4; i++)
        pc_put64(pc, PC_DATA + 8 * i, UINT64_C(0x123456789abcdef) * (i + 1));
    for (unsigned i = 0; i < 16; i++)
        if (i != GPR_RSP)
            pc->cpu.gprs[i] = UINT64_C(0x9e3779b97f4a7c15) * (i + p->random);
    pc->cpu.gprs[GPR_RBX] = PC_DATA;
    pc->cpu.gprs[GPR_R9] = ROUNDS;
    pc_start(pc);
}

/* Goes to the boundary after `ticks` instructions. False when the guest halts before. */
static bool go_to(struct pc *pc, uint64_t ticks)
{
    const struct engine_stops stops = {.to_tick = true, .tick = ticks};
    return pc_run_stops(pc, &stops) == ENGINE_STOP_TICK && !pc->cpu.halted;
}

static struct digest digest_now(struct pc *pc)
{
    struct digest cpu = cpu_state_digest(&pc->cpu), data = digest_of(pc->ram.bytes + PC_DATA, 64, 0);
    return (struct digest){cpu.low ^ data.low, cpu.high ^ data.high};
}

static void test_every_boundary(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned n = 0; n < PROGRAMS; n++) {
        struct program p;
        struct digest stepped[TICKS_MAX];
        uint64_t ticks = 0;
        make_program(&p, n);
        reset(pc, &p);
        while (ticks < TICKS_MAX && go_to(pc, ticks + 1))
            stepped[ticks++] = digest_now(pc);
        assert_true(pc->cpu.halted);
        for (uint64_t t = 1; t <= ticks; t++) {
            reset(pc, &p);
            assert_true(go_to(pc, t));
            if (!digest_equal(digest_now(pc), stepped[t - 1]))
                fail_msg("program %u: after %llu instructions, RIP %llx (%s)", n, (unsigned long long)t,
                         (unsigned long long)pc->cpu.rip, "build/tests/unit/test_soft_blocks");
        }
    }
    pc_free(pc);
}

/* LOCK is allowed with neither: the conditional jump must not be joined to the comparison before it. */
static void test_lock_before_jcc(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, "\x39\xc0\xf0\x74\x00\xf4", 6); /* cmp %eax, %eax; lock je; hlt */
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RAX] & 0xff, 6); /* the stub of #UD */
    pc_free(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_boundary), cmocka_unit_test(test_lock_before_jcc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
