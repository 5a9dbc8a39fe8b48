/*
 * Landmarks on the soft engine: a place named by exit, RIP and the digests of registers and RAM, as a recording on KVM
 * without a counter names it, is found again by a second machine, and it is the same place to the tick.
 *
 * The guest is a loop whose every instruction recurs with the same RIP; registers or memory alone tell the times apart.
 * There is one exit at its start, so that all places lie behind the same exit, and one at its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/machine.h"
#include "vmm/soft/soft_engine.h"

/* mov cx, 300; out 0x80, al
 * again: inc word [0x8000]; mov bx, 1; xor bx, bx; call next; loop again; out 0x80, al; hlt; next: ret
 * Between two rounds, only CX and the word differ; at `next`, also what lies on the stack stays the same. */
static const uint8_t counting[] = {0xb9, 0x2c, 0x01, 0xe6, 0x80, 0xff, 0x06, 0x00, 0x80, 0xbb, 0x01, 0x00,
                                   0x31, 0xdb, 0xe8, 0x05, 0x00, 0xe2, 0xf2, 0xe6, 0x80, 0xf4, 0xc3};
/* mov cl, 200; out 0x80, al; again: inc byte [0x8000]; jmp .+2 (twice); dec byte [0x8001]; jnz again; out 0x80, al; hlt
 * No register changes: memory alone tells the rounds apart (flags aside). */
static const uint8_t in_memory[] = {0xb1, 0xc8, 0xe6, 0x80, 0xfe, 0x06, 0x00, 0x80, 0xeb, 0x00, 0xeb,
                                    0x00, 0xfe, 0x0e, 0x01, 0x80, 0x75, 0xf2, 0xe6, 0x80, 0xf4};

static uint64_t door_clock(void *context, uint64_t now)
{
    (void)context;
    return now;
}

static void door_entropy(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    memset(bytes, 0, length);
}

static void door_output(void *context, uint8_t channel, uint8_t byte)
{
    (void)context, (void)channel, (void)byte;
}

static bool door_exit(void *context)
{
    (void)context;
    return false;
}

struct specimen {
    struct engine *engine;
    struct machine machine;
};

static void create(struct specimen *s, const uint8_t *code, size_t length)
{
    const struct door door = {
        .read_clock = door_clock, .entropy = door_entropy, .console_output = door_output, .exit_served = door_exit};
    const struct machine_config config = {.ram_size = MACHINE_RAM_MIN, .boot.protocol = BOOT_SECTOR};
    const struct engine_host none = {0};
    uint8_t sector[512] = {0};
    struct error error;

    memcpy(sector, code, length);
    sector[510] = 0x55;
    sector[511] = 0xaa;
    s->engine = soft_engine_create(&none, &error);
    assert_non_null(s->engine);
    assert_int_equal(machine_create(&s->machine, &config, s->engine, &door, &error), 0);
    assert_int_equal(machine_boot(&s->machine, &config, sector, sizeof sector, "loop", NULL, &error), 0);
}

static void destroy(struct specimen *s)
{
    engine_destroy(s->engine);
    machine_destroy(&s->machine);
}

static void go_to_tick(struct specimen *s, uint64_t ticks)
{
    struct error error;
    assert_int_equal(machine_run_to_tick(&s->machine, ticks, &error), ENGINE_STOP_TICK);
}

/* What an engine without a counter would write. */
static struct position landmark_here(struct specimen *s)
{
    struct position here = {.kind = AT_LANDMARK, .exits = s->engine->exits};
    struct cpu_state cpu;
    struct error error;
    assert_int_equal(engine_get_cpu(s->engine, &cpu, &error), 0);
    assert_int_equal(machine_ram_digest(&s->machine, &here.ram, &error), 0);
    here.rip = cpu.rip;
    here.registers = cpu_state_digest(&cpu);
    return here;
}

static void name_and_land(const uint8_t *code, size_t length, uint64_t from, uint64_t until)
{
    for (uint64_t tick = from; tick < until; tick += 7) {
        struct specimen first, second;
        struct error error;
        create(&first, code, length);
        go_to_tick(&first, tick);
        const struct position place = landmark_here(&first);
        create(&second, code, length);
        assert_int_equal(machine_run_to(&second.machine, &place, &error), ENGINE_STOP_POSITION);
        assert_int_equal(soft_engine_ticks(second.engine), tick);
        /* Being there already is an arrival. */
        assert_int_equal(machine_run_to(&second.machine, &place, &error), ENGINE_STOP_POSITION);
        struct digest a, b;
        const struct position after = position_at_exit(place.exits + 1);
        assert_int_equal(machine_run_to(&first.machine, &after, &error), ENGINE_STOP_POSITION);
        assert_int_equal(machine_run_to(&second.machine, &after, &error), ENGINE_STOP_POSITION);
        assert_int_equal(machine_digest(&first.machine, &a, &error), 0);
        assert_int_equal(machine_digest(&second.machine, &b, &error), 0);
        assert_true(digest_equal(a, b));
        destroy(&first);
        destroy(&second);
    }
}

static void test_told_apart_by_registers(void **state)
{
    (void)state;
    name_and_land(counting, sizeof counting, 3, 1800);
}

static void test_told_apart_by_memory(void **state)
{
    (void)state;
    name_and_land(in_memory, sizeof in_memory, 3, 900);
}

/* A place that is never reached: registers, RAM or RIP are of no round, and the guest makes its next exit. */
static void test_missed(void **state)
{
    (void)state;
    for (unsigned wrong = 0; wrong < 3; wrong++) {
        struct specimen first, second;
        struct error error;
        create(&first, counting, sizeof counting);
        go_to_tick(&first, 700);
        struct position place = landmark_here(&first);
        place.registers.low ^= wrong == 0;
        place.ram.low ^= wrong == 1;
        place.rip += wrong == 2; /* in the middle of an instruction, or another one */
        create(&second, counting, sizeof counting);
        assert_int_equal(machine_run_to(&second.machine, &place, &error), ENGINE_STOP_MISSED);
        destroy(&first);
        destroy(&second);
    }
}

/* The guest goes another way: a byte of its memory is different from the start. */
static void test_another_way(void **state)
{
    struct specimen first, second;
    struct error error;
    (void)state;
    create(&first, counting, sizeof counting);
    go_to_tick(&first, 700);
    const struct position place = landmark_here(&first);
    create(&second, counting, sizeof counting);
    assert_true(ram_write(&second.machine.ram, 0x9000, "x", 1));
    assert_int_equal(machine_run_to(&second.machine, &place, &error), ENGINE_STOP_MISSED);
    destroy(&first);
    destroy(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_apart_by_registers),
        cmocka_unit_test(test_told_apart_by_memory),
        cmocka_unit_test(test_missed),
        cmocka_unit_test(test_another_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
