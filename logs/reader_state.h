/*
 * What a log_reader consists of. Internal to this library: reader.c reads on, reader_checkpoints.c deals with
 * checkpoints, reader_end.c with what follows the END record, verify.c looks at the counts.
 */
#ifndef ENCORE_LOGS_READER_STATE_H
#define ENCORE_LOGS_READER_STATE_H

#include "logs/contents.h"
#include "logs/index.h"
#include "logs/reader.h"
#include "logs/walk.h"

struct log_reader {
    struct log_source source;
    char *name; /* owned */
    bool follow;
    bool check_data; /* decompress CHECKPOINT_DATA frames too, to see whether they can be */

    bool has_header;
    struct log_header header;
    struct frame_codec codec;
    struct walk walk;

    struct cursor next; /* the frame to be read next */
    bool continues;     /* `context` is known, and the next RECORDS frame must continue from it */
    bool ended;
    struct error stopped; /* kind ERROR_NONE unless reading stopped */
    bool cut;             /* ... where the bytes end, and not because of any of them */

    uint8_t *raw;                  /* contents of the frame being delivered */
    struct bytes_reader records;   /* its records not yet delivered, */
    uint32_t records_left;         /* how many these are, */
    struct record_context context; /* and against what the next is coded */
    struct log_place place;

    struct index_run run; /* the data frames just before `next` */
    bool run_done;        /* their CHECKPOINT has been read too */

    uint8_t *scratch; /* contents of frames that are read for other purposes */
    struct index index;
    struct cursor scanned;     /* `index` holds every checkpoint before this */
    struct index_run scan_run; /* the data frames just before that */
    bool index_complete;       /* `index` holds all checkpoints there will ever be */

    uint64_t frames[FRAME_INDEX + 1]; /* frames read, by kind; [0]: their sum */
    uint64_t raw_bytes;
    uint64_t stored_bytes;
};

#endif
