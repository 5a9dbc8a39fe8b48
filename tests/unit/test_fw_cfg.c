/* The firmware configuration device: items, files, the directory, and what is not there. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/fw_cfg.h"

static void init(void *device)
{
    const uint8_t two[2] = {0x34, 0x12};

    fw_cfg_init(device);
    fw_cfg_add(device, FW_CFG_PROCESSORS, two, sizeof two);
    fw_cfg_add_file(device, "etc/first", "one", 3);
    fw_cfg_add_file(device, "a/second", "twotwo", 6);
}

static void choose(struct fw_cfg *device, unsigned key)
{
    port_out(fw_cfg_write, device, 0, 2, key, 0);
}

static uint64_t number(struct fw_cfg *device, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes--)
        value = value << 8 | port_in(fw_cfg_read, device, 1, 1, 0);
    return value;
}

static void items_are_read_byte_by_byte(void **unused)
{
    struct fw_cfg device;

    (void)unused;
    init(&device);
    choose(&device, FW_CFG_SIGNATURE);
    assert_int_equal(number(&device, 4), 0x51454d55);
    choose(&device, FW_CFG_ID);
    assert_int_equal(number(&device, 4), 0x01000000);
    choose(&device, FW_CFG_PROCESSORS);
    assert_int_equal(number(&device, 2), 0x3412);
    choose(&device, FW_CFG_PROCESSORS);
    assert_int_equal(number(&device, 1), 0x34);
}

static void what_is_not_there_reads_zero(void **unused)
{
    struct fw_cfg device;

    (void)unused;
    init(&device);
    choose(&device, FW_CFG_PROCESSORS);
    assert_int_equal(number(&device, 6), 0x341200000000);
    choose(&device, 0x7777);
    assert_int_equal(number(&device, 4), 0);
    choose(&device, FW_CFG_FILES + 2);
    assert_int_equal(number(&device, 4), 0);
    /* An offset that has counted up as far as it can stays there. */
    device.next = UINT32_MAX;
    choose(&device, FW_CFG_SIGNATURE);
    device.next = UINT32_MAX;
    assert_int_equal(number(&device, 2), 0);
    assert_int_equal(device.next, UINT32_MAX);
}

static void the_directory_names_the_files(void **unused)
{
    static const char *const names[] = {"etc/first", "a/second"};
    static const char *const contents[] = {"one", "twotwo"};
    struct fw_cfg device;

    (void)unused;
    init(&device);
    choose(&device, FW_CFG_DIRECTORY);
    assert_int_equal(number(&device, 4), 2);
    for (unsigned i = 0; i < 2; i++) {
        char name[56];
        assert_int_equal(number(&device, 4), strlen(contents[i]));
        assert_int_equal(number(&device, 2), FW_CFG_FILES + i);
        assert_int_equal(number(&device, 2), 0);
        for (unsigned at = 0; at < sizeof name; at++)
            name[at] = (char)number(&device, 1);
        assert_string_equal(name, names[i]);
    }
    assert_int_equal(number(&device, 4), 0);
    for (unsigned i = 0; i < 2; i++) {
        choose(&device, FW_CFG_FILES + i);
        for (const char *at = contents[i]; *at; at++)
            assert_int_equal(number(&device, 1), *at);
        assert_int_equal(number(&device, 1), 0);
    }
}

static void only_a_word_selects(void **unused)
{
    struct fw_cfg device;

    (void)unused;
    init(&device);
    choose(&device, FW_CFG_PROCESSORS);
    port_out(fw_cfg_write, &device, 0, 1, 0, 0);
    port_out(fw_cfg_write, &device, 1, 1, 0x99, 0);
    assert_int_equal(number(&device, 1), 0x34);
    assert_int_equal(port_in(fw_cfg_read, &device, 0, 1, 0), 0xff);
    assert_int_equal(port_in(fw_cfg_read, &device, 0, 2, 0), 0x12ff);
}

static void state(void *device, struct state *visit)
{
    fw_cfg_state(device, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    (void)now;
    if (dice_below(dice, 8) == 0)
        port_out(fw_cfg_write, device, dice_below(dice, 2), 1 + dice_below(dice, 2), dice_below(dice, 0x24), 0);
    return port_in(fw_cfg_read, device, dice_below(dice, 2), 1, 0);
}

static const struct subject subject = {sizeof(struct fw_cfg), init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_read_byte_by_byte),     cmocka_unit_test(what_is_not_there_reads_zero),
        cmocka_unit_test(the_directory_names_the_files),   cmocka_unit_test(only_a_word_selects),
        subject_test(restored_runs_on_the_same, &subject), subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
