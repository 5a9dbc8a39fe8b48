#include "logs/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "logs/bundle.h"
#include "logs/reader_state.h"

/* Tries to read the log's header. Returns 1, 0 when it is not all there, or -1 with the error. */
static int read_header(struct log_reader *reader, struct error *error)
{
    size_t got;
    size_t used;

    _Static_assert(LOG_HEADER_MAX <= FRAME_WHOLE_MAX, "the frame buffer holds the header for a moment");
    if (reader->source.read(reader->source.context, 0, reader->walk.frame, LOG_HEADER_MAX, &got, error))
        return -1;
    int decoded = log_header_decode(reader->walk.frame, got, &reader->header, &used, error);
    if (decoded != 1) {
        if (decoded == 0)
            error_set(error, ERROR_INPUT, got ? "the log breaks off within its header" : "not an Encore log: empty");
        return decoded;
    }
    reader->has_header = true;
    reader->codec = frame_codec(&reader->header.id, FRAME_DEFAULT_LEVEL);
    reader->next = (struct cursor){.offset = used};
    reader->scanned = reader->next;
    reader->continues = true;
    return 1;
}

static struct log_reader *reader_create(const struct log_source *source, const char *name, bool follow,
                                        struct error *error)
{
    struct log_reader *reader = calloc(1, sizeof *reader);

    if (!reader) {
        if (source->close)
            source->close(source->context);
        error_set(error, ERROR_HOST, "no memory for reading a log");
        return NULL;
    }
    reader->source = *source;
    reader->follow = follow;
    reader->name = strdup(name);
    reader->raw = malloc(FRAME_RAW_MAX);
    reader->scratch = malloc(FRAME_RAW_MAX);
    reader->walk = (struct walk){.source = &reader->source, .codec = &reader->codec, .frame = malloc(FRAME_WHOLE_MAX)};
    if (!reader->name || !reader->raw || !reader->scratch || !reader->walk.frame) {
        log_reader_close(reader);
        error_set(error, ERROR_HOST, "no memory for reading a log");
        return NULL;
    }
    return reader;
}

struct log_reader *log_reader_open_source(const struct log_source *source, const char *name, bool follow,
                                          struct error *error)
{
    struct log_reader *reader = reader_create(source, name, follow, error);

    if (!reader)
        return NULL;
    int header = read_header(reader, error);
    if (header < 0 || (header == 0 && !follow)) {
        error_wrap(error, "%s", name);
        log_reader_close(reader);
        return NULL;
    }
    return reader;
}

struct log_reader *log_reader_open(struct files *files, const char *path, bool follow, struct error *error)
{
    struct log_source source;

    if (log_source_open(files, path, &source, error))
        return NULL;
    return log_reader_open_source(&source, path, follow, error);
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader)
        return;
    if (reader->source.close)
        reader->source.close(reader->source.context);
    index_free(&reader->index);
    frame_codec_free(&reader->codec);
    log_header_free(&reader->header);
    free(reader->walk.frame);
    free(reader->scratch);
    free(reader->raw);
    free(reader->name);
    free(reader);
}

const struct log_header *log_reader_header(const struct log_reader *reader)
{
    return reader->has_header ? &reader->header : NULL;
}

void log_reader_check_data(struct log_reader *reader)
{
    reader->check_data = true;
}

bool log_reader_is_cut(const struct log_reader *reader)
{
    return reader->cut;
}

void log_reader_unfollow(struct log_reader *reader)
{
    reader->follow = false;
}

struct log_place log_reader_place(const struct log_reader *reader)
{
    return reader->place;
}

uint64_t log_reader_offset(const struct log_reader *reader)
{
    return reader->records_left ? reader->place.offset : reader->next.offset;
}

static enum log_read stop(struct log_reader *reader, struct error *error)
{
    error_wrap(error, "%s", reader->name);
    reader->stopped = *error;
    return LOG_READ_STOPPED;
}

/* Tells the source what will not be asked for again: everything before this frame, except that a checkpoint's data can
 * be asked for until the reader has gone on from its CHECKPOINT record. */
static void release(struct log_reader *reader)
{
    if (reader->run_done)
        reader->run.open = false;
    reader->run_done = false;
    if (reader->source.release)
        reader->source.release(reader->source.context,
                               reader->run.open ? reader->run.start.offset : reader->next.offset);
}

/* Keeps the list of checkpoints up to date while reading from the start, so that it need not be made later. */
static int note_checkpoint(struct log_reader *reader, const struct contents *contents, const struct cursor *at,
                           struct error *error)
{
    if (reader->index_complete || at->offset != reader->scanned.offset)
        return 0;
    struct log_checkpoint checkpoint = index_entry(&contents->first, at, &reader->run);
    return index_add(&reader->index, &checkpoint, error);
}

/* A RECORDS frame is in the walk's buffer: checks it and makes its records the next to be delivered. */
static int accept_records(struct log_reader *reader, const struct cursor *at, const struct frame_header *header,
                          struct error *error)
{
    struct contents contents;

    if (walk_contents(&reader->walk, header, reader->raw, error) ||
        contents_check(header, reader->raw, reader->continues ? &reader->context : NULL, &contents, error))
        return -1;
    if (contents.first.type == LOG_CHECKPOINT) {
        if (index_run_check(&reader->run, &contents.first, error) || note_checkpoint(reader, &contents, at, error))
            return -1;
        reader->run_done = true;
    } else {
        reader->run.open = false;
    }
    reader->context = contents.base;
    reader->continues = true;
    reader->records = bytes_reader(contents.records, (size_t)(reader->raw + header->raw_length - contents.records));
    reader->records_left = header->count;
    reader->place = (struct log_place){.frame = at->sequence, .offset = at->offset, .record = contents.base.records};
    return 0;
}

static int accept_data(struct log_reader *reader, const struct cursor *at, const struct frame_header *header,
                       struct error *error)
{
    if (index_run_data(&reader->run, at, header, error))
        return -1;
    return reader->check_data ? walk_contents(&reader->walk, header, reader->scratch, error) : 0;
}

static int accept(struct log_reader *reader, const struct cursor *at, const struct frame_header *header,
                  struct error *error)
{
    switch (header->kind) {
    case FRAME_RECORDS:
        return accept_records(reader, at, header, error);
    case FRAME_CHECKPOINT_DATA:
        return accept_data(reader, at, header, error);
    case FRAME_INDEX:
        return error_set(error, ERROR_INPUT, "an INDEX frame before the END record");
    }
    return error_set(error, ERROR_INPUT, "unknown kind of frame");
}

/* Reads one frame. LOG_READ_RECORD means that it was accepted, whatever it holds. */
static enum log_read read_frame(struct log_reader *reader, struct error *error)
{
    struct cursor at = reader->next;
    struct cursor after = at;
    struct frame_header header;

    release(reader);
    switch (walk_next(&reader->walk, &after, &header, error)) {
    case WALK_FRAME:
        break;
    case WALK_SHORT:
        if (reader->follow)
            return LOG_READ_WAIT;
        /* A closed log does not break off: its last frames only seem to be missing, because a length is wrong. */
        reader->cut = !index_is_closed(&reader->walk);
        return stop(reader, error);
    case WALK_BAD:
        return stop(reader, error);
    }
    if (accept(reader, &at, &header, error)) {
        walk_locate(&at, error);
        return stop(reader, error);
    }
    reader->next = after;
    if (at.offset == reader->scanned.offset) {
        reader->scanned = after;
        reader->scan_run = reader->run;
        if (reader->run_done)
            reader->scan_run.open = false;
    }
    reader->frames[header.kind]++;
    reader->frames[0]++;
    reader->raw_bytes += header.raw_length;
    reader->stored_bytes += FRAME_HEADER + header.stored_length;
    return LOG_READ_RECORD;
}

/* Hands out the next record of the current frame, which contents_check has found good. */
static enum log_read deliver(struct log_reader *reader, struct log_record *record, struct error *error)
{
    reader->place.record = reader->context.records;
    int decoded = record_decode(&reader->context, &reader->records, record, error);
    CHECK(decoded == 0);
    reader->records_left--;
    reader->ended = record->type == LOG_END;
    return LOG_READ_RECORD;
}

/* The header, in follow mode, when it was not there on opening. */
static enum log_read await_header(struct log_reader *reader, struct error *error)
{
    int header = read_header(reader, error);

    if (header == 0 && reader->follow)
        return LOG_READ_WAIT;
    return header == 1 ? LOG_READ_RECORD : stop(reader, error);
}

enum log_read log_reader_next(struct log_reader *reader, struct log_record *record, struct error *error)
{
    if (reader->ended)
        return LOG_READ_END;
    if (reader->stopped.kind != ERROR_NONE) {
        *error = reader->stopped;
        return LOG_READ_STOPPED;
    }
    if (!reader->has_header) {
        enum log_read result = await_header(reader, error);
        if (result != LOG_READ_RECORD)
            return result;
    }
    while (reader->records_left == 0) {
        enum log_read result = read_frame(reader, error);
        if (result != LOG_READ_RECORD)
            return result;
    }
    return deliver(reader, record, error);
}
