/* Events in, actions out. See replica.h. */
#include "replication/replica.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "replication/replica_internal.h"

#define MILLISECOND UINT64_C(1000000)

struct replica_config replica_config_default(void)
{
    return (struct replica_config){
        .first_epoch = 1,
        .beat_every = 20 * MILLISECOND,
        .suspect_after = 75 * MILLISECOND,
        .suspect_max = 1000 * MILLISECOND,
        .arbiter_retry = 200 * MILLISECOND,
        .arbiter_watch = 10000 * MILLISECOND,
        .window = 1u << 20,
        .backlog_max = 256u << 20,
        .lag_slow = 200 * MILLISECOND,
        .lag_max = 1000 * MILLISECOND,
        .lag_patience = 3000 * MILLISECOND,
        .join_retry = 10000 * MILLISECOND,
        .handover_patience = 2000 * MILLISECOND,
    };
}

static bool is_backup(enum replica_state state)
{
    return state == REPLICA_JOINING || state == REPLICA_BACKUP || state == REPLICA_CLAIMING ||
           state == REPLICA_TAKING_OVER;
}

static bool is_over(enum replica_state state)
{
    return state == REPLICA_ENDED || state == REPLICA_STOPPED;
}

struct replica_action *replica_act(struct replica *replica, enum replica_action_kind kind)
{
    struct replica_actions *actions = replica->actions;

    CHECK(actions->count < REPLICA_ACTIONS_MAX);
    struct replica_action *action = &actions->list[actions->count++];
    *action = (struct replica_action){.kind = kind};
    return action;
}

static void act_text(struct replica *replica, enum replica_action_kind kind, const char *format, va_list arguments)
{
    struct replica_action *action = replica_act(replica, kind);

    vsnprintf(action->text, sizeof action->text, format, arguments);
}

void replica_say(struct replica *replica, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    act_text(replica, REPLICA_SAY, format, arguments);
    va_end(arguments);
}

void replica_stop(struct replica *replica, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    act_text(replica, REPLICA_STOP, format, arguments);
    va_end(arguments);
    replica->state = REPLICA_STOPPED;
    replica->request.kind = REQUEST_NONE;
}

struct message *replica_send(struct replica *replica, enum message_kind kind)
{
    struct message *message = &replica_act(replica, REPLICA_SEND)->message;

    *message = (struct message){
        .kind = kind, .epoch = replica->epoch, .node = replica->config.node, .stream = replica->stream};
    replica->sent_at = replica->now;
    return message;
}

void replica_refuse(struct replica *replica, const char *text)
{
    struct message *message = replica_send(replica, MESSAGE_REFUSE);

    message->bytes = (const uint8_t *)text;
    message->length = strlen(text);
}

void replica_quote(const struct message *refusal, char *text, size_t size)
{
    text_escape(refusal->bytes, refusal->length, text, size);
}

bool replica_is_backup(const struct replica *replica)
{
    return is_backup(replica->state);
}

/* Time that this side slept through (it was stopped, or the host was busy) says nothing about the other: whatever it
 * sent meanwhile may still be on its way into this program. */
static void pass_time(struct replica *replica, uint64_t now)
{
    uint64_t usual = 2 * replica->config.beat_every;

    if (now < replica->now)
        now = replica->now;
    uint64_t gap = now - replica->now;
    if (replica->now && gap > usual) {
        replica->heard_at += gap - usual;
        replica->link_down_at += gap - usual;
    }
    replica->now = now;
}

void replica_step(struct replica *replica, const struct replica_event *event, struct replica_actions *actions)
{
    actions->count = 0;
    replica->actions = actions;
    pass_time(replica, event->now);
    if (!is_over(replica->state)) {
        if (!is_backup(replica->state))
            primary_wake(replica);
        if (event->kind == REPLICA_EVENT_LINK_DOWN)
            replica_lose_link(replica, event->node);
        else if (event->kind == REPLICA_EVENT_ARBITER)
            replica_take_answer(replica, event->answer);
        else if (is_backup(replica->state))
            backup_step(replica, event);
        else
            primary_step(replica, event);
    }
    if (!is_over(replica->state)) {
        if (is_backup(replica->state))
            backup_tick(replica);
        else
            primary_tick(replica);
        replica_tend_request(replica);
    }
    replica->actions = NULL;
}

struct replica *replica_create(const struct replica_config *config)
{
    struct replica *replica = calloc(1, sizeof *replica);

    if (!replica)
        return NULL;
    replica->config = *config;
    replica->patience.whole = config->suspect_after;
    log_feed_init(&replica->backlog, config->backlog_max);
    if (config->backup) {
        backup_begin(replica);
    } else {
        replica->state = REPLICA_STARTING;
        replica->epoch = config->first_epoch - 1;
        replica_ask(replica, REQUEST_CLAIM);
    }
    return replica;
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    log_feed_free(&replica->backlog);
    free(replica);
}

uint64_t replica_due(const struct replica *replica)
{
    bool backup = is_backup(replica->state);
    bool beats = backup ? replica->welcomed && replica->state != REPLICA_TAKING_OVER : replica->stream != 0;
    bool suspects = backup ? replica->state == REPLICA_BACKUP && !replica->bye
                           : replica->state == REPLICA_PRIMARY || replica->state == REPLICA_HANDING_OVER;
    uint64_t due = UINT64_MAX;

    if (is_over(replica->state))
        return due;
    if (beats)
        due = (backup ? replica->sent_at : replica->beaten_at) + replica->config.beat_every;
    if (suspects && replica_suspects_at(replica) < due)
        due = replica_suspects_at(replica) + 1;
    return due;
}

struct replica_status replica_status(const struct replica *replica, uint64_t now)
{
    bool backup = is_backup(replica->state);

    return (struct replica_status){
        .state = replica->state,
        .epoch = replica->epoch,
        .peer = replica->peer,
        .stream = replica->stream,
        .stream_end = backup ? replica->received : replica->end,
        .unsent = backup ? 0 : replica->end - replica->sent,
        .safe = backup ? replica->safe : replica->peer_safe,
        .replayed = backup ? replica->replayed : replica->peer_replayed,
        .committed = backup ? 0 : replica->committed,
        .lag = backup ? 0 : primary_lag(replica),
        .heard = replica->peer && now > replica->heard_at ? now - replica->heard_at : 0,
        .throttle = replica->throttle,
        .guest_time = replica->guest_time,
        .awaits_replay = backup && replica->take_over_at != NO_OFFSET,
        .handed_over = replica->handed_over,
        .unfit = replica->unfit,
        .join_left = backup ? replica->join_left : join_left(replica),
        .join_round = backup ? replica->join_round : replica->join.round,
        .patience = replica->patience.whole,
        .round_trip = replica->patience.round_trip,
        .arbiter = replica->arbiter,
        .asking = replica->request.asked,
    };
}

const char *replica_state_name(enum replica_state state)
{
    static const char *const names[] = {
        [REPLICA_STARTING] = "starting",       [REPLICA_ALONE] = "alone",
        [REPLICA_PRIMARY] = "primary",         [REPLICA_HANDING_OVER] = "handing over",
        [REPLICA_CONTENDING] = "contending",   [REPLICA_JOINING] = "joining",
        [REPLICA_BACKUP] = "backup",           [REPLICA_CLAIMING] = "claiming",
        [REPLICA_TAKING_OVER] = "taking over", [REPLICA_ENDED] = "ended",
        [REPLICA_STOPPED] = "stopped",
    };

    return names[state];
}
