/* JSON on standard output, which may be a terminal. */
#ifndef ENCORE_TOOLS_JSON_PRINT_H
#define ENCORE_TOOLS_JSON_PRINT_H

#include <jansson.h>

/* Prints a value and a newline in ASCII, with all control characters escaped: strings in it may come from a log or a
 * peer. `flags` are json_dumps'. Returns 0, or -1 when memory is exhausted. */
int json_print(const json_t *value, size_t flags);

#endif
