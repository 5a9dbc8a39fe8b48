/*
 * Checking and summing up a whole log.
 */
#ifndef ENCORE_LOGS_VERIFY_H
#define ENCORE_LOGS_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "logs/reader.h"
#include "logs/record.h"

struct log_summary {
    uint64_t file_bytes;
    uint64_t frames[4];    /* by enum frame_kind; [0] is their sum. Index frames count only if they are good */
    uint64_t raw_bytes;    /* contents of those frames, decompressed */
    uint64_t stored_bytes; /* those frames as they stand in the log, with their headers */

    uint64_t records[LOG_RECORD_TYPES]; /* by type; [0] is their sum */
    struct position first;              /* of the first record and of the last; meaningless when there are none */
    struct position last;
    bool timed;          /* some record carried a guest time */
    uint64_t time_first; /* guest time in ns, the first and the last that a record carries */
    uint64_t time_last;
    uint64_t output_bytes;   /* announced by OUTPUT records, all channels together */
    uint64_t payload_bytes;  /* of CONSOLE_IN, ENTROPY and OPERATOR records */
    uint64_t checkpoint_raw; /* bytes of all checkpoints' data */

    bool ended;            /* the END record was reached */
    struct log_record end; /* that record */
    struct error stopped;  /* where and why reading stopped, when it was not reached; kind ERROR_NONE otherwise */
    bool cut;              /* it just breaks off there, or after the END record: log_reader_is_cut */
    uint64_t stop_offset;  /* the byte after the last good RECORDS or CHECKPOINT_DATA frame */
    struct error index;    /* what is wrong after the END record, index and trailer; kind ERROR_NONE when nothing is */
};

/*
 * Walks a log from its first byte to its last and checks everything: each frame, each record, the data of each
 * checkpoint, the index, the trailer. Returns 0 with the summary, whatever was found; -1 with the error when the log
 * cannot be opened at all (as log_reader_open).
 */
int log_verify(const char *path, struct log_summary *summary, struct error *error);

/* The same from any source, which is closed here. */
int log_verify_source(const struct log_source *source, const char *name, struct log_summary *summary,
                      struct error *error);

/* Whether a summary speaks of a complete log without any damage. */
bool log_summary_sound(const struct log_summary *summary);

#endif
