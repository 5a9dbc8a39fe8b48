/*
 * The node's insides, shared between its files:
 *   node.c          the thread: waiting, and the order of things
 *   node_actions.c  carrying out what the replica wants
 *   node_news.c     what the machine's thread tells
 *   node_console.c  the console link
 *   node_control.c  the control link: encore status, encore handover
 */
#ifndef ENCORE_REPLICATION_NODE_INTERNAL_H
#define ENCORE_REPLICATION_NODE_INTERNAL_H

#include <pthread.h>

#include "replication/ack_poll.h"
#include "replication/arbiter.h"
#include "replication/console_server.h"
#include "replication/frame_gate.h"
#include "replication/link.h"
#include "replication/node.h"
#include "replication/output_gate.h"

/* What is said in an offset when only the commitment of everything will do. */
#define NOT_IN_STREAM (UINT64_MAX - 1)

/* Messages for the peer that its link has not taken yet. */
#define OUTBOX_MAX (8u << 20)

struct node {
    struct node_options options;
    struct port *port;
    struct replica *replica;
    struct replica_actions actions;
    struct port_orders orders;
    pthread_t thread;
    int signals;

    struct link *peer;      /* to the primary or, at a primary, from the backup */
    struct link *listening; /* the backup's link at our own address; the same as `peer` at a primary; may be NULL */
    struct link *console;
    struct link *control;
    struct arbiter *arbiter;
    bool request_waits; /* the arbiter is busy with a request that nobody waits for any more */
    bool request_stale; /* the answer under way is to such a request */
    enum arbiter_request request;
    uint64_t request_epoch, request_node;
    bool finding_epoch; /* the arbiter is asked for its latest epoch, before there is a replica */

    bool kept_sent;             /* on this link: the output that the backup's gate lacks */
    struct bytes_writer outbox; /* length-prefixed messages for the peer */
    size_t outbox_sent;

    struct output_gate gate;
    struct frame_gate frames;
    struct gate_marks inputs; /* input that is recorded, and when it may be confirmed */
    uint64_t input_total;
    uint64_t committed; /* as the replica said last */
    struct ack_poll ack_poll;
    struct console_server server;
    struct bytes_writer console_out; /* a message that the link has not taken yet; empty: none */
    bool live;                       /* the machine runs by itself */

    uint64_t now;
    uint64_t show_at;
    uint64_t joins, join_pause;
    bool handover_asked; /* through the control link, where the answer is waited for */
    bool leaving;        /* a signal came: hand over, or end */
    uint64_t end_reason, end_value;
    uint64_t ended_at;    /* the guest ended then, and its client is being given the rest; 0: no */
    uint64_t finish_by;   /* it is over; what is to be told of that is, until then. 0: not yet */
    bool unfit_by_input;  /* what this backup would need, and has not, is the user's to give */
    uint64_t evidence_at; /* the kept log is to be set aside, for the replay differed there; 0: no */
    bool over;
    struct node_result result;
};

/* node.c */
void node_say(struct node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));
void node_end(struct node *node, enum node_end end, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Gives the replica an event and carries out what it answers. */
void node_step(struct node *node, const struct replica_event *event);

/* node_actions.c */
void node_carry_out(struct node *node, const struct replica_action *action);
/* Sends as much of the outbox as the link takes. */
void node_send_outbox(struct node *node);
/* The arbiter has an answer. */
void node_take_answer(struct node *node);
void node_ask(struct node *node, enum arbiter_request request, uint64_t epoch, uint64_t whom);

/* node_news.c */
void node_take_news(struct node *node);
/* Tells the replica that the guest ended, once its client has all output; or has had time enough. */
void node_tell_end(struct node *node);

/* Frames that may leave do. */
void node_send_frames(struct node *node);

/* node_console.c */
void node_serve_console(struct node *node);
/* All output is out, and the client has it, or there is none. */
bool node_output_done(const struct node *node);
/* The client has been told the end, or there is none. */
bool node_console_done(const struct node *node);

/* node_control.c */
void node_serve_control(struct node *node);
/* Whoever asked for a handover is told whether the backup goes on. */
void node_tell_handover(struct node *node, bool done);
struct node_status node_status(const struct node *node);

#endif
