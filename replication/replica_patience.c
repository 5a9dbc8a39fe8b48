/*
 * How long the other side's silence is borne. See replica.h.
 *
 * A link that is slow, or that loses (and says so only by being late, as TCP does), must not bring anybody down. So the
 * patience of both sides grows, from `suspect_after` up to `suspect_max`, with the round trip and with each silence
 * that turned out to be none; it shrinks again when another backup joins. Both sides know of it: the primary says in
 * its heartbeats what the backup is to bear, and the backup what it does bear.
 *
 * Heartbeats and acknowledgements carry their sender's clock, and the newest clock of the other side that it knew. So
 * each side has the round trip, and knows which of what it hears was said after a certain moment: what was under way
 * before proves nothing.
 */
#include "replication/replica_internal.h"

/* Of the round trip, so many are added to the patience: what is lost is sent again after about two. */
#define ROUND_TRIPS 3
/* What a peer may ask of us, ns. */
#define PATIENCE_MAX UINT64_C(3600000000000)

static void bear(struct replica *replica, uint64_t silence)
{
    uint64_t most = replica->config.suspect_max;

    if (silence > most)
        silence = most;
    if (silence > replica->patience.whole)
        replica->patience.whole = silence;
}

/* What the length of the way alone asks for. */
static uint64_t reach(const struct replica *replica)
{
    uint64_t least = replica->config.suspect_after, most = replica->config.suspect_max;
    uint64_t wanted = least + ROUND_TRIPS * replica->patience.round_trip;

    return wanted < most ? wanted : most > least ? most : least;
}

void patience_begin(struct replica *replica)
{
    uint64_t least = replica->config.suspect_after;
    uint64_t learned = replica->patience.whole > least ? replica->patience.whole - least : 0;

    /* The link may be the same, or not. */
    replica->patience = (struct replica_patience){.whole = least + learned / 2};
}

/* Who runs the machine is the first to lose patience, so that it, and not its member, wins the next epoch when only the
 * link between them broke. The member's head start must be longer than a request to the arbiter may take. */
static uint64_t borne(const struct replica *replica)
{
    const struct replica_patience *patience = &replica->patience;

    if (replica_is_backup(replica))
        return patience->whole;
    return (patience->agreed && patience->agreed < patience->whole ? patience->agreed : patience->whole) * 2 / 3;
}

/* How long a closed link may take to be renewed. */
static uint64_t link_grace(const struct replica *replica)
{
    return replica_is_backup(replica) ? reach(replica) * 2 / 5 : reach(replica) / 8;
}

static bool is_pair(const struct replica *replica)
{
    return replica->state == REPLICA_PRIMARY || replica->state == REPLICA_HANDING_OVER ||
           replica->state == REPLICA_CONTENDING || replica->state == REPLICA_BACKUP ||
           replica->state == REPLICA_CLAIMING;
}

void replica_hear(struct replica *replica)
{
    uint64_t silence = replica->now > replica->heard_at ? replica->now - replica->heard_at : 0;

    if (is_pair(replica))
        bear(replica, 2 * silence);
    replica->heard_at = replica->now;
    replica->link_down = false;
}

void patience_take(struct replica *replica, const struct message *message)
{
    struct replica_patience *patience = &replica->patience;
    uint64_t asked = message->patience < PATIENCE_MAX ? message->patience : PATIENCE_MAX;

    patience->peer_clock = message->clock;
    patience->peer_clock_at = replica->now;
    if (message->echo && message->echo <= replica->now && message->held <= replica->now - message->echo) {
        uint64_t sample = replica->now - message->echo - message->held;
        if (message->echo > patience->echoed)
            patience->echoed = message->echo;
        /* As RFC 6298 smooths it. */
        patience->round_trip = patience->round_trip ? (7 * patience->round_trip + sample) / 8 : sample;
    }
    bear(replica, reach(replica));
    if (!replica_is_backup(replica)) {
        patience->agreed = asked;
        bear(replica, asked);
    } else if (asked > patience->whole) {
        patience->whole = asked;
    }
}

void patience_tell(const struct replica *replica, struct message *message)
{
    const struct replica_patience *patience = &replica->patience;

    message->clock = replica->now;
    message->echo = patience->peer_clock;
    message->held = patience->peer_clock ? replica->now - patience->peer_clock_at : 0;
    message->patience = patience->whole;
}

void replica_lose_link(struct replica *replica, uint64_t node)
{
    if (replica->link_down || (!replica_is_backup(replica) && node != replica->peer))
        return;
    replica->link_down = true;
    replica->link_down_at = replica->now;
}

uint64_t replica_suspects_at(const struct replica *replica)
{
    uint64_t silence = replica->heard_at + borne(replica);
    uint64_t broken = replica->link_down_at + link_grace(replica);

    return replica->link_down && broken < silence ? broken : silence;
}

bool replica_hears(const struct replica *replica)
{
    return replica->now <= replica_suspects_at(replica);
}

bool replica_heard_without_arbiter(const struct replica *replica)
{
    /* Only between two requests: an answer under way might be WON. And what the other side said before it had heard us
     * again may be from before it took over. */
    return replica_hears(replica) && !replica->request.asked && replica->request.told &&
           replica->patience.echoed > replica->lost_at;
}
