/*
 * The replayer's insides, shared between its files:
 *   replayer.c        the steps, and most of the door's callbacks
 *   replayer_disk.c   what disks need from the host
 */
#ifndef ENCORE_REPLAY_REPLAYER_INTERNAL_H
#define ENCORE_REPLAY_REPLAYER_INTERNAL_H

#include <stdio.h>

#include "replay/replayer.h"
#include "replay/transfers.h"

struct replayer {
    struct replayer_options options;
    struct machine *machine;
    struct log_record next; /* read, not applied */
    bool has_next;
    enum log_read read; /* what the reader said when there is no next record */
    struct error read_error;
    struct log_record end;

    struct traffic traffic;
    struct bytes_writer waiting; /* output whose record has not come yet */
    struct divergence divergence;
    struct replayer_counts counts;

    struct transfers transfers;
    struct error disk_error; /* the host failed here, in what did not fail when it was recorded */
};

/* Notes the first disagreement; returns false. */
static inline bool diverge(struct replayer *replayer, const char *expected, const char *got)
{
    struct divergence *divergence = &replayer->divergence;

    if (divergence->happened)
        return false;
    divergence->happened = true;
    divergence->record = replayer->next;
    divergence->record.bytes = NULL;
    if (replayer->next.bytes)
        divergence->record.length = 0;
    divergence->place = log_reader_place(replayer->options.reader);
    snprintf(divergence->expected, sizeof divergence->expected, "%s", expected);
    snprintf(divergence->got, sizeof divergence->got, "%s", got);
    return false;
}

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
    replayer->counts.records++;
}

/* replayer_disk.c: a callback of the door */
bool replayer_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length);

#endif
