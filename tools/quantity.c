/* See quantity.h. */
#include "tools/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int parse_whole(const char *text, uint64_t *value, const char **rest)
{
    char *end;

    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    *value = strtoull(text, &end, 10);
    *rest = end;
    return errno ? -1 : 0;
}

int quantity_size(const char *text, uint64_t *bytes, struct error *error)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}};
    const char *rest = NULL;
    uint64_t value = 0;

    for (size_t i = 0; parse_whole(text, &value, &rest) == 0 && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(rest, units[i].suffix) == 0 && value <= UINT64_MAX >> units[i].shift) {
            *bytes = value << units[i].shift;
            return 0;
        }
    }
    return error_set(error, ERROR_INPUT, "'%s' is not a size: write 64M, 1G, 4096K or a number of bytes", text);
}

int quantity_time(const char *text, uint64_t *nanoseconds, struct error *error)
{
    static const struct {
        const char *suffix;
        double scale;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}, {"h", 3600e9}};
    char *rest;
    double value = *text >= '0' && *text <= '9' ? strtod(text, &rest) : -1;

    for (size_t i = 0; value > 0 && i < sizeof units / sizeof units[0]; i++) {
        double scaled = value * units[i].scale;
        if (strcmp(rest, units[i].suffix) == 0 && scaled >= 1 && scaled < 9e18) {
            *nanoseconds = (uint64_t)scaled;
            return 0;
        }
    }
    return error_set(error, ERROR_INPUT, "'%s' is not a time: write 500ms, 2s, 1.5m or 1h", text);
}

int quantity_count(const char *text, uint64_t *count, struct error *error)
{
    const char *rest;

    if (parse_whole(text, count, &rest) < 0 || *rest || *count == 0)
        return error_set(error, ERROR_INPUT, "'%s' is not a whole number greater than zero", text);
    return 0;
}
