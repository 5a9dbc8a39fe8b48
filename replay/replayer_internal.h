/*
 * The replayer's insides, shared between its files:
 *   replayer.c         the steps, and the door's callbacks
 *   replayer_apply.c   applying and comparing the record at hand
 */
#ifndef ENCORE_REPLAY_REPLAYER_INTERNAL_H
#define ENCORE_REPLAY_REPLAYER_INTERNAL_H

#include "replay/replayer.h"

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
};

/* replayer_apply.c. All return false when the replay diverged or, with the error, failed. */
/* Notes that the next record says something else than what happened; returns false. */
bool replayer_diverge(struct replayer *replayer, const char *expected, const char *got);
/* Compares the OUTPUT record at hand with what waits, and hands that on. */
bool replayer_check_output(struct replayer *replayer, struct error *error);
/* Compares the digest of the record at hand. */
bool replayer_check_digest(struct replayer *replayer, struct error *error);
/* Applies the record at hand, with the machine at its place. */
bool replayer_apply(struct replayer *replayer, struct error *error);

#endif
