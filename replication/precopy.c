/* See precopy.h. */
#include "replication/precopy.h"

#define MILLISECOND UINT64_C(1000000)
/* For the machine between two slices: at first; in the stroll and in the sprint at least. */
#define RUN_FIRST  (5 * MILLISECOND)
#define RUN_STROLL (2 * MILLISECOND)
#define RUN_SPRINT (MILLISECOND / 5)
/* The last step writes so many bytes whatever it takes: a machine that rests changes as much. */
#define FEW (UINT64_C(1) << 20)
/* What copying takes where it has not been measured: 512 MiB a second. */
#define PER_BYTE_FIRST 2000
#define ROUNDS_MAX     64

struct precopy precopy(uint64_t left)
{
    return (struct precopy){.round = 1,
                            .sprints = left <= PRECOPY_AHEAD,
                            .left_before = left,
                            .sprinted = left <= PRECOPY_AHEAD ? left : 0,
                            .run = RUN_FIRST,
                            .per_byte = PER_BYTE_FIRST};
}

void precopy_measure(struct precopy *precopy, uint64_t bytes, uint64_t ns)
{
    if (bytes >= 65536)
        precopy->per_byte = (3 * precopy->per_byte + ns / (bytes / 1024)) / 4;
}

/* What the last step may have to write. */
static uint64_t last_step(const struct precopy *precopy)
{
    uint64_t most = precopy->per_byte ? PRECOPY_PAUSE / precopy->per_byte * 1024 : PRECOPY_LAST_MAX;

    if (most > PRECOPY_LAST_MAX)
        most = PRECOPY_LAST_MAX;
    return most > FEW ? most : FEW;
}

static void slow_down(struct precopy *precopy)
{
    uint64_t least = precopy->sprints ? RUN_SPRINT : RUN_STROLL;

    precopy->slowed = true;
    precopy->run = precopy->run / 4 > least ? precopy->run / 4 : least;
}

enum precopy_step precopy_next(struct precopy *precopy, uint64_t left, bool room)
{
    bool first = precopy->round == 1;

    if (left <= last_step(precopy))
        return PRECOPY_FINISH;
    if (!room || precopy->round >= ROUNDS_MAX)
        return PRECOPY_FAIL;
    if (!precopy->sprints && left <= PRECOPY_AHEAD)
        precopy->sprints = true;
    if (precopy->sprints && precopy->sprinted + left > 2 * PRECOPY_AHEAD)
        return PRECOPY_FAIL;
    precopy->sprinted += precopy->sprints ? left : 0;
    /* In its first round a stroll may last for minutes, in which any machine changes much. */
    if (left > precopy->left_before / 2 && (!first || precopy->sprints))
        slow_down(precopy);
    precopy->left_before = left;
    precopy->round++;
    return PRECOPY_ROUND;
}

unsigned precopy_share(const struct precopy *precopy)
{
    return (unsigned)(1000 * precopy->run / (precopy->run + PRECOPY_PAUSE));
}
