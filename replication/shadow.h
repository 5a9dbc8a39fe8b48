/*
 * A backup's machine: built from the stream, kept a step behind the primary's, until it is ordered to live.
 *
 * The stream is a log (replication/follower.h writes it), so this is a replay of a log that grows. All of it is the
 * machine's thread.
 */
#ifndef ENCORE_REPLICATION_SHADOW_H
#define ENCORE_REPLICATION_SHADOW_H

#include "replay/replayer.h"
#include "replication/port.h"

/* How machines come into being: the engines are not this room's business. */
struct machine_maker {
    void *context;
    /* Builds, without booting it, the machine that a log's header describes (JSON), behind a door; with a `careful`
     * engine (vmm/engine.h) after another overshot. Opens everything that going on with it will take; what is not there
     * is an error, and the backup does not join. *foreign_ticks: its ticks are not those of the log. */
    struct machine *(*make)(void *context, const char *description, const struct door *door, bool careful,
                            bool *foreign_ticks, struct error *error);
    void (*unmake)(void *context, struct machine *machine); /* NULL is allowed */
};

struct shadow_options {
    struct port *port;
    struct machine_maker maker;
    /* Called with a report when the replay differs from the log; to be written where the user finds it. */
    void (*report)(void *context, const struct divergence *divergence, struct machine *machine, uint64_t offset);
    void *report_context;
};

struct shadow;

struct shadow *shadow_create(const struct shadow_options *options, struct error *error);
void shadow_free(struct shadow *shadow);

enum shadow_end {
    SHADOW_STOPPED, /* as ordered */
    SHADOW_LIVE,    /* ordered to live, and all that was received is replayed; or the guest has ended before */
    SHADOW_FAILED,  /* the host failed: see the error */
};

/* Follows until one of these. */
enum shadow_end shadow_follow(struct shadow *shadow, struct error *error);

/* After SHADOW_LIVE: the machine, and what going on with it takes. All stays the shadow's. */
struct machine *shadow_machine(struct shadow *shadow);
struct replayer *shadow_replayer(struct shadow *shadow);
struct log_reader *shadow_reader(struct shadow *shadow);
/* The END record, if the guest had ended; else NULL. */
const struct log_record *shadow_ended(struct shadow *shadow);
#endif
