/*
 * Reading a log.
 *
 * A frame is accepted whole or not at all: its header, its checksum, its place in the sequence, its contents and every
 * record in it are checked before the first of its records is delivered. Reading goes on until the END record, or until
 * the first frame that is missing, cut short or wrong; everything before it has then been delivered, and the error says
 * in one sentence where it is and what is wrong with it.
 */
#ifndef ENCORE_LOGS_READER_H
#define ENCORE_LOGS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "logs/header.h"
#include "logs/record.h"
#include "logs/source.h"

enum log_read {
    LOG_READ_RECORD,  /* here is the next record */
    LOG_READ_END,     /* the END record has been delivered; there is nothing more */
    LOG_READ_STOPPED, /* the log is cut off or damaged here; the error says where and how. Final, except by seeking */
    LOG_READ_WAIT,    /* follow mode: no complete frame yet; ask again when there may be more */
};

/* Where the last record delivered stands. */
struct log_place {
    uint64_t frame;  /* the frame's sequence number */
    uint64_t offset; /* of the frame in the log, in bytes */
    uint64_t record; /* the record's number in the log, from 0 */
};

struct log_reader;

/*
 * Opens a log. With `follow`, the end of the bytes is not the end of the log, and reading answers LOG_READ_WAIT there.
 * Returns NULL with the error: ERROR_INPUT when `path` names no file that may be read (it is missing, a directory, or
 * forbidden), or when the file is not a log, is of a newer format, or has a damaged header; ERROR_HOST when the host
 * fails in reading it.
 */
struct log_reader *log_reader_open(struct files *files, const char *path, bool follow, struct error *error);

/*
 * As above, from any source. `name` stands in error messages for the file's. The source is copied, and closed by
 * log_reader_close or when opening fails. In follow mode the header may still be missing; it is then awaited by
 * log_reader_next.
 */
struct log_reader *log_reader_open_source(const struct log_source *source, const char *name, bool follow,
                                          struct error *error);

void log_reader_close(struct log_reader *reader);

/* The log's header, the reader's; NULL as long as it has not arrived. */
const struct log_header *log_reader_header(const struct log_reader *reader);

/* Ends follow mode: no more bytes will come, and a missing rest is from now on LOG_READ_STOPPED. */
void log_reader_unfollow(struct log_reader *reader);

/*
 * The next record. On LOG_READ_RECORD `record` is filled in; what its `bytes` point at is good until the next call on
 * this reader. On LOG_READ_STOPPED `error` is filled in: ERROR_INPUT, or ERROR_HOST when the log could not be read.
 */
enum log_read log_reader_next(struct log_reader *reader, struct log_record *record, struct error *error);

/* Has the contents of checkpoints looked into while reading on, beyond their checksums. */
void log_reader_check_data(struct log_reader *reader);

/*
 * After LOG_READ_END, when the log does not grow any more: whether what stands behind the END record, the index and the
 * trailer, is whole and says what the log says. Returns 0, or -1 with the error.
 */
int log_reader_check_end(struct log_reader *reader, struct error *error);

/*
 * After LOG_READ_STOPPED, or when log_reader_check_end failed: whether the log just breaks off there, as when its
 * writer was killed. Otherwise bytes that it has are wrong.
 */
bool log_reader_is_cut(const struct log_reader *reader);

/* Where the last record delivered stands; zeros before the first. */
struct log_place log_reader_place(const struct log_reader *reader);

/* The offset in bytes up to which everything has been delivered: of the frame that holds the next record. */
uint64_t log_reader_offset(const struct log_reader *reader);

/* Where a checkpoint stands in a log. */
struct log_checkpoint {
    struct log_record record; /* the CHECKPOINT record */
    uint64_t offset;          /* of the frame that holds the record, in bytes */
    uint64_t sequence;        /* of that frame */
    uint64_t data_offset;     /* of the first frame of its data; the same as `offset` when there is none */
    uint64_t data_sequence;
};

/*
 * All checkpoints of the log, as far as it can be read, in the order of their ids; *list stays the reader's and is good
 * until the next call on it. They are taken from the log's index if that is there and whole, and else found by reading
 * through the log. Returns 0, or -1 with the error when the host fails.
 */
int log_reader_checkpoints(struct log_reader *reader, const struct log_checkpoint **list, size_t *count,
                           struct error *error);

/* Whether the list above came from the log's own index: the log was closed after its END record, and lacks nothing. */
bool log_reader_has_index(const struct log_reader *reader);

/* Goes to just after the CHECKPOINT record `id`, whatever happened before. Returns 0, or -1 with the error and the
 * place unchanged when there is no such checkpoint or its frame is damaged. */
int log_reader_seek_checkpoint(struct log_reader *reader, uint32_t id, struct error *error);

/* Takes some of a checkpoint's data, which stay the reader's; returns 0, or -1 with the error. */
typedef int log_piece_fn(void *context, const uint8_t *bytes, size_t length, struct error *error);

/*
 * Hands the data of checkpoint `id` to `take`, piece by piece, if they are at most `limit` bytes. Does not move the
 * reader, which `take` must not use. Returns 0, or -1 with the error: ERROR_INPUT when there is no such checkpoint, its
 * data are damaged, or exceed the limit; or what `take` failed with. Some pieces may have been taken by then.
 */
int log_reader_checkpoint_pieces(struct log_reader *reader, uint32_t id, uint64_t limit, log_piece_fn *take,
                                 void *context, struct error *error);

/*
 * Appends the data of checkpoint `id` to `out`, whose limit is the most the caller will accept. Does not move the
 * reader. Returns 0, or -1 with the error: ERROR_INPUT when there is no such checkpoint, its data are damaged, or
 * exceed the limit; ERROR_HOST when memory is exhausted. `out` may then hold a part.
 */
int log_reader_checkpoint(struct log_reader *reader, uint32_t id, struct bytes_writer *out, struct error *error);

#endif
