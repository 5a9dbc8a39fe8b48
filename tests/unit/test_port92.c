/* Port 92h: the A20 bit is kept, bit 0 resets when it rises. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/port92.h"

static void count(void *context)
{
    ++*(unsigned *)context;
}

static void a20_is_on_and_kept(void **unused)
{
    (void)unused;
    struct port92 port;
    port92_init(&port, (struct reset_wire){0});
    assert_int_equal(port_in(port92_read, &port, 0, 1, 0), 2);
    port_out(port92_write, &port, 0, 1, 0xfc, 0);
    assert_int_equal(port_in(port92_read, &port, 0, 1, 0), 0);
    port_out(port92_write, &port, 0, 1, 0x02, 0);
    assert_int_equal(port_in(port92_read, &port, 0, 1, 0), 2);
}

static void resets_once_when_the_bit_rises(void **unused)
{
    (void)unused;
    struct port92 port;
    unsigned resets = 0;
    port92_init(&port, (struct reset_wire){.reset = count, .context = &resets});
    port_out(port92_write, &port, 0, 1, 2, 0);
    assert_int_equal(resets, 0);
    port_out(port92_write, &port, 0, 1, 3, 0);
    port_out(port92_write, &port, 0, 1, 3, 0);
    assert_int_equal(resets, 1);
    port_out(port92_write, &port, 0, 1, 2, 0);
    port_out(port92_write, &port, 0, 1, 1, 0);
    assert_int_equal(resets, 2);
}

static void init(void *device)
{
    port92_init(device, (struct reset_wire){0});
}

static void state(void *device, struct state *visit)
{
    port92_state(device, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    (void)now;
    if (dice_below(dice, 2))
        port_out(port92_write, device, 0, 1, dice_roll(dice), 0);
    return port_in(port92_read, device, 0, 1, 0);
}

static const struct subject subject = {sizeof(struct port92), init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a20_is_on_and_kept),
        cmocka_unit_test(resets_once_when_the_bit_rises),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
