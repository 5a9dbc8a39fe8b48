/*
 * Writing a log.
 *
 * A log_writer gathers records into an open frame and hands whole frames to a sink: a file (logs/file_sink.h), or a
 * connection, or a test. Only what has been handed to the sink is safe; log_writer_flush closes the open frame early.
 * A sink's error is final: every later call returns it again, what was written before stays a valid log, and a sink
 * that can is told to cut off a frame that went out in part.
 *
 * Order of calls: create; then append, flush and checkpoint_* in any order; then, if the run came to its end, append of
 * the END record as the last one; then close; then free. Between checkpoint_begin and checkpoint_end (or _cancel) only
 * checkpoint_write is allowed.
 */
#ifndef ENCORE_LOGS_WRITER_H
#define ENCORE_LOGS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "logs/header.h"
#include "logs/reader.h"
#include "logs/record.h"

/* Where the bytes of a log go, in order. Functions return 0, or -1 with the error. */
struct log_sink {
    /* Takes all of the bytes, or fails, in which case any number of them may have gone out. */
    int (*write)(void *context, const void *bytes, size_t length, struct error *error);
    /* Called once, when the header is out: the log may become visible. NULL: nothing to do. */
    int (*publish)(void *context, struct error *error);
    /* Called at the end of each flush and of close; makes durable what the sink's policy wants durable. May be NULL. */
    int (*sync)(void *context, struct error *error);
    /* Takes back everything after the first `length` bytes. NULL: cannot. */
    int (*truncate)(void *context, uint64_t length, struct error *error);
    void *context;
};

struct log_writer_options {
    int level;         /* zstd's level, 1 to 19; 0: FRAME_DEFAULT_LEVEL */
    size_t frame_size; /* contents after which a RECORDS frame is closed, in bytes up to 128 KiB; 0: 64 KiB */
};

struct log_counters {
    uint64_t records;
    uint64_t frames;
    uint64_t raw_bytes;    /* contents of all frames before compression */
    uint64_t stored_bytes; /* everything handed to the sink, the log's header included */
    uint64_t checkpoints;
};

/* A log holds at most so many checkpoints. */
#define LOG_CHECKPOINTS_MAX (1u << 18)

struct log_writer;

/*
 * A writer that has written the log's header to the sink and published it. The sink is copied, its context borrowed for
 * the writer's life; the header is only read; `options` may be NULL. Returns NULL with the error when the header is not
 * acceptable, memory is exhausted, or the sink failed.
 */
struct log_writer *log_writer_create(const struct log_sink *sink, const struct log_header *header,
                                     const struct log_writer_options *options, struct error *error);

/*
 * A writer that goes on with a log which was written by somebody else: `reader` has delivered every record of it that
 * there is, the sink's next byte is at log_reader_offset, and the log does not hold an END. The reader is only looked
 * at.
 */
struct log_writer *log_writer_continue(const struct log_sink *sink, struct log_reader *reader,
                                       const struct log_writer_options *options, struct error *error);

/* Appends any record but a CHECKPOINT. Its bytes are copied. Nothing may follow an END. */
int log_writer_append(struct log_writer *writer, const struct log_record *record, struct error *error);

/* Closes the open frame, if it holds anything, and hands it to the sink; then has the sink sync. */
int log_writer_flush(struct log_writer *writer, struct error *error);

/*
 * A checkpoint: begin, then the data in pieces of any size, then its CHECKPOINT record, which must come with an id
 * greater than the one before; its blob_length is filled in here. `end` flushes. `cancel` gives up: what was written
 * stays in the log as data that belongs to no checkpoint. `begin` fails without consequence when the log already holds
 * LOG_CHECKPOINTS_MAX of them.
 */
int log_writer_checkpoint_begin(struct log_writer *writer, struct error *error);
int log_writer_checkpoint_write(struct log_writer *writer, const void *bytes, size_t length, struct error *error);
int log_writer_checkpoint_end(struct log_writer *writer, const struct log_record *record, struct error *error);
void log_writer_checkpoint_cancel(struct log_writer *writer);

/* Flushes; if an END was appended, writes the index and the trailer. Call once, last. */
int log_writer_close(struct log_writer *writer, struct error *error);

/* Releases the writer, whatever happened; what was not flushed is lost. Does not close the sink. NULL is allowed. */
void log_writer_free(struct log_writer *writer);

const struct log_counters *log_writer_counters(const struct log_writer *writer);

/* The bytes of records waiting in the open frame; what a policy for flushing may want to know. */
size_t log_writer_pending(const struct log_writer *writer);

#endif
