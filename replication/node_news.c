/* What the machine's thread tells. See port.h. */
#include <stdio.h>

#include "replay/outbox.h"
#include "replication/node_internal.h"

/* A client that takes nothing for so long after the guest's end gets no more. */
#define END_PATIENCE UINT64_C(3000000000)

/* Where in the present stream something is, if it is there at all. */
static uint64_t in_stream(const struct node *node, uint32_t stream, uint64_t offset)
{
    return stream && stream == node->orders.join ? offset : NOT_IN_STREAM;
}

void node_send_frames(struct node *node)
{
    const struct frame_gate_entry *entry;

    if (!node->live)
        return;
    while ((entry = frame_gate_take(&node->frames, node->committed, node->now)) != NULL) {
        if (node->options.frame)
            node->options.frame(node->options.context, entry->card, entry->frame, entry->length);
    }
}

static void put_frames(struct node *node, const struct port_item *item, uint64_t offset)
{
    struct bytes_reader bytes = bytes_reader(item->bytes, item->length);
    const uint8_t *frame;
    size_t length;

    while ((length = outbox_next_frame(&bytes, &frame)) > 0)
        frame_gate_put(&node->frames, offset, node->now, (uint8_t)(item->b - LOG_CHANNEL_CARD), frame, length);
    node_send_frames(node);
}

static void put_output(struct node *node, const struct port_item *item, uint64_t offset)
{
    ack_poll_begin(&node->ack_poll, offset, node->committed, item->halted, node->now);
    if (item->b >= LOG_CHANNEL_CARD)
        return put_frames(node, item, offset);
    output_gate_put(&node->gate, item->bytes, item->length);
    gate_marks_add(&node->gate.marks, offset, node->gate.end);
    gate_marks_commit(&node->gate.marks, node->committed);
}

static void note_input(struct node *node, const struct port_item *item)
{
    node->input_total += item->a;
    gate_marks_add(&node->inputs, in_stream(node, item->stream, item->b), node->input_total);
    gate_marks_commit(&node->inputs, node->committed);
}

/* The machine runs by itself from here on. */
static void go_live(struct node *node, uint64_t input, uint64_t owner)
{
    node->live = true;
    node->takeovers += node->options.replica.backup;
    node->input_total = input;
    node->inputs = (struct gate_marks){.shown = input};
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_LIVE});
    node_send_frames(node);
    console_server_live(&node->server, replica_status(node->replica, node->now).epoch, owner, input, node->now);
    /* From now on the peer is a backup, and it comes to us. */
    node_upstream_end(node);
}

static void restored(struct node *node, uint64_t output)
{
    struct error error;

    output_gate_destroy(&node->gate);
    if (output_gate_create(&node->gate, output, &error) < 0)
        node_end(node, NODE_FAILED, "%s", error.text);
}

static void ended(struct node *node, const struct port_item *item)
{
    node->end_reason = item->a;
    node->end_value = item->b;
    if (node->live)
        node->ended_at = node->now;
    else
        node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_ENDED});
}

/* When the replica knows, it sends the backup away; and then nobody could give the client what it lacks. */
void node_tell_end(struct node *node)
{
    if (node->ended_at == 0 || (!node_output_done(node) && node->now - node->ended_at < END_PATIENCE))
        return;
    node->ended_at = 0;
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_ENDED});
}

/* News of a machine that has been thrown away meanwhile. */
static bool is_old(const struct node *node, const struct port_item *item)
{
    switch (item->news) {
    case NEWS_STREAM:
    case NEWS_JOINED:
    case NEWS_JOIN_PROGRESS:
    case NEWS_JOIN_FAILED:
        return item->stream != node->orders.join;
    case NEWS_UNFIT:
    case NEWS_RESTORED:
    case NEWS_REPLAYED:
    case NEWS_REPLAYED_OUTPUT:
    case NEWS_DIVERGED:
        return item->stream != node->orders.reset;
    default:
        return false;
    }
}

static void step_with_text(struct node *node, enum replica_event_kind kind, const struct port_item *item)
{
    char text[sizeof node->result.text];

    snprintf(text, sizeof text, "%.*s", (int)item->length, (const char *)item->bytes);
    node_step(node, &(struct replica_event){.kind = kind, .text = text});
}

static void take_item(struct node *node, const struct port_item *item)
{
    switch (item->news) {
    case NEWS_STREAM:
        node_step(node,
                  &(struct replica_event){.kind = REPLICA_EVENT_STREAM, .bytes = item->bytes, .length = item->length});
        break;
    case NEWS_JOINED:
        node->join_pause = item->a;
        node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_JOINED});
        break;
    case NEWS_JOIN_PROGRESS:
        node_step(node, &(struct replica_event){
                            .kind = REPLICA_EVENT_JOIN_PROGRESS, .unwritten = item->a, .round = (unsigned)item->b});
        break;
    case NEWS_JOIN_FAILED:
        step_with_text(node, REPLICA_EVENT_JOIN_FAILED, item);
        break;
    case NEWS_UNFIT:
        node->unfit_by_input = item->a;
        step_with_text(node, REPLICA_EVENT_UNFIT, item);
        break;
    case NEWS_OUTPUT:
        put_output(node, item, in_stream(node, item->stream, item->a));
        break;
    case NEWS_INPUT:
        note_input(node, item);
        break;
    case NEWS_GUEST_TIME:
        node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_GUEST_TIME, .guest_time = item->a});
        break;
    case NEWS_QUIET:
        node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_QUIET});
        break;
    case NEWS_ENDED:
        ended(node, item);
        break;
    case NEWS_RESTORED:
        restored(node, item->a);
        break;
    case NEWS_REPLAYED:
        node_step(node,
                  &(struct replica_event){.kind = REPLICA_EVENT_REPLAYED, .offset = item->a, .guest_time = item->b});
        break;
    case NEWS_REPLAYED_OUTPUT:
        put_output(node, item, NOT_IN_STREAM);
        break;
    case NEWS_DIVERGED:
        node->evidence_at = item->b ? item->a : 0;
        node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_DIVERGED, .offset = item->a});
        break;
    case NEWS_LIVE:
        go_live(node, item->a, item->b);
        break;
    case NEWS_FAILED:
        node_end(node, NODE_FAILED, "%.*s", (int)item->length, (const char *)item->bytes);
        break;
    }
}

void node_take_news(struct node *node)
{
    struct bytes_reader news = port_take_news(node->port);
    struct port_item item;

    while (!node->over && port_next_item(&news, &item)) {
        if (!is_old(node, &item))
            take_item(node, &item);
    }
}
