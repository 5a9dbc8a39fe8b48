/* What is said again and again is counted (say_limit.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "replication/say_limit.h"

static void a_flood_is_one_line_and_a_count(void **state)
{
    struct say_limit limit = {0};
    char line[SAY_TEXT], text[32];
    unsigned said = 0;

    (void)state;
    for (unsigned n = 0; n < 200; n++) {
        snprintf(text, sizeof text, "stranger %u", n);
        said += say_limit_admits(&limit, SAY_REFUSED, text, 1 + n);
        assert_false(say_limit_due(&limit, 1 + n, line));
    }
    assert_int_equal(said, 1);
    assert_true(say_limit_due(&limit, 1 + SAY_PERIOD, line));
    assert_string_equal(line, "199 more were not let in within 10 s; the last: stranger 199");
    assert_false(say_limit_due(&limit, 1 + SAY_PERIOD, line));
    /* It goes on: only counted. It ends: the next one is told. */
    assert_false(say_limit_admits(&limit, SAY_REFUSED, "again", 2 + SAY_PERIOD));
    assert_true(say_limit_due(&limit, 2 + 2 * SAY_PERIOD, line));
    assert_false(say_limit_due(&limit, 3 + 3 * SAY_PERIOD, line));
    assert_true(say_limit_admits(&limit, SAY_REFUSED, "much later", 4 + 3 * SAY_PERIOD));
}

static void kinds_do_not_hide_each_other(void **state)
{
    struct say_limit limit = {0};
    char line[SAY_TEXT];

    (void)state;
    for (unsigned n = 0; n < 100; n++) {
        say_limit_admits(&limit, SAY_REFUSED, "a", 1);
        assert_true(say_limit_admits(&limit, SAY_ANYTHING, "what matters", 1));
    }
    assert_true(say_limit_admits(&limit, SAY_LINK, "b", 1));
    say_limit_admits(&limit, SAY_NONSENSE, "c", 1);
    say_limit_admits(&limit, SAY_NONSENSE, "c", 1);
    assert_true(say_limit_due(&limit, 1 + SAY_PERIOD, line));
    assert_true(say_limit_due(&limit, 1 + SAY_PERIOD, line));
    assert_false(say_limit_due(&limit, 1 + SAY_PERIOD, line));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_is_one_line_and_a_count),
        cmocka_unit_test(kinds_do_not_hide_each_other),
    };

    return cmocka_run_group_tests_name("say_limit", tests, NULL, NULL);
}
