/* What a replica asks of the arbiter: one thing at a time, again and again until there is an answer that decides it.
 * See replica.h. */
#include <inttypes.h>

#include "replication/replica_internal.h"

void replica_ask(struct replica *replica, int kind)
{
    struct replica_request *request = &replica->request;

    /* The arbiter answers in the order of the requests, and does not say to which: so one at a time. */
    *request = (struct replica_request){
        .kind = kind, .again_at = replica->now, .asked = request->asked, .stale = request->asked};
}

/* The owner of our epoch: whoever runs the machine. */
static uint64_t owner(const struct replica *replica)
{
    return replica_is_backup(replica) ? replica->peer : replica->config.node;
}

static void put(struct replica *replica)
{
    switch (replica->request.kind) {
    case REQUEST_NONE:
        break;
    case REQUEST_CLAIM: {
        struct replica_action *claim = replica_act(replica, REPLICA_CLAIM);
        claim->epoch = replica->epoch + 1;
        claim->node = replica->config.node;
        /* The first epoch of a machine is the one that needs no other before it. */
        claim->owner = replica->state == REPLICA_STARTING ? 0 : owner(replica);
        claim->rival = replica->peer;
        break;
    }
    case REQUEST_DOUBT: {
        struct replica_action *doubt = replica_act(replica, REPLICA_DOUBT);
        doubt->epoch = replica->epoch + 1;
        doubt->node = replica->peer;
        doubt->owner = owner(replica);
        break;
    }
    case REQUEST_VERIFY:
    case REQUEST_WATCH: {
        struct replica_action *verify = replica_act(replica, REPLICA_VERIFY);
        verify->epoch = replica->epoch;
        verify->node = owner(replica);
        break;
    }
    }
}

static bool has_place(const struct replica *replica)
{
    return replica->state == REPLICA_ALONE || replica->state == REPLICA_PRIMARY || replica->state == REPLICA_BACKUP;
}

void replica_tend_request(struct replica *replica)
{
    struct replica_request *request = &replica->request;

    if (request->kind == REQUEST_NONE && !request->asked && has_place(replica) && replica->now >= replica->watch_at)
        replica_ask(replica, REQUEST_WATCH);
    if (request->kind == REQUEST_NONE || request->asked || replica->now < request->again_at)
        return;
    request->asked = true;
    put(replica);
}

static void tell_forgotten(struct replica *replica, const char *meanwhile)
{
    replica_say(replica,
                "the arbiter has lost its memory: nothing is known there of this machine's epoch %" PRIu64 "; %s",
                replica->epoch, meanwhile);
    replica_say(replica,
                "`encore arbiter reset ARBITER --epoch %" PRIu64 " --owner %016" PRIx64
                "` puts it right, where no later epoch was ever won",
                replica->epoch, owner(replica));
}

/* Nobody waits for this answer; but the operator had better know before somebody does. */
static void take_watch(struct replica *replica, enum replica_answer answer, enum replica_arbiter before)
{
    replica->request.kind = REQUEST_NONE;
    replica->watch_at = replica->now + replica->config.arbiter_watch;
    if (answer == REPLICA_LOST && !replica_is_backup(replica))
        return primary_usurped(replica);
    if (replica->arbiter == before)
        return;
    if (replica->arbiter == REPLICA_ARBITER_UNREACHABLE)
        replica_say(replica, "the arbiter cannot be reached: should a side be lost now, the other must wait for it");
    else if (replica->arbiter == REPLICA_ARBITER_FORGETFUL)
        tell_forgotten(replica, "should a side be lost now, the other must wait");
    else if (before != REPLICA_ARBITER_UNKNOWN)
        replica_say(replica, "the arbiter answers again");
}

static void tell_undecided(struct replica *replica, enum replica_answer answer, enum replica_arbiter before)
{
    bool again = replica->request.told && replica->arbiter == before;

    if (again || (answer != REPLICA_UNREACHABLE && answer != REPLICA_FORGOTTEN))
        return;
    replica->request.told = true;
    if (answer == REPLICA_UNREACHABLE)
        replica_say(replica, "the arbiter cannot be reached; asking again, and no output leaves until it answers");
    else
        tell_forgotten(replica, "asking again, and no output leaves");
}

void replica_take_answer(struct replica *replica, enum replica_answer answer)
{
    struct replica_request *request = &replica->request;
    enum replica_arbiter before = replica->arbiter;

    bool awaited = request->kind != REQUEST_NONE && request->asked && !request->stale;
    request->asked = request->stale = false;
    if (!awaited)
        return;
    request->again_at = replica->now + replica->config.arbiter_retry;
    replica->arbiter = answer == REPLICA_UNREACHABLE ? REPLICA_ARBITER_UNREACHABLE
                       : answer == REPLICA_FORGOTTEN ? REPLICA_ARBITER_FORGETFUL
                                                     : REPLICA_ARBITER_ANSWERS;
    if (request->kind == REQUEST_WATCH)
        return take_watch(replica, answer, before);
    /* A backup that joins, and is told so, stops. */
    if (request->kind != REQUEST_VERIFY || answer == REPLICA_UNREACHABLE)
        tell_undecided(replica, answer, before);
    if (replica_is_backup(replica))
        backup_answer(replica, answer);
    else
        primary_answer(replica, answer);
}

const char *replica_arbiter_name(enum replica_arbiter arbiter)
{
    static const char *const names[] = {
        [REPLICA_ARBITER_UNKNOWN] = "unknown",
        [REPLICA_ARBITER_ANSWERS] = "answers",
        [REPLICA_ARBITER_UNREACHABLE] = "unreachable",
        [REPLICA_ARBITER_FORGETFUL] = "forgetful",
    };

    return names[arbiter];
}
