/* What the replica wants done. See node_internal.h. */
#include <stdio.h>
#include <string.h>

#include "replication/node_internal.h"

#define REQUEST_PATIENCE UINT64_C(1000000000)
/* After the guest's end its clients are given this long to take the rest. */
#define FINISH_PATIENCE UINT64_C(3000000000)
/* A backup that leaves gives its last word so long to get to the primary. */
#define REFUSE_PATIENCE UINT64_C(500000000)

static void send_message(struct node *node, const struct message *message);

/* A backup's gate begins with its checkpoint. What came before, and the client may lack, must be there too before it
 * may take over: after a takeover nobody else has it. */
static void send_kept(struct node *node, const struct message *member)
{
    const struct output_gate *gate = &node->gate;
    uint64_t from = node->server.received > gate->start ? node->server.received : gate->start;
    uint64_t end = gate->end;

    node->kept_sent = true;
    while (end > from) {
        uint64_t piece = end - from < MESSAGE_BYTES_MAX ? end - from : MESSAGE_BYTES_MAX;
        uint64_t in_ring = (end - 1) % GATE_KEEP + 1; /* a piece does not go over the ring's end */
        if (piece > in_ring)
            piece = in_ring;
        end -= piece;
        struct message kept = *member;
        kept.kind = MESSAGE_KEPT;
        kept.offset = end;
        kept.bytes = gate->kept + end % GATE_KEEP;
        kept.length = piece;
        send_message(node, &kept);
    }
}

static void send_message(struct node *node, const struct message *message)
{
    if (message->kind == MESSAGE_MEMBER && !node->kept_sent)
        send_kept(node, message);
    /* A peer that takes nothing for so long is heard of no more; what is lost now it will ask for again. */
    if (!node->peer || !link_is_up(node->peer) || node->outbox.length - node->outbox_sent > OUTBOX_MAX)
        return;
    size_t start = node->outbox.length;
    bytes_put_uint(&node->outbox, 4, 0);
    message_encode(message, &node->outbox);
    if (node->outbox.failed)
        return node_end(node, NODE_FAILED, "out of memory");
    bytes_store(node->outbox.data + start, 4, node->outbox.length - start - 4);
    node_send_outbox(node);
}

/* Takes out what was sent: a link that is never idle never empties the outbox. */
static void compact_outbox(struct node *node)
{
    struct bytes_writer *outbox = &node->outbox;

    if (node->outbox_sent < outbox->length / 2)
        return;
    memmove(outbox->data, outbox->data + node->outbox_sent, outbox->length - node->outbox_sent);
    outbox->length -= node->outbox_sent;
    node->outbox_sent = 0;
}

void node_send_outbox(struct node *node)
{
    if (!node->peer)
        return;
    link_flush(node->peer);
    if (!link_is_up(node->peer)) {
        bytes_writer_clear(&node->outbox);
        node->outbox_sent = 0;
        return;
    }
    while (node->outbox_sent < node->outbox.length) {
        const uint8_t *at = node->outbox.data + node->outbox_sent;
        size_t length = bytes_load(at, 4);
        if (!link_send(node->peer, at + 4, length))
            return compact_outbox(node);
        node->outbox_sent += 4 + length;
    }
    bytes_writer_clear(&node->outbox);
    node->outbox_sent = 0;
}

void node_ask(struct node *node, enum arbiter_request request, uint64_t epoch, uint64_t whom)
{
    node->request = request;
    node->request_epoch = epoch;
    node->request_node = whom;
    node->request_waits = !arbiter_ask(node->arbiter, request, epoch, whom, REQUEST_PATIENCE);
    /* A request that nobody waits for any more is answered first. */
    node->request_stale = node->request_waits;
}

/* The latest epoch that the arbiter knows: where a new primary begins. */
static void take_latest(struct node *node, enum replica_answer answer, uint64_t epoch, const char *reason)
{
    node->finding_epoch = false;
    if (answer != REPLICA_WON) {
        node_end(node, NODE_FAILED, "the arbiter cannot be reached: %s", reason);
    } else if (epoch > 0 && !node->options.next_epoch) {
        node_end(node, NODE_LOST,
                 "the arbiter holds epoch %llu already: another machine runs, or ran, under it; give this one an "
                 "arbiter of its own, or, if all others are dead, --next-epoch",
                 (unsigned long long)epoch);
    } else {
        node->options.replica.first_epoch = epoch + 1;
        node->replica = replica_create(&node->options.replica);
        if (!node->replica)
            node_end(node, NODE_FAILED, "out of memory");
    }
}

void node_take_answer(struct node *node)
{
    enum replica_answer answer;
    const char *reason;
    uint64_t epoch;

    if (!arbiter_answer(node->arbiter, &answer, &epoch, &reason))
        return;
    if (node->finding_epoch)
        return take_latest(node, answer, epoch, reason);
    if (node->request_stale) {
        node->request_stale = false;
        if (node->request_waits)
            node_ask(node, node->request, node->request_epoch, node->request_node);
        return;
    }
    if (answer == REPLICA_UNREACHABLE)
        node_say(node, "the arbiter does not answer: %s", reason);
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_ARBITER, .answer = answer});
}

static void commit(struct node *node, uint64_t offset)
{
    node->committed = offset;
    ack_poll_commit(&node->ack_poll, offset, node->now);
    gate_marks_commit(&node->gate.marks, offset);
    gate_marks_commit(&node->inputs, offset);
    node_send_frames(node);
}

static void deliver(struct node *node, const struct replica_action *action)
{
    struct error error;

    if (node->options.kept && kept_log_write(node->options.kept, action->bytes, action->length, &error) < 0)
        return node_end(node, NODE_FAILED, "%s", error.text);
    if (!port_push_stream(node->port, action->bytes, action->length))
        return node_end(node, NODE_FAILED, "the replay is too slow: more of the log has gathered than memory can hold");
}

static void reset(struct node *node)
{
    struct error error;

    node->orders.reset++;
    /* At once: what is delivered from here on belongs to the new stream. */
    port_order(node->port, &node->orders);
    if (node->options.kept && node->evidence_at &&
        kept_log_set_aside(node->options.kept, node->evidence_at, &error) < 0)
        node_say(node, "%s", error.text);
    node->evidence_at = 0;
    if (node->options.kept && kept_log_begin(node->options.kept, &error) < 0)
        node_end(node, NODE_FAILED, "%s", error.text);
}

static void finish(struct node *node)
{
    node->finish_by = node->now + FINISH_PATIENCE;
    if (node->live)
        console_server_end(&node->server, node->options.exit_code(node->end_reason, node->end_value));
}

static void stop(struct node *node, const struct replica_action *action)
{
    struct replica_status status = replica_status(node->replica, node->now);
    bool handed_over = status.handed_over;

    node->orders.stop = true;
    if (status.unfit) {
        node->finish_by = node->now + REFUSE_PATIENCE;
        node->result.end = node->unfit_by_input ? NODE_UNFIT : NODE_FAILED;
        snprintf(node->result.text, sizeof node->result.text, "%s", action->text);
        return;
    }
    console_server_standby(&node->server, node->server.epoch);
    node_tell_handover(node, handed_over);
    node_end(node, handed_over ? NODE_HANDED_OVER : NODE_LOST, "%s", action->text);
}

void node_carry_out(struct node *node, const struct replica_action *action)
{
    switch (action->kind) {
    case REPLICA_SEND:
        send_message(node, &action->message);
        break;
    case REPLICA_CLAIM:
        node_ask(node, ARBITER_CLAIM, action->epoch, action->node);
        break;
    case REPLICA_VERIFY:
        node_ask(node, ARBITER_VERIFY, action->epoch, action->node);
        break;
    case REPLICA_START:
        node->orders.start = true;
        break;
    case REPLICA_COMMIT:
        commit(node, action->offset);
        break;
    case REPLICA_HOLD:
        node->committed = action->offset;
        break;
    case REPLICA_JOIN:
        node->orders.join = (uint32_t)++node->joins;
        node->kept_sent = false;
        break;
    case REPLICA_DROP:
        node->orders.join = 0;
        break;
    case REPLICA_DELIVER:
        deliver(node, action);
        break;
    case REPLICA_RESET:
        reset(node);
        break;
    case REPLICA_GO_LIVE:
        node->orders.live = true;
        break;
    case REPLICA_QUIESCE:
    case REPLICA_RESUME:
        node->orders.quiet = action->kind == REPLICA_QUIESCE;
        break;
    case REPLICA_THROTTLE:
        node->orders.throttle = action->permille;
        break;
    case REPLICA_FINISH:
        finish(node);
        break;
    case REPLICA_STOP:
        stop(node, action);
        break;
    case REPLICA_SAY:
        node_say(node, "%s", action->text);
        break;
    }
}
