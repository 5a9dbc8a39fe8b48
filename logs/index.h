/*
 * The checkpoints of a log: which there are and where they stand. Internal to this library.
 *
 * A list of them is gathered in three ways: by the writer as it writes them, by a reader as it comes past them, and
 * from the INDEX frames of a log that was closed. The tail of a closed log:
 *
 *     ... | RECORDS with END | INDEX | INDEX ... | trailer
 *
 * Contents of an INDEX frame: a varint, how many entries are in the INDEX frames after this one; then `count` entries,
 * each of four varints (data_offset, data_sequence, offset, sequence of struct log_checkpoint) and the CHECKPOINT
 * record coded against an all-zero context. Trailer, 32 bytes: magic INDEX_MAGIC (8 bytes), u64 offset and u64 sequence
 * number of the first INDEX frame, u64 XXH3-64 of those 24 bytes with the log's frame seed.
 */
#ifndef ENCORE_LOGS_INDEX_H
#define ENCORE_LOGS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "logs/frame.h"
#include "logs/reader.h"
#include "logs/walk.h"

#define INDEX_MAGIC        "ENCOREIX"
#define INDEX_TRAILER      32u
#define INDEX_FRAME_TARGET (64u * 1024) /* a writer closes an INDEX frame when its contents reach this */

/* The run of CHECKPOINT_DATA frames that is being passed. */
struct index_run {
    bool open;
    uint32_t pieces;
    uint64_t length; /* bytes of data so far, decompressed */
    struct cursor start;
};

/* A CHECKPOINT_DATA frame was met at `at`. Returns 0, or -1 when it is not the next piece nor a first one. */
int index_run_data(struct index_run *run, const struct cursor *at, const struct frame_header *header,
                   struct error *error);

/* A CHECKPOINT record was met: do the data before it belong to it? Returns 0 or -1 with the error. */
int index_run_check(const struct index_run *run, const struct log_record *record, struct error *error);

struct index {
    struct log_checkpoint *entries; /* owned; by rising id */
    size_t count;
    size_t capacity;
};

void index_free(struct index *index);

/* Appends a checkpoint. Returns 0, or -1: ERROR_INPUT when its id does not rise or there are LOG_CHECKPOINTS_MAX
 * already, ERROR_HOST without memory. */
int index_add(struct index *index, const struct log_checkpoint *checkpoint, struct error *error);

/* The entry with this id, or NULL. */
const struct log_checkpoint *index_find(const struct index *index, uint32_t id);

/* The entry for a CHECKPOINT record found in the frame at `at`, after the data in `run`. */
struct log_checkpoint index_entry(const struct log_record *record, const struct cursor *at,
                                  const struct index_run *run);

/* Appends to `raw` the contents of the next INDEX frame, from entry *from on; *from moves on and *count gets the number
 * of entries put in. */
void index_encode(const struct index *index, size_t *from, uint32_t *count, struct bytes_writer *raw);

/* The trailer for an index that begins at `at`, into bytes[INDEX_TRAILER]. */
void index_trailer_encode(const struct frame_codec *codec, const struct cursor *at, uint8_t *bytes);

/*
 * Reads the trailer at the end of the log and the INDEX frames it points to into the empty `index`; *at gets where they
 * begin. raw[FRAME_RAW_MAX] is for scratch. Returns 0, or -1 with the error, which says what is missing or wrong.
 */
int index_load(struct walk *walk, uint8_t *raw, struct index *index, struct cursor *at, struct error *error);

/* Whether the log ends with a good trailer: then it was closed, and holds all it ever will. */
bool index_is_closed(struct walk *walk);

#endif
