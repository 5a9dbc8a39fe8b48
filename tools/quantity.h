/* Quantities as people write them on a command line. */
#ifndef ENCORE_TOOLS_QUANTITY_H
#define ENCORE_TOOLS_QUANTITY_H

#include <stdint.h>

#include "base/error.h"

/* "64M", "1G", "4096K", "65536": bytes. Returns 0, or -1 with an ERROR_INPUT that quotes the text. */
int quantity_size(const char *text, uint64_t *bytes, struct error *error);

/* "500ms", "2s", "1.5m", "1h", "30us", "10" (seconds): nanoseconds, greater than zero. */
int quantity_time(const char *text, uint64_t *nanoseconds, struct error *error);

/* A whole number greater than zero. */
int quantity_count(const char *text, uint64_t *count, struct error *error);

#endif
