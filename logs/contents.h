/*
 * The contents of RECORDS frames. Internal to this library.
 */
#ifndef ENCORE_LOGS_CONTENTS_H
#define ENCORE_LOGS_CONTENTS_H

#include <stdbool.h>

#include "logs/frame.h"
#include "logs/record.h"

/* What a RECORDS frame turned out to hold. */
struct contents {
    struct record_context base;  /* the context of its first record */
    struct record_context after; /* the context of the first record of the next RECORDS frame */
    const uint8_t *records;      /* where in `raw` its first record begins */
    struct log_record first;     /* its first record; alone in the frame if it is a CHECKPOINT */
    bool ends;                   /* its last record is an END */
};

/*
 * Checks everything about the decompressed contents of a RECORDS frame: that it has as many records as its header says
 * and nothing else, that each is well-formed, that a CHECKPOINT is alone and an END comes last; and, unless `expected`
 * is NULL, that it continues from that context. Returns 0, or -1 with an ERROR_INPUT.
 */
int contents_check(const struct frame_header *header, const uint8_t *raw, const struct record_context *expected,
                   struct contents *contents, struct error *error);

#endif
