#include "logs/writer.h"

#include <stdlib.h>

#include "base/check.h"
#include "logs/frame.h"
#include "logs/index.h"
#include "logs/reader_state.h"

#define DEFAULT_FRAME_SIZE (64u * 1024)
#define MAX_FRAME_SIZE     (128u * 1024)

_Static_assert(MAX_FRAME_SIZE + LOG_RECORD_MAX + 64 <= FRAME_RAW_MAX, "the last record of a frame always fits");

struct log_writer {
    struct log_sink sink;
    struct frame_codec codec;
    size_t frame_size;
    struct error failed; /* kind ERROR_NONE as long as all is well */
    bool unsynced;       /* something was written since the sink's last sync */

    struct record_context context;
    struct bytes_writer open; /* contents of the open RECORDS frame: a base and `open_count` records */
    uint32_t open_count;
    bool ended;

    struct bytes_writer frame; /* scratch: a whole frame on its way to the sink */
    struct cursor next;        /* the place of the next frame; everything before it is with the sink */

    bool in_checkpoint;
    struct bytes_writer piece; /* data of the open checkpoint not yet in a frame */
    struct index_run run;      /* its frames so far */
    struct index index;

    struct log_counters counters;
};

/* Remembers the error for every later call, and takes back what may have gone out of the frame that failed. The error
 * that matters is the first; a sink that cannot truncate either leaves a torn tail, which a reader knows how to take.
 */
static int fail(struct log_writer *writer, const struct error *error)
{
    struct error ignored;

    writer->failed = *error;
    if (writer->sink.truncate && writer->next.offset > 0)
        (void)writer->sink.truncate(writer->sink.context, writer->next.offset, &ignored);
    return -1;
}

static int fail_memory(struct log_writer *writer, struct error *error)
{
    error_set(error, ERROR_HOST, "no memory for writing the log");
    return fail(writer, error);
}

static int check_failed_before(const struct log_writer *writer, struct error *error)
{
    if (writer->failed.kind == ERROR_NONE)
        return 0;
    *error = writer->failed;
    return -1;
}

static int write_bytes(struct log_writer *writer, const void *bytes, size_t length, struct error *error)
{
    if (writer->sink.write(writer->sink.context, bytes, length, error))
        return fail(writer, error);
    writer->next.offset += length;
    writer->counters.stored_bytes += length;
    writer->unsynced = true;
    return 0;
}

static int write_frame(struct log_writer *writer, enum frame_kind kind, uint32_t count, const struct bytes_writer *raw,
                       struct error *error)
{
    bytes_writer_clear(&writer->frame);
    if (frame_encode(&writer->codec, kind, writer->next.sequence, count, raw->data, raw->length, &writer->frame, error))
        return fail(writer, error);
    if (write_bytes(writer, writer->frame.data, writer->frame.length, error))
        return -1;
    writer->next.sequence++;
    writer->counters.frames++;
    writer->counters.raw_bytes += raw->length;
    return 0;
}

/* Closes the open RECORDS frame, if there is one. */
static int cut(struct log_writer *writer, struct error *error)
{
    if (writer->open_count == 0)
        return 0;
    if (write_frame(writer, FRAME_RECORDS, writer->open_count, &writer->open, error))
        return -1;
    bytes_writer_clear(&writer->open);
    writer->open_count = 0;
    return 0;
}

static int sync(struct log_writer *writer, struct error *error)
{
    if (!writer->unsynced || !writer->sink.sync)
        return 0;
    if (writer->sink.sync(writer->sink.context, error)) {
        writer->failed = *error;
        return -1;
    }
    writer->unsynced = false;
    return 0;
}

/* Puts a record into the open frame, which it opens if need be. */
static int put(struct log_writer *writer, const struct log_record *record, struct error *error)
{
    if (writer->open_count == 0)
        record_base_encode(&writer->context, &writer->open);
    record_encode(&writer->context, record, &writer->open);
    if (writer->open.failed)
        return fail_memory(writer, error);
    writer->open_count++;
    writer->counters.records++;
    return 0;
}

static int write_header(struct log_writer *writer, const struct log_header *header, struct error *error)
{
    if (log_header_encode(header, &writer->frame, error) ||
        write_bytes(writer, writer->frame.data, writer->frame.length, error))
        return -1;
    return writer->sink.publish ? writer->sink.publish(writer->sink.context, error) : 0;
}

static struct log_writer *allocate(const struct log_sink *sink, const struct log_id *id,
                                   const struct log_writer_options *options, struct error *error)
{
    struct log_writer *writer = calloc(1, sizeof *writer);
    int level = options && options->level ? options->level : FRAME_DEFAULT_LEVEL;
    size_t frame_size = options && options->frame_size ? options->frame_size : DEFAULT_FRAME_SIZE;

    CHECK(level >= 1 && level <= 19 && frame_size <= MAX_FRAME_SIZE);
    if (!writer) {
        error_set(error, ERROR_HOST, "no memory for writing the log");
        return NULL;
    }
    writer->sink = *sink;
    writer->codec = frame_codec(id, level);
    writer->frame_size = frame_size;
    writer->open = bytes_writer(FRAME_RAW_MAX);
    writer->frame = bytes_writer(FRAME_WHOLE_MAX);
    writer->piece = bytes_writer(FRAME_RAW_MAX);
    return writer;
}

struct log_writer *log_writer_create(const struct log_sink *sink, const struct log_header *header,
                                     const struct log_writer_options *options, struct error *error)
{
    struct log_writer *writer = allocate(sink, &header->id, options, error);

    if (writer && write_header(writer, header, error)) {
        log_writer_free(writer);
        return NULL;
    }
    return writer;
}

struct log_writer *log_writer_continue(const struct log_sink *sink, struct log_reader *reader,
                                       const struct log_writer_options *options, struct error *error)
{
    CHECK(reader->has_header && reader->records_left == 0 && !reader->ended);
    struct log_writer *writer = allocate(sink, &reader->header.id, options, error);
    const struct log_checkpoint *list;
    size_t count;

    if (!writer)
        return NULL;
    if (log_reader_checkpoints(reader, &list, &count, error)) {
        log_writer_free(writer);
        return NULL;
    }
    for (size_t n = 0; n < count; n++) {
        if (index_add(&writer->index, &list[n], error)) {
            log_writer_free(writer);
            return NULL;
        }
    }
    writer->next = reader->next;
    writer->context = reader->context;
    writer->counters.stored_bytes = reader->next.offset;
    return writer;
}

void log_writer_free(struct log_writer *writer)
{
    if (!writer)
        return;
    frame_codec_free(&writer->codec);
    bytes_writer_free(&writer->open);
    bytes_writer_free(&writer->frame);
    bytes_writer_free(&writer->piece);
    index_free(&writer->index);
    free(writer);
}

int log_writer_append(struct log_writer *writer, const struct log_record *record, struct error *error)
{
    CHECK(record->type != LOG_CHECKPOINT);
    CHECK(!writer->in_checkpoint && !writer->ended);
    if (check_failed_before(writer, error) || put(writer, record, error))
        return -1;
    writer->ended = record->type == LOG_END;
    return writer->open.length >= writer->frame_size ? cut(writer, error) : 0;
}

int log_writer_flush(struct log_writer *writer, struct error *error)
{
    CHECK(!writer->in_checkpoint);
    if (check_failed_before(writer, error) || cut(writer, error))
        return -1;
    return sync(writer, error);
}

int log_writer_checkpoint_begin(struct log_writer *writer, struct error *error)
{
    CHECK(!writer->in_checkpoint && !writer->ended);
    if (check_failed_before(writer, error))
        return -1;
    if (writer->index.count == LOG_CHECKPOINTS_MAX)
        return error_set(error, ERROR_INPUT, "the log already holds %u checkpoints, and no more fit",
                         LOG_CHECKPOINTS_MAX);
    if (cut(writer, error))
        return -1;
    bytes_writer_clear(&writer->piece);
    writer->run = (struct index_run){0};
    writer->in_checkpoint = true;
    return 0;
}

/* Writes the data gathered so far as the checkpoint's next piece. */
static int cut_piece(struct log_writer *writer, struct error *error)
{
    struct frame_header header = {.raw_length = (uint32_t)writer->piece.length, .count = writer->run.pieces};

    if (writer->piece.length == 0)
        return 0;
    if (index_run_data(&writer->run, &writer->next, &header, error))
        return fail(writer, error);
    if (write_frame(writer, FRAME_CHECKPOINT_DATA, header.count, &writer->piece, error))
        return -1;
    bytes_writer_clear(&writer->piece);
    return 0;
}

int log_writer_checkpoint_write(struct log_writer *writer, const void *bytes, size_t length, struct error *error)
{
    const uint8_t *from = bytes;

    CHECK(writer->in_checkpoint);
    if (check_failed_before(writer, error))
        return -1;
    while (length > 0) {
        size_t room = FRAME_RAW_MAX - writer->piece.length;
        size_t taken = length < room ? length : room;
        bytes_put(&writer->piece, from, taken);
        if (writer->piece.failed)
            return fail_memory(writer, error);
        from += taken;
        length -= taken;
        if (writer->piece.length == FRAME_RAW_MAX && cut_piece(writer, error))
            return -1;
    }
    return 0;
}

int log_writer_checkpoint_end(struct log_writer *writer, const struct log_record *record, struct error *error)
{
    struct log_record complete = *record;

    CHECK(writer->in_checkpoint && record->type == LOG_CHECKPOINT);
    CHECK(writer->index.count == 0 || record->id > writer->index.entries[writer->index.count - 1].record.id);
    writer->in_checkpoint = false;
    if (check_failed_before(writer, error) || cut_piece(writer, error))
        return -1;
    complete.blob_length = writer->run.length;
    struct log_checkpoint entry = index_entry(&complete, &writer->next, &writer->run);
    if (index_add(&writer->index, &entry, error))
        return fail(writer, error);
    if (put(writer, &complete, error) || cut(writer, error))
        return -1;
    writer->counters.checkpoints++;
    return sync(writer, error);
}

void log_writer_checkpoint_cancel(struct log_writer *writer)
{
    CHECK(writer->in_checkpoint);
    writer->in_checkpoint = false;
}

/* The INDEX frames and the trailer that points to them. */
static int write_index(struct log_writer *writer, struct error *error)
{
    struct cursor start = writer->next;
    uint8_t trailer[INDEX_TRAILER];
    size_t written = 0;

    do {
        uint32_t count;
        bytes_writer_clear(&writer->open);
        index_encode(&writer->index, &written, &count, &writer->open);
        if (writer->open.failed)
            return fail_memory(writer, error);
        if (write_frame(writer, FRAME_INDEX, count, &writer->open, error))
            return -1;
    } while (written < writer->index.count);
    index_trailer_encode(&writer->codec, &start, trailer);
    return write_bytes(writer, trailer, sizeof trailer, error);
}

int log_writer_close(struct log_writer *writer, struct error *error)
{
    if (writer->in_checkpoint)
        log_writer_checkpoint_cancel(writer);
    if (check_failed_before(writer, error) || cut(writer, error))
        return -1;
    if (writer->ended && write_index(writer, error))
        return -1;
    return sync(writer, error);
}

const struct log_counters *log_writer_counters(const struct log_writer *writer)
{
    return &writer->counters;
}

size_t log_writer_pending(const struct log_writer *writer)
{
    return writer->open_count ? writer->open.length : 0;
}
