/* The control link: a JSON object in, {"command": "status"}, {"command": "handover"} or an operator's order
 * (replay/operator.h), and a JSON object out. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/node_internal.h"

struct node_status node_status(const struct node *node)
{
    struct node_status status = {
        .output_held = node->gate.end - node->gate.marks.shown,
        .log_bytes = node_link_bytes(node),
        .consoles = node->server.live ? console_server_clients(&node->server) : 0,
        .console_dropped = node->console_dropped,
        .log_ended = node->options.log_ended && atomic_load(node->options.log_ended),
        .primary = node->live || !node->options.replica.backup,
        .takeovers = node->takeovers,
        .joins = node->joins,
        .join_pause = node->join_pause,
    };

    memcpy(status.time_in, node->time_in, sizeof status.time_in);
    if (node->replica)
        status.replica = replica_status(node->replica, node->now);
    return status;
}

static json_t *describe(const struct node *node)
{
    struct node_status status = node_status(node);
    const struct replica_status *replica = &status.replica;
    char id[20], peer[20];

    snprintf(id, sizeof id, "%016" PRIx64, node->options.replica.node);
    snprintf(peer, sizeof peer, "%016" PRIx64, replica->peer);
    json_t *whole = json_pack(
        "{s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:f,s:f,s:f,s:i,s:I,s:b,s:I,s:f,s:I,s:I,s:i,s:b}", "node", id, "state",
        replica_state_name(replica->state), "epoch", (json_int_t)replica->epoch, "peer", replica->peer ? peer : "",
        "stream_bytes", (json_int_t)replica->stream_end, "safe_bytes", (json_int_t)replica->safe, "replayed_bytes",
        (json_int_t)replica->replayed, "lag_ms", (double)replica->lag / 1e6, "heard_ms", (double)replica->heard / 1e6,
        "guest_seconds", (double)replica->guest_time / 1e9, "throttle_permille", (int)replica->throttle,
        "output_held_bytes", (json_int_t)status.output_held, "console", status.consoles > 0, "joins",
        (json_int_t)status.joins, "join_pause_ms", (double)status.join_pause / 1e6, "link_bytes",
        (json_int_t)status.log_bytes, "join_left_bytes", (json_int_t)replica->join_left, "join_round",
        (int)replica->join_round, "log_ended", status.log_ended);
    json_t *times = json_object();
    for (int state = 0; state < REPLICA_STATES; state++)
        json_object_set_new(times, replica_state_name((enum replica_state)state),
                            json_real((double)status.time_in[state] / 1e9));
    json_object_update_new(whole, json_pack("{s:s,s:I,s:o}", "role", status.primary ? "primary" : "backup", "takeovers",
                                            (json_int_t)status.takeovers, "seconds_in", times));
    json_object_update_new(whole, json_pack("{s:i,s:I}", "consoles", (int)status.consoles, "console_dropped_bytes",
                                            (json_int_t)status.console_dropped));
    json_object_update_new(whole, json_pack("{s:s,s:f,s:f}", "arbiter", replica_arbiter_name(replica->arbiter),
                                            "suspect_after_ms", (double)replica->patience / 1e6, "round_trip_ms",
                                            (double)replica->round_trip / 1e6));
    return whole;
}

/* For the machine, which takes it at its next boundary. */
static json_t *pass_on(struct node *node, const json_t *request)
{
    struct operator_order order;
    struct error error;

    if (operator_understand(request, &order, &error) < 0)
        return json_pack("{s:s}", "error", error.text);
    if (!node->live)
        return json_pack("{s:s}", "error", "the machine does not run here");
    if (operator_check(&order, port_ram_size(node->port), &error) < 0)
        return json_pack("{s:s}", "error", error.text);
    if (!port_push_order(node->port, &order))
        return json_pack("{s:s}", "error", "the order before is not carried out yet");
    return json_pack("{s:b}", "ok", 1);
}

/* The answer; NULL: it comes later. */
static json_t *obey(struct node *node, struct node_link *from, const json_t *request, const char *command)
{
    if (strcmp(command, "status") == 0)
        return describe(node);
    if (strcmp(command, "handover") != 0)
        return pass_on(node, request);
    enum replica_state state = node->replica ? replica_status(node->replica, node->now).state : REPLICA_STARTING;
    if (state != REPLICA_PRIMARY)
        return json_pack("{s:s,s:s}", "error", "there is no backup to hand over to", "state",
                         replica_state_name(state));
    /* Who asked before waits for the answer. */
    if (node->handover_by)
        return json_pack("{s:s,s:b}", "error", "a handover is under way", "tried", 1);
    node->handover_by = from;
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_HANDOVER});
    return NULL;
}

static void reply_with(struct link *link, json_t *reply)
{
    char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;

    if (text)
        link_send(link, (const uint8_t *)text, strlen(text));
    free(text);
    json_decref(reply);
}

void node_tell_handover(struct node *node, bool done)
{
    const struct node_link *by = node->handover_by;

    node->handover_by = NULL;
    if (by)
        reply_with(by->link,
                   done ? json_pack("{s:b}", "ok", 1)
                        : json_pack("{s:s,s:b}", "error", "the primary goes on; its messages say why", "tried", 1));
}

void node_control_hear(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length)
{
    json_t *request = json_loadb((const char *)bytes, length, 0, NULL);
    const char *command = json_string_value(json_object_get(request, "command"));

    reply_with(from->link, command ? obey(node, from, request, command) : json_pack("{s:s}", "error", "not a request"));
    json_decref(request);
}

void node_control_gone(struct node *node, const struct node_link *from)
{
    if (node->handover_by == from)
        node->handover_by = NULL;
}

void node_serve_control(struct node *node)
{
    if (node->handover_by && replica_status(node->replica, node->now).state == REPLICA_ALONE)
        node_tell_handover(node, false);
}
