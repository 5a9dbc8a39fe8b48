/*
 * The IDE channel (vmm/devices/ide_disk.c): resets, two drives and a missing one, interrupts; and its state.
 */
#include "tests/unit/ide_testing.h"

static void expect_signature(struct bench *bench)
{
    assert_int_equal(in(bench, 1), 1);
    assert_int_equal(in(bench, 2), 1);
    assert_int_equal(in(bench, 3), 1);
    assert_int_equal(in(bench, 4), 0);
    assert_int_equal(in(bench, 5), 0);
    assert_int_equal(in(bench, 6), 0);
}

static void resets_leave_a_signature(void **state)
{
    struct bench *bench = bench_new(64, 64);

    (void)state;
    expect_signature(bench);
    assert_int_equal(in(bench, 7), READY);
    /* In the midst of a write to the slave. */
    out(bench, 6, 0xf0);
    out(bench, 2, 1);
    out(bench, 7, 0x30);
    assert_int_equal(alternate_status(bench), READY | IDE_DRQ);
    control(bench, 0x04);
    assert_int_equal(alternate_status(bench), IDE_BSY);
    out(bench, 2, 99);
    out(bench, 7, 0xec);
    assert_int_equal(alternate_status(bench), IDE_BSY);
    control(bench, 0);
    expect_status(bench, false, READY);
    expect_signature(bench);
    assert_int_equal(bench->slave.writes, 0);
    /* Diagnostics do the same, for both, and tell by an interrupt. */
    out(bench, 6, 0xb0);
    out(bench, 7, 0x90);
    expect_status(bench, true, READY);
    expect_signature(bench);
    free(bench);
}

static void two_drives_share_the_registers(void **state)
{
    struct bench *bench = bench_new(64, 32);
    uint8_t bytes[DISK_SECTOR], data[DISK_SECTOR];

    (void)state;
    command28(bench, 0x20, 3, 1);
    assert_true(bench->irq.level);
    out(bench, 6, 0xf0); /* the slave, which wants nothing */
    assert_false(bench->irq.level);
    assert_int_equal(in(bench, 7), READY);
    assert_int_equal(in(bench, 3), 3);
    out(bench, 7, 0xec);
    get_data(bench, data, sizeof data, 2);
    assert_int_equal(word(data, 60), 32);
    out(bench, 7, 0x20);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, 1003, 1);
    out(bench, 6, 0xe0); /* the master still has its sector */
    expect_status(bench, true, READY | IDE_DRQ);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, 3, 1);
    free(bench);
}

static void the_master_answers_for_a_missing_slave(void **state)
{
    struct bench *bench = bench_new(64, 0);

    (void)state;
    out(bench, 6, 0xb0);
    assert_int_equal(in(bench, 7), 0);
    assert_int_equal(alternate_status(bench), 0);
    out(bench, 2, 0x55);
    out(bench, 3, 0xaa);
    assert_int_equal(in(bench, 2), 0x55);
    assert_int_equal(in(bench, 3), 0xaa);
    assert_int_equal(in(bench, 6), 0xb0);
    out(bench, 7, 0xec);
    assert_int_equal(in(bench, 7), 0);
    assert_false(bench->irq.level);
    assert_int_equal(port_in(ide_command_read, &bench->channel, 0, 2, 0), 0);
    free(bench);
}

static void interrupts_can_be_held_back(void **state)
{
    struct bench *bench = bench_new(64, 0);

    (void)state;
    control(bench, 0x02);
    command28(bench, 0xe7, 0, 0);
    assert_false(bench->irq.level);
    control(bench, 0);
    assert_true(bench->irq.level);
    out(bench, 7, 0x10); /* a new command takes it away and gives its own */
    assert_int_equal(bench->irq.rises, 1);
    assert_true(bench->irq.level);
    free(bench);
}

/* A channel over disks that keep nothing, so that a copy of it has the same ones. */
static void subject_init(void *device)
{
    struct bench *bench = device;

    memset(bench, 0, sizeof *bench);
    bench->master = (struct disk){.sectors = 40, .fails_at = 33};
    bench->slave = (struct disk){.sectors = UINT64_C(1) << 36, .fails_at = NEVER, .read_only = true};
    ide_channel_init(&bench->channel, &bench->master, &bench->slave, line_record_wire(&bench->irq));
}

static void subject_state(void *device, struct state *state)
{
    struct bench *bench = device;

    ide_channel_state(&bench->channel, state);
}

static uint64_t subject_operate(void *device, struct dice *dice, uint64_t *now)
{
    static const uint8_t commands[] = {0x20, 0x24, 0x29, 0x30, 0x34, 0x40, 0x91, 0xc4, 0xc5, 0xc6, 0xe7, 0xec, 0xef};
    struct bench *bench = device;

    (void)now;
    switch (dice_below(dice, 10)) {
    case 0:
        control(bench, (uint8_t)dice_roll(dice) & (dice_below(dice, 8) ? 0x82 : 0xff));
        return alternate_status(bench);
    case 1:
        out(bench, 7, dice_below(dice, 8) ? commands[dice_below(dice, sizeof commands)] : (uint8_t)dice_roll(dice));
        return in(bench, 1);
    case 2:
        out(bench, 1 + dice_below(dice, 6), (uint8_t)dice_below(dice, dice_below(dice, 4) ? 4 : 256));
        return 0;
    case 3:
        return in(bench, 1 + dice_below(dice, 7));
    case 4:
        return port_in(ide_command_read, &bench->channel, dice_below(dice, 7), 2, 0);
    case 5:
        port_out(ide_command_write, &bench->channel, 4 * dice_below(dice, 2), 4, dice_roll(dice), 0);
        return bench->irq.level;
    default: {
        uint64_t sum = 0;
        unsigned width = 1u << dice_below(dice, 3);
        for (unsigned i = dice_below(dice, 400); i > 0; i--) {
            sum = sum * 31 + port_in(ide_command_read, &bench->channel, 0, width, 0);
            port_out(ide_command_write, &bench->channel, 0, width, sum + i, 0);
        }
        return sum;
    }
    }
}

static const struct subject subject = {
    .size = sizeof(struct bench), .init = subject_init, .state = subject_state, .operate = subject_operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resets_leave_a_signature),
        cmocka_unit_test(two_drives_share_the_registers),
        cmocka_unit_test(the_master_answers_for_a_missing_slave),
        cmocka_unit_test(interrupts_can_be_held_back),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
