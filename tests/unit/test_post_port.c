/* Port 80h: keeps the last byte, does nothing else. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/post_port.h"

static void keeps_the_last_byte(void **unused)
{
    (void)unused;
    struct post_port port;
    post_port_init(&port);
    assert_int_equal(port_in(post_port_read, &port, 0, 1, 0), 0);
    port_out(post_port_write, &port, 0, 1, 0x55, 0);
    port_out(post_port_write, &port, 0, 1, 0xaa, 0);
    assert_int_equal(port_in(post_port_read, &port, 0, 1, 0), 0xaa);
}

static void init(void *device)
{
    post_port_init(device);
}

static void state(void *device, struct state *visit)
{
    post_port_state(device, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    (void)now;
    if (dice_below(dice, 2))
        port_out(post_port_write, device, 0, 1, dice_roll(dice), 0);
    return port_in(post_port_read, device, 0, 1, 0);
}

static const struct subject subject = {sizeof(struct post_port), init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_last_byte),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
