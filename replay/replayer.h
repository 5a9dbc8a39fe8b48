/*
 * The door, closed: a machine that gets every input from a log, each at its recorded position.
 *
 * The replayer takes record after record, brings the machine to the record's position and applies it there. Whatever
 * the log says about the machine's own doings (outputs, digests, how it ended, when it read a clock) is compared, and
 * the first disagreement ends the replay as a divergence (divergence.h). It works the same on a log that is still
 * growing, which is how a backup follows.
 *
 * Order of calls: replayer_create, machine_create with replayer_door, machine_boot or replayer_restore, replayer_step
 * until it is over, replayer_free.
 */
#ifndef ENCORE_REPLAY_REPLAYER_H
#define ENCORE_REPLAY_REPLAYER_H

#include "logs/reader.h"
#include "replay/divergence.h"
#include "replay/outbox.h"
#include "replay/traffic.h"
#include "vmm/machine.h"

struct replayer_options {
    struct log_reader *reader;
    /* The engine's ticks are not those that the log was recorded in: it can go to exits and landmarks only. */
    bool foreign_ticks;
    /* Gets what the guest sends, once its record has been compared (channels and bytes as in the log, outputs.h); may
     * be NULL. */
    int (*output)(void *context, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error);
    /* Sees each frame from the network before a card gets it; may be NULL. */
    int (*frame_in)(void *context, uint8_t card, const uint8_t *frame, size_t length, struct error *error);
    void *output_context; /* of both */
};

enum replayer_step {
    REPLAYER_MORE,     /* one record was applied */
    REPLAYER_END,      /* the END record was reached, and agreed */
    REPLAYER_STOPPED,  /* the log is cut off or damaged here; everything before it agreed. The error says what it is */
    REPLAYER_WAIT,     /* the log grows, and has no more records yet */
    REPLAYER_KICKED,   /* the engine was kicked from outside; step again to go on */
    REPLAYER_DIVERGED, /* see replayer_divergence */
    REPLAYER_OVERSHOT, /* the engine let the guest run past a position: replay again with a careful one */
    REPLAYER_ERROR,    /* the host failed, or the log holds what this host cannot land on */
};

struct replayer_counts {
    uint64_t records;
    uint64_t digests; /* compared and equal */
    uint64_t outputs;
    uint64_t checkpoints;
};

struct replayer;

struct replayer *replayer_create(const struct replayer_options *options, struct error *error);
void replayer_free(struct replayer *replayer);

/* The door to give to machine_create. */
struct door replayer_door(struct replayer *replayer);

/* Tells which machine; once, after machine_create. */
void replayer_attach(struct replayer *replayer, struct machine *machine);

/* As the option, for when it is known only with the machine. */
void replayer_set_foreign_ticks(struct replayer *replayer, bool foreign);

/* Starts from checkpoint `id` of the log instead of from the boot image. */
int replayer_restore(struct replayer *replayer, uint32_t id, struct error *error);

/* Applies the next record. */
enum replayer_step replayer_step(struct replayer *replayer, struct error *error);

/* What has passed the machine's door so far; and the output that no record has announced yet; both stay the
 * replayer's. For going on without a log. */
const struct traffic *replayer_traffic(const struct replayer *replayer);
const struct outbox *replayer_unannounced(const struct replayer *replayer);

/* After REPLAYER_END: the END record. */
const struct log_record *replayer_end(const struct replayer *replayer);
/* After REPLAYER_DIVERGED. */
const struct divergence *replayer_divergence(const struct replayer *replayer);
const struct replayer_counts *replayer_counts(const struct replayer *replayer);

#endif
