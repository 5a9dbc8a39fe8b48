/*
 * The 82093AA I/O APIC, after its data sheet (order number 290566, section 3): the two windows, the redirection table,
 * edges and levels, masks, remote IRR, and what its messages are.
 */
#include "tests/unit/device_testing.h"

#include "vmm/devices/ioapic82093.h"

#define REDIRECTION 0x10u
#define MASKED      0x10000u
#define LEVEL       0x8000u
#define REMOTE_IRR  0x4000u
#define LOGICAL     0x800u

/* A chip and the messages that it sent. */
struct board {
    struct ioapic82093 ioapic;
    unsigned sent;
    uint64_t address;
    uint32_t data;
};

static void on_message(void *context, uint64_t address, uint32_t data)
{
    struct board *board = context;

    board->sent++;
    board->address = address;
    board->data = data;
}

static void board_init(void *device)
{
    struct board *board = device;

    board->sent = 0;
    ioapic82093_init(&board->ioapic, (struct msi_wire){.send = on_message, .context = board});
}

static uint32_t in(struct board *board, unsigned index)
{
    port_out(ioapic82093_write, &board->ioapic, 0x00, 4, index, 0);
    assert_int_equal(port_in(ioapic82093_read, &board->ioapic, 0x00, 4, 0), index);
    return (uint32_t)port_in(ioapic82093_read, &board->ioapic, 0x10, 4, 0);
}

static void out(struct board *board, unsigned index, uint32_t value)
{
    port_out(ioapic82093_write, &board->ioapic, 0x00, 4, index, 0);
    port_out(ioapic82093_write, &board->ioapic, 0x10, 4, value, 0);
}

static void set(struct board *board, unsigned input, bool level)
{
    ioapic82093_set_line(&board->ioapic, input, level);
}

static uint32_t entry(struct board *board, unsigned input)
{
    return in(board, REDIRECTION + 2 * input);
}

static void program(struct board *board, unsigned input, uint32_t low)
{
    out(board, REDIRECTION + 2 * input, low);
}

static void reset_state(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    assert_int_equal(in(&board, 0), 0);
    assert_int_equal(in(&board, 1), 0x00170011);
    assert_int_equal(in(&board, 2), 0);
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
        assert_int_equal(entry(&board, i), MASKED);
        assert_int_equal(in(&board, REDIRECTION + 2 * i + 1), 0);
    }
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++)
        set(&board, i, true);
    assert_int_equal(board.sent, 0);
}

static void register_bits(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    out(&board, 0, 0xffffffff);
    assert_int_equal(in(&board, 0), 0x0f000000);
    assert_int_equal(in(&board, 2), 0x0f000000); /* the arbitration ID is loaded with the ID */
    out(&board, 1, 0xffffffff);
    out(&board, 2, 0);
    assert_int_equal(in(&board, 1), 0x00170011);
    assert_int_equal(in(&board, 2), 0x0f000000);
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
        program(&board, i, 0xffffffff);
        out(&board, REDIRECTION + 2 * i + 1, 0xffffffff);
        assert_int_equal(entry(&board, i), 0x0001afff); /* delivery status and remote IRR are read-only */
        assert_int_equal(in(&board, REDIRECTION + 2 * i + 1), 0xff000000);
    }
    for (unsigned index = 3; index < 256; index++) {
        if (index >= REDIRECTION && index < REDIRECTION + 2 * IOAPIC_INPUTS)
            continue;
        out(&board, index, 0xffffffff);
        assert_int_equal(in(&board, index), 0);
    }
    out(&board, 0x100, 0x05000000); /* the selector has eight bits */
    assert_int_equal(port_in(ioapic82093_read, &board.ioapic, 0x00, 4, 0), 0);
    assert_int_equal(in(&board, 0), 0x05000000);
    for (unsigned offset = 0x20; offset < IOAPIC_SIZE; offset += 4) {
        port_out(ioapic82093_write, &board.ioapic, offset, 4, 0x55, 0);
        assert_int_equal(port_in(ioapic82093_read, &board.ioapic, offset, 4, 0), 0);
    }
    assert_int_equal(board.sent, 0);
}

/* What an entry says becomes the address and the data of a message. */
static void messages(void **unused)
{
    (void)unused;
    struct board board;
    static const struct {
        uint32_t low, high;
        uint64_t address;
        uint32_t data;
    } cases[] = {
        {0x00000031, 0x00000000, 0xfee00000, 0x4031}, {0x000000fe, 0x05000000, 0xfee05000, 0x40fe},
        {0x00000931, 0xff000000, 0xfeeff004, 0x4131}, /* lowest priority, logical */
        {0x00002031, 0x01000000, 0xfee01000, 0x4031}, /* the polarity does not show */
        {0x00008031, 0x01000000, 0xfee01000, 0xc031}, {0x00000431, 0x01000000, 0xfee01000, 0x4431},
        {0x00000731, 0x01000000, 0xfee01000, 0x4731},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned input = (unsigned)i * 3;
        board_init(&board);
        out(&board, REDIRECTION + 2 * input + 1, cases[i].high);
        program(&board, input, cases[i].low);
        assert_int_equal(board.sent, 0);
        set(&board, input, true);
        assert_int_equal(board.sent, 1);
        assert_int_equal(board.address, cases[i].address);
        assert_int_equal(board.data, cases[i].data);
    }
}

static void edges(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    program(&board, 4, 0x34);
    set(&board, 4, true);
    set(&board, 4, true); /* no edge */
    assert_int_equal(board.sent, 1);
    assert_int_equal(entry(&board, 4), 0x34); /* remote IRR is for levels */
    ioapic82093_end_of_interrupt(&board.ioapic, 0x34);
    set(&board, 4, false);
    assert_int_equal(board.sent, 1);
    set(&board, 4, true); /* without waiting for any end */
    set(&board, 4, false);
    set(&board, 4, true);
    assert_int_equal(board.sent, 3);
    set(&board, 5, true); /* others are masked */
    assert_int_equal(board.sent, 3);
    /* A masked edge is lost. */
    program(&board, 4, MASKED | 0x34);
    set(&board, 4, false);
    set(&board, 4, true);
    program(&board, 4, 0x34);
    assert_int_equal(board.sent, 3);
    set(&board, 4, false);
    set(&board, 4, true);
    assert_int_equal(board.sent, 4);
}

static void levels(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    program(&board, 10, LEVEL | 0x5a);
    set(&board, 10, true);
    assert_int_equal(board.sent, 1);
    assert_int_equal(entry(&board, 10), LEVEL | REMOTE_IRR | 0x5a);
    set(&board, 10, false); /* up again before the end: it waits */
    set(&board, 10, true);
    assert_int_equal(board.sent, 1);
    ioapic82093_end_of_interrupt(&board.ioapic, 0x5b); /* another vector's */
    assert_int_equal(board.sent, 1);
    ioapic82093_end_of_interrupt(&board.ioapic, 0x5a); /* still up: once more */
    assert_int_equal(board.sent, 2);
    assert_int_equal(entry(&board, 10), LEVEL | REMOTE_IRR | 0x5a);
    set(&board, 10, false);
    assert_int_equal(entry(&board, 10), LEVEL | REMOTE_IRR | 0x5a); /* until the end */
    ioapic82093_end_of_interrupt(&board.ioapic, 0x5a);
    assert_int_equal(board.sent, 2);
    assert_int_equal(entry(&board, 10), LEVEL | 0x5a);
}

static void masked_levels(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    program(&board, 11, MASKED | LEVEL | 0x5b);
    set(&board, 11, true);
    assert_int_equal(board.sent, 0);
    program(&board, 11, LEVEL | 0x5b); /* a level is not lost */
    assert_int_equal(board.sent, 1);
    program(&board, 11, MASKED | LEVEL | 0x5b); /* masked while it is in service */
    assert_int_equal(entry(&board, 11), MASKED | LEVEL | REMOTE_IRR | 0x5b);
    ioapic82093_end_of_interrupt(&board.ioapic, 0x5b);
    assert_int_equal(entry(&board, 11), MASKED | LEVEL | 0x5b);
    assert_int_equal(board.sent, 1);
    program(&board, 11, LEVEL | 0x5b);
    assert_int_equal(board.sent, 2);
    out(&board, REDIRECTION + 2 * 11 + 1, 0); /* unmasked already, and not ended: no other */
    program(&board, 11, LEVEL | 0x5b);
    assert_int_equal(board.sent, 2);
    set(&board, 11, false);
    ioapic82093_end_of_interrupt(&board.ioapic, 0x5b);
    program(&board, 11, MASKED | LEVEL | 0x5b);
    program(&board, 11, LEVEL | 0x5b);
    assert_int_equal(board.sent, 2);
}

/* Inputs that share a vector all get its end. */
static void shared_vector(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    for (unsigned input = 20; input < 24; input++) {
        program(&board, input, LEVEL | 0x61);
        set(&board, input, true);
    }
    assert_int_equal(board.sent, 4);
    set(&board, 21, false);
    ioapic82093_end_of_interrupt(&board.ioapic, 0x61);
    assert_int_equal(board.sent, 7);
    assert_int_equal(entry(&board, 21), LEVEL | 0x61);
}

/* Linux rids itself of a remote IRR that is stuck by making the entry edge-triggered for a moment. */
static void trigger_mode_changes(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    program(&board, 7, LEVEL | 0x47);
    set(&board, 7, true);
    program(&board, 7, MASKED | 0x47);
    assert_int_equal(entry(&board, 7), MASKED | 0x47);
    program(&board, 7, MASKED | LEVEL | 0x47);
    assert_int_equal(entry(&board, 7), MASKED | LEVEL | 0x47);
    program(&board, 7, LEVEL | 0x47);
    assert_int_equal(board.sent, 2);
    program(&board, 7, 0x47); /* the line is up, but does not rise */
    assert_int_equal(board.sent, 2);
}

static void state(void *device, struct state *visit)
{
    struct board *board = device;

    ioapic82093_state(&board->ioapic, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct board *board = device;
    unsigned input = dice_below(dice, IOAPIC_INPUTS);
    unsigned sent = board->sent;

    (void)now;
    switch (dice_below(dice, 6)) {
    case 0:
        return in(board, dice_below(dice, 0x50));
    case 1:
        program(board, input, (dice_roll(dice) & 0x18f00) | (0x40 + dice_below(dice, 8)));
        break;
    case 2:
        out(board, dice_below(dice, 0x50), dice_roll(dice));
        break;
    case 3:
        ioapic82093_end_of_interrupt(&board->ioapic, (uint8_t)(0x40 + dice_below(dice, 8)));
        break;
    default:
        set(board, input, dice_below(dice, 2));
        break;
    }
    return board->sent == sent ? 0 : (uint64_t)(board->sent - sent) << 60 ^ board->address << 16 ^ board->data;
}

static const struct subject subject = {sizeof(struct board), board_init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_state),
        cmocka_unit_test(register_bits),
        cmocka_unit_test(messages),
        cmocka_unit_test(edges),
        cmocka_unit_test(levels),
        cmocka_unit_test(masked_levels),
        cmocka_unit_test(shared_vector),
        cmocka_unit_test(trigger_mode_changes),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
