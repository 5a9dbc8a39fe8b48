/* See quantity.h. */
#include "tools/quantity.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Digits that are taken after the point. */
#define FRACTION_DIGITS 9
/* The longest time, in nanoseconds: some 292 years. */
#define TIME_MAX ((uint64_t)INT64_MAX)

/* A number as it was written: whole + fraction / scale. */
struct decimal {
    uint64_t whole;
    uint64_t fraction, scale;
};

struct unit {
    const char *suffix;
    uint64_t size;
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Returns what follows the digits, or NULL when there are none or too many. */
static const char *parse_whole(const char *text, uint64_t *value)
{
    if (!is_digit(*text))
        return NULL;
    for (*value = 0; is_digit(*text); text++) {
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(*text - '0'), value))
            return NULL;
    }
    return text;
}

static const char *parse_decimal(const char *text, struct decimal *number)
{
    *number = (struct decimal){.scale = 1};
    text = parse_whole(text, &number->whole);
    if (!text || *text != '.')
        return text;
    const char *fraction = text + 1;
    text = parse_whole(fraction, &number->fraction);
    if (!text || text - fraction > FRACTION_DIGITS)
        return NULL;
    for (const char *digit = fraction; digit < text; digit++)
        number->scale *= 10;
    return text;
}

/* Returns 0, or -1 when the result is too large; *exact: nothing was left out. */
static int multiply(const struct decimal *number, uint64_t unit, uint64_t *result, bool *exact)
{
    unsigned __int128 fraction = (unsigned __int128)number->fraction * unit;
    uint64_t whole;

    *exact = fraction % number->scale == 0;
    return __builtin_mul_overflow(number->whole, unit, &whole) ||
                   __builtin_add_overflow(whole, (uint64_t)(fraction / number->scale), result)
               ? -1
               : 0;
}

/* "", "b"; for K, M, G and T "k", "kb", "ki", "kib". Returns the unit in bytes, or 0. */
static uint64_t size_unit(const char *suffix)
{
    static const char letters[] = "kmgt";
    const char *letter = *suffix ? strchr(letters, *suffix | 0x20) : NULL;

    if (!letter)
        return *suffix == 0 || strcasecmp(suffix, "b") == 0 ? 1 : 0;
    suffix++;
    if (*suffix && strcasecmp(suffix, "b") != 0 && strcasecmp(suffix, "i") != 0 && strcasecmp(suffix, "ib") != 0)
        return 0;
    return UINT64_C(1) << 10 * (letter - letters + 1);
}

int quantity_size(const char *text, uint64_t *bytes, struct error *error)
{
    struct decimal number;
    const char *rest = parse_decimal(text, &number);
    uint64_t unit = rest ? size_unit(rest) : 0, result;
    bool exact;

    if (unit == 0 || multiply(&number, unit, &result, &exact) < 0)
        return error_set(error, ERROR_INPUT, "'%s' is not a size: write 64M, 2.5G, 4096K or a number of bytes", text);
    if (!exact)
        return error_set(error, ERROR_INPUT, "'%s' is not a whole number of bytes", text);
    *bytes = result;
    return 0;
}

int quantity_time(const char *text, uint64_t *nanoseconds, struct error *error)
{
    static const struct unit units[] = {
        {"", 1000000000},
        {"s", 1000000000},
        {"ms", 1000000},
        {"us", 1000},
        {"ns", 1},
        {"m", UINT64_C(60000000000)},
        {"min", UINT64_C(60000000000)},
        {"h", UINT64_C(3600000000000)},
    };
    struct decimal number;
    const char *rest = parse_decimal(text, &number);
    uint64_t result;
    bool exact;

    for (size_t i = 0; rest && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(rest, units[i].suffix) == 0 && multiply(&number, units[i].size, &result, &exact) == 0 &&
            result > 0 && result <= TIME_MAX) {
            *nanoseconds = result;
            return 0;
        }
    }
    return error_set(error, ERROR_INPUT, "'%s' is not a time: write 100ms, 1.5s, 2m or 1h", text);
}

int quantity_count(const char *text, uint64_t *count, struct error *error)
{
    uint64_t value;
    const char *rest = parse_whole(text, &value);

    if (!rest || *rest || value == 0)
        return error_set(error, ERROR_INPUT, "'%s' is not a whole number greater than zero", text);
    *count = value;
    return 0;
}
