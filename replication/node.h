/*
 * The node: one side of a replicated machine, with everything about it that is not the machine.
 *
 * The replica (replica.h) decides; the node brings it its events, from the links, the arbiter, the clock and the
 * machine's thread (port.h), and carries out its actions. It serves the console and control links of the address that
 * it listens on. It is a thread of its own.
 */
#ifndef ENCORE_REPLICATION_NODE_H
#define ENCORE_REPLICATION_NODE_H

#include <stdatomic.h>

#include "replication/kept_log.h"
#include "replication/keys.h"
#include "replication/port.h"
#include "replication/replica.h"

struct node_status {
    struct replica_status replica;
    uint64_t output_held;             /* bytes of output that wait for the backup */
    uint64_t log_bytes;               /* sent on the links of backups so far */
    unsigned consoles;                /* clients at the console */
    uint64_t console_dropped;         /* bytes of output that clients did not read in time, and were not given */
    bool log_ended;                   /* the log that was to be kept here ended, for it could not be written */
    bool primary;                     /* it runs the machine, or will from the start; else it follows */
    uint64_t takeovers;               /* by this side */
    uint64_t time_in[REPLICA_STATES]; /* ns in each state */
    uint64_t joins;                   /* backups that have joined */
    uint64_t join_pause;              /* for the last one the machine stood still so long, ns */
};

struct node_options {
    struct replica_config replica; /* `node` is chosen here */
    const char *listen;            /* address for backups, consoles and control; NULL: none */
    const char *connect;           /* backup: the primary's address */
    const struct keys *keys;       /* of a master key if there is `listen`; NULL: none */
    const char *arbiter;
    int signals;                  /* signals_fd: the first wish asks for a handover, the second for any end */
    bool next_epoch;              /* primary: begin with the epoch after the arbiter's latest */
    const atomic_bool *log_ended; /* whether the log that is kept here could not be written on; NULL: nobody knows */
    struct kept_log *kept;        /* backup: where the stream is kept; the node's until the machine lives */
    /* A guest's exit code, for console clients. */
    uint8_t (*exit_code)(uint64_t reason, uint64_t value);
    /* Sends a frame of a network card, once the machine lives; from the node's thread. NULL: there is no network. */
    void (*frame)(void *context, unsigned card, const uint8_t *frame, size_t length);
    void (*say)(void *context, const char *text);                  /* from the node's thread */
    void (*show)(void *context, const struct node_status *status); /* a few times a second; NULL: nobody looks */
    void *context;
};

enum node_end {
    NODE_FINISHED,    /* the guest ended, and all its output is out */
    NODE_HANDED_OVER, /* the backup goes on, as it was asked to */
    NODE_LOST,        /* another machine goes on, or there is none to go on with; the text says why */
    NODE_UNFIT,       /* a backup that could not take over, for what the user gave it; the text says why */
    NODE_SIGNALLED,   /* the user wanted the end */
    NODE_FAILED,      /* the host failed; the text says how */
};

struct node_result {
    enum node_end end;
    bool bad_input;         /* NODE_FAILED: it is what the user gave that is wrong, and not the host */
    uint64_t reason, value; /* NODE_FINISHED: of the guest's end */
    char text[512];
};

struct node;

/* Opens links and arbiter and starts the thread. What the options point to must outlive the node. NULL with the error.
 */
struct node *node_start(const struct node_options *options, struct port *port, struct error *error);

/* Waits until the node has come to its end, and frees it. */
void node_finish(struct node *node, struct node_result *result);

#endif
