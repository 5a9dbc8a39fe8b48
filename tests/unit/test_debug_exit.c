/* The port by which a guest ends the run. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/debug_exit.h"

struct heard {
    unsigned calls;
    uint32_t value;
};

static void hear(void *context, uint32_t value)
{
    struct heard *heard = context;

    heard->calls++;
    heard->value = value;
}

static void any_write_ends_the_run(void **unused)
{
    (void)unused;
    struct heard heard = {0};
    struct debug_exit port;
    debug_exit_init(&port, (struct debug_exit_wire){.exited = hear, .context = &heard});
    assert_int_equal(port_in(debug_exit_read, &port, 0, 4, 0), 0);
    assert_false(port.written);
    assert_int_equal(heard.calls, 0);
    port_out(debug_exit_write, &port, 0, 1, 0x10, 0);
    assert_true(port.written);
    assert_int_equal(heard.value, 0x10);
    port_out(debug_exit_write, &port, 2, 2, 0x1234, 0);
    assert_int_equal(heard.value, 0x1234);
    port_out(debug_exit_write, &port, 0, 4, 0xdeadbeef, 0);
    assert_int_equal(heard.value, 0xdeadbeef);
    assert_int_equal(heard.calls, 3);
    assert_int_equal(port_in(debug_exit_read, &port, 0, 1, 0), 0);
}

static void status_is_odd_and_eight_bits_wide(void **unused)
{
    (void)unused;
    assert_int_equal(debug_exit_status(0), 1);
    assert_int_equal(debug_exit_status(0x10), 33);
    assert_int_equal(debug_exit_status(0x7f), 255);
    assert_int_equal(debug_exit_status(0x80), 1);
    assert_int_equal(debug_exit_status(0xffffffff), 255);
}

static void init(void *device)
{
    debug_exit_init(device, (struct debug_exit_wire){0});
}

static void state(void *device, struct state *visit)
{
    debug_exit_state(device, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    (void)now;
    if (dice_below(dice, 2))
        return port_in(debug_exit_read, device, dice_below(dice, 4), 1, 0);
    port_out(debug_exit_write, device, 0, 4, dice_roll(dice), 0);
    return 0;
}

static const struct subject subject = {sizeof(struct debug_exit), init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_write_ends_the_run),
        cmocka_unit_test(status_is_odd_and_eight_bits_wide),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
