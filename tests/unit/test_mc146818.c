/* The real-time clock against the MC146818A data sheet and against the C library's calendar. */
#include "tests/unit/device_testing.h"

#include <time.h>

#include "vmm/devices/calendar.h"
#include "vmm/devices/mc146818.h"
#include "vmm/devices/mc146818_clock.h"

#define SECOND     1000000000ull
#define BCD_24     0x02
#define BINARY_24  0x06
#define BCD_12     0x00
#define BINARY_12  0x04
#define SET        0x80
#define PIE        0x40
#define AIE        0x20
#define UIE        0x10
#define UIP        0x80
#define Y2024_0229 1709164800 /* 29 February 2024, 00:00:00 UTC, a Thursday */

struct clock {
    struct mc146818 rtc;
    struct line_record irq;
};

static void clock_init(struct clock *clock, int64_t unix_seconds)
{
    clock->irq = (struct line_record){0};
    mc146818_init(&clock->rtc, unix_seconds, 256 << 20, line_record_wire(&clock->irq));
}

static uint8_t in(struct clock *clock, unsigned address, uint64_t now)
{
    port_out(mc146818_write, &clock->rtc, 0, 1, address, now);
    return (uint8_t)port_in(mc146818_read, &clock->rtc, 1, 1, now);
}

static void out(struct clock *clock, unsigned address, uint8_t value, uint64_t now)
{
    port_out(mc146818_write, &clock->rtc, 0, 1, address, now);
    port_out(mc146818_write, &clock->rtc, 1, 1, value, now);
}

/* Century, year, month, day, hours, minutes, seconds as bytes of one number; the weekday in front. */
static void assert_reads(struct clock *clock, uint64_t now, unsigned weekday, uint64_t expected)
{
    static const uint8_t addresses[] = {MC146818_CENTURY, MC146818_YEAR,    MC146818_MONTH,  MC146818_DAY,
                                        MC146818_HOURS,   MC146818_MINUTES, MC146818_SECONDS};
    uint64_t found = 0;

    for (unsigned i = 0; i < 7; i++)
        found = found << 8 | in(clock, addresses[i], now);
    assert_int_equal(found, expected);
    assert_int_equal(in(clock, MC146818_WEEKDAY, now), weekday);
}

/* Sets the clock as a driver does: SET, bytes, run. */
static void set_clock(struct clock *clock, uint8_t mode, uint64_t digits, unsigned weekday, uint64_t now)
{
    static const uint8_t addresses[] = {MC146818_SECONDS, MC146818_MINUTES, MC146818_HOURS,  MC146818_DAY,
                                        MC146818_MONTH,   MC146818_YEAR,    MC146818_CENTURY};

    out(clock, MC146818_B, SET | mode, now);
    for (unsigned i = 0; i < 7; i++)
        out(clock, addresses[i], (uint8_t)(digits >> (8 * i)), now);
    out(clock, MC146818_WEEKDAY, (uint8_t)weekday, now);
    out(clock, MC146818_B, mode, now);
}

static void starts_at_the_wall_clock(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, Y2024_0229 + 13 * 3600 + 5 * 60 + 9);
    assert_reads(&clock, 0, 5, 0x20240229130509);
    assert_int_equal(in(&clock, MC146818_A, 0), 0x26);
    assert_int_equal(in(&clock, MC146818_B, 0), 0x02);
    assert_int_equal(in(&clock, MC146818_C, 0), 0x00);
    assert_int_equal(in(&clock, MC146818_D, 0), 0x80);
    assert_reads(&clock, SECOND - 1, 5, 0x20240229130509);
    assert_reads(&clock, SECOND, 5, 0x20240229130510);
    assert_reads(&clock, 86400 * SECOND, 6, 0x20240301130509);
    clock_init(&clock, -1);
    assert_reads(&clock, 0, 4, 0x19691231235959);
    clock_init(&clock, INT64_MIN);
    clock_init(&clock, INT64_MAX);
}

/* In whatever form the guest has it, and its second goes on. */
static void is_set_by_an_operator(void **unused)
{
    (void)unused;
    struct clock clock;

    clock_init(&clock, Y2024_0229);
    mc146818_advance(&clock.rtc, SECOND / 2);
    mc146818_set(&clock.rtc, Y2024_0229 + 86400 + 13 * 3600 + 5 * 60 + 9);
    assert_reads(&clock, SECOND / 2, 6, 0x20240301130509);
    assert_reads(&clock, SECOND, 6, 0x20240301130510);
    out(&clock, MC146818_B, BINARY_12, SECOND);
    mc146818_set(&clock.rtc, -1);
    assert_int_equal(in(&clock, MC146818_HOURS, SECOND), 0x80 | 11);
    assert_int_equal(in(&clock, MC146818_SECONDS, SECOND), 59);
    mc146818_set(&clock.rtc, INT64_MIN);
    mc146818_set(&clock.rtc, INT64_MAX);
}

static void calendar_agrees_with_the_c_library(void **unused)
{
    (void)unused;
    struct dice dice = {365};
    for (unsigned i = 0; i < 200000; i++) {
        int64_t days = (int64_t)(dice_roll(&dice) % 4000000) - 800000;
        time_t seconds = days * 86400;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        struct calendar_date date = calendar_date(days);
        assert_int_equal(date.year, tm.tm_year + 1900);
        assert_int_equal(date.month, tm.tm_mon + 1);
        assert_int_equal(date.day, tm.tm_mday);
        assert_int_equal(calendar_days(date.year, date.month, date.day), days);
    }
    /* Every day of one whole 400-year era. */
    for (int64_t days = calendar_days(1600, 3, 1); days < calendar_days(2000, 3, 1); days++) {
        struct calendar_date date = calendar_date(days);
        struct calendar_date next = calendar_date(days + 1);
        assert_true(date.day >= 1 && date.day <= 31 && date.month >= 1 && date.month <= 12);
        assert_true(next.day == date.day + 1 || next.day == 1);
        assert_int_equal(calendar_days(date.year, date.month, date.day), days);
    }
}

static void rolls_over(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t before;
        uint64_t after;
    } cases[] = {
        {0x20230228235959, 0x20230301000000}, {0x20240228235959, 0x20240229000000},
        {0x20240229235959, 0x20240301000000}, {0x20000228235959, 0x20000229000000},
        {0x19000228235959, 0x19000301000000}, {0x21000228235959, 0x21000301000000},
        {0x19991231235959, 0x20000101000000}, {0x20240430235959, 0x20240501000000},
        {0x99991231235959, 0x00000101000000}, {0x20240531135959, 0x20240531140000},
        {0x20240131235959, 0x20240201000000}, {0x20241231235959, 0x20250101000000},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct clock clock;
        clock_init(&clock, 0);
        set_clock(&clock, BCD_24, cases[i].before, 7, 10);
        bool new_day = (cases[i].after & 0xffffff) == 0;
        assert_reads(&clock, SECOND - 1, 7, cases[i].before);
        assert_reads(&clock, SECOND, new_day ? 1 : 7, cases[i].after);
    }
}

static void binary_and_twelve_hours(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    set_clock(&clock, BINARY_24, 0x1363021c173b3b, 1, 0); /* 19-99-02-28 23:59:59 */
    assert_reads(&clock, SECOND, 2, 0x13630301000000);
    set_clock(&clock, BCD_12, 0x20240615115959, 1, SECOND); /* 11:59:59 in the morning */
    assert_reads(&clock, 2 * SECOND, 1, 0x20240615920000);  /* 12:00:00 noon */
    assert_reads(&clock, 2 * SECOND + 3600 * SECOND, 1, 0x20240615810000);
    assert_reads(&clock, 2 * SECOND + 11 * 3600 * SECOND, 1, 0x20240615910000);
    assert_reads(&clock, 2 * SECOND + 12 * 3600 * SECOND, 2, 0x20240616120000); /* midnight */
    assert_reads(&clock, 2 * SECOND + 13 * 3600 * SECOND, 2, 0x20240616010000);
    set_clock(&clock, BINARY_12, 0x14180c1f8b3b3b, 3, 20 * 3600 * SECOND); /* 31 December 2024, 11:59:59 PM */
    assert_reads(&clock, 20 * 3600 * SECOND + SECOND, 4, 0x141901010c0000);
}

static void any_second_of_many_years_agrees_with_the_c_library(void **unused)
{
    (void)unused;
    struct dice dice = {1970};
    for (unsigned i = 0; i < 3000; i++) {
        int64_t start = (int64_t)(dice_roll(&dice)) * 4;
        uint64_t pass = dice_roll(&dice);
        uint8_t mode = (uint8_t)(dice_below(&dice, 4) << 1);
        time_t end = start + (int64_t)pass;
        struct tm tm;
        uint8_t bytes[MC146818_BYTES] = {0};
        bytes[MC146818_B] = mode;
        mc146818_clock_set(bytes, start);
        mc146818_clock_add(bytes, pass);
        gmtime_r(&end, &tm);
        unsigned hour = (unsigned)tm.tm_hour;
        uint8_t hours = mc146818_clock_encode(bytes, hour);
        if (!(mode & 2))
            hours = mc146818_clock_encode(bytes, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
        assert_int_equal(bytes[MC146818_HOURS], hours);
        assert_int_equal(bytes[MC146818_SECONDS], mc146818_clock_encode(bytes, (unsigned)tm.tm_sec));
        assert_int_equal(bytes[MC146818_MINUTES], mc146818_clock_encode(bytes, (unsigned)tm.tm_min));
        assert_int_equal(bytes[MC146818_DAY], mc146818_clock_encode(bytes, (unsigned)tm.tm_mday));
        assert_int_equal(bytes[MC146818_MONTH], mc146818_clock_encode(bytes, (unsigned)tm.tm_mon + 1));
        assert_int_equal(bytes[MC146818_WEEKDAY], tm.tm_wday + 1);
        assert_int_equal(bytes[MC146818_YEAR], mc146818_clock_encode(bytes, (unsigned)tm.tm_year % 100));
        assert_int_equal(bytes[MC146818_CENTURY], mc146818_clock_encode(bytes, ((unsigned)tm.tm_year + 1900) / 100));
    }
}

static void dates_that_do_not_exist_are_carried(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    set_clock(&clock, BCD_24, 0x20230230256199, 7, 0);
    assert_reads(&clock, 0, 7, 0x20230230256199); /* untouched until an update */
    /* 30 February is 2 March; 25 hours, 61 minutes and 99 seconds and one second more: 26:02:40. */
    assert_reads(&clock, SECOND, 1, 0x20230303020240);
    set_clock(&clock, BCD_24, 0x20230001000000, 0, SECOND);
    assert_reads(&clock, 2 * SECOND, 7, 0x20221201000001);
    set_clock(&clock, BINARY_24, 0xffffffffffffff, 0xff, 2 * SECOND);
    in(&clock, MC146818_SECONDS, 3 * SECOND);
}

static void set_holds_updates_off(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    out(&clock, MC146818_B, SET | UIE | BCD_24, 0);
    assert_int_equal(in(&clock, MC146818_B, 0), SET | BCD_24); /* SET clears UIE */
    assert_reads(&clock, 100 * SECOND, 5, 0x19700101000000);
    assert_int_equal(in(&clock, MC146818_A, 101 * SECOND - 1000), 0x26); /* no UIP */
    assert_int_equal(in(&clock, MC146818_C, 101 * SECOND) & UIE, 0);
    out(&clock, MC146818_B, BCD_24, 101 * SECOND + SECOND / 2);
    assert_reads(&clock, 102 * SECOND - 1, 5, 0x19700101000000);
    assert_reads(&clock, 102 * SECOND, 5, 0x19700101000001); /* the divider never stopped */
}

static void uip_warns_244_us_ahead(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    assert_int_equal(in(&clock, MC146818_A, SECOND - 244141), 0x26);
    assert_int_equal(in(&clock, MC146818_A, SECOND - 244140), 0x26 | UIP);
    assert_int_equal(in(&clock, MC146818_A, SECOND - 1), 0x26 | UIP);
    assert_int_equal(in(&clock, MC146818_A, SECOND), 0x26);
    /* The guest cannot write UIP, register C or register D. */
    out(&clock, MC146818_A, 0xa6, SECOND);
    assert_int_equal(in(&clock, MC146818_A, SECOND), 0x26);
    out(&clock, MC146818_D, 0, SECOND);
    assert_int_equal(in(&clock, MC146818_D, SECOND), 0x80);
    in(&clock, MC146818_C, SECOND);
    out(&clock, MC146818_C, 0xff, SECOND);
    assert_int_equal(in(&clock, MC146818_C, SECOND), 0);
}

static void divider_reset_restarts_with_half_a_second(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    out(&clock, MC146818_A, 0x70, 3 * SECOND + 1000);
    assert_reads(&clock, 50 * SECOND, 5, 0x19700101000003);
    assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE);
    uint64_t go = 50 * SECOND + 12345;
    out(&clock, MC146818_A, 0x26, go);
    out(&clock, MC146818_B, BCD_24 | UIE, go);
    in(&clock, MC146818_C, go);
    assert_int_equal(mc146818_deadline(&clock.rtc), go + SECOND / 2);
    assert_reads(&clock, go + SECOND / 2 - 1, 5, 0x19700101000003);
    assert_reads(&clock, go + SECOND / 2, 5, 0x19700101000004);
    assert_reads(&clock, go + SECOND + SECOND / 2, 5, 0x19700101000005);
    /* Writing the rate alone does not restart it. */
    out(&clock, MC146818_A, 0x2f, go + SECOND + SECOND / 2 + SECOND / 4);
    assert_reads(&clock, go + 2 * SECOND + SECOND / 2 - 1, 5, 0x19700101000005);
    assert_reads(&clock, go + 2 * SECOND + SECOND / 2, 5, 0x19700101000006);
}

static void periodic_rates(void **unused)
{
    (void)unused;
    /* Frequency in Hz for each RS at 32768 Hz, from the data sheet's table. */
    static const unsigned hertz[16] = {0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2};
    for (unsigned rate = 0; rate < 16; rate++) {
        struct clock clock;
        clock_init(&clock, 0);
        out(&clock, MC146818_A, (uint8_t)(0x20 | rate), 0);
        out(&clock, MC146818_B, BCD_24 | PIE, 0);
        if (rate == 0) {
            assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE);
            continue;
        }
        for (unsigned i = 1; i <= hertz[rate] * 2; i++) {
            uint64_t due = ((uint64_t)i * SECOND + hertz[rate] - 1) / hertz[rate];
            assert_int_equal(mc146818_deadline(&clock.rtc), due);
            mc146818_advance(&clock.rtc, due - 1);
            assert_false(clock.irq.level);
            mc146818_advance(&clock.rtc, due);
            assert_true(clock.irq.level);
            assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE); /* until C is read */
            assert_int_equal(in(&clock, MC146818_C, due) & 0xc0, 0xc0);
            assert_false(clock.irq.level);
            assert_int_equal(clock.irq.rises, i);
        }
    }
}

static void flags_and_enables(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    /* Flags come whether enabled or not; IRQF only with an enable. */
    assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE);
    mc146818_advance(&clock.rtc, SECOND);
    assert_false(clock.irq.level);
    out(&clock, MC146818_B, BCD_24 | UIE, SECOND); /* enabling finds the flag set */
    assert_true(clock.irq.level);
    assert_int_equal(in(&clock, MC146818_C, SECOND), 0xd0);
    assert_int_equal(in(&clock, MC146818_C, SECOND), 0x00);
    assert_int_equal(mc146818_deadline(&clock.rtc), 2 * SECOND);
    mc146818_advance(&clock.rtc, 2 * SECOND);
    assert_true(clock.irq.level);
    out(&clock, MC146818_B, BCD_24, 2 * SECOND); /* disabling lowers the line but keeps the flag */
    assert_false(clock.irq.level);
    assert_int_equal(in(&clock, MC146818_C, 2 * SECOND), 0x50);
    out(&clock, MC146818_B, BCD_24 | UIE, 2 * SECOND);
    mc146818_advance(&clock.rtc, 1000 * SECOND);
    assert_int_equal(clock.irq.rises, 3); /* many updates, one edge */
}

static uint64_t expect_alarm(struct clock *clock, uint64_t now)
{
    uint64_t deadline = mc146818_deadline(&clock->rtc);

    if (deadline == NO_DEADLINE)
        return 0;
    mc146818_advance(&clock->rtc, deadline - 1);
    assert_false(clock->irq.level);
    mc146818_advance(&clock->rtc, deadline);
    assert_true(clock->irq.level);
    in(clock, MC146818_C, deadline);
    return (deadline - now) / SECOND;
}

static void alarm_with_dont_care(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, Y2024_0229 + 10 * 3600 + 20 * 60 + 30);
    out(&clock, MC146818_B, BCD_24 | AIE, 0);
    out(&clock, MC146818_HOURS_ALARM, 0x10, 0);
    out(&clock, MC146818_MINUTES_ALARM, 0x20, 0);
    out(&clock, MC146818_SECONDS_ALARM, 0x31, 0);
    uint64_t now = 0;
    assert_int_equal(expect_alarm(&clock, now), 1);
    now = SECOND;
    assert_int_equal(expect_alarm(&clock, now), 86400);
    now += 86400 * SECOND;                        /* 10:20:31 again */
    out(&clock, MC146818_HOURS_ALARM, 0xff, now); /* once an hour */
    assert_int_equal(expect_alarm(&clock, now), 3600);
    now += 3600 * SECOND;
    out(&clock, MC146818_MINUTES_ALARM, 0xc0, now); /* once a minute */
    assert_int_equal(expect_alarm(&clock, now), 60);
    now += 60 * SECOND;
    out(&clock, MC146818_SECONDS_ALARM, 0xd5, now); /* once a second */
    assert_int_equal(expect_alarm(&clock, now), 1);
    now += SECOND; /* 11:21:32 */
    out(&clock, MC146818_HOURS_ALARM, 0x11, now);
    assert_int_equal(expect_alarm(&clock, now), 1);
    now += SECOND;                                /* 11:21:33 */
    out(&clock, MC146818_HOURS_ALARM, 0x10, now); /* the whole hour from 10:00:00 */
    assert_int_equal(expect_alarm(&clock, now), 22 * 3600 + 38 * 60 + 27);
    now += (22 * 3600 + 38 * 60 + 27) * SECOND;
    /* A value that no time is equal to never comes. */
    out(&clock, MC146818_HOURS_ALARM, 0x24, now);
    assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE);
    out(&clock, MC146818_HOURS_ALARM, 0x0a, now);
    assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE);
    /* Nor does any while SET holds the updates off. */
    out(&clock, MC146818_HOURS_ALARM, 0xff, now);
    assert_int_equal(mc146818_deadline(&clock.rtc), now + SECOND);
    out(&clock, MC146818_B, SET | BCD_24 | AIE, now);
    assert_int_equal(mc146818_deadline(&clock.rtc), NO_DEADLINE);
}

/* Whether the alarm bytes match the time bytes, as the chip compares them. */
static bool matches(const uint8_t *bytes)
{
    for (unsigned i = 0; i < 6; i += 2) {
        if ((bytes[i + 1] & 0xc0) != 0xc0 && bytes[i] != bytes[i + 1])
            return false;
    }
    return true;
}

static void next_alarm_agrees_with_waiting_for_it(void **unused)
{
    (void)unused;
    struct dice dice = {60};
    for (unsigned round = 0; round < 150; round++) {
        uint8_t bytes[MC146818_BYTES] = {0};
        bytes[MC146818_B] = (uint8_t)(dice_below(&dice, 4) << 1);
        mc146818_clock_set(bytes, dice_roll(&dice));
        for (unsigned i = 1; i < 6; i += 2) {
            /* The bytes of a random time, of no time at all, or "don't care". */
            uint8_t other[MC146818_BYTES] = {0};
            other[MC146818_B] = bytes[MC146818_B];
            mc146818_clock_set(other, dice_roll(&dice));
            uint32_t kind = dice_below(&dice, 12);
            bytes[i] = kind < 7 ? other[i - 1] : kind < 11 ? 0xc0 | (uint8_t)kind : (uint8_t)dice_roll(&dice);
        }
        uint64_t expected = mc146818_clock_alarm(bytes);
        uint64_t found = MC146818_NO_ALARM;
        for (uint64_t i = 1; i <= 86400 && found == MC146818_NO_ALARM; i++) {
            mc146818_clock_add(bytes, 1);
            if (matches(bytes))
                found = i;
        }
        assert_int_equal(found, expected);
    }
}

static void memory_and_sizes(void **unused)
{
    (void)unused;
    struct clock clock;
    clock_init(&clock, 0);
    assert_int_equal(in(&clock, 0x15, 0) | in(&clock, 0x16, 0) << 8, 640);
    assert_int_equal(in(&clock, 0x17, 0) | in(&clock, 0x18, 0) << 8, 0xffff);
    assert_int_equal(in(&clock, 0x30, 0) | in(&clock, 0x31, 0) << 8, 0xffff);
    assert_int_equal(in(&clock, 0x34, 0) | in(&clock, 0x35, 0) << 8, 240 * 16);
    mc146818_init(&clock.rtc, 0, 5 << 20, line_record_wire(&clock.irq));
    assert_int_equal(in(&clock, 0x17, 0) | in(&clock, 0x18, 0) << 8, 4096);
    assert_int_equal(in(&clock, 0x34, 0) | in(&clock, 0x35, 0) << 8, 0);
    mc146818_init(&clock.rtc, 0, 512 << 10, line_record_wire(&clock.irq));
    assert_int_equal(in(&clock, 0x15, 0) | in(&clock, 0x16, 0) << 8, 512);
    assert_int_equal(in(&clock, 0x30, 0) | in(&clock, 0x31, 0) << 8, 0);
    for (unsigned address = 0x0e; address < 128; address++) {
        if (address != MC146818_CENTURY)
            out(&clock, address, (uint8_t)(address * 3), 0);
    }
    for (unsigned address = 0x0e; address < 128; address++) {
        if (address != MC146818_CENTURY)
            assert_int_equal(in(&clock, address | 0x80, 0), (uint8_t)(address * 3)); /* bit 7 is the NMI mask */
    }
    assert_int_equal(port_in(mc146818_read, &clock.rtc, 0, 1, 0), 0xff); /* the index cannot be read */
    /* A 16-bit write sets index and data at once. */
    port_out(mc146818_write, &clock.rtc, 0, 2, 0x5a40, 0);
    assert_int_equal(in(&clock, 0x40, 0), 0x5a);
}

static void subject_init(void *device)
{
    clock_init(device, Y2024_0229);
}

static void subject_state(void *device, struct state *state)
{
    mc146818_state(&((struct clock *)device)->rtc, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct clock *clock = device;
    uint64_t pass = dice_roll(dice) >> dice_below(dice, 20);

    if (dice_below(dice, 40) == 0)
        pass <<= 20;
    *now = pass < UINT64_MAX - *now ? *now + pass : UINT64_MAX;
    switch (dice_below(dice, 8)) {
    case 0:
        out(clock, dice_below(dice, 14), (uint8_t)dice_roll(dice), *now);
        break;
    case 1:
        out(clock, MC146818_A, 0x20 | (uint8_t)dice_below(dice, 16), *now);
        break;
    case 2:
        out(clock, MC146818_B, (uint8_t)dice_roll(dice) & 0x7f, *now);
        break;
    case 3:
        out(clock, dice_below(dice, 128), (uint8_t)dice_roll(dice), *now);
        break;
    case 4: {
        uint64_t deadline = mc146818_deadline(&clock->rtc);
        if (deadline != NO_DEADLINE && deadline > *now)
            *now = deadline;
        mc146818_advance(&clock->rtc, *now);
        return deadline;
    }
    default:
        return in(clock, dice_below(dice, 2) ? dice_below(dice, 14) : dice_below(dice, 128), *now);
    }
    return (clock->rtc.bytes[MC146818_C] & clock->rtc.bytes[MC146818_B] & 0x70) != 0;
}

static const struct subject subject = {sizeof(struct clock), subject_init, subject_state, operate};

static void advance(void *device, uint64_t now)
{
    mc146818_advance(&((struct clock *)device)->rtc, now);
}

static void assert_same_output(void *a, void *b)
{
    assert_same_line(&((struct clock *)a)->irq, &((struct clock *)b)->irq);
}

static const struct timed_subject timed_subject = {&subject, advance, assert_same_output, 2 * SECOND};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_at_the_wall_clock),
        cmocka_unit_test(is_set_by_an_operator),
        cmocka_unit_test(calendar_agrees_with_the_c_library),
        cmocka_unit_test(rolls_over),
        cmocka_unit_test(binary_and_twelve_hours),
        cmocka_unit_test(any_second_of_many_years_agrees_with_the_c_library),
        cmocka_unit_test(dates_that_do_not_exist_are_carried),
        cmocka_unit_test(set_holds_updates_off),
        cmocka_unit_test(uip_warns_244_us_ahead),
        cmocka_unit_test(divider_reset_restarts_with_half_a_second),
        cmocka_unit_test(periodic_rates),
        cmocka_unit_test(flags_and_enables),
        cmocka_unit_test(alarm_with_dont_care),
        cmocka_unit_test(next_alarm_agrees_with_waiting_for_it),
        cmocka_unit_test(memory_and_sizes),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
        subject_test(steps_do_not_matter, &timed_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
