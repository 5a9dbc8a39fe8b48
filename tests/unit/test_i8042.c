/*
 * The keyboard controller and its keyboard, after the IBM PS/2 Hardware Interface Technical Reference: the controller's
 * commands, the keyboard's, scan codes and IRQ 1, and the resets of the machine.
 */
#include "tests/unit/device_testing.h"

#include "vmm/devices/i8042.h"

enum { FULL = 0x01, SYSTEM = 0x04, COMMAND = 0x08, UNLOCKED = 0x10, ACK = 0xfa, AGAIN = 0xfe };

struct board {
    struct i8042 chip;
    struct line_record irq;
    unsigned resets;
};

static void on_reset(void *context)
{
    struct board *board = context;

    board->resets++;
}

static void board_init(void *device)
{
    struct board *board = device;

    board->irq = (struct line_record){0};
    board->resets = 0;
    i8042_init(&board->chip, line_record_wire(&board->irq), (struct reset_wire){on_reset, board});
}

static uint8_t status(struct board *board)
{
    return (uint8_t)port_in(i8042_status_read, &board->chip, 0, 1, 0);
}

static void command(struct board *board, uint8_t value)
{
    port_out(i8042_command_write, &board->chip, 0, 1, value, 0);
}

static void data(struct board *board, uint8_t value)
{
    port_out(i8042_data_write, &board->chip, 0, 1, value, 0);
}

static uint8_t read_data(struct board *board)
{
    return (uint8_t)port_in(i8042_data_read, &board->chip, 0, 1, 0);
}

/* The next byte, which must be there. */
static void expect(struct board *board, uint8_t byte)
{
    assert_true(status(board) & FULL);
    assert_int_equal(read_data(board), byte);
}

static void expect_nothing(struct board *board)
{
    assert_false(status(board) & FULL);
    assert_false(board->irq.level);
}

static uint8_t command_byte(struct board *board)
{
    command(board, 0x20);
    assert_true(status(board) & FULL);
    return read_data(board);
}

static void set_command_byte(struct board *board, uint8_t value)
{
    command(board, 0x60);
    data(board, value);
}

static void press(struct board *board, const char *codes)
{
    i8042_press(&board->chip, (const uint8_t *)codes, strlen(codes));
}

static void reset_state(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    assert_int_equal(status(&board), SYSTEM | UNLOCKED);
    expect_nothing(&board);
    assert_int_equal(command_byte(&board), 0x45);
    assert_int_equal(board.resets, 0);
}

static void controller_commands(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    set_command_byte(&board, 0x00); /* no interrupts, no system flag */
    assert_int_equal(status(&board), UNLOCKED);
    command(&board, 0xaa);
    assert_int_equal(status(&board), UNLOCKED | COMMAND | FULL | SYSTEM); /* the test passed: SYS is set */
    expect(&board, 0x55);
    assert_int_equal(command_byte(&board), 0x04);
    command(&board, 0xab);
    expect(&board, 0x00);
    command(&board, 0xa9); /* there is no auxiliary device: its clock is stuck low */
    expect(&board, 0x01);
    command(&board, 0xad);
    assert_int_equal(command_byte(&board), 0x14);
    command(&board, 0xae);
    assert_int_equal(command_byte(&board), 0x04);
    command(&board, 0xa7);
    assert_int_equal(command_byte(&board), 0x24);
    command(&board, 0xa8);
    assert_int_equal(command_byte(&board), 0x04);
    command(&board, 0xd2); /* a byte as if from the keyboard */
    expect_nothing(&board);
    data(&board, 0x5e);
    expect(&board, 0x5e);
    assert_int_equal(board.irq.rises, 0);
    for (unsigned value = 0; value < 256; value += 0x55) {
        set_command_byte(&board, (uint8_t)value);
        assert_int_equal(command_byte(&board), value);
    }
    expect_nothing(&board);
}

/* Bit 3 of the status tells which port was written last. */
static void status_tells_the_port(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    command(&board, 0x60);
    assert_true(status(&board) & COMMAND);
    data(&board, 0x45);
    assert_false(status(&board) & COMMAND);
    command(&board, 0xae);
    assert_true(status(&board) & COMMAND);
}

/* What belongs to the auxiliary device goes nowhere, and not to the keyboard. */
static void no_auxiliary_device(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    command(&board, 0xd4);
    data(&board, 0xff);
    expect_nothing(&board);
    command(&board, 0xd3);
    data(&board, 0x5a);
    expect_nothing(&board);
    data(&board, 0xee); /* the next byte is the keyboard's again */
    expect(&board, 0xee);
    /* A command in place of the byte that was due. */
    command(&board, 0xd4);
    command(&board, 0xae);
    data(&board, 0xee);
    expect(&board, 0xee);
}

static void keyboard_commands(void **unused)
{
    (void)unused;
    static const struct {
        const char *sent, *answers; /* ends at the NUL; sent without one */
    } cases[] = {
        {"\xee", "\xee"},
        {"\xf2", "\xfa\xab\x41"}, /* an MF2 keyboard, translated */
        {"\xff", "\xfa\xaa"},
        {"\xf4", "\xfa"},
        {"\xf5", "\xfa"},
        {"\xf6", "\xfa"},
        {"\xed\x07", "\xfa\xfa"},
        {"\xf3\x20", "\xfa\xfa"},
        {"\xf0\x03", "\xfa\xfa"},
        {"\xed\xf4", "\xfa\xfa"},         /* a command in place of the byte that was due */
        {"\xed\xf2", "\xfa\xfa\xab\x41"}, /* is done */
        {"\xf7", "\xfa"},
        {"\xf8", "\xfa"},
        {"\xf9", "\xfa"},
        {"\xfa", "\xfa"},
        {"\xef", "\xfe"}, /* invalid */
        {"\xf1", "\xfe"},
        {"\x55", "\xfe"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct board board;
        board_init(&board);
        for (const char *byte = cases[i].sent; *byte; byte++)
            data(&board, (uint8_t)*byte);
        for (const char *byte = cases[i].answers; *byte; byte++) {
            assert_true(board.irq.level);
            expect(&board, (uint8_t)*byte);
        }
        expect_nothing(&board);
        assert_int_equal(board.irq.rises, strlen(cases[i].answers));
    }
    /* Untranslated, the identification is the keyboard's own. */
    struct board board;
    board_init(&board);
    set_command_byte(&board, 0x05);
    data(&board, 0xf2);
    expect(&board, ACK);
    expect(&board, 0xab);
    expect(&board, 0x83);
}

static void ask_scan_set(struct board *board, uint8_t answer)
{
    data(board, 0xf0);
    expect(board, ACK);
    data(board, 0x00);
    expect(board, ACK);
    expect(board, answer);
    expect_nothing(board);
}

static void scan_sets(void **unused)
{
    (void)unused;
    static const uint8_t translated[] = {0, 0x43, 0x41, 0x3f};
    struct board board;
    board_init(&board);
    set_command_byte(&board, 0x05);
    ask_scan_set(&board, 2);
    for (uint8_t set = 1; set <= 3; set++) {
        data(&board, 0xf0);
        expect(&board, ACK);
        data(&board, set);
        expect(&board, ACK);
        set_command_byte(&board, 0x05);
        ask_scan_set(&board, set);
        set_command_byte(&board, 0x45);
        ask_scan_set(&board, translated[set]);
    }
    data(&board, 0xf6); /* defaults */
    expect(&board, ACK);
    ask_scan_set(&board, 0x41);
}

static void resend(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    press(&board, "\x1e");
    expect(&board, 0x1e);
    data(&board, AGAIN);
    expect(&board, 0x1e);
    data(&board, AGAIN);
    expect(&board, 0x1e);
    command(&board, 0xab); /* the controller's answers are not the keyboard's */
    expect(&board, 0x00);
    data(&board, AGAIN);
    expect(&board, 0x1e);
    expect_nothing(&board);
}

static void keys(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    press(&board, "\x1e\x9e\x30");
    assert_int_equal(board.irq.rises, 1);
    expect(&board, 0x1e);
    assert_int_equal(board.irq.rises, 2); /* an edge for each byte: the 8259's input is edge-triggered */
    expect(&board, 0x9e);
    expect(&board, 0x30);
    assert_int_equal(board.irq.rises, 3);
    expect_nothing(&board);
    assert_int_equal(read_data(&board), 0x30); /* the latch keeps its byte */
    assert_int_equal(board.irq.rises, 3);
    /* Without interrupts they wait to be polled. */
    set_command_byte(&board, 0x44);
    press(&board, "\x20");
    assert_false(board.irq.level);
    expect(&board, 0x20);
    press(&board, "\x21");
    set_command_byte(&board, 0x45);
    assert_true(board.irq.level);
    expect(&board, 0x21);
    /* With the keyboard's clock held low, they wait in the keyboard; the controller's answers do not. */
    command(&board, 0xad);
    press(&board, "\x22");
    expect_nothing(&board);
    assert_int_equal(command_byte(&board), 0x55);
    command(&board, 0xae);
    assert_true(board.irq.level);
    expect(&board, 0x22);
    command(&board, 0xad); /* writing to the keyboard enables it */
    data(&board, 0xee);
    expect(&board, 0xee);
    assert_int_equal(command_byte(&board), 0x45);
    /* F5 stops scanning, F4 begins it again; so does a reset. */
    data(&board, 0xf5);
    expect(&board, ACK);
    press(&board, "\x23");
    expect_nothing(&board);
    data(&board, 0xf4);
    expect(&board, ACK);
    press(&board, "\x24");
    expect(&board, 0x24);
}

/* An answer of the controller comes before keys that wait. */
static void answers_go_first(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    press(&board, "\x1e\x9e");
    assert_int_equal(command_byte(&board), 0x45);
    expect(&board, 0x1e);
    expect(&board, 0x9e);
    expect_nothing(&board);
}

/* Keys are bounded by the room, and leave some for answers; a guest that never reads loses, and nothing else. */
static void room(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    size_t space = i8042_room(&board.chip);
    assert_in_range(space, 16, I8042_QUEUE);
    for (size_t i = 0; i < space; i++) {
        assert_int_equal(i8042_room(&board.chip), space - i);
        press(&board, "\x1e");
    }
    assert_int_equal(i8042_room(&board.chip), 0);
    data(&board, 0xf2);
    for (size_t i = 0; i < space; i++)
        expect(&board, 0x1e);
    expect(&board, ACK);
    expect(&board, 0xab);
    expect(&board, 0x41);
    expect_nothing(&board);
    for (unsigned i = 0; i < 1000; i++)
        data(&board, 0xff);
    for (unsigned i = 0; i < I8042_QUEUE; i++)
        expect(&board, i % 2 ? 0xaa : ACK);
    expect_nothing(&board);
}

static void resets_the_machine(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    command(&board, 0xfe);
    assert_int_equal(board.resets, 1);
    command(&board, 0xf0); /* pulses all four lines */
    assert_int_equal(board.resets, 2);
    command(&board, 0xff); /* none */
    command(&board, 0xfd); /* A20 */
    command(&board, 0xf1);
    assert_int_equal(board.resets, 2);
    command(&board, 0xd1);
    data(&board, 0xdf); /* how A20 is opened */
    assert_int_equal(board.resets, 2);
    command(&board, 0xd0);
    expect(&board, 0xdf);
    command(&board, 0xd1);
    data(&board, 0xdd); /* and closed; here it is always open */
    command(&board, 0xd0);
    expect(&board, 0xdf);
    command(&board, 0xd1);
    data(&board, 0xfe);
    assert_int_equal(board.resets, 3);
    data(&board, 0xfe); /* to the keyboard: resend */
    assert_int_equal(board.resets, 3);
    board.chip.reset.reset = NULL;
    command(&board, 0xfe);
}

/* What Linux's drivers/input/serio/i8042.c and atkbd.c send at start-up. */
static void linux_probe(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    expect_nothing(&board); /* flush */
    uint8_t byte = command_byte(&board);
    assert_true(byte & 0x40);
    set_command_byte(&board, (byte | 0x10) & ~0x01);
    command(&board, 0xd3); /* the auxiliary loop: no answer; then the test says that nothing is there */
    data(&board, 0x5a);
    expect_nothing(&board);
    command(&board, 0xa9);
    uint8_t aux = read_data(&board);
    assert_true(aux != 0 && aux != 0xfa && aux != 0xff);
    set_command_byte(&board, (byte & ~0x10) | 0x01);
    data(&board, 0xf2);
    expect(&board, ACK);
    expect(&board, 0xab);
    expect(&board, 0x41);
    data(&board, 0xed);
    expect(&board, ACK);
    data(&board, 0x00);
    expect(&board, ACK);
    data(&board, 0xf3);
    expect(&board, ACK);
    data(&board, 0x00);
    expect(&board, ACK);
    data(&board, 0xf4);
    expect(&board, ACK);
    expect_nothing(&board);
}

static void state(void *device, struct state *visit)
{
    struct board *board = device;

    i8042_state(&board->chip, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    static const uint8_t commands[] = {0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad,
                                       0xae, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xfe, 0xff};
    struct board *board = device;
    unsigned resets = board->resets;
    uint8_t codes[4] = {0x1e, 0x9e, (uint8_t)dice_roll(dice), 0x30};

    (void)now;
    switch (dice_below(dice, 7)) {
    case 0:
        command(board, commands[dice_below(dice, sizeof commands)]);
        break;
    case 1:
        data(board, (uint8_t)dice_roll(dice));
        break;
    case 2:
        data(board, (uint8_t)(0xed + dice_below(dice, 0x13)));
        break;
    case 3:
        command(board, 0xae);
        i8042_press(&board->chip, codes, dice_below(dice, 5));
        break;
    case 4:
        return i8042_room(&board->chip);
    default:
        return read_data(board);
    }
    return status(board) | (board->resets - resets) << 8;
}

static const struct subject subject = {sizeof(struct board), board_init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_state),
        cmocka_unit_test(controller_commands),
        cmocka_unit_test(status_tells_the_port),
        cmocka_unit_test(no_auxiliary_device),
        cmocka_unit_test(keyboard_commands),
        cmocka_unit_test(scan_sets),
        cmocka_unit_test(resend),
        cmocka_unit_test(keys),
        cmocka_unit_test(answers_go_first),
        cmocka_unit_test(room),
        cmocka_unit_test(resets_the_machine),
        cmocka_unit_test(linux_probe),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
