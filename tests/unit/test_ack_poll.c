/* When a primary polls for an acknowledgement, and when it sleeps until it is woken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/ack_poll.h"

#define NOW UINT64_C(1000000000)

/* Output at NOW + `at` waits for the stream up to `offset`, of which all before is committed. */
static void hand_over(struct ack_poll *poll, uint64_t offset, uint64_t at)
{
    ack_poll_begin(poll, offset, offset - 1, true, NOW + at);
}

static void polls_while_a_halted_guest_waits(void **unused)
{
    (void)unused;
    struct ack_poll poll = {0};

    assert_int_equal(ack_poll_until(&poll), 0);
    hand_over(&poll, 10, 0);
    assert_int_equal(ack_poll_until(&poll), NOW + ACK_POLL_MAX);
    ack_poll_commit(&poll, 9, NOW + 5);
    assert_int_equal(ack_poll_until(&poll), NOW + ACK_POLL_MAX);
    hand_over(&poll, 20, 7); /* more output: that is what is waited for now */
    ack_poll_commit(&poll, 19, NOW + 8);
    assert_int_equal(ack_poll_until(&poll), NOW + 7 + ACK_POLL_MAX);
    ack_poll_commit(&poll, 20, NOW + 9);
    assert_int_equal(ack_poll_until(&poll), 0);
}

static void sleeps_for_a_guest_that_runs_and_for_output_that_may_leave(void **unused)
{
    (void)unused;
    struct ack_poll poll = {0};

    ack_poll_begin(&poll, 10, 9, false, NOW);
    assert_int_equal(ack_poll_until(&poll), 0);
    ack_poll_begin(&poll, 10, 10, true, NOW);
    assert_int_equal(ack_poll_until(&poll), 0);
    hand_over(&poll, 20, 0);
    ack_poll_begin(&poll, 30, 9, false, NOW); /* it was woken, and has gone on */
    assert_int_equal(ack_poll_until(&poll), 0);
}

static void gives_up_on_a_backup_that_is_far_away(void **unused)
{
    (void)unused;
    struct ack_poll poll = {0};

    hand_over(&poll, 10, 0);
    ack_poll_commit(&poll, 10, NOW + ACK_POLL_MAX + 1);
    hand_over(&poll, 20, 0);
    assert_int_equal(ack_poll_until(&poll), 0);
    /* That has been measured too, and was quicker. */
    ack_poll_commit(&poll, 20, NOW + ACK_POLL_MAX);
    hand_over(&poll, 30, 0);
    assert_int_equal(ack_poll_until(&poll), NOW + ACK_POLL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(polls_while_a_halted_guest_waits),
        cmocka_unit_test(sleeps_for_a_guest_that_runs_and_for_output_that_may_leave),
        cmocka_unit_test(gives_up_on_a_backup_that_is_far_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
