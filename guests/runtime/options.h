/* The command line: words between spaces, "name" or "name=value". */
#ifndef GUEST_RUNTIME_OPTIONS_H
#define GUEST_RUNTIME_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* The command line is the guest's to keep; it must stay where it is. */
void options_start(const char *cmdline);

/* Whether the word `name` is there, with or without a value. */
bool option_given(const char *name);

/* The number that `name=` gives, or `standard` when it is absent. One that is no number, or outside [low, high], ends
 * the run with EXIT_USAGE and a message. */
uint64_t option_number(const char *name, uint64_t standard, uint64_t low, uint64_t high);

#endif
