/*
 * What is said again and again is said a few times, and then counted: of each kind so many sentences at once, and after
 * SAY_PERIOD one line for all the others. Pure.
 */
#ifndef ENCORE_REPLICATION_SAY_LIMIT_H
#define ENCORE_REPLICATION_SAY_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAY_PERIOD UINT64_C(10000000000) /* ns */
#define SAY_TEXT   512

enum say_kind {
    SAY_ANYTHING, /* never limited */
    SAY_REFUSED,  /* somebody was not let in */
    SAY_NONSENSE, /* somebody who was let in said what makes no sense */
    SAY_LINK,     /* a link came to its end */
    SAY_ARBITER,
    SAY_CONSOLE,
    SAY_KINDS,
};

struct say_limit {
    struct say_some {
        uint64_t until; /* the end of the period; 0: there is none */
        unsigned said, held;
        char last[SAY_TEXT]; /* of those held */
    } kinds[SAY_KINDS];
};

/* Whether a sentence is to be said now; otherwise it is counted. */
bool say_limit_admits(struct say_limit *limit, enum say_kind kind, const char *text, uint64_t now);
/* The line for what was counted, if one is due. To be called now and then, until it returns false. */
bool say_limit_due(struct say_limit *limit, uint64_t now, char line[SAY_TEXT]);

#endif
