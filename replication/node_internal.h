/*
 * The node's insides, shared between its files:
 *   node.c          the thread: waiting, and the order of things
 *   node_actions.c  carrying out what the replica wants
 *   node_news.c     what the machine's thread tells
 *   node_links.c    the links, and whose they are
 *   node_console.c  a console's link
 *   node_control.c  an operator's link: encore status, encore handover
 */
#ifndef ENCORE_REPLICATION_NODE_INTERNAL_H
#define ENCORE_REPLICATION_NODE_INTERNAL_H

#include <pthread.h>

#include "replication/ack_poll.h"
#include "replication/arbiter.h"
#include "replication/console_server.h"
#include "replication/frame_gate.h"
#include "replication/listener.h"
#include "replication/node.h"
#include "replication/output_gate.h"
#include "replication/say_limit.h"

/* What is said in an offset when only the commitment of everything will do. */
#define NOT_IN_STREAM (UINT64_MAX - 1)

/* Who may be linked at a time (node_links.c). */
#define NODE_LINKS_MAX 40

/* Somebody who came to our address and has shown the key for what he wants. */
struct node_link {
    struct link *link; /* NULL: nobody */
    enum session_purpose purpose;
    uint64_t since;        /* counts */
    uint64_t node;         /* a backup's, as its messages say; 0: not yet */
    bool kept_sent;        /* a backup's: the output that its gate lacks */
    unsigned seat;         /* a console's */
    uint64_t dropped_told; /* ... output that it was not given, as the user was told */
};

struct node {
    struct node_options options;
    struct port *port;
    struct replica *replica;
    struct replica_actions actions;
    struct port_orders orders;
    pthread_t thread;

    struct link *upstream;     /* to the primary that we follow; NULL: we follow none, or not any more */
    struct listener *listener; /* may be NULL */
    struct node_link links[NODE_LINKS_MAX];
    uint64_t links_taken;          /* so far */
    uint64_t gone_bytes;           /* sent on backups' links that are gone */
    struct node_link *replying;    /* whose message the replica is looking at */
    struct node_link *handover_by; /* who asked for a handover, and waits for the answer */
    struct bytes_writer letter;    /* a message to be sent */
    struct say_limit say_limit;
    struct arbiter *arbiter;
    bool request_waits; /* the arbiter is busy with a request that nobody waits for any more */
    bool request_stale; /* the answer under way is to such a request */
    struct arbiter_question question;
    bool finding_epoch; /* the arbiter is asked for its latest epoch, before there is a replica */

    struct output_gate gate;
    struct frame_gate frames;
    struct gate_marks inputs; /* input that is recorded, and when it may be confirmed */
    uint64_t input_total;
    uint64_t committed; /* as the replica said last */
    struct ack_poll ack_poll;
    struct console_server server;
    struct bytes_writer console_out; /* a message for the console */
    bool live;                       /* the machine runs by itself */
    bool unconfirmed;                /* stream was delivered, and the replica was not told that it is safe */

    uint64_t now;
    uint64_t show_at;
    uint64_t time_in[REPLICA_STATES], counted_at; /* ns in each state, until then */
    uint64_t takeovers;
    uint64_t joins, join_pause;
    uint64_t console_dropped; /* bytes of output that clients were not given */
    bool leaving;             /* a signal came: hand over, or end */
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
/* ... something that may be said again and again. */
void node_say_some(struct node *node, enum say_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void node_end(struct node *node, enum node_end end, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Gives the replica an event and carries out what it answers. */
void node_step(struct node *node, const struct replica_event *event);

/* node_actions.c */
void node_carry_out(struct node *node, const struct replica_action *action);
/* The arbiter has an answer. */
void node_take_answer(struct node *node);
void node_ask(struct node *node, const struct arbiter_question *question);

/* node_news.c */
void node_take_news(struct node *node);
/* Tells the replica that the guest ended, once its client has all output; or has had time enough. */
void node_tell_end(struct node *node);

/* Frames that may leave do. */
void node_send_frames(struct node *node);

/* node_links.c */
int node_links_open(struct node *node, struct error *error);
void node_links_close(struct node *node);
/* What to wait for, at most NODE_LINKS_FDS; returns how many. */
#define NODE_LINKS_FDS (NODE_LINKS_MAX + LISTENER_FDS + 1)
size_t node_links_poll(const struct node *node, struct pollfd *to);
/* Lets in who has come, and takes what they all say. */
void node_links_serve(struct node *node);
/* Sends the replica's message: to the primary; or to the backup that it has, a refusal to who is being answered. If it
 * cannot go, it is lost. */
void node_send(struct node *node, const struct message *message);
/* The backup begins with a fresh stream. */
void node_begin_join(struct node *node);
/* Who the other side is, for people: "node 0123456789abcdef at 10.0.0.2:4711"; "" when there is none. */
void node_name_peer(struct node *node, char *name, size_t size);
/* The other side's; NULL: none. */
struct link *node_peer_link(struct node *node);
/* Sent to backups, and to the primary, so far. */
uint64_t node_link_bytes(const struct node *node);
void node_link_drop(struct node *node, struct node_link *from);
/* The primary is followed no more. */
void node_upstream_end(struct node *node);

/* node_console.c */
void node_console_hear(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length);
/* The one that writes; NULL: nobody does. */
struct node_link *node_console_writer(struct node *node);
/* The seat of a client that has just come. */
unsigned node_console_seat(const struct node *node);
void node_console_gone(struct node *node, const struct node_link *from);
void node_serve_console(struct node *node);
/* All output is out, and the client has it, or there is none. */
bool node_output_done(const struct node *node);
/* The client has been told the end, or there is none. */
bool node_console_done(const struct node *node);

/* node_control.c */
void node_control_hear(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length);
void node_control_gone(struct node *node, const struct node_link *from);
void node_serve_control(struct node *node);
/* Whoever asked for a handover is told whether the backup goes on. */
void node_tell_handover(struct node *node, bool done);
struct node_status node_status(const struct node *node);

#endif
