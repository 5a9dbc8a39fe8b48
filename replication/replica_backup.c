/* The side that follows, until it takes over. See replica.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replication/replica_internal.h"

/* HELLO is said again after suspect_after, and each time after twice as long, up to so many times that. */
#define HELLO_WAITS 12
/* A primary that we join is given so many suspect_after of silence: its link may be busy with the checkpoint. */
#define JOIN_SILENCE 8

static void forget_stream(struct replica *replica)
{
    replica->stream = 0;
    replica->received = replica->safe = replica->replayed = 0;
    replica->restored = replica->verified = replica->bye = replica->ended = replica->diverged = false;
    replica->member_at = replica->take_over_at = NO_OFFSET;
    replica->join_left = replica->join_round = 0;
}

void backup_begin(struct replica *replica)
{
    replica->state = REPLICA_JOINING;
    replica->request.kind = REQUEST_NONE;
    replica->hello_wait = replica->config.suspect_after;
    forget_stream(replica);
}

static void say_hello(struct replica *replica)
{
    replica->welcomed = false;
    replica->hello_at = replica->now + replica->hello_wait;
    replica->hello_wait *= 2;
    if (replica->hello_wait > HELLO_WAITS * replica->config.suspect_after)
        replica->hello_wait = HELLO_WAITS * replica->config.suspect_after;
    replica_send(replica, MESSAGE_HELLO)->offset = replica->received;
}

static void acknowledge(struct replica *replica)
{
    struct message *ack = replica_send(replica, MESSAGE_ACK);

    ack->offset = replica->received;
    ack->safe = replica->safe;
    ack->replayed = replica->replayed;
    ack->guest_time = replica->guest_time;
    patience_tell(replica, ack);
    ack->ready = replica->restored && replica->verified;
}

/* Something that was sent to us did not come. A renewed HELLO has it sent again. */
static void notice_gap(struct replica *replica)
{
    if (replica->welcomed)
        say_hello(replica);
}

static void take_place(struct replica *replica)
{
    if (replica->state != REPLICA_JOINING || replica->member_at == NO_OFFSET || replica->received < replica->member_at)
        return;
    replica->state = REPLICA_BACKUP;
    replica_say(replica, "following the primary; ready to take over");
}

/* The stream is another one: our machine is of no use any more. */
static void begin_stream(struct replica *replica, const struct message *welcome)
{
    forget_stream(replica);
    replica->state = REPLICA_JOINING;
    replica->stream = welcome->stream;
    patience_begin(replica);
    replica_act(replica, REPLICA_RESET);
    replica_say(replica, "joining the primary of epoch %" PRIu64, welcome->epoch);
    replica_ask(replica, REQUEST_VERIFY);
}

static void take_welcome(struct replica *replica, const struct message *welcome)
{
    bool same = replica->stream && welcome->stream == replica->stream && welcome->node == replica->peer;

    /* An answer to a HELLO from before we gave up our place in this stream: the primary lets us go, and would not know
     * us as its member. */
    if (welcome->stream == replica->given_up)
        return;
    /* While the arbiter is asked for an epoch of ours, nobody can make us forget our machine. */
    if (welcome->stream == 0 || welcome->epoch == 0 || welcome->epoch < replica->epoch ||
        (!same && replica->state == REPLICA_CLAIMING))
        return;
    /* Nor can a primary that we follow, in an epoch where we have not given up our place. */
    if (!same && replica->state == REPLICA_BACKUP && welcome->epoch == replica->epoch)
        return;
    if (same ? welcome->offset != replica->received : welcome->offset != 0)
        return;
    replica->epoch = welcome->epoch;
    replica->peer = welcome->node;
    replica_hear(replica);
    replica->welcomed = true;
    replica->hello_wait = replica->config.suspect_after;
    replica->refused[0] = 0;
    if (!same)
        begin_stream(replica, welcome);
}

static void take_log(struct replica *replica, const struct message *log)
{
    if (log->offset > replica->received)
        return notice_gap(replica);
    uint64_t known = replica->received - log->offset;
    if (known >= log->length)
        return;
    struct replica_action *action = replica_act(replica, REPLICA_DELIVER);
    action->bytes = log->bytes + known;
    action->length = log->length - known;
    replica->received += action->length;
    take_place(replica);
}

static void take_progress(struct replica *replica, const struct message *message)
{
    replica->join_left = message->left;
    replica->join_round = message->round > UINT32_MAX ? UINT32_MAX : (unsigned)message->round;
    if (replica->state == REPLICA_JOINING)
        replica_say(replica, "joining: %.1f MB received, round %u, at most %.1f MB to go",
                    (double)replica->received / 1e6, replica->join_round, (double)replica->join_left / 1e6);
}

static void take_refusal(struct replica *replica, const struct message *refusal)
{
    char text[sizeof replica->refused];

    replica_quote(refusal, text, sizeof text);
    if (strcmp(text, replica->refused) != 0)
        replica_say(replica, "the primary refuses: %s", text);
    memcpy(replica->refused, text, sizeof text);
}

static void claim(struct replica *replica, const char *why)
{
    replica->state = REPLICA_CLAIMING;
    replica->lost_at = replica->now;
    replica_say(replica, "%s; asking the arbiter whether to take over", why);
    replica_ask(replica, REQUEST_CLAIM);
}

static void hand_over_when_ready(struct replica *replica)
{
    if (replica->state == REPLICA_BACKUP && replica->take_over_at != NO_OFFSET &&
        replica->replayed >= replica->take_over_at && replica->received == replica->take_over_at)
        claim(replica, "the primary hands over");
}

/* The guest ended, here too; but it is the primary that lets its last output out, and BYE says that it did. */
static void finish_after_bye(struct replica *replica)
{
    if (!replica->bye || !replica->ended || replica->state == REPLICA_TAKING_OVER)
        return;
    replica_act(replica, REPLICA_FINISH);
    replica->state = REPLICA_ENDED;
}

static void take_message(struct replica *replica, const struct message *message)
{
    if (message->node == replica->config.node || replica->state == REPLICA_TAKING_OVER)
        return;
    if (message->kind == MESSAGE_WELCOME)
        return take_welcome(replica, message);
    if (message->kind == MESSAGE_REFUSE)
        return take_refusal(replica, message);
    if (replica->stream == 0 || message->node != replica->peer || message->stream != replica->stream ||
        message->epoch != replica->epoch)
        return;
    replica_hear(replica);
    switch (message->kind) {
    case MESSAGE_LOG:
        take_log(replica, message);
        break;
    case MESSAGE_BEAT:
        patience_take(replica, message);
        if (message->offset > replica->received)
            notice_gap(replica);
        break;
    case MESSAGE_MEMBER:
        replica->member_at = message->offset;
        take_place(replica);
        break;
    case MESSAGE_JOINING:
        take_progress(replica, message);
        break;
    case MESSAGE_HANDOVER:
        replica->take_over_at = message->offset;
        hand_over_when_ready(replica);
        break;
    case MESSAGE_BYE:
        replica->bye = message->offset == replica->received;
        if (!replica->bye)
            return replica_stop(replica, "the guest ended before this backup had all of it");
        finish_after_bye(replica);
        break;
    default: /* what only a backup says */
        break;
    }
}

void backup_answer(struct replica *replica, enum replica_answer answer)
{
    bool verifying = replica->request.kind == REQUEST_VERIFY;

    if (answer == REPLICA_UNREACHABLE || (answer == REPLICA_FORGOTTEN && !verifying))
        return;
    replica->request.kind = REQUEST_NONE;
    if (verifying) {
        replica->verified = answer == REPLICA_WON;
        if (answer == REPLICA_FORGOTTEN)
            replica_stop(replica,
                         "the arbiter does not know the primary's epoch %" PRIu64
                         ": both sides must use the same one; if they do, it has lost its memory",
                         replica->epoch);
        else if (answer == REPLICA_LOST)
            replica_stop(replica, "the arbiter does not know the primary: both sides must use the same one");
    } else if (answer == REPLICA_LOST) {
        replica_stop(replica, "lost epoch %" PRIu64 ": another machine goes on", replica->epoch + 1);
    } else if (replica->diverged) {
        replica_stop(replica, "won epoch %" PRIu64 ", but the machine here differs from what the primary's was",
                     replica->epoch + 1);
    } else {
        replica->epoch++;
        replica->state = REPLICA_TAKING_OVER;
        replica_say(replica, "won epoch %" PRIu64 ": taking over", replica->epoch);
        replica_send(replica, MESSAGE_TAKEN);
        replica_act(replica, REPLICA_GO_LIVE)->epoch = replica->epoch;
    }
}

static void go_live(struct replica *replica)
{
    if (replica->state != REPLICA_TAKING_OVER)
        return;
    replica->stream = replica->peer = 0;
    replica->streams = 0;
    replica->joined = NO_OFFSET;
    primary_alone(replica);
}

/* Better now than when the primary has died. */
static void refuse_machine(struct replica *replica, const char *why)
{
    if (replica->state != REPLICA_JOINING)
        return;
    replica->unfit = true;
    snprintf(replica->refused, sizeof replica->refused, "%s", why);
    replica_refuse(replica, replica->refused);
    replica_stop(replica, "this backup could not take over: %s", replica->refused);
}

static void diverge(struct replica *replica, uint64_t offset)
{
    switch (replica->state) {
    case REPLICA_CLAIMING:
        replica->diverged = true;
        break;
    case REPLICA_TAKING_OVER:
        replica_stop(replica, "the machine here differs from what the primary's was, at offset %" PRIu64, offset);
        break;
    default:
        replica_send(replica, MESSAGE_DIVERGED)->offset = offset;
        replica->given_up = replica->stream;
        backup_begin(replica);
        replica_act(replica, REPLICA_RESET);
        say_hello(replica);
        break;
    }
}

void backup_step(struct replica *replica, const struct replica_event *event)
{
    switch (event->kind) {
    case REPLICA_EVENT_LINK_UP:
        replica->link_down = false;
        if (replica->state != REPLICA_TAKING_OVER)
            say_hello(replica);
        break;
    case REPLICA_EVENT_MESSAGE:
        take_message(replica, event->message);
        break;
    case REPLICA_EVENT_SAFE:
        if (event->offset <= replica->safe || event->offset > replica->received)
            break;
        replica->safe = event->offset;
        if (replica->state != REPLICA_TAKING_OVER)
            acknowledge(replica);
        break;
    case REPLICA_EVENT_REPLAYED:
        if (event->offset > replica->received)
            break;
        replica->restored = true;
        replica->replayed = event->offset;
        replica->guest_time = event->guest_time;
        hand_over_when_ready(replica);
        break;
    case REPLICA_EVENT_DIVERGED:
        diverge(replica, event->offset);
        break;
    case REPLICA_EVENT_UNFIT:
        refuse_machine(replica, event->text);
        break;
    case REPLICA_EVENT_LIVE:
        go_live(replica);
        break;
    case REPLICA_EVENT_ENDED:
        replica->ended = true;
        finish_after_bye(replica);
        break;
    default: /* a primary's */
        break;
    }
}

static void watch_primary(struct replica *replica)
{
    if (replica->state == REPLICA_BACKUP && !replica_hears(replica) && !replica->bye)
        claim(replica, "nothing is heard from the primary");
    if (replica->state == REPLICA_CLAIMING && replica->take_over_at == NO_OFFSET &&
        replica_heard_without_arbiter(replica)) {
        replica->state = REPLICA_BACKUP;
        replica->request.kind = REQUEST_NONE;
        replica_say(replica, "the primary is heard again");
    }
}

void backup_tick(struct replica *replica)
{
    watch_primary(replica);
    if (replica->state == REPLICA_TAKING_OVER)
        return;
    /* A primary that gave up on our joining does not tell us, and may have no stream for us any more. */
    uint64_t silence = replica->now - replica->heard_at;
    if (replica->state == REPLICA_JOINING && replica->welcomed &&
        silence > JOIN_SILENCE * replica->config.suspect_after)
        replica->welcomed = false;
    if (!replica->welcomed && replica->now >= replica->hello_at)
        say_hello(replica);
    else if (replica->welcomed && replica->now - replica->sent_at >= replica->config.beat_every)
        acknowledge(replica);
}
