/* See json_print.h. */
#include "tools/json_print.h"

#include <stdio.h>
#include <stdlib.h>

int json_print(const json_t *value, size_t flags)
{
    char *text = value ? json_dumps(value, flags | JSON_ENSURE_ASCII) : NULL;

    if (!text)
        return -1;
    /* JSON leaves DEL as it is (RFC 8259, 7). It can only be within a string. */
    for (const char *at = text; *at; at++) {
        if (*at == 0x7f)
            fputs("\\u007f", stdout);
        else
            putchar(*at);
    }
    putchar('\n');
    free(text);
    return 0;
}
