/*
 * The local APIC's timer, after SDM volume 3, 10.5.4: divides, one-shot, periodic and TSC-deadline mode, reached
 * through the APIC's registers. One tick of its undivided clock is a nanosecond.
 */
#include "tests/unit/device_testing.h"

#include "vmm/devices/lapic.h"

enum { EOI = 0xb0, SVR = 0xf0, IRR = 0x200, LVT_TIMER = 0x320, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };

#define VECTOR   0xec
#define MASKED   0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define BY_ONE   0x0bu

static uint32_t in(struct lapic *lapic, unsigned offset, uint64_t now)
{
    return (uint32_t)port_in(lapic_read_timed, lapic, offset - LAPIC_TIMED_START, 4, now);
}

static void out(struct lapic *lapic, unsigned offset, uint32_t value, uint64_t now)
{
    if (offset < LAPIC_TIMED_START)
        port_out(lapic_write, lapic, offset, 4, value, now);
    else
        port_out(lapic_write_timed, lapic, offset - LAPIC_TIMED_START, 4, value, now);
}

static void set_up(struct lapic *lapic, uint32_t mode, uint32_t divide)
{
    lapic_init(lapic, NULL, NULL);
    out(lapic, SVR, 0x1ff, 0);
    out(lapic, LVT_TIMER, mode | VECTOR, 0);
    out(lapic, DIVIDE, divide, 0);
}

/* Whether the timer has interrupted by `now`; the interrupt is then taken and ended. */
static bool fired(struct lapic *lapic, uint64_t now)
{
    lapic_advance(lapic, now);
    if (!lapic_output(lapic))
        return false;
    assert_int_equal(lapic_acknowledge(lapic), VECTOR);
    out(lapic, EOI, 0, now);
    assert_false(lapic_output(lapic));
    return true;
}

static void after_reset(void **unused)
{
    (void)unused;
    struct lapic lapic;
    lapic_init(&lapic, NULL, NULL);
    assert_int_equal(in(&lapic, INITIAL, 5), 0);
    assert_int_equal(in(&lapic, CURRENT, 5), 0);
    assert_int_equal(in(&lapic, DIVIDE, 5), 0);
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    assert_int_equal(lapic_read_deadline(&lapic), 0);
}

/* Figure 10-10; bit 2 is reserved. */
static void divides(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t value;
        unsigned by;
    } cases[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}, {0xfffffff7, 16}};
    struct lapic lapic;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t start = 1000, end = start + 100 * cases[i].by;
        set_up(&lapic, 0, cases[i].value);
        assert_int_equal(in(&lapic, DIVIDE, 0), cases[i].value & 0xb);
        out(&lapic, INITIAL, 100, start);
        assert_int_equal(in(&lapic, INITIAL, start), 100);
        assert_int_equal(in(&lapic, CURRENT, start), 100);
        assert_int_equal(in(&lapic, CURRENT, start + cases[i].by), 99);
        assert_int_equal(in(&lapic, CURRENT, start + 50 * cases[i].by), 50);
        assert_int_equal(in(&lapic, CURRENT, end - 1), 1);
        assert_int_equal(lapic_deadline(&lapic), end);
        assert_false(fired(&lapic, end - 1));
        assert_true(fired(&lapic, end));
        assert_int_equal(in(&lapic, CURRENT, end), 0);
        assert_int_equal(in(&lapic, INITIAL, end), 100);
    }
}

static void one_shot(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, 0, BY_ONE);
    out(&lapic, INITIAL, 1000, 0);
    assert_true(fired(&lapic, 5000)); /* noticed late */
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    assert_false(fired(&lapic, 50000));
    out(&lapic, INITIAL, 1000, 50000); /* writing the count starts it again, also while it counts */
    out(&lapic, INITIAL, 2000, 50500);
    assert_int_equal(lapic_deadline(&lapic), 52500);
    out(&lapic, INITIAL, 0, 51000); /* and zero stops it */
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    assert_int_equal(in(&lapic, CURRENT, 51000), 0);
    assert_false(fired(&lapic, 60000));
    out(&lapic, CURRENT, 77, 60000); /* read-only */
    assert_int_equal(in(&lapic, CURRENT, 60000), 0);
    out(&lapic, INITIAL, 0xffffffff, 60000);
    assert_int_equal(in(&lapic, CURRENT, 60000), 0xffffffff);
    assert_int_equal(lapic_deadline(&lapic), 60000 + 0xffffffffull);
}

static void periodic(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, PERIODIC, 0);
    out(&lapic, INITIAL, 500, 100);
    for (uint64_t due = 1100; due < 20000; due += 1000) {
        assert_int_equal(lapic_deadline(&lapic), due);
        assert_false(fired(&lapic, due - 1));
        assert_true(fired(&lapic, due));
        assert_int_equal(in(&lapic, CURRENT, due), 500); /* reloaded */
        assert_int_equal(in(&lapic, CURRENT, due + 2), 499);
    }
    /* Missed ones are one request; the phase stays. */
    assert_true(fired(&lapic, 123456));
    assert_int_equal(lapic_deadline(&lapic), 124100);
    out(&lapic, LVT_TIMER, VECTOR, 123456); /* to one-shot: the count that runs is the last */
    assert_true(fired(&lapic, 124100));
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    out(&lapic, INITIAL, 500, 200000);
    out(&lapic, LVT_TIMER, PERIODIC | VECTOR, 200100); /* and back */
    assert_true(fired(&lapic, 201000));
    assert_int_equal(lapic_deadline(&lapic), 202000);
}

static void masked(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, PERIODIC | MASKED, BY_ONE);
    out(&lapic, INITIAL, 1000, 0);
    assert_int_equal(in(&lapic, CURRENT, 300), 700); /* it counts all the same */
    assert_false(fired(&lapic, 1000));
    out(&lapic, LVT_TIMER, PERIODIC | VECTOR, 1500);
    assert_false(fired(&lapic, 1999)); /* what happened while it was masked is gone */
    assert_true(fired(&lapic, 2000));
    out(&lapic, SVR, 0x0ff, 2100); /* disabling the APIC masks it */
    assert_false(fired(&lapic, 3000));
    out(&lapic, SVR, 0x1ff, 3100);
    assert_false(fired(&lapic, 4000));
    out(&lapic, LVT_TIMER, PERIODIC | VECTOR, 4100);
    assert_true(fired(&lapic, 5000));
}

/* A new divide takes effect from the count that is left. */
static void divide_changes_while_counting(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, 0, BY_ONE);
    out(&lapic, INITIAL, 1000, 0);
    out(&lapic, DIVIDE, 0x3, 400);
    assert_int_equal(in(&lapic, CURRENT, 400), 600);
    assert_int_equal(lapic_deadline(&lapic), 400 + 600 * 16);
    out(&lapic, DIVIDE, 0x3, 1000); /* the same again: only the part of a tick is lost */
    assert_int_equal(in(&lapic, CURRENT, 1000), 563);
}

static void deadline_mode(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, 0, BY_ONE);
    lapic_write_deadline(&lapic, 1000); /* in other modes the MSR reads 0 and writes are ignored */
    assert_int_equal(lapic_read_deadline(&lapic), 0);
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    set_up(&lapic, DEADLINE, BY_ONE);
    out(&lapic, INITIAL, 500, 0); /* and here the count is */
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    lapic_write_deadline(&lapic, 1000);
    assert_int_equal(lapic_read_deadline(&lapic), 1000);
    assert_int_equal(lapic_deadline(&lapic), 1000);
    assert_int_equal(in(&lapic, CURRENT, 500), 0);
    out(&lapic, DIVIDE, 0, 500); /* the divide has no meaning */
    assert_false(fired(&lapic, 999));
    assert_true(fired(&lapic, 1000));
    assert_int_equal(lapic_read_deadline(&lapic), 0); /* cleared when it fires */
    assert_false(fired(&lapic, 5000));
    lapic_write_deadline(&lapic, 6000); /* replaced */
    lapic_write_deadline(&lapic, 7000);
    assert_false(fired(&lapic, 6500));
    lapic_write_deadline(&lapic, 0); /* disarmed */
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    assert_false(fired(&lapic, 8000));
    lapic_write_deadline(&lapic, 100); /* in the past: at once */
    assert_true(fired(&lapic, 8000));
}

/* 10.5.4.1: going to or from TSC-deadline mode disarms the timer. */
static void mode_changes_disarm(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, PERIODIC, BY_ONE);
    out(&lapic, INITIAL, 1000, 0);
    out(&lapic, LVT_TIMER, DEADLINE | VECTOR, 100);
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    lapic_write_deadline(&lapic, 5000);
    out(&lapic, LVT_TIMER, DEADLINE | MASKED | VECTOR, 200); /* no change of mode */
    assert_int_equal(lapic_deadline(&lapic), 5000);
    out(&lapic, LVT_TIMER, VECTOR, 300);
    assert_int_equal(lapic_deadline(&lapic), NO_DEADLINE);
    assert_int_equal(lapic_read_deadline(&lapic), 0);
    assert_false(fired(&lapic, 10000));
    assert_int_equal(in(&lapic, CURRENT, 10000), 0);
}

/* At the end of guest time nothing wraps. */
static void end_of_time(void **unused)
{
    (void)unused;
    struct lapic lapic;
    set_up(&lapic, PERIODIC, 0xa);
    out(&lapic, INITIAL, 0xffffffff, UINT64_MAX - 1000);
    assert_int_equal(lapic_deadline(&lapic), UINT64_MAX);
    assert_false(fired(&lapic, UINT64_MAX - 1));
    assert_int_equal(in(&lapic, CURRENT, UINT64_MAX - 1), 1);
    fired(&lapic, UINT64_MAX);
    assert_int_equal(lapic_deadline(&lapic), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_reset),   cmocka_unit_test(divides),
        cmocka_unit_test(one_shot),      cmocka_unit_test(periodic),
        cmocka_unit_test(masked),        cmocka_unit_test(divide_changes_while_counting),
        cmocka_unit_test(deadline_mode), cmocka_unit_test(mode_changes_disarm),
        cmocka_unit_test(end_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
