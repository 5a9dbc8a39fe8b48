#include "logs/verify.h"

#include "logs/bundle.h"
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

static int walk_all(struct log_reader *reader, const char *name, struct log_summary *summary, struct error *error)
{
    struct log_record record;
    enum log_read result;

    log_reader_check_data(reader);
    if (reader->source.size(reader->source.context, &summary->file_bytes, error))
        return error_wrap(error, "%s", name);
    while ((result = log_reader_next(reader, &record, &summary->stopped)) == LOG_READ_RECORD)
        count_record(summary, &record);
    summary->ended = result == LOG_READ_END;
    summary->stop_offset = reader->next.offset;
    if (summary->ended)
        log_reader_check_end(reader, &summary->index);
    summary->cut = log_reader_is_cut(reader);
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

    if (log_source_open(NULL, path, &source, error))
        return -1;
    return log_verify_source(&source, path, summary, error);
}

bool log_summary_sound(const struct log_summary *summary)
{
    return summary->ended && summary->index.kind == ERROR_NONE;
}
