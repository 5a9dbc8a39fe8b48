/*
 * Quantities as people write them on a command line.
 *
 * All are decimal, without sign or blanks. Sizes and times may have up to nine digits after a point. Each function
 * returns 0, or -1 with an ERROR_INPUT that quotes the text, and then leaves the number alone.
 */
#ifndef ENCORE_TOOLS_QUANTITY_H
#define ENCORE_TOOLS_QUANTITY_H

#include <stdint.h>

#include "base/error.h"

/* "64M", "64m", "64MB", "64MiB", "2.5G", "65536": a whole number of bytes. K, M, G and T are powers of 1024, whatever
 * follows them, as in QEMU: memory and disks come in these. */
int quantity_size(const char *text, uint64_t *bytes, struct error *error);

/* "100ms", "1.5s", "2m" or "2min", "1h", "30us", "10" (seconds): nanoseconds, greater than zero. */
int quantity_time(const char *text, uint64_t *nanoseconds, struct error *error);

/* A whole number greater than zero. */
int quantity_count(const char *text, uint64_t *count, struct error *error);

#endif
