/*
 * A machine that runs by itself, with a node beside it (node.h): the primary's machine, or a backup's after it took
 * over.
 *
 * It is recorded like any other, but its console is the node's, and there is a log for the backup beside the one that
 * may be kept on disk. All of it is the machine's thread.
 */
#ifndef ENCORE_REPLICATION_LIVE_H
#define ENCORE_REPLICATION_LIVE_H

#include "replay/recorder.h"
#include "replication/log_segments.h"
#include "replication/port.h"

struct live {
    struct port *port;
    struct machine *machine;       /* its door is the recorder's */
    struct recorder *recorder;     /* fresh, or one that adopted a replayed machine */
    struct log_writer **writer;    /* the log that is kept here, flushed before output leaves; *writer NULL: none */
    struct log_segments *segments; /* of that log; NULL: it is one file */
    struct net *const *nets;       /* by card; what is sent goes through the node (node_options.frame) */
    const char *description;       /* of the machine: JSON, for the backup's log */
    uint64_t checkpoint_every;     /* guest time, ns; for the log that is kept here */
    uint64_t max_exits, timeout;
    bool catch_up; /* as in struct recorder_options */
};

/* Runs until the guest ends or the orders say so. Returns 0 with the result; *stopped tells that it was ordered to
 * stop, so that the result is nobody's business. -1 with the error when the host failed. */
int live_run(const struct live *live, struct recorder_result *result, bool *stopped, struct error *error);

#endif
