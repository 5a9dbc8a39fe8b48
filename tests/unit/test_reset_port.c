/* The reset control register, port CF9h, after the PIIX3 data sheet (order number 290550). */
#include "tests/unit/device_testing.h"

#include "vmm/devices/reset_port.h"

struct board {
    struct reset_port port;
    unsigned resets;
};

static void on_reset(void *context)
{
    struct board *board = context;

    board->resets++;
}

static void init(void *device)
{
    struct board *board = device;

    board->resets = 0;
    reset_port_init(&board->port, (struct reset_wire){on_reset, board});
}

static void out(struct board *board, uint8_t value)
{
    port_out(reset_port_write, &board->port, 0, 1, value, 0);
}

static void resets_when_bit_2_rises(void **unused)
{
    (void)unused;
    struct board board;
    init(&board);
    assert_int_equal(port_in(reset_port_read, &board.port, 0, 1, 0), 0);
    out(&board, 0x02); /* chooses the kind of reset */
    assert_int_equal(port_in(reset_port_read, &board.port, 0, 1, 0), 0x02);
    assert_int_equal(board.resets, 0);
    out(&board, RESET_PORT_HARD);
    assert_int_equal(board.resets, 1);
    out(&board, RESET_PORT_HARD); /* it was set */
    out(&board, 0x04);
    assert_int_equal(board.resets, 1);
    out(&board, 0x00);
    assert_int_equal(board.resets, 1);
    out(&board, 0x04);
    assert_int_equal(board.resets, 2);
    init(&board);
    out(&board, RESET_PORT_HARD); /* in one write, as the FADT has it done */
    assert_int_equal(board.resets, 1);
    out(&board, (uint8_t)~RESET_PORT_HARD);
    assert_int_equal(port_in(reset_port_read, &board.port, 0, 1, 0), 0);
    assert_int_equal(board.resets, 1);
    board.port.reset.reset = NULL;
    out(&board, RESET_PORT_HARD);
}

static void state(void *device, struct state *visit)
{
    struct board *board = device;

    reset_port_state(&board->port, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct board *board = device;
    unsigned resets = board->resets;

    (void)now;
    if (dice_below(dice, 2))
        out(board, (uint8_t)dice_roll(dice));
    return port_in(reset_port_read, &board->port, 0, 1, 0) | (board->resets - resets) << 8;
}

static const struct subject subject = {sizeof(struct board), init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resets_when_bit_2_rises),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
