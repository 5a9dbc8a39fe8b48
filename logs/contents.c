#include "logs/contents.h"

#include <inttypes.h>

/* The record number `i` of the frame; `contents->after` is the context so far. */
static int check_record(const struct frame_header *header, uint32_t i, struct bytes_reader *reader,
                        struct contents *contents, struct error *error)
{
    struct log_record record;

    if (contents->ends)
        return error_set(error, ERROR_INPUT, "it comes after the END record");
    if (record_decode(&contents->after, reader, &record, error))
        return -1;
    if (record.type == LOG_CHECKPOINT && header->count != 1)
        return error_set(error, ERROR_INPUT, "a CHECKPOINT is not alone in its frame");
    if (i == 0)
        contents->first = record;
    contents->ends = record.type == LOG_END;
    return 0;
}

int contents_check(const struct frame_header *header, const uint8_t *raw, const struct record_context *expected,
                   struct contents *contents, struct error *error)
{
    struct bytes_reader reader = bytes_reader(raw, header->raw_length);

    *contents = (struct contents){0};
    record_base_decode(&contents->base, &reader);
    if (reader.bad)
        return error_set(error, ERROR_INPUT, "the frame's base is cut short or malformed");
    if (expected && !record_context_equal(&contents->base, expected))
        return error_set(error, ERROR_INPUT, "the frame does not go on where the one before it ended");
    contents->after = contents->base;
    contents->records = reader.at;
    for (uint32_t i = 0; i < header->count; i++) {
        if (check_record(header, i, &reader, contents, error))
            return error_wrap(error, "record %" PRIu32 " of %" PRIu32, i + 1, header->count);
    }
    if (bytes_left(&reader) != 0)
        return error_set(error, ERROR_INPUT, "%zu bytes are left over after the frame's records", bytes_left(&reader));
    return 0;
}
