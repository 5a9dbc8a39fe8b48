#include "logs/verify.h"

#include <inttypes.h>

#include "logs/reader_state.h"

static bool carries_time(const struct log_record *record)
{
    switch (record->type) {
    case LOG_TIME:
        return !record->to_deadline;
    case LOG_CLOCK_READ:
    case LOG_DIGEST:
    case LOG_CHECKPOINT:
    case LOG_END:
        return true;
    default:
        return false;
    }
}

static void count_record(struct log_summary *summary, const struct log_record *record)
{
    if (summary->records[0] == 0)
        summary->first = record->at;
    summary->last = record->at;
    summary->records[0]++;
    summary->records[record->type]++;
    if (carries_time(record)) {
        if (!summary->timed)
            summary->time_first = record->time;
        summary->timed = true;
        summary->time_last = record->time;
    }
    if (record->type == LOG_OUTPUT)
        summary->output_bytes += record->length;
    else if (record->type == LOG_CHECKPOINT)
        summary->checkpoint_raw += record->blob_length;
    else if (record->type == LOG_END)
        summary->end = *record;
    else
        summary->payload_bytes += record->length;
}

/* What the INDEX frames say must be what the log says. */
static int compare(const struct index *found, const struct index *loaded, struct error *error)
{
    if (found->count != loaded->count)
        return error_set(error, ERROR_INPUT, "the index has %zu checkpoints, the log has %zu", loaded->count,
                         found->count);
    for (size_t i = 0; i < found->count; i++) {
        const struct log_checkpoint *a = &found->entries[i];
        const struct log_checkpoint *b = &loaded->entries[i];
        if (!record_equal(&a->record, &b->record) || a->offset != b->offset || a->sequence != b->sequence ||
            a->data_offset != b->data_offset || a->data_sequence != b->data_sequence)
            return error_set(error, ERROR_INPUT, "the index is wrong about checkpoint %" PRIu32, a->record.id);
    }
    return 0;
}

/* Counts the INDEX frames from `at` to the trailer; index_load has found them good. */
static void count_index(struct log_reader *reader, struct cursor at, const struct log_summary *summary)
{
    struct frame_header header;
    struct error error;

    while (at.offset + INDEX_TRAILER < summary->file_bytes) {
        if (walk_next(&reader->walk, &at, &header, &error) != WALK_FRAME)
            return;
        reader->frames[FRAME_INDEX]++;
        reader->frames[0]++;
        reader->raw_bytes += header.raw_length;
        reader->stored_bytes += FRAME_HEADER + header.stored_length;
    }
}

/* Everything after the END record: the INDEX frames, the trailer, and nothing else. */
static int check_index(struct log_reader *reader, struct log_summary *summary, struct error *error)
{
    struct index loaded = {0};
    struct cursor at;

    if (reader->next.offset == summary->file_bytes)
        return error_set(error, ERROR_INPUT, "the log has no index: it was not closed");
    int result = index_load(&reader->walk, reader->scratch, &loaded, &at, error);
    if (result == 0 && (at.offset != reader->next.offset || at.sequence != reader->next.sequence))
        result = error_set(error, ERROR_INPUT, "the index does not begin right after the END record");
    if (result == 0)
        result = compare(&reader->index, &loaded, error);
    if (result == 0)
        count_index(reader, at, summary);
    index_free(&loaded);
    return result;
}

static int walk_all(struct log_reader *reader, const char *name, struct log_summary *summary, struct error *error)
{
    struct log_record record;
    enum log_read result;

    reader->check_data = true;
    if (reader->source.size(reader->source.context, &summary->file_bytes, error))
        return error_wrap(error, "%s", name);
    while ((result = log_reader_next(reader, &record, &summary->stopped)) == LOG_READ_RECORD)
        count_record(summary, &record);
    summary->ended = result == LOG_READ_END;
    summary->stop_offset = reader->next.offset;
    if (summary->ended && check_index(reader, summary, &summary->index))
        error_wrap(&summary->index, "%s", name);
    for (unsigned kind = 0; kind <= FRAME_INDEX; kind++)
        summary->frames[kind] = reader->frames[kind];
    summary->raw_bytes = reader->raw_bytes;
    summary->stored_bytes = reader->stored_bytes;
    return 0;
}

int log_verify_source(const struct log_source *source, const char *name, struct log_summary *summary,
                      struct error *error)
{
    struct log_reader *reader = log_reader_open_source(source, name, false, error);

    *summary = (struct log_summary){0};
    if (!reader)
        return -1;
    int result = walk_all(reader, name, summary, error);
    log_reader_close(reader);
    return result;
}

int log_verify(const char *path, struct log_summary *summary, struct error *error)
{
    struct log_source source;

    if (log_source_file(path, &source, error))
        return -1;
    return log_verify_source(&source, path, summary, error);
}

bool log_summary_sound(const struct log_summary *summary)
{
    return summary->ended && summary->index.kind == ERROR_NONE;
}
