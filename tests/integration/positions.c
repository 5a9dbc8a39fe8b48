/*
 * Positions on this host's KVM: a place where a running guest was interrupted is named, and a second machine is brought
 * to it. That it is the same place is told by the digest of the whole machine, not by the name.
 *
 * The guest is a loop of a few instructions that counts in memory and in registers, with one port write now and then.
 * Each kind of name is tried at many places; they are chosen by the host's clock, so no two runs try the same ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/kvm/kvm_engine.h"
#include "vmm/machine.h"

#define ROUNDS 12
/* From hit to hit of a breakpoint is slow going. */
#define SLOW_ROUNDS 4
#define KICKS       20000

/* A boot sector of 16-bit code: jmp 0x07c0:5; again: inc ax; add bx, ax; mov [0x8000], bx; dec cx; jnz again; out 0x80,
 * al; jmp again. CS has a base, as it often has in such code: a place is more than its RIP. */
static const uint8_t loop_code[] = {0xea, 0x05, 0x00, 0xc0, 0x07, 0x40, 0x01, 0xc3, 0x89, 0x1e,
                                    0x00, 0x80, 0x49, 0x75, 0xf6, 0xe6, 0x80, 0xeb, 0xf2};

/* again: in al, 0x80; inc cx; jmp again: CX counts the exits. */
static const uint8_t exits_code[] = {0xe4, 0x80, 0x41, 0xeb, 0xfb};

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

static void create_with(struct specimen *specimen, const struct kvm_engine_options *options, const uint8_t *code,
                        size_t length)
{
    const struct door door = {
        .read_clock = door_clock, .entropy = door_entropy, .console_output = door_output, .exit_served = door_exit};
    const struct machine_config config = {.ram_size = MACHINE_RAM_MIN, .boot.protocol = BOOT_SECTOR};
    uint8_t sector[512] = {0};
    struct error error;

    memcpy(sector, code, length);
    sector[510] = 0x55;
    sector[511] = 0xaa;
    specimen->engine = kvm_engine_create(options, &error);
    assert_non_null(specimen->engine);
    assert_int_equal(machine_create(&specimen->machine, &config, specimen->engine, &door, &error), 0);
    assert_int_equal(machine_boot(&specimen->machine, &config, sector, sizeof sector, "loop", NULL, &error), 0);
}

static void create(struct specimen *specimen, const struct kvm_engine_options *options)
{
    create_with(specimen, options, loop_code, sizeof loop_code);
}

static void destroy(struct specimen *specimen)
{
    engine_destroy(specimen->engine);
    machine_destroy(&specimen->machine);
}

static struct digest digest_of_machine(struct specimen *specimen)
{
    struct digest digest;
    struct error error;

    assert_int_equal(machine_digest(&specimen->machine, &digest, &error), 0);
    return digest;
}

struct kick {
    struct engine *engine;
    useconds_t after;
};

static void *kick_later(void *context)
{
    const struct kick *kick = context;

    usleep(kick->after);
    engine_kick(kick->engine);
    return NULL;
}

/* Runs the guest until another thread's kick, and names the place. */
static void run_somewhere(struct specimen *specimen, unsigned round, struct position *position)
{
    struct kick kick = {specimen->engine, 500 + 400 * round};
    struct error error = {0};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, kick_later, &kick), 0);
    assert_int_equal(machine_run(&specimen->machine, NULL, &error), ENGINE_STOP_KICK);
    pthread_join(thread, NULL);
    assert_true(engine_name_position(specimen->engine, position, &error));
}

static void name_and_land(const struct kvm_engine_options *naming, const struct kvm_engine_options *landing,
                          enum position_kind kind, unsigned rounds)
{
    unsigned of_kind = 0;

    for (unsigned round = 0; round < rounds; round++) {
        struct specimen first, second;
        struct position position, after;
        struct error error = {0};

        create(&first, naming);
        run_somewhere(&first, round, &position);
        of_kind += position.kind == kind;
        create(&second, landing);
        enum engine_stop stop = machine_run_to(&second.machine, &position, &error);
        if (stop == ENGINE_STOP_OVERSHOT) {
            /* The timer was late, on a busy host; a replay begins again with a careful engine, and so do we. */
            const struct kvm_engine_options careful = {.careful = true};
            destroy(&second);
            create(&second, &careful);
            stop = machine_run_to(&second.machine, &position, &error);
        }
        if (stop == ENGINE_STOP_ERROR)
            fail_msg("%s", error.text);
        assert_int_equal(stop, ENGINE_STOP_POSITION);
        assert_true(digest_equal(digest_of_machine(&first), digest_of_machine(&second)));
        assert_int_equal(first.engine->exits, second.engine->exits);
        /* And both go on alike. */
        after = position_at_exit(position.exits + 2);
        assert_int_equal(machine_run_to(&first.machine, &after, &error), ENGINE_STOP_POSITION);
        assert_int_equal(machine_run_to(&second.machine, &after, &error), ENGINE_STOP_POSITION);
        assert_true(digest_equal(digest_of_machine(&first), digest_of_machine(&second)));
        destroy(&first);
        destroy(&second);
    }
    assert_true(of_kind > 0);
}

static void test_exits(void **state)
{
    const struct kvm_engine_options options = {0};
    struct specimen first, second;
    struct error error;

    (void)state;
    create(&first, &options);
    create(&second, &options);
    for (uint64_t exit = 1; exit < 6; exit++) {
        const struct position at = position_at_exit(exit);
        assert_int_equal(machine_run_to(&first.machine, &at, &error), ENGINE_STOP_POSITION);
        assert_int_equal(machine_run_to(&first.machine, &at, &error), ENGINE_STOP_POSITION);
        assert_int_equal(first.engine->exits, exit);
    }
    const struct position last = position_at_exit(5), gone = position_at_exit(2);
    assert_int_equal(machine_run_to(&second.machine, &last, &error), ENGINE_STOP_POSITION);
    assert_true(digest_equal(digest_of_machine(&first), digest_of_machine(&second)));
    assert_int_equal(machine_run_to(&second.machine, &gone, &error), ENGINE_STOP_MISSED);
    destroy(&first);
    destroy(&second);
}

/* What the engine of these options can do on this host. */
static struct engine_caps caps_of(const struct kvm_engine_options *options)
{
    struct error error;
    struct engine *engine = kvm_engine_create(options, &error);

    assert_non_null(engine);
    struct engine_caps caps = engine->caps;
    engine_destroy(engine);
    return caps;
}

static void test_ticks(void **state)
{
    const struct kvm_engine_options options = {0}, careful = {.careful = true};

    (void)state;
    if (!caps_of(&options).ticks)
        skip();
    name_and_land(&options, &options, AT_TICK, ROUNDS);
    name_and_land(&options, &careful, AT_TICK, SLOW_ROUNDS);
}

static void test_landmarks(void **state)
{
    const struct kvm_engine_options options = {.no_ticks = true};

    (void)state;
    if (!caps_of(&options).landmarks)
        skip();
    name_and_land(&options, &options, AT_LANDMARK, SLOW_ROUNDS);
}

static void test_a_tick_that_never_was(void **state)
{
    const struct kvm_engine_options options = {0}, careful = {.careful = true};
    struct specimen first, second;
    struct position position;
    struct error error;

    (void)state;
    if (!caps_of(&options).ticks)
        skip();
    create(&first, &options);
    run_somewhere(&first, 3, &position);
    create(&second, &careful);
    position.rip += 1; /* in the middle of an instruction */
    assert_int_equal(machine_run_to(&second.machine, &position, &error), ENGINE_STOP_MISSED);
    destroy(&first);
    destroy(&second);
}

static void test_no_names(void **state)
{
    const struct kvm_engine_options options = {.no_ticks = true, .no_landmarks = true};
    struct kick kick;
    struct specimen specimen;
    struct position position;
    struct error error;
    pthread_t thread;

    (void)state;
    create(&specimen, &options);
    kick = (struct kick){specimen.engine, 5000};
    assert_int_equal(pthread_create(&thread, NULL, kick_later, &kick), 0);
    assert_int_equal(machine_run(&specimen.machine, NULL, &error), ENGINE_STOP_KICK);
    pthread_join(thread, NULL);
    /* Somewhere in the loop: without a counter and breakpoints there is no name, and that is no error. */
    bool named = engine_name_position(specimen.engine, &position, &error);
    assert_true(named ? position.kind == AT_EXIT : error.kind == ERROR_NONE);
    destroy(&specimen);
}

struct kicks {
    struct engine *engine;
    atomic_bool enough;
};

static void *kick_again_and_again(void *context)
{
    struct kicks *kicks = context;

    for (unsigned n = 0; !atomic_load(&kicks->enough); n++) {
        usleep(n * 7919 % 50); /* not always at the same moment of an exit */
        engine_kick(kicks->engine);
    }
    return NULL;
}

/* A kick may come at any time, also while an access is being served; the place where the guest stands then is between
 * two instructions all the same, and the access that was counted is done. */
static void test_kicks_at_accesses(void **state)
{
    const struct kvm_engine_options options = {0};
    struct specimen specimen;
    struct cpu_state cpu;
    struct error error;
    pthread_t thread;

    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    /* On one processor the kicks come between any two instructions of ours, not only where the guest is left. */
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    create_with(&specimen, &options, exits_code, sizeof exits_code);
    struct kicks kicks = {.engine = specimen.engine};
    assert_int_equal(pthread_create(&thread, NULL, kick_again_and_again, &kicks), 0);
    for (unsigned n = 0; n < KICKS; n++) {
        assert_int_equal(machine_run(&specimen.machine, NULL, &error), ENGINE_STOP_KICK);
        assert_int_equal(engine_get_cpu(specimen.engine, &cpu, &error), 0);
        uint16_t counted = (uint16_t)specimen.engine->exits;
        /* Behind IN, before INC, one is not counted yet. */
        assert_int_equal((uint16_t)cpu.gprs[GPR_RCX], (uint16_t)(counted - (cpu.rip == 0x7c02)));
    }
    atomic_store(&kicks.enough, true);
    pthread_join(thread, NULL);
    destroy(&specimen);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exits),     cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_landmarks), cmocka_unit_test(test_a_tick_that_never_was),
        cmocka_unit_test(test_no_names),  cmocka_unit_test(test_kicks_at_accesses),
    };

    if (access("/dev/kvm", R_OK | W_OK) < 0) {
        for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
            printf("skip - %s: /dev/kvm is missing or may not be opened\n", tests[i].name);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
