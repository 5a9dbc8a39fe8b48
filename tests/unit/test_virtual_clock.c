/*
 * The virtual clock: guest time is executed instructions. Timers fire at the very tick, interrupts are taken where the
 * architecture lets them, an idle guest's time goes on at once; and whatever the host does in between, the run is the
 * same run.
 *
 * The guest is a boot sector with a handler for the timer: it spins with interrupts on and off, sleeps, and reads a
 * clock device. Each interrupt mixes the time and the place where it came into a checksum.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/sector.h"

PC_ASM_BITS(guest, "16",
            "cli\n xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x7000, %sp\n"
            /* The 8259 at vector 20h, with the timer alone; the 8254 at some 50 kHz. */
            "mov $0x11, %al\n out %al, $0x20\n mov $0x20, %al\n out %al, $0x21\n mov $4, %al\n out %al, $0x21\n"
            "mov $1, %al\n out %al, $0x21\n mov $0xfe, %al\n out %al, $0x21\n"
            "mov $0x7c00 + (handler - guest_start), %ax\n mov %ax, (0x80)\n movw $0, (0x82)\n"
            "mov $0x34, %al\n out %al, $0x43\n mov $23, %al\n out %al, $0x40\n xor %al, %al\n out %al, $0x40\n"
            "round: sti\n mov $20000, %cx\n 1: loop 1b\n"
            "cli\n mov $30000, %cx\n 1: loop 1b\n"
            "pushf\n pop %bx\n or $0x200, %bx\n push %bx\n popf\n mov $3000, %cx\n 1: loop 1b\n"
            "sti\n hlt\n cli\n xor %al, %al\n out %al, $0x43\n in $0x40, %al\n mov %al, %bl\n in $0x40, %al\n"
            "xor %bl, %al\n xor %al, (0x500)\n incw (0x510)\n cmpw $30, (0x510)\n jb round\n cli\n hlt\n"
            "handler: push %eax\n push %edx\n push %bp\n mov %sp, %bp\n rdtsc\n movzwl 10(%bp), %edx\n"
            "rol $5, %eax\n xor %edx, %eax\n mov (0x500), %edx\n imul $0x9e3779b1, %edx\n add %eax, %edx\n"
            "mov %edx, (0x500)\n incw (0x508)\n mov $0x20, %al\n out %al, $0x20\n pop %bp\n pop %edx\n pop %eax\n iret")

static void create(struct sector *s, uint64_t seed)
{
    *s = (struct sector){.virtual_clock = true, .random = seed, .eager = seed != 1};
    sector_create(s, guest_start, PC_LENGTH(guest));
}

/* A stop that was wanted and came is wanted no more. */
static void forget_stop(struct sector *s)
{
    if (sector_ticks(s) >= s->machine.stop_ticks)
        s->machine.stop_ticks = UINT64_MAX;
}

/* Goes on to one of the stops, or to the end of the machine. */
static enum engine_stop go(struct sector *s, const struct engine_stops *stops)
{
    for (;;) {
        enum engine_stop stop = machine_run(&s->machine, stops, &s->error);
        assert_int_not_equal(stop, ENGINE_STOP_ERROR);
        assert_int_not_equal(stop, ENGINE_STOP_ALARM);
        if (s->machine.end != MACHINE_RUNS)
            return stop;
        forget_stop(s);
        if (stop == ENGINE_STOP_HALT)
            machine_skip_idle(&s->machine);
        else if (stop != ENGINE_STOP_REQUESTED)
            return stop;
    }
}

static enum engine_stop go_to_tick(struct sector *s, uint64_t ticks)
{
    return go(s, &(struct engine_stops){.to_tick = true, .tick = ticks});
}

static void test_undisturbed(void **state)
{
    struct sector s = {0};
    (void)state;
    create(&s, 1);
    go(&s, NULL);
    assert_int_equal(s.machine.end, MACHINE_HALTED);
    uint16_t interrupts;
    memcpy(&interrupts, s.machine.ram.bytes + 0x508, sizeof interrupts);
    /* Each of 30 rounds takes some 53,000 ticks, and then sleeps until the next interrupt; they come each 19,276 ns,
     * but one at most waits where interrupts are off for 30,000. */
    assert_in_range(interrupts, 70, 100);
    assert_true(machine_time(&s.machine) > sector_ticks(&s));
    sector_destroy(&s);
}

/* The host stops the engine anywhere, looks, asks for digests, puts the machine into another engine: nothing comes of
 * it. */
static void disturb(struct sector *s)
{
    switch (sector_random(s, 6)) {
    case 0:
        engine_kick(s->engine);
        break;
    case 1:
        machine_look_at_interrupts(&s->machine);
        break;
    case 2:
        sector_digest(s);
        break;
    case 3:
        s->machine.stop_ticks = sector_ticks(s) + sector_random(s, 50000);
        break;
    case 4:
        s->machine.stop_ticks = UINT64_MAX;
        break;
    default:
        engine_collect_dirty(s->engine, &s->error);
        break;
    }
}

static void test_disturbed(void **state)
{
    struct sector calm = {0};
    (void)state;
    create(&calm, 1);
    go(&calm, NULL);
    for (uint64_t seed = 2; seed < 12; seed++) {
        struct sector s = {0};
        create(&s, seed * UINT64_C(0x9e3779b97f4a7c15));
        while (s.machine.end == MACHINE_RUNS) {
            forget_stop(&s);
            disturb(&s);
            if (sector_random(&s, 2))
                go_to_tick(&s, sector_ticks(&s) + sector_random(&s, 20000));
            else if (machine_run(&s.machine, NULL, &s.error) == ENGINE_STOP_HALT)
                machine_skip_idle(&s.machine);
        }
        if (!digest_equal(sector_digest(&s), sector_digest(&calm)) || sector_ticks(&s) != sector_ticks(&calm))
            fail_msg("seed %d: another run", (int)seed);
        sector_destroy(&s);
    }
    sector_destroy(&calm);
}

static void test_fires_at_the_tick(void **state)
{
    struct sector s = {0};
    unsigned seen = 0;
    (void)state;
    create(&s, 1);
    go_to_tick(&s, 1000); /* the timer runs */
    while (seen < 20) {
        uint64_t deadline = machine_deadline(&s.machine), time = machine_time(&s.machine);
        assert_true(deadline != NO_DEADLINE && deadline > time);
        uint64_t at = sector_ticks(&s) + (deadline - time);
        uint64_t exits = s.engine->exits;
        if (go_to_tick(&s, at - 1) != ENGINE_STOP_TICK)
            break;
        if (s.engine->exits != exits || machine_deadline(&s.machine) != deadline)
            continue; /* it slept, or programmed something */
        assert_int_equal(machine_time(&s.machine), deadline - 1);
        /* A lost race shows as a deadline that is still there one tick later. */
        go_to_tick(&s, at);
        assert_true(machine_deadline(&s.machine) > deadline);
        assert_int_equal(s.machine.now, deadline);
        seen++;
    }
    assert_int_equal(seen, 20);
    sector_destroy(&s);
}

static void test_checkpoint(void **state)
{
    struct sector first = {0};
    unsigned halted = 0;
    (void)state;
    create(&first, 1);
    go(&first, NULL);
    struct digest end = sector_digest(&first);
    sector_destroy(&first);
    for (uint64_t at = 10; at < 1500000; at += 34567) {
        struct sector second = {0};
        create(&first, 1);
        create(&second, 1);
        /* Every other one where the guest sleeps. */
        while (machine_run_to_tick(&first.machine, at, &first.error) == ENGINE_STOP_HALT && at % 2 == 0 &&
               sector_ticks(&first) < at - 34567)
            machine_skip_idle(&first.machine);
        halted += first.engine->halted;
        sector_copy(&first, &second);
        assert_int_equal(machine_time(&second.machine), machine_time(&first.machine));
        if (second.engine->halted)
            machine_skip_idle(&second.machine);
        go(&second, NULL);
        assert_true(digest_equal(sector_digest(&second), end));
        sector_destroy(&first);
        sector_destroy(&second);
    }
    assert_true(halted > 0);
}

/* Each step of an idle guest has a name of its own, from which it can be reached again. */
static void test_idle_steps_have_names(void **state)
{
    struct sector first = {0};
    (void)state;
    create(&first, 1);
    while (first.machine.end == MACHINE_RUNS) {
        if (machine_run(&first.machine, NULL, &first.error) != ENGINE_STOP_HALT || first.machine.end != MACHINE_RUNS)
            continue;
        struct position before, after;
        assert_true(engine_name_position(first.engine, &before, &first.error));
        if (!machine_skip_idle(&first.machine))
            continue;
        assert_true(engine_name_position(first.engine, &after, &first.error));
        assert_false(position_equal(&before, &after));
        struct sector second = {0};
        create(&second, 1);
        assert_int_equal(go(&second, &(struct engine_stops){.position = &after}), ENGINE_STOP_POSITION);
        assert_true(digest_equal(sector_digest(&first), sector_digest(&second)));
        sector_destroy(&second);
    }
    sector_destroy(&first);
}

static void test_needs_ticks(void **state)
{
    const struct door door = {0};
    const struct machine_config config = {.ram_size = MACHINE_RAM_MIN, .virtual_clock = true};
    struct machine machine;
    struct error error;
    (void)state;
    struct engine *engine = soft_engine_create(&(struct engine_host){0}, &error);
    engine->caps.tick_time = false;
    assert_int_equal(machine_create(&machine, &config, engine, &door, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),           cmocka_unit_test(test_disturbed),
        cmocka_unit_test(test_fires_at_the_tick),     cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_idle_steps_have_names), cmocka_unit_test(test_needs_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
