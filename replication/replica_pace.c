/* How fast the primary's machine runs: no faster than its backup replays, but for some lag. See replica.h. */
#include "replication/replica_internal.h"

#define SAMPLE_EVERY UINT64_C(1000000)

uint64_t primary_lag(const struct replica *replica)
{
    /* The oldest mark that waits. */
    return replica->times.count ? replica->now - replica->times.list[replica->times.first].value : 0;
}

void primary_throttle(struct replica *replica, unsigned permille)
{
    if (permille == replica->throttle)
        return;
    replica->throttle = permille;
    replica_act(replica, REPLICA_THROTTLE)->permille = permille;
}

/* Notes when the stream had grown so long. */
static void sample_time(struct replica *replica)
{
    if (replica->end == replica->sampled_end || replica->now - replica->sampled_at < SAMPLE_EVERY)
        return;
    replica->sampled_end = replica->end;
    replica->sampled_at = replica->now;
    gate_marks_add(&replica->times, replica->end, replica->now);
    gate_marks_commit(&replica->times, replica->peer_replayed);
}

bool primary_pace(struct replica *replica)
{
    const struct replica_config *config = &replica->config;
    unsigned permille = 0;

    sample_time(replica);
    uint64_t lag = primary_lag(replica);
    if (!replica->member)
        return true;
    if (lag >= config->lag_max)
        permille = 1000;
    else if (lag > config->lag_slow)
        permille = (unsigned)(1000 * (lag - config->lag_slow) / (config->lag_max - config->lag_slow)) / 50 * 50;
    primary_throttle(replica, permille);
    if (lag < config->lag_max) {
        replica->lag_since = 0;
        return true;
    }
    if (replica->lag_since == 0)
        replica->lag_since = replica->now;
    return replica->now - replica->lag_since <= config->lag_patience || replica->state != REPLICA_PRIMARY;
}
