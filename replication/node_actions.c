/* What the replica wants done. See node_internal.h. */
#include <stdio.h>

#include "replication/node_internal.h"

#define REQUEST_PATIENCE UINT64_C(1000000000)
/* After the guest's end its clients are given this long to take the rest. */
#define FINISH_PATIENCE UINT64_C(3000000000)
/* A backup that leaves gives its last word so long to get to the primary. */
#define REFUSE_PATIENCE UINT64_C(500000000)

void node_ask(struct node *node, const struct arbiter_question *question)
{
    node->question = *question;
    node->request_waits = !arbiter_ask(node->arbiter, &node->question, REQUEST_PATIENCE);
    /* A request that nobody waits for any more is answered first. */
    node->request_stale = node->request_waits;
}

static void ask(struct node *node, enum arbiter_request request, const struct replica_action *action)
{
    node_ask(node, &(struct arbiter_question){.request = request,
                                              .epoch = action->epoch,
                                              .node = action->node,
                                              .owner = action->owner,
                                              .rival = action->rival});
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
            node_ask(node, &node->question);
        return;
    }
    if (answer == REPLICA_UNREACHABLE)
        node_say_some(node, SAY_ARBITER, "the arbiter does not answer: %s", reason);
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

static void kept_log_fails(struct node *node, const struct error *error)
{
    if (!node->over)
        node->result.bad_input = error->kind == ERROR_INPUT;
    node_end(node, NODE_FAILED, "--log: %s", error->text);
}

static void deliver(struct node *node, const struct replica_action *action)
{
    struct error error;

    if (node->options.kept && kept_log_write(node->options.kept, action->bytes, action->length, &error) < 0)
        return kept_log_fails(node, &error);
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
        kept_log_fails(node, &error);
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

/* What the replica says is about the other side, mostly; who that is, it does not know. */
static void say_of_peer(struct node *node, const char *text)
{
    char name[SAY_TEXT / 2];

    node_name_peer(node, name, sizeof name);
    node_say(node, "%s%s", text, name);
}

void node_carry_out(struct node *node, const struct replica_action *action)
{
    switch (action->kind) {
    case REPLICA_SEND:
        node_send(node, &action->message);
        break;
    case REPLICA_CLAIM:
        ask(node, ARBITER_CLAIM, action);
        break;
    case REPLICA_VERIFY:
        ask(node, ARBITER_VERIFY, action);
        break;
    case REPLICA_DOUBT:
        ask(node, ARBITER_DOUBT, action);
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
        node_begin_join(node);
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
        say_of_peer(node, action->text);
        break;
    }
}
