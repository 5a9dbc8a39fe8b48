/* When pre-copy ends: for machines that rest, that change much, and that change everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/precopy.h"

#define MIB UINT64_C(1048576)

static void a_machine_that_rests_is_done_after_one_round(void **unused)
{
    (void)unused;
    struct precopy pre = precopy(500 * MIB);

    assert_false(pre.sprints);
    assert_int_equal(precopy_next(&pre, 0, true), PRECOPY_FINISH);
    assert_int_equal(pre.round, 1);
    assert_false(pre.slowed);
}

/* A pretended machine that changes `speed` bytes in the ns that it runs, of `working_set` in all; copied at `copy`
 * bytes a ns, to a link that takes `link`. Returns what precopy_next said last; *longest is the last step's pause. */
static enum precopy_step join(struct precopy *pre, uint64_t memory, double speed, double working_set, double copy,
                              double link, uint64_t *pause)
{
    double left = (double)memory;
    enum precopy_step step;

    *pre = precopy(memory);
    do {
        double share = precopy_share(pre) / 1000.0;
        double took = left / (pre->sprints ? copy * (1 - share) : link);
        precopy_measure(pre, 10 * MIB, (uint64_t)(10.0 * (double)MIB / copy));
        double changed = speed * took * share;
        left = changed < working_set ? changed : working_set;
        step = precopy_next(pre, (uint64_t)left, true);
    } while (step == PRECOPY_ROUND);
    *pause = (uint64_t)(left / copy);
    return step;
}

static void a_machine_that_changes_all_its_memory_is_slowed(void **unused)
{
    (void)unused;
    struct precopy pre;
    uint64_t pause;

    /* 1 GB/s of 40 MiB, copied at 500 MB/s, over 125 kB/s: the link does not matter. */
    assert_int_equal(join(&pre, 64 * MIB, 1.0, 40.0 * (double)MIB, 0.5, 0.000125, &pause), PRECOPY_FINISH);
    assert_true(pre.slowed && pre.sprints);
    assert_true(pause <= 12000000);
    assert_true(pre.sprinted <= 2 * PRECOPY_AHEAD);
    /* 10 MB/s of 40 MiB in 1 GiB, over 12.5 MB/s: two rounds at the link's speed, and then a sprint. */
    assert_int_equal(join(&pre, 1024 * MIB, 0.01, 40.0 * (double)MIB, 0.5, 0.0125, &pause), PRECOPY_FINISH);
    assert_true(pause <= 12000000);
}

static void what_cannot_end_is_given_up(void **unused)
{
    (void)unused;
    struct precopy pre;
    uint64_t pause;

    /* 500 MiB, all of it changed again and again: more than may wait for the link. */
    assert_int_equal(join(&pre, 512 * MIB, 1.0, 500.0 * (double)MIB, 0.5, 0.00125, &pause), PRECOPY_FAIL);
    assert_true(pre.slowed && !pre.sprints);
    assert_true(precopy_share(&pre) >= 150); /* the link's time may be long: the machine is not brought to a halt */
    /* A checkpoint has no more room. */
    pre = precopy(32 * MIB);
    assert_int_equal(precopy_next(&pre, 32 * MIB, false), PRECOPY_FAIL);
    pre = precopy(32 * MIB);
    assert_int_equal(precopy_next(&pre, MIB, false), PRECOPY_FINISH);
}

static void the_last_step_goes_by_what_copying_takes(void **unused)
{
    (void)unused;
    struct precopy pre = precopy(32 * MIB);

    for (unsigned n = 0; n < 100; n++)
        precopy_measure(&pre, MIB, 1000000); /* 1 MiB a ms */
    assert_int_equal(precopy_next(&pre, 9 * MIB, true), PRECOPY_FINISH);
    assert_int_equal(precopy_next(&pre, 12 * MIB, true), PRECOPY_ROUND);
    for (unsigned n = 0; n < 100; n++)
        precopy_measure(&pre, MIB, 0);
    assert_int_equal(precopy_next(&pre, PRECOPY_LAST_MAX, true), PRECOPY_FINISH);
    assert_int_equal(precopy_next(&pre, PRECOPY_LAST_MAX + 4096, true), PRECOPY_ROUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_that_rests_is_done_after_one_round),
        cmocka_unit_test(a_machine_that_changes_all_its_memory_is_slowed),
        cmocka_unit_test(what_cannot_end_is_given_up),
        cmocka_unit_test(the_last_step_goes_by_what_copying_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
