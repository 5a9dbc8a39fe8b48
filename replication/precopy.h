/*
 * When a checkpoint that is written while the machine runs (follower.h) is written to its end: how long the machine may
 * run in between, and when it stands still for the rest.
 *
 * Each *round* writes what was changed in the one before. Rounds go on until so little is left that the last step keeps
 * the machine no longer than PRECOPY_PAUSE. As long as more is left than may wait for the link, what is written waits
 * for the link (the *stroll*): a round lasts as long as the link needs for it. After that the rest is written at the
 * speed of memory (the *sprint*), and the link has it later: so the machine, and not the link, is what rounds run
 * against. A round after which more than half is left again has not helped: then the machine gets less time between two
 * slices of copying, in a sprint down to nearly none. What still does not come to an end is given up.
 *
 * Pure: no clock, no machine.
 */
#ifndef ENCORE_REPLICATION_PRECOPY_H
#define ENCORE_REPLICATION_PRECOPY_H

#include <stdbool.h>
#include <stdint.h>

/* The last step, and each slice before it, should keep the machine no longer than so many ns. */
#define PRECOPY_PAUSE UINT64_C(10000000)
/* Bytes that may be written ahead of the link; the whole sprint writes at most twice as many. */
#define PRECOPY_AHEAD (UINT64_C(64) << 20)
/* The last step never writes more bytes. */
#define PRECOPY_LAST_MAX (PRECOPY_AHEAD / 4)

struct precopy {
    unsigned round; /* from 1 */
    bool sprints;
    uint64_t left_before; /* bytes that this round began with */
    uint64_t sprinted;    /* bytes that the rounds of the sprint began with, in all */
    bool slowed;          /* the machine gets less time than it would like */
    uint64_t run;         /* ns for the machine between two slices */
    uint64_t per_byte;    /* what copying took lately, in ns for 1024 bytes */
};

enum precopy_step {
    PRECOPY_ROUND,  /* another round */
    PRECOPY_FINISH, /* the last step, now */
    PRECOPY_FAIL,   /* it does not come to an end */
};

/* A checkpoint begins, with so many bytes to write. */
struct precopy precopy(uint64_t left);
/* Copying so many bytes took so long. */
void precopy_measure(struct precopy *precopy, uint64_t bytes, uint64_t ns);
/* A round is over, and so many bytes were changed meanwhile; `room`: the checkpoint may hold these too, and the last
 * step. */
enum precopy_step precopy_next(struct precopy *precopy, uint64_t left, bool room);
/* The machine's share of the time, in thousandths, while there is something to copy. */
unsigned precopy_share(const struct precopy *precopy);

#endif
