/*
 * The log that a machine writes for its backup: how a backup joins while the machine runs, and what it gets afterwards.
 *
 * Joining is pre-copy, as in live migration (Clark et al., "Live Migration of Virtual Machines", NSDI 2005): the pages
 * (and what was written to disks) are sent while the machine runs, then those that it wrote meanwhile, and so on, until
 * few are left (precopy.h); then the machine stands still for a moment, while the last pages and the state of processor
 * and chips are written. In the log all this is one checkpoint, in which later mentions of a page count. From there on
 * every record goes into the log.
 *
 * Runs in the machine's thread, called by the relay (live.c).
 */
#ifndef ENCORE_REPLICATION_FOLLOWER_H
#define ENCORE_REPLICATION_FOLLOWER_H

#include "logs/writer.h"
#include "replay/checkpoint.h"
#include "replay/recorder.h"
#include "replication/port.h"
#include "replication/precopy.h"

/* What is to be sent (again): a bit for each page of RAM, or cluster of a disk. */
struct follower_list {
    uint64_t *left; /* owned */
    size_t words;
};

struct follower {
    struct port *port;
    struct machine *machine;
    const char *description;     /* JSON, for the log's header */
    const struct log_sink *sink; /* where the log goes, when it is not for a backup; nobody is told then. Else NULL */
    uint32_t stream;             /* number of the join order; 0: nobody follows */
    bool following;              /* the checkpoint is written: records go into the log */
    struct log_writer *writer;
    struct checkpoint_writer pages;
    bool pages_open;
    struct follower_list lists[MACHINE_DISKS + 1]; /* of RAM, and of each disk */
    unsigned list;                                 /* those before it have been sent in this round */
    uint64_t cursor;                               /* and those below it in this list */
    struct precopy precopy;
    bool failed;         /* the join does not come to an end; the node has been told */
    uint64_t flushed_at; /* host time */
    bool flush_soon;     /* input waits to be confirmed */
    bool output_follows; /* what is told now is told together with output */
};

/* Nobody follows yet. What is pointed to must outlive the follower. */
struct follower follower_none(struct port *port, struct machine *machine, const char *description);

/* At a boundary with a name: begins, goes on with, or ends a log as the orders say. *again_at is brought forward to
 * when it must be called again. Returns 0, or -1 with the error when the host failed. */
int follower_tend(struct follower *follower, struct recorder *recorder, const struct port_orders *orders,
                  const struct position *at, uint64_t *again_at, struct error *error);

/* A record of the machine. The end's is on its way to the backup when this returns. */
int follower_record(struct follower *follower, const struct log_record *record, struct error *error);

/* Sends what waits to be sent. */
int follower_flush(struct follower *follower, struct error *error);
/* ... right before output is told, which does not need the node to be woken twice. */
int follower_flush_before_output(struct follower *follower, struct error *error);

/* How long the log is; for what depends on a record that was just given. 0 when nobody follows. */
uint64_t follower_offset(const struct follower *follower);

/* Once it follows: the writer, which is the caller's from now on. The follower is as fresh. */
struct log_writer *follower_take_writer(struct follower *follower);

/* Ends the log, if there is one. */
void follower_end(struct follower *follower);

#endif
