/*
 * The side that runs the machine. See replica.h for the rules; here is where each of them is kept:
 *   who may follow          greet, begin_join, invite; replica_join.c
 *   what has left           commit_acknowledged, and HOLD in invite
 *   when to go on alone     lose_member, give_up_peer, primary_answer
 *   when to ask whether     primary_wake, settle_doubt
 */
#include <inttypes.h>

#include "base/check.h"
#include "replication/replica_internal.h"

/* A joining backup may be silent for so many suspect_after: it may be busy restoring. */
#define JOIN_PATIENCE 25
/* MEMBER may be lost, and is not answered; it is said again after so many suspect_after. */
#define MEMBER_AGAIN 10

static void commit(struct replica *replica, uint64_t offset)
{
    replica->committed = offset;
    replica_act(replica, REPLICA_COMMIT)->offset = offset;
}

/* Ends the stream, if there is one, and forgets whoever followed it. */
static void end_stream(struct replica *replica)
{
    if (replica->stream) {
        replica_act(replica, REPLICA_DROP);
        replica->stream = 0;
    }
    log_feed_free(&replica->backlog);
    log_feed_init(&replica->backlog, replica->config.backlog_max);
    replica->end = replica->sent = 0;
    replica->peer = replica->peer_received = replica->peer_safe = replica->peer_replayed = 0;
    replica->peer_ready = replica->member = replica->stream_broken = false;
    replica->later_epoch = replica->contend_for_good = replica->link_down = false;
    replica->joined = NO_OFFSET;
    replica->times = (struct gate_marks){0};
    replica->sampled_end = 0;
    replica->lag_since = 0;
    primary_throttle(replica, 0);
}

static void resume_machine(struct replica *replica)
{
    bool stopped = replica->quiet || replica->wants_handover;

    replica->quiet = replica->wants_handover = false;
    if (stopped)
        replica_act(replica, REPLICA_RESUME);
}

static void finish_if_ended(struct replica *replica)
{
    if (!replica->ended || replica->committed < replica->end)
        return;
    if (replica->stream)
        replica_send(replica, MESSAGE_BYE)->offset = replica->end;
    replica_act(replica, REPLICA_FINISH);
    replica->state = REPLICA_ENDED;
}

void primary_alone(struct replica *replica)
{
    replica->state = REPLICA_ALONE;
    replica->request.kind = REQUEST_NONE;
    end_stream(replica);
    commit(replica, NO_OFFSET);
    resume_machine(replica);
    finish_if_ended(replica);
}

/* Asks for the next epoch. Until the answer nothing is committed. */
static void contend(struct replica *replica)
{
    if (replica->committed == NO_OFFSET) {
        replica->committed = replica->end;
        replica_act(replica, REPLICA_HOLD)->offset = replica->end;
    }
    replica->state = REPLICA_CONTENDING;
    replica->lost_at = replica->now;
    replica_ask(replica, REQUEST_CLAIM);
}

static void lose_member(struct replica *replica, const char *why)
{
    replica_say(replica, "%s; asking the arbiter whether to go on alone", why);
    contend(replica);
}

void primary_usurped(struct replica *replica)
{
    replica->later_epoch = true;
    lose_member(replica, "the arbiter has given our epoch to another machine");
}

/* The peer has given up its place by itself: nobody but us can ask for the next epoch. */
static void give_up_peer(struct replica *replica)
{
    bool asked = replica->state == REPLICA_CONTENDING && replica->request.asked;

    replica->member = false;
    /* An answer under way decides in which epoch we go on. */
    if (!asked && !replica->later_epoch)
        primary_alone(replica);
}

static bool has_member(const struct replica *replica)
{
    return replica->state == REPLICA_PRIMARY || replica->state == REPLICA_HANDING_OVER;
}

static bool in_doubt(const struct replica *replica)
{
    return replica->request.kind == REQUEST_DOUBT;
}

static void commit_acknowledged(struct replica *replica)
{
    if (has_member(replica) && !in_doubt(replica) && replica->peer_safe > replica->committed)
        commit(replica, replica->peer_safe);
}

static void return_to_member(struct replica *replica)
{
    replica->state = REPLICA_PRIMARY;
    replica->request.kind = REQUEST_NONE;
    replica_say(replica, "the backup is heard again");
    resume_machine(replica);
    commit_acknowledged(replica);
}

static void lose_epoch(struct replica *replica)
{
    replica->handed_over = replica->quiet;
    replica_stop(replica, "lost epoch %" PRIu64 ": another machine goes on", replica->epoch + 1);
}

/* A member does not ask for the next epoch before it has heard nothing for suspect_after. Who was silent for longer (it
 * was stopped, or the host was busy) cannot know whether it has, and an acknowledgement that comes now may be from
 * before. So the arbiter is asked, before anything leaves, whether the next epoch is the member's. */
void primary_wake(struct replica *replica)
{
    if (replica->now - replica->sent_at <= replica->config.suspect_after)
        return;
    replica->lost_at = replica->now;
    if (has_member(replica))
        replica_ask(replica, REQUEST_DOUBT);
    else if (replica->state == REPLICA_CONTENDING) /* that the arbiter could not be reached is of before */
        replica_ask(replica, REQUEST_CLAIM);
}

static void end_doubt(struct replica *replica)
{
    replica->request.kind = REQUEST_NONE;
    commit_acknowledged(replica);
    finish_if_ended(replica);
}

static void settle_doubt(struct replica *replica, enum replica_answer answer)
{
    if (answer == REPLICA_WON) /* the member */
        lose_epoch(replica);
    else if (answer == REPLICA_LOST)
        end_doubt(replica);
}

void primary_answer(struct replica *replica, enum replica_answer answer)
{
    bool starting = replica->state == REPLICA_STARTING;

    if (in_doubt(replica))
        return settle_doubt(replica, answer);
    switch (answer) {
    case REPLICA_WON:
        replica->epoch++;
        if (starting)
            replica_act(replica, REPLICA_START)->epoch = replica->epoch;
        else
            replica_say(replica, "won epoch %" PRIu64 ": going on alone", replica->epoch);
        replica->streams = 0;
        primary_alone(replica);
        break;
    case REPLICA_LOST:
        if (starting)
            replica_stop(replica, "the arbiter has given epoch %" PRIu64 " to another machine", replica->epoch + 1);
        else
            lose_epoch(replica);
        break;
    case REPLICA_UNREACHABLE:
    case REPLICA_FORGOTTEN:
        if (!starting && !replica->member && !replica->later_epoch)
            primary_alone(replica);
        break;
    }
}

static void begin_join(struct replica *replica, uint64_t node)
{
    end_stream(replica);
    replica->streams++;
    /* Unique among all streams of all primaries that this backup may meet: an epoch has one owner. */
    replica->stream = replica->epoch << 24 | replica->streams;
    replica->peer = node;
    flow_begin(replica);
    patience_begin(replica);
    join_begin(replica);
    replica_say(replica, "a backup joins");
    replica_act(replica, REPLICA_JOIN);
    primary_send(replica, MESSAGE_WELCOME, 0);
}

static void tell_member(struct replica *replica)
{
    replica->member_told_at = replica->now;
    primary_send(replica, MESSAGE_MEMBER, replica->member_from);
}

/* The member's, or the joining backup's, link was renewed. */
static void resume_stream(struct replica *replica, uint64_t offset)
{
    flow_rewind(replica, offset);
    primary_send(replica, MESSAGE_WELCOME, offset);
    if (replica->member)
        tell_member(replica);
    if (replica->state == REPLICA_HANDING_OVER && replica->quiet)
        primary_send(replica, MESSAGE_HANDOVER, replica->end);
    primary_pump(replica);
}

static void greet(struct replica *replica, const struct message *hello)
{
    bool knows_stream =
        replica->stream && hello->node == replica->peer && hello->stream == replica->stream && !replica->stream_broken;

    if (replica->state == REPLICA_STARTING || replica->ended)
        return replica_refuse(replica, "this primary has no machine to follow now");
    if (knows_stream && hello->offset >= replica->backlog.start && hello->offset >= replica->peer_safe &&
        hello->offset <= replica->end) {
        replica_hear(replica);
        return resume_stream(replica, hello->offset);
    }
    /* It has not heard us yet. (Who has forgotten the stream acknowledged something of it before.) */
    if (replica->stream && replica->state == REPLICA_ALONE && hello->node == replica->peer && hello->stream == 0 &&
        replica->peer_received == 0) {
        replica_hear(replica);
        return resume_stream(replica, 0);
    }
    if (replica->member && hello->node == replica->peer && hello->stream == 0) {
        replica_say(replica, "the backup has lost its machine and begins afresh");
        give_up_peer(replica);
    }
    if (replica->state != REPLICA_ALONE)
        return replica_refuse(replica, "this primary has a backup, or is about to find out whether it still has one");
    /* Else two backups would take the place from each other again and again, and none of them ever have it. */
    if (replica->stream && hello->node != replica->peer && !replica->link_down)
        return replica_refuse(replica, "another backup is joining this primary");
    if (!join_may_begin(replica))
        return replica_refuse(replica, replica->join.why);
    replica_hear(replica);
    begin_join(replica, hello->node);
}

/* From here on output waits, and the peer may take over when it has the stream up to here. */
static void invite(struct replica *replica)
{
    join_done(replica);
    replica->member = true;
    replica->member_from = replica->end;
    replica->committed = replica->end;
    replica->state = REPLICA_PRIMARY;
    replica_act(replica, REPLICA_HOLD)->offset = replica->end;
    tell_member(replica);
    replica_say(replica, "the backup follows: output waits for it from now on");
}

static void take_ack(struct replica *replica, const struct message *ack)
{
    /* Nobody can have more than was sent, and an acknowledgement never goes back. */
    if (ack->offset > replica->sent || ack->safe < replica->peer_safe)
        return;
    replica_hear(replica);
    if (ack->offset > replica->peer_received)
        replica->peer_received = ack->offset;
    flow_acknowledged(replica);
    replica->peer_safe = ack->safe;
    patience_take(replica, ack);
    if (ack->replayed > replica->peer_replayed)
        replica->peer_replayed = ack->replayed;
    replica->peer_ready = ack->ready;
    gate_marks_commit(&replica->times, replica->peer_replayed);
    struct log_source backlog = log_feed_source(&replica->backlog);
    backlog.release(backlog.context, replica->peer_safe);
    commit_acknowledged(replica);
    if (replica->state == REPLICA_ALONE && !replica->ended && replica->peer_ready &&
        replica->peer_replayed >= replica->joined && replica->end - replica->peer_safe <= replica->config.window)
        invite(replica);
    finish_if_ended(replica);
    primary_pump(replica);
}

/* The backup has found that it could not go on with this machine: see REPLICA_EVENT_UNFIT. */
static void take_refusal(struct replica *replica, const struct message *refusal)
{
    char why[200];

    if (replica->state != REPLICA_ALONE)
        return;
    replica_quote(refusal, why, sizeof why);
    replica_say(replica, "the backup cannot follow: %s", why);
    primary_alone(replica);
}

static void take_message(struct replica *replica, const struct message *message)
{
    bool from_peer = replica->stream && message->node == replica->peer && message->stream == replica->stream;

    if (message->node == replica->config.node)
        return;
    /* Word of a later epoch: if it is true, the arbiter knows, and we have lost. */
    if (message->epoch > replica->epoch && message->kind != MESSAGE_REFUSE && replica->state != REPLICA_STARTING) {
        if (message->kind == MESSAGE_TAKEN && from_peer && replica->state == REPLICA_HANDING_OVER) {
            replica->handed_over = true;
            replica_stop(replica, "handed over: the backup goes on in epoch %" PRIu64, message->epoch);
        } else if (replica->state != REPLICA_CONTENDING) {
            replica->later_epoch = true;
            lose_member(replica, "a message tells of a later epoch");
        }
        return;
    }
    switch (message->kind) {
    case MESSAGE_HELLO:
        greet(replica, message);
        break;
    case MESSAGE_ACK:
        if (from_peer && message->epoch == replica->epoch)
            take_ack(replica, message);
        break;
    case MESSAGE_DIVERGED:
        if (from_peer && message->epoch == replica->epoch) {
            replica_say(replica, "the backup's machine differs from ours at offset %" PRIu64 "; it will begin afresh",
                        message->offset);
            give_up_peer(replica);
        }
        break;
    case MESSAGE_REFUSE:
        if (replica->stream && message->node == replica->peer && message->epoch == replica->epoch)
            take_refusal(replica, message);
        break;
    default: /* what only a primary says */
        break;
    }
}

static void extend_stream(struct replica *replica, const uint8_t *bytes, size_t length)
{
    struct error error;

    if (!replica->stream || replica->stream_broken)
        return;
    if (replica->end - replica->peer_safe + length > replica->config.backlog_max ||
        log_feed_push(&replica->backlog, bytes, length, &error) < 0) {
        if (!replica->member)
            return join_give_up(replica, "the backup lacks more of the log than is kept for it");
        /* What the member lacks is gone, so it cannot follow any more. */
        replica->stream_broken = replica->contend_for_good = true;
        if (replica->state != REPLICA_CONTENDING)
            lose_member(replica, "the backup lacks more of the log than is kept for it");
        return;
    }
    replica->end += length;
    primary_pump(replica);
}

static void become_quiet(struct replica *replica)
{
    if (!replica->wants_handover)
        return;
    replica->quiet = true;
    if (replica->state != REPLICA_PRIMARY)
        return resume_machine(replica);
    replica->wants_handover = false;
    replica->state = REPLICA_HANDING_OVER;
    replica->handover_at = replica->now;
    primary_send(replica, MESSAGE_HANDOVER, replica->end);
}

static void want_handover(struct replica *replica)
{
    if (replica->state != REPLICA_PRIMARY || replica->ended) {
        replica_say(replica, "there is no backup to hand over to");
        return;
    }
    if (replica->wants_handover)
        return;
    replica->wants_handover = true;
    replica_act(replica, REPLICA_QUIESCE);
}

void primary_step(struct replica *replica, const struct replica_event *event)
{
    switch (event->kind) {
    case REPLICA_EVENT_MESSAGE:
        take_message(replica, event->message);
        break;
    case REPLICA_EVENT_STREAM:
        extend_stream(replica, event->bytes, event->length);
        break;
    case REPLICA_EVENT_JOINED:
        if (replica->stream)
            replica->joined = replica->end;
        join_wrote(replica, 0, replica->join.round);
        break;
    case REPLICA_EVENT_JOIN_PROGRESS:
        join_wrote(replica, event->unwritten, event->round);
        break;
    case REPLICA_EVENT_JOIN_FAILED:
        join_give_up(replica, event->text);
        break;
    case REPLICA_EVENT_GUEST_TIME:
        replica->guest_time = event->guest_time;
        break;
    case REPLICA_EVENT_HANDOVER:
        want_handover(replica);
        break;
    case REPLICA_EVENT_QUIET:
        become_quiet(replica);
        break;
    case REPLICA_EVENT_ENDED:
        replica->ended = true;
        finish_if_ended(replica);
        break;
    default: /* a backup's */
        break;
    }
}

static void watch_peer(struct replica *replica)
{
    uint64_t silence = replica->now - replica->heard_at;
    bool heard = replica_hears(replica);

    switch (replica->state) {
    case REPLICA_HANDING_OVER:
    case REPLICA_PRIMARY:
        if (!heard) {
            lose_member(replica, "nothing is heard from the backup");
        } else if (in_doubt(replica) && replica_heard_without_arbiter(replica)) {
            end_doubt(replica);
        } else if (replica->state == REPLICA_HANDING_OVER &&
                   replica->now - replica->handover_at > replica->config.handover_patience) {
            replica->contend_for_good = true;
            lose_member(replica, "the backup does not take over");
        }
        break;
    case REPLICA_CONTENDING:
        if (replica->member && !replica->contend_for_good && !replica->later_epoch &&
            replica_heard_without_arbiter(replica))
            return_to_member(replica);
        break;
    case REPLICA_ALONE:
        if (replica->stream && silence > JOIN_PATIENCE * replica->config.suspect_after) {
            replica_say(replica, "the joining backup is gone");
            primary_alone(replica);
        }
        break;
    default:
        break;
    }
}

void primary_tick(struct replica *replica)
{
    watch_peer(replica);
    join_tick(replica);
    if (!primary_pace(replica)) {
        replica->contend_for_good = true;
        lose_member(replica, "the backup is too slow");
    }
    if (replica->member && replica->now - replica->member_told_at >= MEMBER_AGAIN * replica->config.suspect_after)
        tell_member(replica);
    /* Also when much else is sent: it carries the times. */
    if (replica->stream && replica->now - replica->beaten_at >= replica->config.beat_every) {
        replica->beaten_at = replica->now;
        patience_tell(replica, primary_send(replica, MESSAGE_BEAT, replica->sent));
    }
}
