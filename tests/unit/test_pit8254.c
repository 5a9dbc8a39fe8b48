/* The 8254 against the waveforms and rules of its data sheet. */
#include "tests/unit/device_testing.h"

#include <stdio.h>

#include "vmm/devices/pit8254.h"
#include "vmm/devices/pit8254_channel.h"

#define LOW  0x10
#define HIGH 0x20
#define BOTH 0x30

static struct pit8254_channel channel_in_mode(unsigned mode, unsigned access, bool gate)
{
    struct pit8254_channel channel;

    pit8254_channel_init(&channel, gate);
    pit8254_channel_control(&channel, (uint8_t)(access | mode << 1));
    return channel;
}

/* Takes pulses one by one and appends "H4 " or "L4 " for each: OUT and the counting element after it. */
static char *waveform(struct pit8254_channel *channel, unsigned pulses)
{
    static char text[1024];
    size_t length = 0;

    text[0] = 0;
    for (unsigned i = 0; i < pulses; i++) {
        pit8254_channel_run(channel, 1);
        struct pit8254_channel reader = *channel;
        reader.control |= BOTH;
        pit8254_channel_latch_count(&reader);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%c%X", i ? " " : "",
                                   channel->out ? 'H' : 'L', reader.latch);
    }
    return text;
}

static void mode_0_counts_to_interrupt(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(0, LOW, true);
    assert_false(channel.out);
    pit8254_channel_write(&channel, 4);
    assert_string_equal(waveform(&channel, 7), "L4 L3 L2 L1 H0 HFFFF HFFFE");

    /* GATE low holds the count. */
    channel = channel_in_mode(0, LOW, true);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 2), "L3 L2");
    pit8254_channel_set_gate(&channel, false);
    assert_string_equal(waveform(&channel, 2), "L2 L2");
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 3), "L1 H0 HFFFF");

    /* A new count is loaded at the next pulse, and even while GATE is low. */
    channel = channel_in_mode(0, LOW, true);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 3), "L3 L2 L1");
    pit8254_channel_write(&channel, 2);
    assert_string_equal(waveform(&channel, 4), "L2 L1 H0 HFFFF");
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_write(&channel, 9);
    assert_false(channel.out);
    assert_string_equal(waveform(&channel, 2), "L9 L9");
}

static void mode_0_first_byte_stops_counting(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(0, BOTH, true);
    pit8254_channel_write(&channel, 2);
    assert_string_equal(waveform(&channel, 2), "L0 L0");
    pit8254_channel_write(&channel, 0);
    assert_string_equal(waveform(&channel, 4), "L2 L1 H0 HFFFF");
    pit8254_channel_write(&channel, 5);
    assert_false(channel.out);
    assert_string_equal(waveform(&channel, 2), "LFFFF LFFFF");
    pit8254_channel_write(&channel, 0);
    assert_string_equal(waveform(&channel, 2), "L5 L4");
}

static void mode_1_is_a_retriggerable_one_shot(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(1, LOW, false);
    pit8254_channel_set_gate(&channel, true); /* a trigger before any count does nothing */
    assert_string_equal(waveform(&channel, 2), "H0 H0");
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 2), "H0 H0");
    pit8254_channel_set_gate(&channel, true);
    pit8254_channel_set_gate(&channel, false); /* the level does not matter */
    assert_string_equal(waveform(&channel, 5), "L3 L2 L1 H0 HFFFF");
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 3), "L3 L2 L1");
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_set_gate(&channel, true);
    pit8254_channel_write(&channel, 2); /* comes in with the trigger that has not been sampled yet */
    assert_string_equal(waveform(&channel, 2), "L2 L1");
    pit8254_channel_write(&channel, 4); /* waits for the next trigger */
    assert_string_equal(waveform(&channel, 3), "H0 HFFFF HFFFE");
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 2), "L4 L3");
}

static void mode_2_divides(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(2, LOW, true);
    assert_true(channel.out);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 7), "H3 H2 L1 H3 H2 L1 H3");

    channel = channel_in_mode(2, LOW, true);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 2), "H3 H2");
    pit8254_channel_set_gate(&channel, false);
    assert_string_equal(waveform(&channel, 1), "H2");
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 4), "H3 H2 L1 H3");

    /* GATE's fall during the low pulse raises OUT at once. */
    assert_string_equal(waveform(&channel, 2), "H2 L1");
    pit8254_channel_set_gate(&channel, false);
    assert_true(channel.out);
    assert_string_equal(waveform(&channel, 3), "H1 H1 H1");

    /* A new count waits for the end of the cycle, or for a trigger. */
    channel = channel_in_mode(2, LOW, true);
    pit8254_channel_write(&channel, 4);
    assert_string_equal(waveform(&channel, 2), "H4 H3");
    pit8254_channel_write(&channel, 5);
    assert_string_equal(waveform(&channel, 5), "H2 L1 H5 H4 H3");
    pit8254_channel_write(&channel, 2);
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 4), "H2 L1 H2 L1");
}

static void mode_3_is_a_square_wave(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(3, LOW, true);
    pit8254_channel_write(&channel, 4);
    assert_string_equal(waveform(&channel, 9), "H4 H2 L4 L2 H4 H2 L4 L2 H4");

    /* Odd: high for (N + 1) / 2 pulses, low for (N - 1) / 2. */
    channel = channel_in_mode(3, LOW, true);
    pit8254_channel_write(&channel, 5);
    assert_string_equal(waveform(&channel, 11), "H4 H2 H0 L4 L2 H4 H2 H0 L4 L2 H4");
    channel = channel_in_mode(3, LOW, true);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 7), "H2 H0 L2 H2 H0 L2 H2");
    channel = channel_in_mode(3, LOW, true);
    pit8254_channel_write(&channel, 2);
    assert_string_equal(waveform(&channel, 5), "H2 L2 H2 L2 H2");

    /* A new count is taken at the end of the half-cycle; its parity with it. */
    channel = channel_in_mode(3, LOW, true);
    pit8254_channel_write(&channel, 6);
    assert_string_equal(waveform(&channel, 1), "H6");
    pit8254_channel_write(&channel, 5);
    assert_string_equal(waveform(&channel, 8), "H4 H2 L4 L2 H4 H2 H0 L4");
    /* GATE's fall while OUT is low raises it; its rise starts a whole cycle. */
    pit8254_channel_set_gate(&channel, false);
    assert_string_equal(waveform(&channel, 2), "H4 H4");
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 4), "H4 H2 H0 L4");
}

static void mode_4_strobes_by_software(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(4, LOW, true);
    assert_true(channel.out);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 7), "H3 H2 H1 L0 HFFFF HFFFE HFFFD");

    channel = channel_in_mode(4, LOW, false);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 3), "H3 H3 H3");
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 3), "H2 H1 L0");
    pit8254_channel_set_gate(&channel, false); /* has no effect on OUT: the strobe ends on time */
    assert_string_equal(waveform(&channel, 2), "H0 H0");

    channel = channel_in_mode(4, LOW, true);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 3), "H3 H2 H1");
    pit8254_channel_write(&channel, 2);
    assert_string_equal(waveform(&channel, 4), "H2 H1 L0 HFFFF");
    /* It strobes once only, however long it counts on. */
    assert_false(pit8254_channel_run(&channel, 200000));
}

static void mode_5_strobes_by_hardware(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(5, LOW, false);
    pit8254_channel_write(&channel, 3);
    assert_string_equal(waveform(&channel, 2), "H0 H0");
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 5), "H3 H2 H1 L0 HFFFF");
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_set_gate(&channel, true);
    assert_string_equal(waveform(&channel, 2), "H3 H2");
    pit8254_channel_set_gate(&channel, false);
    pit8254_channel_set_gate(&channel, true);
    pit8254_channel_write(&channel, 1);
    assert_string_equal(waveform(&channel, 3), "H1 L0 HFFFF");
}

static void count_of_zero_is_the_largest(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(0, BOTH, true);
    pit8254_channel_write(&channel, 0);
    pit8254_channel_write(&channel, 0);
    assert_int_equal(pit8254_channel_pulses_to_rise(&channel), 65537);
    assert_false(pit8254_channel_run(&channel, 65536));
    assert_string_equal(waveform(&channel, 1), "H0");

    channel = channel_in_mode(2, HIGH, true);
    pit8254_channel_write(&channel, 0);
    assert_int_equal(pit8254_channel_pulses_to_rise(&channel), 65537);
    channel = channel_in_mode(3, LOW, true);
    pit8254_channel_write(&channel, 0);
    pit8254_channel_run(&channel, 32768);
    assert_true(channel.out);
    assert_string_equal(waveform(&channel, 2), "L0 LFFFE");
}

static void bcd_counts_in_decimal(void **unused)
{
    (void)unused;
    struct pit8254_channel channel = channel_in_mode(0, BOTH | 1, true);
    pit8254_channel_write(&channel, 0x00);
    pit8254_channel_write(&channel, 0x10);
    assert_string_equal(waveform(&channel, 3), "L1000 L999 L998");
    pit8254_channel_run(&channel, 995);
    assert_string_equal(waveform(&channel, 4), "L2 L1 H0 H9999");
    pit8254_channel_write(&channel, 0);
    pit8254_channel_write(&channel, 0);
    assert_int_equal(pit8254_channel_pulses_to_rise(&channel), 10001);
    pit8254_channel_write(&channel, 0xff); /* 16665 by weights, so 6665 */
    pit8254_channel_write(&channel, 0xff);
    assert_string_equal(waveform(&channel, 1), "L6665");
}

static void count_of_one_keeps_out_high(void **unused)
{
    (void)unused;
    for (unsigned mode = 2; mode <= 3; mode++) {
        struct pit8254_channel channel = channel_in_mode(mode, LOW, true);
        pit8254_channel_write(&channel, 1);
        assert_int_equal(pit8254_channel_pulses_to_rise(&channel), UINT64_MAX);
        assert_false(pit8254_channel_run(&channel, UINT64_MAX));
        assert_true(channel.out);
        /* A legal count afterwards starts working at once. */
        pit8254_channel_write(&channel, 4);
        pit8254_channel_run(&channel, 1);
        assert_true(pit8254_channel_run(&channel, 4));
    }
    struct pit8254_channel channel = channel_in_mode(0, LOW, true);
    pit8254_channel_write(&channel, 1);
    assert_string_equal(waveform(&channel, 2), "L1 H0");
}

static void channel_state(void *device, struct state *state)
{
    state_section(state, "channel", 1);
    pit8254_channel_state(device, state);
}

static const struct subject channel_subject = {.size = sizeof(struct pit8254_channel), .state = channel_state};

static void running_far_equals_running_step_by_step(void **unused)
{
    (void)unused;
    struct dice dice = {88};
    for (unsigned round = 0; round < 4000; round++) {
        struct pit8254_channel one;
        pit8254_channel_init(&one, dice_below(&dice, 2));
        struct pit8254_channel many = one;
        bool rose_one = false;
        bool rose_many = false;
        for (unsigned step = 0; step < 12; step++) {
            uint32_t what = dice_below(&dice, 8);
            uint32_t value = dice_below(&dice, 3) ? dice_below(&dice, 7) : dice_roll(&dice) & 0xff;
            if (step == 0 || what == 0) {
                uint8_t control = (uint8_t)((1 + dice_below(&dice, 3)) << 4 | dice_below(&dice, 16));
                pit8254_channel_control(&one, control);
                pit8254_channel_control(&many, control);
            } else if (what < 5) {
                pit8254_channel_write(&one, (uint8_t)value);
                pit8254_channel_write(&many, (uint8_t)value);
            } else {
                pit8254_channel_set_gate(&one, value & 1);
                pit8254_channel_set_gate(&many, value & 1);
            }
            uint32_t pulses = dice_below(&dice, 2) ? dice_below(&dice, 40) : dice_below(&dice, 3000);
            uint64_t expected = pit8254_channel_pulses_to_rise(&one);
            uint64_t found = UINT64_MAX;
            rose_one |= pit8254_channel_run(&one, pulses);
            for (uint32_t i = 1; i <= pulses; i++) {
                bool rises = pit8254_channel_run(&many, 1);
                if (rises && found == UINT64_MAX)
                    found = i;
                rose_many |= rises;
            }
            assert_int_equal(found, expected <= pulses ? expected : UINT64_MAX);
            assert_int_equal(rose_one, rose_many);
            assert_same_state(&channel_subject, &one, &many);
        }
    }
}

/* From here on through the ports. */

struct timer {
    struct pit8254 pit;
    struct line_record irq;
};

static void timer_init(void *device)
{
    struct timer *timer = device;

    timer->irq = (struct line_record){0};
    pit8254_init(&timer->pit, line_record_wire(&timer->irq));
}

static void out(struct timer *timer, unsigned port, uint8_t value, uint64_t now)
{
    port_out(pit8254_write, &timer->pit, port - PIT8254_PORT, 1, value, now);
}

static uint8_t in(struct timer *timer, unsigned port, uint64_t now)
{
    return (uint8_t)port_in(pit8254_read, &timer->pit, port - PIT8254_PORT, 1, now);
}

static void pulses_do_not_drift(void **unused)
{
    (void)unused;
    assert_int_equal(pit8254_pulses(0), 0);
    assert_int_equal(pit8254_pulses(838), 0);
    assert_int_equal(pit8254_pulses(839), 1);
    assert_int_equal(pit8254_pulse_time(1), 839);
    assert_int_equal(pit8254_pulses(1000000000ull * 86400 * 365), 1193182ull * 86400 * 365);
    assert_int_equal(pit8254_pulse_time(1193182ull * 86400 * 365), 1000000000ull * 86400 * 365);
    struct dice dice = {7};
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t pulse = ((uint64_t)dice_roll(&dice) << 32 | dice_roll(&dice)) >> (10 + dice_below(&dice, 50));
        uint64_t time = pit8254_pulse_time(pulse);
        if (time == NO_DEADLINE)
            continue;
        assert_int_equal(pit8254_pulses(time), pulse);
        if (time > 0)
            assert_int_equal(pit8254_pulses(time - 1), pulse - 1);
    }
    assert_int_equal(pit8254_pulse_time(UINT64_MAX), NO_DEADLINE);
}

static void channel_0_interrupts_on_time(void **unused)
{
    (void)unused;
    struct timer timer;
    timer_init(&timer);
    assert_int_equal(pit8254_deadline(&timer.pit), NO_DEADLINE);
    assert_false(timer.irq.level);
    out(&timer, 0x43, 0x34, 0); /* mode 2: OUT rises with the control word */
    assert_int_equal(timer.irq.rises, 1);
    out(&timer, 0x40, 0x9c, 0); /* 1193182 / 11932: 100 Hz */
    out(&timer, 0x40, 0x2e, 0);
    for (unsigned i = 1; i <= 300; i++) {
        uint64_t deadline = pit8254_deadline(&timer.pit);
        assert_int_equal(deadline, pit8254_pulse_time(1 + i * 11932ull));
        pit8254_advance(&timer.pit, deadline - 1);
        assert_int_equal(timer.irq.rises, i);
        pit8254_advance(&timer.pit, deadline);
        assert_int_equal(timer.irq.rises, i + 1);
        assert_true(timer.irq.level);
    }
    /* Many periods at once: one edge. */
    uint64_t hour = 3600ull * 1000000000;
    pit8254_advance(&timer.pit, hour);
    assert_int_equal(timer.irq.rises, 302);
    uint64_t into_period = (pit8254_pulses(hour) - 1) % 11932;
    assert_int_equal(timer.pit.channels[0].counter, 11932 - into_period);
    /* Time does not run backwards. */
    uint64_t pulse = timer.pit.pulse;
    uint32_t counter = timer.pit.channels[0].counter;
    pit8254_advance(&timer.pit, hour / 2);
    assert_int_equal(timer.pit.pulse, pulse);
    assert_int_equal(timer.pit.channels[0].counter, counter);
}

static void mode_3_coalesces_to_one_edge_and_the_last_level(void **unused)
{
    (void)unused;
    struct timer timer;
    timer_init(&timer);
    out(&timer, 0x43, 0x16, 0);
    out(&timer, 0x40, 10, 0);
    /* The first pulse loads; low halves are pulses 6-10, 16-20 and so on. */
    pit8254_advance(&timer.pit, pit8254_pulse_time(1 + 10 * 1000 + 7));
    assert_false(timer.irq.level);
    assert_int_equal(timer.irq.rises, 2);
    assert_int_equal(pit8254_deadline(&timer.pit), pit8254_pulse_time(1 + 10 * 1001));
    pit8254_advance(&timer.pit, pit8254_pulse_time(1 + 10 * 1001));
    assert_true(timer.irq.level);
}

static void bytes_are_read_low_first(void **unused)
{
    (void)unused;
    struct timer timer;
    timer_init(&timer);
    out(&timer, 0x43, 0x34, 0);
    out(&timer, 0x40, 0x34, 0);
    out(&timer, 0x40, 0x12, 0);
    uint64_t now = pit8254_pulse_time(3); /* 1234h, 1233h, 1232h */
    assert_int_equal(in(&timer, 0x40, now), 0x32);
    assert_int_equal(in(&timer, 0x40, now), 0x12);
    /* Latched, it does not move; a second latch is ignored until the first has been read. */
    out(&timer, 0x43, 0x00, now);
    now = pit8254_pulse_time(3 + 0x200);
    out(&timer, 0x43, 0x00, now);
    assert_int_equal(in(&timer, 0x40, now), 0x32);
    assert_int_equal(in(&timer, 0x40, now), 0x12);
    assert_int_equal(in(&timer, 0x40, now), 0x32);
    assert_int_equal(in(&timer, 0x40, now), 0x10);
    /* One byte at a time: reads of either byte alone. */
    out(&timer, 0x43, 0x24, now);
    out(&timer, 0x40, 0x56, now);
    assert_int_equal(in(&timer, 0x40, pit8254_pulse_time(3 + 0x200 + 1)), 0x56);
    assert_int_equal(in(&timer, 0x40, pit8254_pulse_time(3 + 0x200 + 2)), 0x55);
    /* Reads and writes of one counter may be interleaved. */
    out(&timer, 0x43, 0x34, now);
    out(&timer, 0x40, 0x78, now);
    in(&timer, 0x40, now);
    out(&timer, 0x40, 0x56, now);
    assert_int_equal(timer.pit.channels[0].count, 0x5678);
    /* A control word drops a latched count, and the port of control words cannot be read. */
    out(&timer, 0x43, 0x00, now);
    out(&timer, 0x43, 0x34, now);
    assert_false(timer.pit.channels[0].latched);
    assert_int_equal(in(&timer, 0x43, now), 0xff);
}

static void read_back_gives_status_then_count(void **unused)
{
    (void)unused;
    struct timer timer;
    timer_init(&timer);
    out(&timer, 0x43, 0xb6, 0); /* channel 2, mode 3 */
    out(&timer, 0x43, 0xe8, 0); /* read back channel 2's status */
    assert_int_equal(in(&timer, 0x42, 0), 0x80 | 0x40 | 0x36);
    out(&timer, 0x42, 0x10, 0);
    out(&timer, 0x42, 0x00, 0);
    out(&timer, 0x43, 0xe8, 0);
    uint64_t now = pit8254_pulse_time(2);
    out(&timer, 0x43, 0xe8, now);                                /* ignored: the first is still there */
    assert_int_equal(in(&timer, 0x42, now), 0x80 | 0x40 | 0x36); /* written, not yet taken when it was latched */
    out(&timer, 0x43, 0xc8, now);                                /* status and count */
    assert_int_equal(in(&timer, 0x42, now), 0x80 | 0x36);
    assert_int_equal(in(&timer, 0x42, now), 0x10);
    assert_int_equal(in(&timer, 0x42, now), 0x00);
    assert_int_equal(in(&timer, 0x42, now), 0x10); /* live again */
    in(&timer, 0x42, now);
    /* A count of several channels at once; mode 0's OUT is low, and modes are told as written (6 is 2). */
    out(&timer, 0x43, 0x10, now);
    out(&timer, 0x40, 0x33, now);
    out(&timer, 0x43, 0x5c, now);
    out(&timer, 0x41, 0x44, now);
    now = pit8254_pulse_time(3);
    out(&timer, 0x43, 0xc6, now);
    now = pit8254_pulse_time(9);
    assert_int_equal(in(&timer, 0x40, now), 0x10);
    assert_int_equal(in(&timer, 0x40, now), 0x33);
    assert_int_equal(in(&timer, 0x41, now), 0x9c);
    assert_int_equal(in(&timer, 0x41, now), 0x44);
    assert_int_equal(in(&timer, 0x41, now), 0x3e);
}

static void gate_2_and_out_2(void **unused)
{
    (void)unused;
    struct timer timer;
    timer_init(&timer);
    out(&timer, 0x43, 0xb0, 0); /* the usual way to measure time: channel 2, mode 0, gated */
    out(&timer, 0x42, 0x00, 0);
    out(&timer, 0x42, 0x80, 0);
    assert_false(pit8254_out2(&timer.pit, pit8254_pulse_time(50000)));
    pit8254_set_gate2(&timer.pit, true, pit8254_pulse_time(50000));
    assert_false(pit8254_out2(&timer.pit, pit8254_pulse_time(50000 + 0x8000) - 1));
    assert_true(pit8254_out2(&timer.pit, pit8254_pulse_time(50000 + 0x8000)));
}

static void timer_state(void *device, struct state *state)
{
    pit8254_state(&((struct timer *)device)->pit, state);
}

static uint64_t timer_operate(void *device, struct dice *dice, uint64_t *now)
{
    struct timer *timer = device;
    uint32_t what = dice_below(dice, 12);
    uint32_t value = dice_below(dice, 2) ? dice_below(dice, 6) : dice_roll(dice);
    uint64_t pass = dice_below(dice, 4) ? dice_below(dice, 5000) : (uint64_t)dice_roll(dice) << dice_below(dice, 12);

    *now = pass < UINT64_MAX - *now ? *now + pass : UINT64_MAX;
    if (what < 4) {
        out(timer, 0x40 + dice_below(dice, 4), (uint8_t)value, *now);
    } else if (what == 4) {
        out(timer, 0x43, (uint8_t)dice_roll(dice), *now);
    } else if (what == 5) {
        pit8254_set_gate2(&timer->pit, value & 1, *now);
    } else if (what == 6) {
        uint64_t deadline = pit8254_deadline(&timer->pit);
        if (deadline != NO_DEADLINE && deadline > *now)
            *now = deadline;
        pit8254_advance(&timer->pit, *now);
        return deadline;
    } else if (what == 7) {
        port_out(pit8254_write, &timer->pit, 0, 4, value, *now);
        return port_in(pit8254_read, &timer->pit, 2, 2, *now);
    } else {
        return in(timer, 0x40 + dice_below(dice, 4), *now);
    }
    return pit8254_out2(&timer->pit, *now) | (uint64_t)timer->pit.channels[0].out << 1;
}

static const struct subject subject = {sizeof(struct timer), timer_init, timer_state, timer_operate};

static void advance(void *device, uint64_t now)
{
    pit8254_advance(&((struct timer *)device)->pit, now);
}

/* Some edges become one, but none comes of nothing and none vanishes altogether. */
static void assert_same_output(void *a, void *b)
{
    struct timer *one = a, *other = b;

    assert_int_equal(one->irq.level, other->irq.level);
    assert_int_equal(one->irq.rises > 0, other->irq.rises > 0);
    one->irq.rises = other->irq.rises = 0;
}

static const struct timed_subject timed_subject = {&subject, advance, assert_same_output, 100000000};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mode_0_counts_to_interrupt),
        cmocka_unit_test(mode_0_first_byte_stops_counting),
        cmocka_unit_test(mode_1_is_a_retriggerable_one_shot),
        cmocka_unit_test(mode_2_divides),
        cmocka_unit_test(mode_3_is_a_square_wave),
        cmocka_unit_test(mode_4_strobes_by_software),
        cmocka_unit_test(mode_5_strobes_by_hardware),
        cmocka_unit_test(count_of_zero_is_the_largest),
        cmocka_unit_test(bcd_counts_in_decimal),
        cmocka_unit_test(count_of_one_keeps_out_high),
        cmocka_unit_test(running_far_equals_running_step_by_step),
        cmocka_unit_test(pulses_do_not_drift),
        cmocka_unit_test(channel_0_interrupts_on_time),
        cmocka_unit_test(mode_3_coalesces_to_one_edge_and_the_last_level),
        cmocka_unit_test(bytes_are_read_low_first),
        cmocka_unit_test(read_back_gives_status_then_count),
        cmocka_unit_test(gate_2_and_out_2),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
        subject_test(steps_do_not_matter, &timed_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
