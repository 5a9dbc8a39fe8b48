/* Sizes, times and counts as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/quantity.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define NO  UINT64_MAX /* refused */

struct row {
    const char *text;
    uint64_t value;
};

typedef int parse_fn(const char *text, uint64_t *value, struct error *error);

static void check(parse_fn *parse, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct error error = {0};
        uint64_t value = 12345;
        int result = parse(rows[i].text, &value, &error);
        if (rows[i].value == NO) {
            if (result != -1 || error.kind != ERROR_INPUT || value != 12345)
                fail_msg("'%s' gave %llu", rows[i].text, (unsigned long long)value);
            /* The text is quoted, unless it is longer than a message. */
            if (strlen(rows[i].text) < 40 && !strstr(error.text, rows[i].text))
                fail_msg("'%s' gave: %s", rows[i].text, error.text);
        } else if (result != 0 || value != rows[i].value) {
            fail_msg("'%s' gave %d, %llu: %s", rows[i].text, result, (unsigned long long)value, error.text);
        }
    }
}
#define CHECK_ROWS(parse, rows) check(parse, rows, sizeof(rows) / sizeof(rows)[0])

static void sizes(void **state)
{
    static const struct row rows[] = {
        {"0", 0},
        {"65536", 65536},
        {"65536b", 65536},
        {"65536B", 65536},
        {"4096K", 4 * MIB},
        {"4096k", 4 * MIB},
        {"64M", 64 * MIB},
        {"64m", 64 * MIB},
        {"64MB", 64 * MIB},
        {"64mb", 64 * MIB},
        {"64MiB", 64 * MIB},
        {"64mib", 64 * MIB},
        {"64Mi", 64 * MIB},
        {"1GiB", GIB},
        {"2.5G", 5 * GIB / 2},
        {"2.5GB", 5 * GIB / 2},
        {"0.5k", 512},
        {"1.000000000M", MIB},
        {"1T", 1024 * GIB},
        {"1tb", 1024 * GIB},
        {"16777215T", (UINT64_C(1) << 24) * 1024 * GIB - 1024 * GIB},
        {"18446744073709551615", UINT64_MAX - 0}, /* the same as NO: see below */
        {"0.3k", NO},                             /* no whole number of bytes */
        {"1.5", NO},
        {"1.0000000001M", NO}, /* more digits than are taken */
        {"16777216T", NO},
        {"18446744073709551616", NO},
        {"99999999999999999999999", NO},
        {"", NO},
        {"M", NO},
        {".5M", NO},
        {"1.M", NO},
        {"1..5M", NO},
        {"1,5M", NO},
        {"-1M", NO},
        {"+1M", NO},
        {" 1M", NO},
        {"1 M", NO},
        {"1M ", NO},
        {"0x10", NO},
        {"1e3", NO},
        {"64X", NO},
        {"64MM", NO},
        {"64MBB", NO},
        {"64iB", NO},
        {"64ib", NO},
        {"64MiBs", NO},
        {"inf", NO},
        {"nan", NO},
    };
    uint64_t value;
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].text, "18446744073709551615") != 0)
            check(quantity_size, &rows[i], 1);
    }
    assert_int_equal(quantity_size("18446744073709551615", &value, &error), 0);
    assert_true(value == UINT64_MAX);
}

static void times(void **state)
{
    static const struct row rows[] = {
        {"10", UINT64_C(10000000000)},
        {"10s", UINT64_C(10000000000)},
        {"1.5s", UINT64_C(1500000000)},
        {"1.5", UINT64_C(1500000000)},
        {"100ms", UINT64_C(100000000)},
        {"0.25ms", UINT64_C(250000)},
        {"30us", UINT64_C(30000)},
        {"7ns", UINT64_C(7)},
        {"2m", UINT64_C(120000000000)},
        {"1.5m", UINT64_C(90000000000)},
        {"2min", UINT64_C(120000000000)},
        {"1h", UINT64_C(3600000000000)},
        {"0.000000001s", 1},
        {"1.9ns", 1}, /* what is less than a nanosecond is left out */
        {"9223372036s", UINT64_C(9223372036000000000)},
        {"0", NO}, /* nothing takes no time at all */
        {"0s", NO},
        {"0.0s", NO},
        {"0.9ns", NO},
        {"0.0000000001s", NO},
        {"9223372037s", NO},
        {"99999999999h", NO},
        {"99999999999999999999s", NO},
        {"", NO},
        {"s", NO},
        {"-1s", NO},
        {"+1s", NO},
        {" 1s", NO},
        {"1 s", NO},
        {"1e99s", NO},
        {"1e3", NO},
        {"0x10s", NO},
        {".5s", NO},
        {"1.s", NO},
        {"5x", NO},
        {"5S", NO}, /* times have small letters: 5M would be minutes or mega-somethings */
        {"5M", NO},
        {"5mss", NO},
        {"inf", NO},
        {"nan", NO},
    };

    (void)state;
    CHECK_ROWS(quantity_time, rows);
}

static void counts(void **state)
{
    static const struct row rows[] = {
        {"1", 1},    {"007", 7},   {"18446744073709551614", UINT64_MAX - 1},
        {"0", NO},   {"", NO},     {"18446744073709551616", NO},
        {"-3", NO},  {"+3", NO},   {" 3", NO},
        {"3 ", NO},  {"3k", NO},   {"3.0", NO},
        {"1e3", NO}, {"many", NO}, {"0x3", NO},
    };

    (void)state;
    CHECK_ROWS(quantity_count, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(times),
        cmocka_unit_test(counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
