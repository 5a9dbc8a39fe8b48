/*
 * A backup that joins, as the primary sees it. See replica.h.
 *
 * The machine writes a checkpoint into the stream no faster than the link takes it (follower.c), and then its records.
 * From there on the backup has to catch up: a machine whose log grows faster than the link or the replay takes it is
 * slowed, step by step. What cannot come to an end is given up, with the reason, and not begun anew at once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replication/replica_internal.h"

#define MILLISECOND UINT64_C(1000000)
#define SECOND      UINT64_C(1000000000)
/* How a long join is going is said so often. */
#define TELL_EVERY SECOND
/* Whether what is left has become less is looked at so often; slowed as far as possible, it must do so in the end. */
#define LOOK_EVERY (500 * MILLISECOND)
#define STUCK_MAX  60
#define SLOWEST    975
/* The time until a join may begin again is doubled so often. */
#define DOUBLINGS_MAX 5

void join_begin(struct replica *replica)
{
    struct replica_join *join = &replica->join;

    join->told_at = join->looked_at = replica->now;
    join->unwritten = 0;
    join->round = join->stuck = 0;
    join->left_before = UINT64_MAX;
}

void join_wrote(struct replica *replica, uint64_t unwritten, unsigned round)
{
    replica->join.unwritten = unwritten;
    replica->join.round = round;
}

void join_done(struct replica *replica)
{
    replica->join.failures = 0;
}

uint64_t join_left(const struct replica *replica)
{
    bool joins = replica->stream && !replica->member;

    return !joins ? 0 : replica->join.unwritten + replica->end - replica->peer_received;
}

void join_give_up(struct replica *replica, const char *why)
{
    struct replica_join *join = &replica->join;

    if (!replica->stream || replica->member)
        return;
    join->not_before = replica->now + (replica->config.join_retry << join->failures);
    if (join->failures < DOUBLINGS_MAX)
        join->failures++;
    snprintf(join->why, sizeof join->why, "the join is given up: %s; another may begin in %.0f s", why,
             (double)(join->not_before - replica->now) / 1e9);
    replica_say(replica, "%s", join->why);
    replica_refuse(replica, join->why);
    primary_alone(replica);
}

bool join_may_begin(const struct replica *replica)
{
    return replica->now >= replica->join.not_before;
}

static void tell(struct replica *replica)
{
    struct replica_join *join = &replica->join;
    uint64_t left = join_left(replica);
    char slowed[48] = "";

    join->told_at = replica->now;
    if (replica->throttle)
        snprintf(slowed, sizeof slowed, "; the guest runs at %u %%", (1000 - replica->throttle) / 10);
    replica_say(replica, "a backup joins: %.1f MB sent, round %u, at most %.1f MB to go%s",
                (double)replica->peer_received / 1e6, join->round, (double)left / 1e6, slowed);
    struct message *message = primary_send(replica, MESSAGE_JOINING, replica->end);
    message->round = join->round;
    message->left = left;
}

/* Slows the machine as long as its backup does not come nearer. */
static void catch_up(struct replica *replica)
{
    struct replica_join *join = &replica->join;
    bool replays = replica->peer_replayed >= replica->joined;
    uint64_t left = replica->end - (replays ? replica->peer_replayed : replica->peer_received);
    /* It has all that may be under way, and is busy with images or with the checkpoint. */
    bool busy = !replays && replica->peer_received == replica->sent &&
                replica->sent - replica->peer_safe >= replica->flow.window;
    bool nearer = busy || left <= replica->config.window || left < join->left_before - join->left_before / 32;

    join->looked_at = replica->now;
    join->left_before = left;
    if (nearer) {
        join->stuck = 0;
        primary_throttle(replica, replica->throttle > 100 ? replica->throttle / 2 : 0);
    } else if (replica->throttle < SLOWEST) {
        unsigned slower = replica->throttle + (1000 - replica->throttle) / 2;
        primary_throttle(replica, slower < SLOWEST ? slower : SLOWEST);
    } else if (++join->stuck > STUCK_MAX) {
        join_give_up(replica, "the guest's log grows faster than it can be sent and replayed");
    }
}

void join_tick(struct replica *replica)
{
    struct replica_join *join = &replica->join;

    if (!replica->stream || replica->member || replica->state != REPLICA_ALONE)
        return;
    if (replica->now - join->told_at >= TELL_EVERY)
        tell(replica);
    if (replica->joined != NO_OFFSET && replica->now - join->looked_at >= LOOK_EVERY)
        catch_up(replica);
}
