/*
 * The ACPI power management registers, after the ACPI specification 6.5, 4.8.3: status and enable bits, the system
 * control interrupt, the timer with its carry, and turning off.
 */
#include "tests/unit/device_testing.h"

#include "vmm/devices/acpi_pm.h"

enum { STATUS = 0, ENABLE = 2 };

#define TIMER       0x0001u
#define GLOBAL      0x0020u
#define BUTTON      0x0100u
#define CLOCK       0x0400u
#define SECOND      1000000000ull
#define HZ          3579545ull
#define SLEEP(type) (0x2000u | (unsigned)(type) << 10)

struct board {
    struct acpi_pm pm;
    struct line_record sci;
    unsigned offs;
};

static void on_off(void *context)
{
    struct board *board = context;

    board->offs++;
}

static void board_init(void *device)
{
    struct board *board = device;

    board->sci = (struct line_record){0};
    board->offs = 0;
    acpi_pm_init(&board->pm, line_record_wire(&board->sci), (struct acpi_pm_wire){on_off, board});
}

static uint32_t event_in(struct board *board, unsigned offset, unsigned size)
{
    return (uint32_t)port_in(acpi_pm_event_read, &board->pm, offset, size, 0);
}

static void event_out(struct board *board, unsigned offset, unsigned size, uint32_t value)
{
    port_out(acpi_pm_event_write, &board->pm, offset, size, value, 0);
}

static uint32_t timer(struct board *board, uint64_t now)
{
    return (uint32_t)port_in(acpi_pm_timer_read, &board->pm, 0, 4, now);
}

/* The first moment at which the timer has counted so far, found by bisection over what it reads. */
static uint64_t moment_of(struct board *board, uint64_t low, uint64_t high, uint32_t bit)
{
    bool before = timer(board, low) & bit;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if ((bool)(timer(board, middle) & bit) == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static void reset_state(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    assert_int_equal(event_in(&board, STATUS, 4), 0);
    assert_int_equal(port_in(acpi_pm_control_read, &board.pm, 0, 2, 0), 0x0001); /* SCI_EN: ACPI mode from the start */
    assert_int_equal(timer(&board, 0), 0);
    assert_int_equal(acpi_pm_deadline(&board.pm), NO_DEADLINE);
    assert_false(board.sci.level);
}

static void timer_counts(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    assert_int_equal(timer(&board, SECOND), HZ);
    assert_int_equal(timer(&board, 60 * SECOND), 60 * HZ);
    assert_int_equal(timer(&board, 279), 0);
    assert_int_equal(timer(&board, 280), 1);                                 /* a tick is 279.36 ns */
    assert_int_equal(timer(&board, 86400 * SECOND), (uint32_t)(86400 * HZ)); /* it wraps at 32 bits */
    for (uint64_t now = 0; now < 3 * SECOND; now += 1234567)
        assert_int_equal(timer(&board, now), now * HZ / SECOND);
    uint64_t now = 2000 * SECOND + 12345;
    assert_int_equal(port_in(acpi_pm_timer_read, &board.pm, 1, 1, now), timer(&board, now) >> 8 & 0xff);
    assert_int_equal(port_in(acpi_pm_timer_read, &board.pm, 2, 2, now), timer(&board, now) >> 16);
}

/* TMR_STS is set whenever the top bit changes, both ways; with TMR_EN, that is an interrupt. */
static void timer_carry(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    event_out(&board, ENABLE, 2, TIMER);
    uint64_t from = 0;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t due = moment_of(&board, from, from + 700 * SECOND, 0x80000000);
        assert_int_equal(acpi_pm_deadline(&board.pm), due);
        acpi_pm_advance(&board.pm, due - 1);
        assert_false(board.sci.level);
        acpi_pm_advance(&board.pm, due);
        assert_true(board.sci.level);
        assert_int_equal(event_in(&board, STATUS, 2), TIMER);
        assert_int_equal(acpi_pm_deadline(&board.pm), NO_DEADLINE); /* nothing more to tell */
        event_out(&board, STATUS, 2, TIMER);
        assert_false(board.sci.level);
        from = due;
    }
    assert_int_equal(board.sci.rises, 6);
    /* Not enabled: the status only. */
    event_out(&board, ENABLE, 2, 0);
    assert_int_equal(acpi_pm_deadline(&board.pm), NO_DEADLINE);
    acpi_pm_advance(&board.pm, from + 5000 * SECOND); /* several at once are one */
    assert_int_equal(event_in(&board, STATUS, 2), TIMER);
    assert_false(board.sci.level);
    event_out(&board, ENABLE, 2, TIMER); /* enabled while it is pending */
    assert_true(board.sci.level);
    acpi_pm_advance(&board.pm, from); /* time does not go back */
    event_out(&board, STATUS, 2, TIMER);
    acpi_pm_advance(&board.pm, from + 5000 * SECOND);
    assert_int_equal(event_in(&board, STATUS, 2), 0);
}

/* A deadline always lies ahead, to the end of guest time. */
static void end_of_time(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    event_out(&board, ENABLE, 2, TIMER);
    for (uint64_t left = UINT64_MAX / 2; left > 0; left /= 2) {
        uint64_t now = UINT64_MAX - left;
        acpi_pm_advance(&board.pm, now);
        event_out(&board, STATUS, 2, TIMER);
        assert_true(acpi_pm_deadline(&board.pm) > now);
    }
    acpi_pm_advance(&board.pm, UINT64_MAX);
    event_out(&board, STATUS, 2, TIMER);
    assert_int_equal(acpi_pm_deadline(&board.pm), NO_DEADLINE);
}

/* Writing ones clears, writing zeros leaves, in each byte by itself. */
static void status_is_cleared_by_ones(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    acpi_pm_advance(&board.pm, 700 * SECOND);
    acpi_pm_press_power_button(&board.pm);
    assert_int_equal(event_in(&board, STATUS, 2), BUTTON | TIMER);
    event_out(&board, STATUS, 2, 0);
    event_out(&board, STATUS, 2, (uint16_t) ~(BUTTON | TIMER));
    assert_int_equal(event_in(&board, STATUS, 2), BUTTON | TIMER);
    event_out(&board, STATUS + 1, 1, 0x01);
    assert_int_equal(event_in(&board, STATUS, 2), TIMER);
    event_out(&board, STATUS, 1, 0x01);
    assert_int_equal(event_in(&board, STATUS, 2), 0);
    /* The enable register is one that can be read back; bits that do not exist stay clear. */
    event_out(&board, ENABLE, 2, 0xffff);
    assert_int_equal(event_in(&board, ENABLE, 2), TIMER | GLOBAL | BUTTON | CLOCK);
    event_out(&board, ENABLE + 1, 1, 0);
    assert_int_equal(event_in(&board, ENABLE, 2), TIMER | GLOBAL);
    event_out(&board, STATUS, 4, BUTTON << 16 | 0xffff); /* both registers at once */
    assert_int_equal(event_in(&board, STATUS, 4), BUTTON << 16);
}

static void interrupt_is_a_level(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    acpi_pm_press_power_button(&board.pm);
    assert_false(board.sci.level);
    event_out(&board, ENABLE, 2, BUTTON);
    assert_true(board.sci.level);
    event_out(&board, ENABLE, 2, TIMER);
    assert_false(board.sci.level);
    event_out(&board, ENABLE, 2, BUTTON | TIMER);
    acpi_pm_advance(&board.pm, 700 * SECOND);
    event_out(&board, STATUS, 2, BUTTON); /* another event is still pending */
    assert_true(board.sci.level);
    event_out(&board, STATUS, 2, TIMER);
    assert_false(board.sci.level);
    assert_int_equal(board.sci.rises, 2);
}

static void control(struct board *board, uint32_t value)
{
    port_out(acpi_pm_control_write, &board->pm, 0, 2, value, 0);
}

static void turning_off(void **unused)
{
    (void)unused;
    struct board board;
    board_init(&board);
    for (unsigned type = 0; type < 8; type++) {
        control(&board, type << 10); /* the type alone does nothing */
        assert_int_equal(port_in(acpi_pm_control_read, &board.pm, 0, 2, 0), type << 10 | 1);
        assert_int_equal(board.offs, 0);
        if (type != ACPI_PM_SLEEP_OFF)
            control(&board, SLEEP(type));
        assert_int_equal(board.offs, 0);
    }
    control(&board, SLEEP(ACPI_PM_SLEEP_OFF) | 1);
    assert_int_equal(board.offs, 1);
    assert_int_equal(port_in(acpi_pm_control_read, &board.pm, 0, 2, 0) & 0x2000, 0); /* SLP_EN is write-only */
    /* By the high byte alone. */
    board_init(&board);
    port_out(acpi_pm_control_write, &board.pm, 0, 1, 0xff, 0);
    assert_int_equal(port_in(acpi_pm_control_read, &board.pm, 0, 2, 0), 1);
    port_out(acpi_pm_control_write, &board.pm, 1, 1, SLEEP(ACPI_PM_SLEEP_OFF) >> 8, 0);
    assert_int_equal(board.offs, 1);
    assert_int_equal(port_in(acpi_pm_control_read, &board.pm, 1, 1, 0), ACPI_PM_SLEEP_OFF << 2);
    control(&board, 0); /* SCI_EN belongs to the firmware here: it stays */
    assert_int_equal(port_in(acpi_pm_control_read, &board.pm, 0, 1, 0), 1);
    board.pm.wire.turned_off = NULL;
    control(&board, SLEEP(ACPI_PM_SLEEP_OFF));
}

static void state(void *device, struct state *visit)
{
    struct board *board = device;

    acpi_pm_state(&board->pm, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    struct board *board = device;
    unsigned offs = board->offs;
    uint64_t step = dice_below(dice, 2) ? dice_roll(dice) : dice_below(dice, 900) * SECOND;

    *now = *now > UINT64_MAX - step ? UINT64_MAX : *now + step;
    acpi_pm_advance(&board->pm, *now);
    switch (dice_below(dice, 6)) {
    case 0:
        event_out(board, dice_below(dice, 4), 1, dice_roll(dice));
        break;
    case 1:
        event_out(board, STATUS, 2, dice_roll(dice));
        break;
    case 2:
        event_out(board, ENABLE, 2, TIMER);
        break;
    case 3:
        control(board, dice_roll(dice));
        return board->offs - offs;
    case 4:
        acpi_pm_press_power_button(&board->pm);
        break;
    default:
        return timer(board, *now) + port_in(acpi_pm_control_read, &board->pm, 0, 2, *now);
    }
    return event_in(board, STATUS, 4) ^ acpi_pm_deadline(&board->pm);
}

static const struct subject subject = {sizeof(struct board), board_init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_state),
        cmocka_unit_test(timer_counts),
        cmocka_unit_test(timer_carry),
        cmocka_unit_test(end_of_time),
        cmocka_unit_test(status_is_cleared_by_ones),
        cmocka_unit_test(interrupt_is_a_level),
        cmocka_unit_test(turning_off),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
