/* What the benchmark programs share: a guest with nobody outside of it, and figures printed as "NAME VALUE" lines. */
#ifndef ENCORE_BENCH_GUEST_H
#define ENCORE_BENCH_GUEST_H

#include <stdint.h>

#include "tools/guest.h"

/* A machine of `ram_size` bytes around a fresh engine, not booted; the engine is the one that the command's
 * --engine would be; `image` is read into it when not NULL.
 * `*engine_done`, unless NULL, gets the host time at which the engine was there. Ends the program with a sentence on
 * failure. */
void bench_guest_create(struct guest *guest, const char *engine, uint64_t ram_size, const char *image,
                        uint64_t *engine_done);

/* Ends the program, with exit code 1 and one sentence. */
_Noreturn void bench_fail(const char *what, const struct error *error);

/* Prints a figure for bench/run: a span of host time, in milliseconds. */
void bench_print_ms(const char *name, uint64_t ns);

#endif
