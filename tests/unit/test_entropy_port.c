/* Encore's random device, as its header promises it to the guest. */
#include "tests/unit/device_testing.h"

#include "vmm/devices/entropy_port.h"

/* A source that counts: bytes 1, 2, 3 ... */
struct counter {
    uint8_t next;
    unsigned calls;
};

static void count(void *context, uint8_t *bytes, size_t length)
{
    struct counter *counter = context;

    counter->calls++;
    for (size_t i = 0; i < length; i++)
        bytes[i] = ++counter->next;
}

static void every_byte_is_fresh(void **unused)
{
    (void)unused;
    struct counter counter = {0};
    struct entropy_port port;
    entropy_port_init(&port, (struct entropy_source){.fill = count, .context = &counter});
    assert_int_equal(port_in(entropy_port_read, &port, 0, 4, 0), 0x04030201);
    assert_int_equal(port_in(entropy_port_read, &port, 0, 1, 0), 0x05);
    assert_int_equal(port_in(entropy_port_read, &port, 2, 2, 0), 0x0706);
    assert_int_equal(port_in(entropy_port_read, &port, 3, 1, 0), 0x08);
    assert_int_equal(port.drawn, 8);
    assert_int_equal(counter.calls, 4);
}

static void identity_draws_nothing(void **unused)
{
    (void)unused;
    struct counter counter = {0};
    struct entropy_port port;
    entropy_port_init(&port, (struct entropy_source){.fill = count, .context = &counter});
    assert_int_equal(port_in(entropy_port_read, &port, 4, 4, 0), 0x52544e45);
    assert_int_equal(port_in(entropy_port_read, &port, 4, 1, 0), 'E');
    assert_int_equal(port_in(entropy_port_read, &port, 5, 1, 0), 'N');
    assert_int_equal(port_in(entropy_port_read, &port, 6, 2, 0), 'T' | 'R' << 8);
    assert_int_equal(counter.calls, 0);
    /* Across the border: two random bytes, then the identity's first two. */
    assert_int_equal(port_in(entropy_port_read, &port, 2, 4, 0), 0x4e450201);
    assert_int_equal(port.drawn, 2);
    port_out(entropy_port_write, &port, 0, 4, 99, 0);
    assert_int_equal(port_in(entropy_port_read, &port, 0, 1, 0), 3);
}

/* For the properties, a source without state of its own: the bytes are a constant. */
static void constant(void *context, uint8_t *bytes, size_t length)
{
    (void)context;
    memset(bytes, 0x42, length);
}

static void init(void *device)
{
    entropy_port_init(device, (struct entropy_source){.fill = constant});
}

static void state(void *device, struct state *visit)
{
    entropy_port_state(device, visit);
}

static uint64_t operate(void *device, struct dice *dice, uint64_t *now)
{
    (void)now;
    return port_in(entropy_port_read, device, dice_below(dice, 5), 1u << dice_below(dice, 3), 0);
}

static const struct subject subject = {sizeof(struct entropy_port), init, state, operate};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_fresh),
        cmocka_unit_test(identity_draws_nothing),
        subject_test(restored_runs_on_the_same, &subject),
        subject_test(hostile_state_is_safe, &subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
