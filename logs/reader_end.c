/*
 * What stands behind the END record of a log that is being read: the index, the trailer, and nothing else.
 */
#include <inttypes.h>

#include "logs/reader_state.h"

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
static void count_index(struct log_reader *reader, struct cursor at, uint64_t size)
{
    struct frame_header header;
    struct error ignored;

    while (at.offset + INDEX_TRAILER < size && walk_next(&reader->walk, &at, &header, &ignored) == WALK_FRAME) {
        reader->frames[FRAME_INDEX]++;
        reader->frames[0]++;
        reader->raw_bytes += header.raw_length;
        reader->stored_bytes += FRAME_HEADER + header.stored_length;
    }
}

/* Whether the bytes behind the END record are a beginning of an index. The trailer, which is no frame, is as long as a
 * frame's header: a part of it is too short for one. */
static bool breaks_off(struct log_reader *reader)
{
    struct cursor at = reader->next;
    struct frame_header header;
    struct error ignored;
    enum walk_result result;

    do
        result = walk_next(&reader->walk, &at, &header, &ignored);
    while (result == WALK_FRAME && header.kind == FRAME_INDEX);
    return result == WALK_SHORT;
}

static int check_index(struct log_reader *reader, uint64_t size, struct error *error)
{
    /* Who came here by seeking has not seen all checkpoints. */
    bool seen_all = reader->scanned.offset == reader->next.offset;
    struct index loaded = {0};
    struct cursor at;

    if (reader->next.offset == size)
        return error_set(error, ERROR_INPUT, "the log has no index: it was not closed");
    int result = index_load(&reader->walk, reader->scratch, &loaded, &at, error);
    if (result == 0 && (at.offset != reader->next.offset || at.sequence != reader->next.sequence))
        result = error_set(error, ERROR_INPUT, "the index does not begin right after the END record");
    if (result == 0 && seen_all)
        result = compare(&reader->index, &loaded, error);
    if (result == 0)
        count_index(reader, at, size);
    index_free(&loaded);
    return result;
}

int log_reader_check_end(struct log_reader *reader, struct error *error)
{
    uint64_t size;

    if (reader->source.size(reader->source.context, &size, error) == 0) {
        if (check_index(reader, size, error) == 0)
            return 0;
        reader->cut = !index_is_closed(&reader->walk) && breaks_off(reader);
    }
    return error_wrap(error, "%s", reader->name);
}
