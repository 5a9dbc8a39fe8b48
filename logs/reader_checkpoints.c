/*
 * The checkpoints of a log that is being read: listing them, fetching their data, starting from one.
 */
#include <inttypes.h>

#include "logs/read_ahead.h"
#include "logs/reader_state.h"

/* A frame came by while scanning. Returns 0; 1 when scanning must end here; -1 with the error when the host failed. */
static int scan_frame(struct log_reader *reader, const struct cursor *at, const struct frame_header *header,
                      struct error *error)
{
    struct contents contents;

    if (header->kind == FRAME_CHECKPOINT_DATA)
        return index_run_data(&reader->scan_run, at, header, error) ? 1 : 0;
    if (header->kind != FRAME_RECORDS)
        return 1;
    if (header->count == 1) { /* a CHECKPOINT is alone in its frame, so no other frame need be opened */
        if (walk_contents(&reader->walk, header, reader->scratch, error) ||
            contents_check(header, reader->scratch, NULL, &contents, error))
            return error->kind == ERROR_HOST ? -1 : 1;
        if (contents.first.type == LOG_CHECKPOINT) {
            struct log_checkpoint checkpoint = index_entry(&contents.first, at, &reader->scan_run);
            if (index_run_check(&reader->scan_run, &contents.first, error) ||
                index_add(&reader->index, &checkpoint, error))
                return error->kind == ERROR_HOST ? -1 : 1;
        }
    }
    reader->scan_run.open = false;
    return 0;
}

/* Goes on looking for checkpoints from where looking or reading from the start ended last. */
static int scan(struct log_reader *reader, struct error *error)
{
    struct frame_header header;

    for (;;) {
        struct cursor at = reader->scanned;
        struct cursor after = at;
        if (walk_next(&reader->walk, &after, &header, error) != WALK_FRAME)
            return error->kind == ERROR_HOST ? -1 : 0;
        int result = scan_frame(reader, &at, &header, error);
        if (result)
            return result < 0 ? -1 : 0;
        reader->scanned = after;
    }
}

/* Brings reader->index up to date, through the log's own index if it is any good, else by scanning. */
static int update(struct log_reader *reader, struct error *error)
{
    struct index loaded = {0};
    struct cursor at;

    if (reader->index_complete || !reader->has_header)
        return 0;
    if (index_load(&reader->walk, reader->scratch, &loaded, &at, error) == 0) {
        index_free(&reader->index);
        reader->index = loaded;
        reader->index_complete = true;
        return 0;
    }
    index_free(&loaded);
    return error->kind == ERROR_HOST ? -1 : scan(reader, error);
}

int log_reader_checkpoints(struct log_reader *reader, const struct log_checkpoint **list, size_t *count,
                           struct error *error)
{
    if (update(reader, error))
        return error_wrap(error, "%s", reader->name);
    *list = reader->index.entries;
    *count = reader->index.count;
    return 0;
}

bool log_reader_has_index(const struct log_reader *reader)
{
    return reader->index_complete;
}

static int find(struct log_reader *reader, uint32_t id, struct log_checkpoint *checkpoint, struct error *error)
{
    const struct log_checkpoint *found = index_find(&reader->index, id);

    if (!found) {
        if (update(reader, error))
            return -1;
        found = index_find(&reader->index, id);
    }
    if (!found)
        return error_set(error, ERROR_INPUT, "there is no checkpoint %" PRIu32 " in the log", id);
    *checkpoint = *found;
    return 0;
}

/* Reads the frame of a checkpoint's record again and compares: an index may be wrong, whatever its checksum says.
 * *after gets the frame behind it. */
static int confirm(struct log_reader *reader, const struct log_checkpoint *checkpoint, struct contents *contents,
                   struct cursor *after, struct error *error)
{
    struct frame_header header;
    struct cursor at = {.offset = checkpoint->offset, .sequence = checkpoint->sequence};

    *after = at;
    if (walk_next(&reader->walk, after, &header, error) != WALK_FRAME)
        return -1;
    if (header.kind != FRAME_RECORDS)
        error_set(error, ERROR_INPUT, "there is no checkpoint here, although the index says so");
    else if (walk_contents(&reader->walk, &header, reader->scratch, error) == 0 &&
             contents_check(&header, reader->scratch, NULL, contents, error) == 0) {
        if (record_equal(&contents->first, &checkpoint->record))
            return 0;
        error_set(error, ERROR_INPUT, "this is not the checkpoint of which the index speaks");
    }
    return walk_locate(&at, error);
}

int log_reader_seek_checkpoint(struct log_reader *reader, uint32_t id, struct error *error)
{
    struct log_checkpoint checkpoint;
    struct contents contents;
    struct cursor after;

    if (find(reader, id, &checkpoint, error) || confirm(reader, &checkpoint, &contents, &after, error))
        return error_wrap(error, "%s", reader->name);
    reader->next = after;
    reader->context = contents.after;
    reader->continues = true;
    reader->records_left = 0;
    reader->ended = false;
    reader->stopped = (struct error){.kind = ERROR_NONE};
    reader->run.open = false;
    reader->run_done = false;
    reader->place =
        (struct log_place){.frame = checkpoint.sequence, .offset = checkpoint.offset, .record = contents.base.records};
    return 0;
}

/* Hands the pieces of a checkpoint's data on, and counts their bytes in *done. *at gets the frame behind them. */
static int fetch_pieces(struct read_ahead *ahead, uint64_t length, struct cursor *at, uint64_t *done,
                        log_piece_fn *take, void *context, struct error *error)
{
    for (uint32_t piece = 0; *done < length; piece++) {
        struct read_ahead_frame frame;
        if (read_ahead_next(ahead, &frame, error))
            return -1;
        if (frame.header.kind != FRAME_CHECKPOINT_DATA || frame.header.count != piece) {
            error_set(error, ERROR_INPUT, "piece %" PRIu32 " of the checkpoint's data should be here", piece);
            return walk_locate(&frame.at, error);
        }
        if (take(context, frame.contents, frame.header.raw_length, error))
            return -1;
        *done += frame.header.raw_length;
        *at = frame.after;
    }
    return 0;
}

static int fetch(struct log_reader *reader, const struct log_checkpoint *checkpoint, uint64_t limit, log_piece_fn *take,
                 void *context, struct error *error)
{
    struct cursor at = {.offset = checkpoint->data_offset, .sequence = checkpoint->data_sequence};
    uint64_t length = checkpoint->record.blob_length;
    uint64_t done = 0;

    if (length > limit)
        return error_set(error, ERROR_INPUT, "its %" PRIu64 " bytes of data are more than the %" PRIu64 " allowed",
                         length, limit);
    struct read_ahead *ahead = read_ahead_begin(&reader->source, &reader->codec, &at, length, error);
    if (!ahead)
        return -1;
    int result = fetch_pieces(ahead, length, &at, &done, take, context, error);
    read_ahead_end(ahead);
    if (result < 0)
        return -1;
    if (done != length || at.offset != checkpoint->offset || at.sequence != checkpoint->sequence)
        return error_set(error, ERROR_INPUT, "its data are not the %" PRIu64 " bytes just before it", length);
    return 0;
}

int log_reader_checkpoint_pieces(struct log_reader *reader, uint32_t id, uint64_t limit, log_piece_fn *take,
                                 void *context, struct error *error)
{
    struct log_checkpoint checkpoint;
    struct contents contents;
    struct cursor after;

    if (find(reader, id, &checkpoint, error))
        return error_wrap(error, "%s", reader->name);
    if (confirm(reader, &checkpoint, &contents, &after, error) ||
        fetch(reader, &checkpoint, limit, take, context, error))
        return error_wrap(error, "%s: checkpoint %" PRIu32, reader->name, id);
    return 0;
}

static int append_piece(void *context, const uint8_t *bytes, size_t length, struct error *error)
{
    struct bytes_writer *out = context;

    bytes_put(out, bytes, length);
    return out->failed ? error_set(error, ERROR_HOST, "no memory for the data of a checkpoint") : 0;
}

int log_reader_checkpoint(struct log_reader *reader, uint32_t id, struct bytes_writer *out, struct error *error)
{
    return log_reader_checkpoint_pieces(reader, id, out->limit - out->length, append_piece, out, error);
}
