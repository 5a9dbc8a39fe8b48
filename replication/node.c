/* The node's thread. See node.h. */
#include "replication/node.h"

#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "replication/node_internal.h"
#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

#define MILLISECOND UINT64_C(1000000)
#define SECOND      UINT64_C(1000000000)
/* There is a turn at least so often, for whatever is not due to the instant; more often while our link to the peer is
 * not up. */
#define TURN       (15 * MILLISECOND)
#define LINK_TURN  (5 * MILLISECOND)
#define SHOW_EVERY (200 * MILLISECOND)
/* Bytes of the stream that the machine of a backup has not taken yet; beyond that nothing more is acknowledged. */
#define WAITING_MAX (64u << 20)

static void say(struct node *node, enum say_kind kind, const char *format, va_list arguments)
{
    char text[SAY_TEXT];

    vsnprintf(text, sizeof text, format, arguments);
    if (say_limit_admits(&node->say_limit, kind, text, node->now))
        node->options.say(node->options.context, text);
}

void node_say(struct node *node, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(node, SAY_ANYTHING, format, arguments);
    va_end(arguments);
}

void node_say_some(struct node *node, enum say_kind kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(node, kind, format, arguments);
    va_end(arguments);
}

/* What was counted. */
static void say_counts(struct node *node)
{
    char line[SAY_TEXT];

    while (say_limit_due(&node->say_limit, node->now, line))
        node->options.say(node->options.context, line);
}

void node_end(struct node *node, enum node_end end, const char *format, ...)
{
    va_list arguments;

    if (node->over)
        return;
    node->over = true;
    node->result.end = end;
    node->result.reason = node->end_reason;
    node->result.value = node->end_value;
    va_start(arguments, format);
    vsnprintf(node->result.text, sizeof node->result.text, format, arguments);
    va_end(arguments);
}

/* The replica asks to be told when the bytes that it had delivered are safe; they are when DELIVER was carried out. But
 * a machine's thread that is busy, with a checkpoint or the hash of a disk, is given no more than it can take. */
static void confirm_delivery(struct node *node, bool delivered)
{
    node->unconfirmed |= delivered;
    /* Nor does the primary send more than is safe and a little (replica_flow.c): so memory is bounded here. */
    if (!node->unconfirmed || node->over || port_stream_waiting(node->port) > WAITING_MAX)
        return;
    node->unconfirmed = false;
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_SAFE,
                                            .offset = replica_status(node->replica, node->now).stream_end});
}

void node_step(struct node *node, const struct replica_event *event)
{
    struct replica_event timed = *event;
    bool delivered = false;

    if (!node->replica || node->over)
        return;
    timed.now = node->now;
    replica_step(node->replica, &timed, &node->actions);
    for (size_t n = 0; n < node->actions.count && !node->over; n++) {
        delivered |= node->actions.list[n].kind == REPLICA_DELIVER;
        node_carry_out(node, &node->actions.list[n]);
    }
    confirm_delivery(node, delivered);
}

/* The first signal asks for the graceful end that there is; another one for any. */
static void take_signal(struct node *node)
{
    eventfd_t came;

    if (eventfd_read(node->options.signals, &came) < 0)
        return;
    enum replica_state state = node->replica ? replica_status(node->replica, node->now).state : REPLICA_STARTING;
    if (node->leaving || (state != REPLICA_PRIMARY && state != REPLICA_ALONE)) {
        node->orders.stop = true;
        return node_end(node, NODE_SIGNALLED, "stopped by the user");
    }
    node->leaving = true;
    if (state == REPLICA_ALONE) {
        node->orders.end = true;
        return;
    }
    node_say(node, "handing over to the backup (once more to stop at once)");
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_HANDOVER});
}

/* How long nothing need happen for the node to have something to do. */
static uint64_t time_to_turn(const struct node *node)
{
    uint64_t turn = node->upstream && !link_is_up(node->upstream) ? LINK_TURN : TURN;
    uint64_t now = host_clock_now();

    if (turn > node->options.replica.beat_every / 2)
        turn = node->options.replica.beat_every / 2;
    uint64_t due = node->replica ? replica_due(node->replica) : UINT64_MAX;
    if (due <= now)
        return 0;
    return due - now < turn ? due - now : turn;
}

/* True: there is something. */
static bool poll_for_ack(const struct node *node, struct pollfd *fds, nfds_t count)
{
    static const struct timespec none;
    uint64_t until = ack_poll_until(&node->ack_poll);

    while (host_clock_now() < until) {
        if (ppoll(fds, count, &none, NULL) > 0)
            return true;
        /* The processor may be what a backup on this host waits for. */
        sched_yield();
    }
    return false;
}

static void wait_for_something(struct node *node)
{
    struct pollfd fds[3 + NODE_LINKS_FDS];
    int candidates[] = {port_news_fd(node->port), node->options.signals, arbiter_poll_fd(node->arbiter)};
    nfds_t count = 0;

    for (size_t n = 0; n < sizeof candidates / sizeof candidates[0]; n++) {
        if (candidates[n] >= 0)
            fds[count++] = (struct pollfd){.fd = candidates[n], .events = POLLIN};
    }
    count += node_links_poll(node, fds + count);
    if (poll_for_ack(node, fds, count))
        return;
    uint64_t turn = time_to_turn(node);
    struct timespec limit = {.tv_sec = (time_t)(turn / SECOND), .tv_nsec = (long)(turn % SECOND)};
    (void)ppoll(fds, count, &limit, NULL);
}

static void finish_when_told(struct node *node)
{
    if (node->finish_by == 0)
        return;
    const struct link *peer = node_peer_link(node);
    bool unfit = replica_status(node->replica, node->now).unfit;
    bool sent = !peer || link_waiting(peer) == 0;
    if ((!sent || (!unfit && !node_console_done(node))) && node->now < node->finish_by)
        return;
    if (unfit)
        node->over = true; /* the result is there (stop in node_actions.c) */
    else
        node_end(node, NODE_FINISHED, "the guest ended");
}

static void count_time(struct node *node)
{
    enum replica_state state = node->replica ? replica_status(node->replica, node->now).state : REPLICA_STARTING;

    node->time_in[state] += node->now - node->counted_at;
    node->counted_at = node->now;
}

static void turn(struct node *node)
{
    node->now = host_clock_now();
    count_time(node);
    take_signal(node);
    node_take_answer(node);
    node_take_news(node);
    node_links_serve(node);
    node_tell_end(node);
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_TIME});
    node_serve_console(node);
    node_serve_control(node);
    say_counts(node);
    if (node->replica) {
        struct replica_status status = replica_status(node->replica, node->now);
        node->orders.unsent = status.unsent;
        /* Whoever was to take over is gone; that this side was asked to end still holds. */
        if (node->leaving && status.state == REPLICA_ALONE)
            node->orders.end = true;
        node->orders.prompt = status.awaits_replay;
    }
    port_order(node->port, &node->orders);
    if (node->options.show && node->now >= node->show_at) {
        struct node_status status = node_status(node);
        node->options.show(node->options.context, &status);
        node->show_at = node->now + SHOW_EVERY;
    }
    finish_when_told(node);
}

static void *node_thread(void *argument)
{
    struct node *node = argument;

    while (!node->over) {
        wait_for_something(node);
        turn(node);
    }
    node->orders.stop = true;
    port_order(node->port, &node->orders);
    return NULL;
}

static int open_all(struct node *node, struct error *error)
{
    uint64_t *number = &node->options.replica.node;

    if (host_entropy((uint8_t *)number, sizeof *number, error) < 0)
        return -1;
    *number |= 1; /* 0 is nobody */
    if (output_gate_create(&node->gate, 0, error) < 0 || frame_gate_create(&node->frames, error) < 0)
        return -1;
    node->arbiter = arbiter_open(node->options.arbiter, error);
    if (!node->arbiter || node_links_open(node, error) < 0)
        return -1;
    if (!node->options.replica.backup) {
        node->finding_epoch = true;
        arbiter_ask(node->arbiter, &(struct arbiter_question){.request = ARBITER_LATEST}, 5000 * MILLISECOND);
        return 0;
    }
    node->replica = replica_create(&node->options.replica);
    return node->replica ? 0 : error_set(error, ERROR_HOST, "out of memory");
}

static void node_free(struct node *node)
{
    node_links_close(node);
    arbiter_close(node->arbiter);
    replica_free(node->replica);
    output_gate_destroy(&node->gate);
    frame_gate_destroy(&node->frames);
    bytes_writer_free(&node->console_out);
    free(node);
}

struct node *node_start(const struct node_options *options, struct port *port, struct error *error)
{
    struct node *node = calloc(1, sizeof *node);

    if (!node) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    node->options = *options;
    node->port = port;
    node->now = node->counted_at = host_clock_now();
    node->console_out = bytes_writer(CONSOLE_MESSAGE_MAX);
    if (open_all(node, error) < 0 || thread_start(&node->thread, node_thread, node, error) < 0) {
        node_free(node);
        return NULL;
    }
    return node;
}

void node_finish(struct node *node, struct node_result *result)
{
    pthread_join(node->thread, NULL);
    *result = node->result;
    node_free(node);
}
