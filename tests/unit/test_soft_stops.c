/* Where the soft engine stops besides where it must (struct engine_stops), and translations without side effects. That
 * stops change nothing is for fuzz_soft_run to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants these before it. */
#include <cmocka.h>

#include "tests/soft/bench_pc.h"

/* Two outs, a REP, a comparison joined to its jump. */
PC_ASM(work, "mov $3, %ecx\n mov $0x20000, %esi\n mov $0x20100, %edi\n cld\n rep movsb\n"
             "1: out %al, $0x80\n inc %ebx\n cmp $2, %ebx\n jne 1b\n sti\n nop\n hlt\n")

/* 100 rounds with a write, a read and a push. */
PC_ASM(rounds, "mov $100, %ecx\n mov $0x20000, %ebx\n"
               "1: mov %rcx, (%rbx)\n mov (%rbx), %rdx\n push %rdx\n pop %rdx\n dec %ecx\n jnz 1b\n hlt\n")
#define ROUNDS_LOOP (PC_CODE + 10) /* of the label */

static struct pc *new_pc(const char *code, size_t length)
{
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, code, length);
    pc_start(pc);
    return pc;
}

static struct engine_stops to_break(const struct engine_break *breaks, size_t count)
{
    return (struct engine_stops){.breaks = breaks, .break_count = count};
}

/* Runs to the guest's HLT and counts the breaks that stop it. */
static unsigned count_hits(struct pc *pc, const struct engine_break *at)
{
    const struct engine_stops stops = to_break(at, 1);
    unsigned hits = 0;
    enum engine_stop stop;
    while ((stop = pc_run_stops(pc, &stops)) == ENGINE_STOP_BREAK)
        hits++;
    assert_int_equal(stop, ENGINE_STOP_HALT);
    return hits;
}

static void test_each_step_is_a_boundary(void **state)
{
    (void)state;
    struct pc *pc = new_pc(work_start, PC_LENGTH(work));
    const struct engine_stops step = {.step = true};
    struct position last = {0}, now;
    unsigned steps = 0, exits = 0;
    pc->vector = 0x40;
    pc->lower_on_acknowledge = true;
    for (enum engine_stop stop; (stop = pc_run_stops(pc, &step)) != ENGINE_STOP_HALT; steps++) {
        assert_int_equal(stop, ENGINE_STOP_STEP);
        assert_true(engine_name_position(pc->engine, &now, &pc->error));
        assert_true(steps == 0 || !position_equal(&now, &last));
        assert_true(pc_ticks(pc) + pc->engine->exits > last.ticks + last.exits);
        exits += now.kind == AT_EXIT;
        last = now;
        if ((pc->cpu.rflags & RFLAGS_IF) && !pc->cpu.interrupt_shadow)
            engine_set_intr(pc->engine, true); /* it is looked at where it is set */
    }
    /* mov 3, cld, movsb 3, two rounds of 4, sti, nop; the acknowledge cycle; the stub's mov, out, hlt. */
    assert_int_equal(steps, 4 + 3 + 8 + 2 + 1 + 3);
    /* Two outs, and the stub's out and hlt; an acknowledge cycle is never named by its exit. */
    assert_int_equal(exits, 2 + 2);
    pc_free(pc);
}

static void test_a_tick(void **state)
{
    (void)state;
    struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
    for (uint64_t tick = 0; tick < 300; tick += 7) {
        const struct engine_stops stops = {.to_tick = true, .tick = tick};
        assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_TICK);
        assert_int_equal(pc_ticks(pc), tick);
    }
    const struct engine_stops before = {.to_tick = true, .tick = 5};
    uint64_t ticks = pc_ticks(pc);
    assert_int_equal(pc_run_stops(pc, &before), ENGINE_STOP_TICK);
    assert_int_equal(pc_ticks(pc), ticks);
    pc_free(pc);
}

static void test_halt_is_still_reported(void **state)
{
    (void)state;
    struct pc *pc = new_pc("\xf4", 1);
    const struct engine_stops stops = {.to_tick = true, .tick = 1};
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_TICK);
    assert_true(pc->cpu.halted);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    pc_free(pc);
}

static void test_execution(void **state)
{
    (void)state;
    const struct engine_break loop = {.kind = ENGINE_BREAK_EXECUTE, .address = ROUNDS_LOOP};
    const struct engine_break inside = {.kind = ENGINE_BREAK_EXECUTE, .address = ROUNDS_LOOP + 1};
    struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
    struct engine_stops stops = to_break(&loop, 1);
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_BREAK);
    assert_int_equal(pc->cpu.rip, ROUNDS_LOOP);
    assert_int_equal(pc->engine->hit.linear, ROUNDS_LOOP);
    assert_int_equal(pc_ticks(pc), 2);
    /* A kick at the same boundary loses nothing, and brings nothing back. */
    engine_kick(pc->engine);
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_KICK);
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_BREAK);
    assert_int_equal(pc->cpu.gprs[GPR_RCX], 99);
    assert_int_equal(count_hits(pc, &loop), 98);
    pc_free(pc);

    pc = new_pc(rounds_start, PC_LENGTH(rounds));
    assert_int_equal(count_hits(pc, &inside), 0);
    pc_free(pc);
}

static void test_a_kick_before_it(void **state)
{
    (void)state;
    const struct engine_break first = {.kind = ENGINE_BREAK_EXECUTE, .address = PC_CODE};
    struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
    const struct engine_stops stops = to_break(&first, 1);
    engine_kick(pc->engine);
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_KICK);
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_BREAK);
    assert_int_equal(pc_ticks(pc), 0);
    pc_free(pc);
}

/* Code at two linear addresses: a physical break stands at both, a linear one at its own. */
static void test_physical_execution(void **state)
{
    (void)state;
    const struct engine_break physical = {.kind = ENGINE_BREAK_EXECUTE, .physical = true, .address = ROUNDS_LOOP};
    const struct engine_break linear = {.kind = ENGINE_BREAK_EXECUTE, .address = ROUNDS_LOOP};
    for (unsigned i = 0; i < 2; i++) {
        struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
        pc_put64(pc, PC_PT + 8 * 0x30, PC_CODE | 7);
        pc->cpu.rip = 0x30000;
        pc_start(pc);
        assert_int_equal(count_hits(pc, i ? &linear : &physical), i ? 0 : 100);
        pc_free(pc);
    }
}

/* With other breaks, or none, blocks decoded before are not gone by. */
static void test_changing_breaks(void **state)
{
    (void)state;
    const struct engine_break loop = {.kind = ENGINE_BREAK_EXECUTE, .address = ROUNDS_LOOP};
    const struct engine_break read = {.kind = ENGINE_BREAK_EXECUTE, .address = ROUNDS_LOOP + 3};
    struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
    for (unsigned i = 0; i < 20; i++) {
        struct engine_stops stops = to_break(i % 2 ? &read : &loop, 1);
        assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_BREAK);
        assert_int_equal(pc->cpu.rip, i % 2 ? ROUNDS_LOOP + 3 : ROUNDS_LOOP);
        assert_int_equal(pc->cpu.gprs[GPR_RCX], 100 - i / 2);
        const struct engine_stops step = {.step = true};
        assert_int_equal(pc_run_stops(pc, &step), ENGINE_STOP_STEP);
    }
    pc_free(pc);
}

static void test_accesses(void **state)
{
    (void)state;
    const struct {
        struct engine_break at;
        unsigned hits;
    } rows[] = {
        {{ENGINE_BREAK_WRITE, false, PC_DATA, 8}, 100},     {{ENGINE_BREAK_READ, false, PC_DATA, 8}, 100},
        {{ENGINE_BREAK_ACCESS, false, PC_DATA, 8}, 200},    {{ENGINE_BREAK_ACCESS, true, PC_DATA, 8}, 200},
        {{ENGINE_BREAK_WRITE, false, PC_DATA + 7, 1}, 100}, {{ENGINE_BREAK_WRITE, false, PC_DATA + 8, 8}, 0},
        {{ENGINE_BREAK_WRITE, false, PC_DATA - 8, 8}, 0},   {{ENGINE_BREAK_WRITE, false, PC_DATA - 8, 9}, 100},
        {{ENGINE_BREAK_WRITE, true, PC_STACK - 8, 1}, 100}, {{ENGINE_BREAK_READ, false, PC_STACK - 1, 100}, 100},
        {{ENGINE_BREAK_ACCESS, false, PC_CODE, 64}, 0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
        assert_int_equal(count_hits(pc, &rows[i].at), rows[i].hits);
        pc_free(pc);
    }
}

/* The boundary after the instruction, in mid-REP too. */
static void test_where_accesses_stop(void **state)
{
    (void)state;
    const struct engine_break second = {ENGINE_BREAK_WRITE, false, 0x20101, 1};
    struct pc *pc = new_pc(work_start, PC_LENGTH(work));
    const struct engine_stops stops = to_break(&second, 1);
    assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_BREAK);
    assert_int_equal(pc->cpu.gprs[GPR_RCX], 1);
    assert_int_equal(pc->cpu.gprs[GPR_RDI], 0x20102);
    assert_int_equal(pc_ticks(pc), 6);
    assert_true(pc->engine->hit.write);
    assert_int_equal(pc->engine->hit.physical, 0x20101);
    pc_free(pc);
}

/* What the processor itself writes: the frame of an interrupt, accessed bits in a page table, a fetch's too. */
static void test_own_accesses(void **state)
{
    (void)state;
    const struct engine_break rows[] = {
        {ENGINE_BREAK_WRITE, false, PC_STACK - 40, 8},
        {ENGINE_BREAK_WRITE, true, PC_PT + 8 * 0x20, 8},
        {ENGINE_BREAK_WRITE, true, PC_PT + 8 * 0x10, 8},
        {ENGINE_BREAK_READ, false, PC_IDT + 16 * 0x40, 16},
    };
    const uint64_t ticks[] = {0, 3, 0, 0};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pc *pc = new_pc(rounds_start, PC_LENGTH(rounds));
        const struct engine_stops stops = to_break(&rows[i], 1);
        pc->vector = 0x40;
        pc->lower_on_acknowledge = true;
        pc->cpu.rflags |= RFLAGS_IF;
        pc_start(pc);
        engine_set_intr(pc->engine, i % 3 == 0);
        assert_int_equal(pc_run_stops(pc, &stops), ENGINE_STOP_BREAK);
        assert_int_equal(pc_ticks(pc), ticks[i]);
        pc_free(pc);
    }
}

static void test_translate(void **state)
{
    (void)state;
    struct pc *pc = new_pc("\xf4", 1);
    struct engine_translation t;
    pc_put64(pc, PC_PT + 8 * 0x30, 0x12000 | 1);
    pc_put64(pc, PC_PT + 8 * 0x31, UINT64_C(0x8000000000013000) | 3);
    pc_put64(pc, PC_PT + 8 * 0x32, 0x12000);
    pc_put64(pc, PC_PT + 8 * 0x33, (UINT64_C(1) << 45) | 7);
    struct digest before = digest_of(pc->ram.bytes, pc->ram.size, 0);
    assert_int_equal(engine_translate(pc->engine, 0x30abc, &t, &pc->error), 1);
    assert_int_equal(t.physical, 0x12abc);
    assert_true(!t.write && !t.user && !t.no_execute && t.page_size == 4096);
    assert_int_equal(engine_translate(pc->engine, 0x31000, &t, &pc->error), 1);
    assert_true(t.physical == 0x13000 && t.write && t.no_execute);
    assert_int_equal(engine_translate(pc->engine, 0x2abcde, &t, &pc->error), 1);
    assert_true(t.physical == 0x2abcde && t.user && t.page_size == 2u << 20);
    assert_int_equal(engine_translate(pc->engine, 0x32000, &t, &pc->error), 0);
    assert_int_equal(engine_translate(pc->engine, 0x33000, &t, &pc->error), 0);
    assert_int_equal(engine_translate(pc->engine, UINT64_C(1) << 47, &t, &pc->error), 0);
    assert_int_equal(engine_translate(pc->engine, UINT64_C(1) << 40, &t, &pc->error), 0);
    assert_true(digest_equal(before, digest_of(pc->ram.bytes, pc->ram.size, 0)));
    pc->cpu.cr0 = CR0_PE;
    pc->cpu.efer = 0;
    pc_start(pc);
    assert_int_equal(engine_translate(pc->engine, 0x2abcde, &t, &pc->error), 1);
    assert_true(t.physical == 0x2abcde && t.write && t.page_size == UINT64_C(1) << 32);
    assert_int_equal(engine_translate(pc->engine, UINT64_C(1) << 32, &t, &pc->error), 0);
    pc_free(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step_is_a_boundary),
        cmocka_unit_test(test_a_tick),
        cmocka_unit_test(test_halt_is_still_reported),
        cmocka_unit_test(test_execution),
        cmocka_unit_test(test_a_kick_before_it),
        cmocka_unit_test(test_physical_execution),
        cmocka_unit_test(test_changing_breaks),
        cmocka_unit_test(test_accesses),
        cmocka_unit_test(test_where_accesses_stop),
        cmocka_unit_test(test_own_accesses),
        cmocka_unit_test(test_translate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
