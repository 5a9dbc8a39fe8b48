/*
 * Broken invariants.
 *
 * CHECK stops the program when our own reasoning was wrong. It is always on, and its condition must have no side
 * effect. It is never the answer to bad input (struct error, exit code 2), to a failing host (struct error, exit
 * code 1), or to anything a guest can do (device status, machine exit).
 */
#ifndef ENCORE_BASE_CHECK_H
#define ENCORE_BASE_CHECK_H

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0))                                                                         \
            check_failed(#condition, __FILE__, __LINE__);                                                              \
    } while (0)

/* Prints the broken invariant on stderr and aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#endif
