/* What the commands of a replicated machine share: their options, how they speak to the user, and how they end. */
#ifndef ENCORE_TOOLS_REPLICATED_H
#define ENCORE_TOOLS_REPLICATED_H

#include <argp.h>

#include "replication/live.h"
#include "replication/metrics_server.h"
#include "replication/node.h"
#include "tools/network.h"

struct replicated_options {
    const char *listen, *arbiter, *key, *log, *metrics;
    bool force, durable, next_epoch, log_required;
    bool lag_max_given;
    uint64_t log_segment, log_keep; /* 0: the log is one file; all segments are kept */
    struct replica_config replica;
};

struct replicated_options replicated_options_default(void);

/* A child parser for argp; its input is a struct replicated_options. */
extern const struct argp replicated_options_argp;

/* A node with its port, and what belongs to them. */
struct replicated {
    const char *command; /* "primary" or "backup" */
    struct files *files; /* of the run */
    bool shows;          /* a status line on the terminal */
    struct keys keys;
    struct network network; /* opened when the machine lives */
    struct signals *signals;
    struct port *port;
    struct node *node;
    struct metrics_server *metrics; /* NULL: nobody is told */
    struct kept_log kept;           /* also how a log is kept, for a primary */
    atomic_bool log_ended;          /* it could not be written on */
    struct log_segments segments;   /* of it; to be freed by the caller, after the writer */
};

/* Holds the signals (vmm/host/signals.h), if they are not held yet. For before the first file is made. Returns 0, or -1
 * with the error. */
int replicated_hold_signals(struct replicated *replicated, struct error *error);

/* Holds the signals and starts port and node; `connect` is NULL for a primary. Returns 0, or -1 with the error. */
int replicated_start(struct replicated *replicated, const struct replicated_options *options, const char *connect,
                     struct error *error);

/* Runs a machine by itself, in the calling thread, until it ends or is stopped; the node is told. Its network is
 * replicated->network. */
int replicated_live(struct replicated *replicated, const struct live *live, struct error *error);

/* Tells the node that the machine's thread failed; NULL: that it is done. Waits for the node, says how it ended, and
 * returns the process's exit code. */
int replicated_finish(struct replicated *replicated, const struct error *error);

#endif
