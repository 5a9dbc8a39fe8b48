/*
 * The guest's time stamp counter on the soft engine: guest time, exact to the instruction, never going back, never past
 * a device that waits for its time, the same after a checkpoint; and random bytes as inputs.
 *
 * The guests are boot sectors: real mode, 16 bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/sector.h"

#define SECOND UINT64_C(1000000000)

/* Where the guests leave what they read. */
#define RESULTS 0x500

static void create(struct sector *s, const char *code, size_t length)
{
    *s = (struct sector){.random = 88172645463325252};
    sector_create(s, code, length);
}

#define CREATE(s, name) create(s, name##_start, PC_LENGTH(name))

static uint64_t result(struct sector *s, unsigned n)
{
    uint64_t value;
    memcpy(&value, s->machine.ram.bytes + RESULTS + 8 * n, sizeof value);
    return value;
}

/* Goes on to tick `ticks`, or to the machine's end. */
static void go_to_tick(struct sector *s, uint64_t ticks)
{
    enum engine_stop stop;

    do
        stop = machine_run_to_tick(&s->machine, ticks, &s->error);
    while (stop == ENGINE_STOP_REQUESTED && s->machine.end == MACHINE_RUNS);
    assert_true(stop == ENGINE_STOP_TICK || s->machine.end != MACHINE_RUNS);
}

static void run_to_end(struct sector *s, enum machine_end end)
{
    while (s->machine.end == MACHINE_RUNS)
        assert_int_not_equal(machine_run(&s->machine, NULL, &s->error), ENGINE_STOP_ERROR);
    assert_int_equal(s->machine.end, end);
}

/* Eight reads among other instructions, a REP and an exit among them; DI goes on by 8 for each. */
PC_ASM_BITS(eight, "16",
            "xor %ax, %ax\n mov %ax, %ds\n mov %ax, %es\n cld\n mov $0x500, %di\n"
            ".macro store\n stosl\n mov %edx, %eax\n stosl\n .endm\n"
            "rdtsc\n store\n rdtsc\n store\n nop\n nop\n nop\n rdtsc\n store\n"
            "mov $100, %cx\n mov %di, %bx\n mov $0x4000, %di\n rep stosb\n mov %bx, %di\n rdtsc\n store\n"
            "out %al, $0x80\n rdtsc\n store\n mov $50, %cx\n 1: loop 1b\n rdtsc\n store\n"
            "mov $0x10, %ecx\n rdmsr\n store\n .byte 0x0f, 0x01, 0xf9\n store\n cli\n hlt")

static void test_exact(void **state)
{
    static const uint64_t reads[8] = {5, 9, 16, 124, 129, 184, 189, 193};
    (void)state;
    for (uint64_t start = 0; start < 200; start += 13) {
        struct sector s = {0};
        CREATE(&s, eight);
        assert_true(machine_deadline(&s.machine) == NO_DEADLINE);
        /* Time that is set in between, `start` ticks after the beginning, is the counter's from there on. */
        go_to_tick(&s, start);
        assert_int_equal(machine_view(&s.machine), start);
        machine_set_time(&s.machine, SECOND);
        assert_int_equal(machine_view(&s.machine), SECOND);
        run_to_end(&s, MACHINE_HALTED);
        for (unsigned i = 0; i < 8; i++)
            if (result(&s, i) != (reads[i] < start ? reads[i] : SECOND + reads[i] - start))
                fail_msg("time set at tick %d: read %u gave %lu", (int)start, i, (unsigned long)result(&s, i));
        sector_destroy(&s);
    }
}

/* The same, tick by tick. */
static void test_exact_stepped(void **state)
{
    struct sector whole = {0}, stepped = {0};
    (void)state;
    CREATE(&whole, eight);
    CREATE(&stepped, eight);
    run_to_end(&whole, MACHINE_HALTED);
    for (uint64_t tick = 1; stepped.machine.end == MACHINE_RUNS; tick++) {
        go_to_tick(&stepped, tick);
        if (stepped.machine.end == MACHINE_RUNS)
            assert_int_equal(machine_view(&stepped.machine), tick);
    }
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(result(&stepped, i), result(&whole, i));
    sector_destroy(&whole);
    sector_destroy(&stepped);
}

/* Reads the counter again and again, and ends with 1 where it went back, with 0 after a while. On the way it programs
 * the 8254, reads it, and takes bytes from the serial port, whose time-outs are deadlines too. */
PC_ASM_BITS(
    watcher, "16",
    "xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x7000, %sp\n"
    "mov $0x3fb, %dx\n mov $0x80, %al\n out %al, %dx\n mov $0x3f8, %dx\n mov $1, %al\n out %al, %dx\n"
    "mov $0x3fb, %dx\n mov $3, %al\n out %al, %dx\n dec %dx\n mov $0xc1, %al\n out %al, %dx\n"
    "dec %dx\n mov $1, %al\n out %al, %dx\n mov $60000, %bp\n"
    "again: rdtsc\n cmp (0x504), %edx\n jb back\n ja fine\n cmp (0x500), %eax\n jb back\n"
    "fine: mov %eax, (0x500)\n mov %edx, (0x504)\n"
    "mov %bp, %ax\n and $63, %al\n cmp $7, %al\n je program\n cmp $20, %al\n je read\n cmp $40, %al\n je serial\n"
    "next: mov $100, %cx\n 1: loop 1b\n dec %bp\n jnz again\n xor %ax, %ax\n out %al, $0xf4\n"
    "program: test $0x3c, %ah\n jz next\n mov $0x30, %al\n out %al, $0x43\n mov %bp, %ax\n out %al, $0x40\n"
    "xor %al, %al\n out %al, $0x40\n jmp next\n"
    "read: test $0x3c, %ah\n jnz next\n xor %al, %al\n out %al, $0x43\n in $0x40, %al\n in $0x40, %al\n jmp next\n"
    "serial: test $0xc, %ah\n jnz next\n mov $0x3f8, %dx\n in %dx, %al\n jmp next\n"
    "back: mov $1, %al\n out %al, $0xf4")

/* Something from outside, as a recorder might bring it: time, never before the view; or console bytes. */
static void something_from_outside(struct sector *s)
{
    uint64_t deadline = machine_deadline(&s->machine);
    uint64_t view = machine_view(&s->machine);

    s->later = sector_random(s, 40) ? 0 : sector_random(s, 300000);
    switch (sector_random(s, 30)) {
    case 0:
        if (deadline != NO_DEADLINE)
            machine_set_time(&s->machine, deadline > view ? deadline : view);
        break;
    case 1:
        machine_set_time(&s->machine, view + sector_random(s, 100000));
        break;
    case 2:
        if (machine_console_room(&s->machine) >= 3)
            machine_console_input(&s->machine, (const uint8_t *)"abc", 3);
        break;
    default:
        break;
    }
    assert_true(machine_view(&s->machine) >= view);
}

static void test_never_back(void **state)
{
    struct sector s = {0};
    uint64_t ticks = 0, view = 0;
    unsigned at_deadline = 0;
    (void)state;
    CREATE(&s, watcher);
    while (s.machine.end == MACHINE_RUNS) {
        ticks += 1 + sector_random(&s, 30000);
        go_to_tick(&s, ticks);
        assert_true(machine_view(&s.machine) >= view);
        uint64_t deadline = machine_deadline(&s.machine);
        view = machine_view(&s.machine);
        assert_true(view <= deadline || view == s.machine.now || view == s.machine.time_seen);
        at_deadline += view == deadline;
        something_from_outside(&s);
        view = machine_view(&s.machine);
    }
    assert_int_equal(s.machine.end, MACHINE_DEBUG_EXIT);
    assert_int_equal(s.machine.exit_value, 0);
    /* What the test is about did occur. */
    assert_true(at_deadline > 10);
    sector_destroy(&s);
}

/* The serial port counts its time-out from when the machine's time was last set, which may be long ago. */
PC_ASM_BITS(reader, "16",
            "mov $0x3fa, %dx\n mov $0xc1, %al\n out %al, %dx\n dec %dx\n mov $1, %al\n out %al, %dx\n"
            "1: rdtsc\n jmp 1b")

static void test_deadline_in_the_past(void **state)
{
    struct sector s = {0};
    (void)state;
    CREATE(&s, reader);
    go_to_tick(&s, 10000000);
    uint64_t seen = s.machine.time_seen;
    machine_console_input(&s.machine, (const uint8_t *)"a", 1);
    assert_true(machine_deadline(&s.machine) < seen);
    assert_int_equal(machine_view(&s.machine), seen);
    go_to_tick(&s, 10001000);
    assert_int_equal(machine_view(&s.machine), seen);
    machine_set_time(&s.machine, seen);
    assert_true(machine_deadline(&s.machine) == NO_DEADLINE);
    go_to_tick(&s, 10001100);
    assert_int_equal(machine_view(&s.machine), seen + 100);
    sector_destroy(&s);
}

/* The door is asked for a time no earlier than the counter's. */
PC_ASM_BITS(clock_reader, "16", "mov $100, %cx\n 1: loop 1b\n rdtsc\n in $0x40, %al\n rdtsc\n cli\n hlt")

static void test_clock_devices_agree(void **state)
{
    struct sector s = {0};
    struct cpu_state cpu;
    (void)state;
    CREATE(&s, clock_reader);
    s.later = 1000;
    run_to_end(&s, MACHINE_HALTED);
    assert_int_equal(s.asked, 102); /* MOV, 100 times LOOP, and RDTSC */
    assert_int_equal(s.machine.now, 1102);
    assert_int_equal(engine_get_cpu(s.engine, &cpu, &s.error), 0);
    assert_int_equal(cpu.gprs[GPR_RAX], 1103);
    sector_destroy(&s);
}

static void test_checkpoint(void **state)
{
    (void)state;
    for (uint64_t at = 5000; at < 100000; at += 7919) {
        struct sector first = {0}, second = {0};
        CREATE(&first, watcher);
        CREATE(&second, watcher);
        go_to_tick(&first, at / 2);
        machine_set_time(&first.machine, machine_view(&first.machine) + at);
        go_to_tick(&first, at);
        sector_copy(&first, &second);
        assert_int_equal(machine_view(&second.machine), machine_view(&first.machine));
        go_to_tick(&first, 2 * at);
        go_to_tick(&second, 2 * at);
        assert_int_equal(machine_view(&second.machine), machine_view(&first.machine));
        assert_true(digest_equal(sector_digest(&first), sector_digest(&second)));
        sector_destroy(&first);
        sector_destroy(&second);
    }
}

/* The guest sets its counter, by either register, and its number. */
PC_ASM_BITS(setter, "16",
            "xor %ax, %ax\n mov %ax, %es\n cld\n mov $0x500, %di\n"
            "mov $0x10, %ecx\n xor %eax, %eax\n mov $7, %edx\n wrmsr\n rdtsc\n store\n"
            "mov $0x3b, %ecx\n rdmsr\n store\n xor %eax, %eax\n mov $1, %edx\n wrmsr\n rdtsc\n store\n"
            "mov $0xc0000103, %ecx\n mov $0x1234, %eax\n xor %edx, %edx\n wrmsr\n .byte 0x0f, 0x01, 0xf9\n"
            "mov %ecx, %eax\n store\n cli\n hlt")

static void test_adjust(void **state)
{
    struct sector s = {0};
    struct cpu_state cpu;
    (void)state;
    CREATE(&s, setter);
    run_to_end(&s, MACHINE_HALTED);
    assert_int_equal(result(&s, 0), (UINT64_C(7) << 32) + 1);
    assert_int_equal(result(&s, 1), (UINT64_C(7) << 32) - 7); /* WRMSR is the eighth instruction */
    assert_int_equal(result(&s, 2), (UINT64_C(1) << 32) + 20);
    assert_int_equal((uint32_t)result(&s, 3), 0x1234);
    assert_int_equal(engine_get_cpu(s.engine, &cpu, &s.error), 0);
    assert_int_equal(cpu.tsc_adjust, UINT64_C(1) << 32);
    assert_int_equal(cpu.tsc_aux, 0x1234);
    sector_destroy(&s);
}

/* CPUID's word on the counter: a thousand million a second, at a constant rate, adjustable. */
PC_ASM_BITS(identity, "16",
            "xor %ax, %ax\n mov %ax, %es\n cld\n mov $0x500, %di\n"
            ".macro leaf number\n mov $\\number, %eax\n xor %ecx, %ecx\n cpuid\n stosl\n mov %ebx, %eax\n stosl\n"
            "mov %ecx, %eax\n stosl\n mov %edx, %eax\n stosl\n .endm\n"
            "leaf 0x15\n leaf 0x80000007\n leaf 7\n leaf 0\n cli\n hlt")

static void test_identity(void **state)
{
    struct sector s = {0};
    uint32_t out[16];
    (void)state;
    CREATE(&s, identity);
    run_to_end(&s, MACHINE_HALTED);
    memcpy(out, s.machine.ram.bytes + RESULTS, sizeof out);
    assert_int_equal((uint64_t)out[2] * out[1] / out[0], SECOND);
    assert_true(out[7] & 1u << 8);
    assert_true(out[9] & 1u << 1);
    assert_true(out[12] >= 0x16);
    assert_memory_equal(&out[13], "Genu", 4);
    sector_destroy(&s);
}

/* RDRAND of 16, 32 and 64 bits (the last in the form that REX.W would have: 16-bit code has none), and RDSEED. */
PC_ASM_BITS(chooser, "16",
            "xor %ax, %ax\n mov %ax, %es\n cld\n mov $0x500, %di\n"
            "mov $-1, %eax\n .byte 0x0f, 0xc7, 0xf0\n setc %dl\n stosl\n movzx %dl, %eax\n stosl\n"
            ".byte 0x66, 0x0f, 0xc7, 0xf0\n stosl\n pushf\n pop %ax\n stosl\n"
            ".byte 0x66, 0x0f, 0xc7, 0xf8\n stosl\n xor %eax, %eax\n stosl\n cli\n hlt")

static void test_random(void **state)
{
    struct sector s = {0};
    (void)state;
    CREATE(&s, chooser);
    run_to_end(&s, MACHINE_HALTED);
    assert_int_equal(result(&s, 0), UINT64_C(0x1ffffa1a0));
    assert_int_equal((uint32_t)result(&s, 1), 0xa5a4a3a2);
    assert_int_equal(result(&s, 1) >> 32 & 0x8d5, 1);
    assert_int_equal(result(&s, 2), 0xa9a8a7a6);
    assert_int_equal(s.drawn, 10);
    assert_int_equal(s.engine->exits, 4); /* three of these, and HLT */
    sector_destroy(&s);

    /* Nobody there to ask: CF is clear, and the register zero. */
    CREATE(&s, chooser);
    s.engine->host.entropy = NULL;
    run_to_end(&s, MACHINE_HALTED);
    assert_int_equal(result(&s, 0), 0xffff0000);
    assert_int_equal(s.engine->exits, 1);
    sector_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_exact_stepped),
        cmocka_unit_test(test_never_back),
        cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_adjust),
        cmocka_unit_test(test_clock_devices_agree),
        cmocka_unit_test(test_deadline_in_the_past),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
