/* Port 61h against the PC/AT's description of it. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/port61.h"

struct board {
    struct pit8254 pit;
    struct port61 port;
};

static void board_init(void *device)
{
    struct board *board = device;

    pit8254_init(&board->pit, (struct irq_wire){0});
    port61_init(&board->port, &board->pit);
}

static uint8_t in(struct board *board, uint64_t now)
{
    return (uint8_t)port_in(port61_read, &board->port, 0, 1, now);
}

static void out(struct board *board, uint8_t value, uint64_t now)
{
    port_out(port61_write, &board->port, 0, 1, value, now);
}

static void low_bits_are_kept(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    assert_int_equal(in(&board, 0), 0);
    out(&board, 0xff, 0);
    assert_int_equal(in(&board, 0), 0x0f);
    out(&board, 0xf2, 0);
    assert_int_equal(in(&board, 0), 0x02);
}

static void refresh_toggles_every_18_pulses(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    for (uint64_t i = 1; i < 1000; i++) {
        uint64_t edge = pit8254_pulse_time(18 * i);
        assert_int_equal(in(&board, edge - 1) & 0x10, i % 2 ? 0x00 : 0x10);
        assert_int_equal(in(&board, edge) & 0x10, i % 2 ? 0x10 : 0x00);
    }
}

/* The classic measurement of time: channel 2 in mode 0, opened by bit 0, its OUT watched in bit 5. */
static void gate_and_out_of_channel_2(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    port_out(pit8254_write, &board.pit, 3, 1, 0xb0, 0);
    port_out(pit8254_write, &board.pit, 2, 1, 0x00, 0);
    port_out(pit8254_write, &board.pit, 2, 1, 0x10, 0);
    uint64_t opened = pit8254_pulse_time(10000);
    assert_int_equal(in(&board, opened) & 0x20, 0);
    out(&board, 0x01, opened);
    uint64_t done = pit8254_pulse_time(10000 + 0x1000);
    assert_int_equal(in(&board, done - 1) & 0x21, 0x01);
    assert_int_equal(in(&board, done) & 0x21, 0x21);
}

static void board_state(void *device, struct state *state)
{
    struct board *board = device;

    pit8254_state(&board->pit, state);
    port61_state(&board->port, state);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct board *board = device;

    *now += dice_below(dice, 200000);
    switch (dice_below(dice, 4)) {
    case 0:
        out(board, (uint8_t)dice_roll(dice), *now);
        return 0;
    case 1:
        port_out(pit8254_write, &board->pit, 2, 1, dice_below(dice, 9), *now);
        return 0;
    case 2:
        port_out(pit8254_write, &board->pit, 3, 1, 0x80 | (dice_roll(dice) & 0x3f), *now);
        return 0;
    default:
        return in(board, *now);
    }
}

static const struct subject subject = {sizeof(struct board), board_init, board_state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_bits_are_kept),           cmocka_unit_test(refresh_toggles_every_18_pulses),
        cmocka_unit_test(gate_and_out_of_channel_2),   subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
