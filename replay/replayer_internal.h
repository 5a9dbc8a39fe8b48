/*
 * The replayer's insides, shared between its files:
 *   replayer.c         the steps, and the door's callbacks
 *   replayer_apply.c   applying and comparing the record at hand
 *   replayer_disk.c    what disks need from the host
 */
#ifndef ENCORE_REPLAY_REPLAYER_INTERNAL_H
#define ENCORE_REPLAY_REPLAYER_INTERNAL_H

#include "replay/replayer.h"
#include "replay/transfers.h"

struct replayer {
    struct replayer_options options;
    struct machine *machine;
    struct log_record next; /* read, not applied */
    bool has_next;
    enum log_read read; /* what the reader said when there is no next record */
    struct error read_error;
    bool failed; /* within an exit, where the error could not be returned */
    struct error error;
    struct log_record end;

    struct traffic traffic;
    struct outbox waiting; /* output whose record has not come yet */
    bool answered;         /* a record was consumed within the exit under way */
    struct divergence divergence;
    struct replayer_counts counts;
    struct transfers transfers;
};

/* Makes `next` the next record, if there is one. */
static inline bool fetch(struct replayer *replayer)
{
    if (replayer->has_next)
        return true;
    replayer->read = log_reader_next(replayer->options.reader, &replayer->next, &replayer->read_error);
    replayer->has_next = replayer->read == LOG_READ_RECORD;
    return replayer->has_next;
}

static inline void consume(struct replayer *replayer)
{
    replayer->has_next = false;
    replayer->answered = true;
    replayer->counts.records++;
}

/* replayer_apply.c. All return false when the replay diverged or, with the error, failed. */
/* Notes that the next record says something else than what happened; returns false. */
bool replayer_diverge(struct replayer *replayer, const char *expected, const char *got);
/* Compares the OUTPUT record at hand with what waits, and hands that on. */
bool replayer_check_output(struct replayer *replayer, struct error *error);
/* Compares the digest of the record at hand. */
bool replayer_check_digest(struct replayer *replayer, struct error *error);
/* Applies the record at hand, with the machine at its place. */
bool replayer_apply(struct replayer *replayer, struct error *error);

/* replayer_disk.c: a callback of the door. */
bool replayer_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length);

#endif
