#include "logs/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "logs/writer.h"

int index_run_data(struct index_run *run, const struct cursor *at, const struct frame_header *header,
                   struct error *error)
{
    if (header->count == 0)
        *run = (struct index_run){.open = true, .start = *at};
    else if (!run->open || header->count != run->pieces)
        return error_set(error, ERROR_INPUT, "piece %" PRIu32 " of a checkpoint's data is out of its place",
                         header->count);
    if (header->count == UINT32_MAX)
        return error_set(error, ERROR_INPUT, "a checkpoint's data have too many pieces");
    run->pieces = header->count + 1;
    run->length += header->raw_length;
    return 0;
}

int index_run_check(const struct index_run *run, const struct log_record *record, struct error *error)
{
    uint64_t length = run->open ? run->length : 0;

    if (length == record->blob_length)
        return 0;
    return error_set(error, ERROR_INPUT, "checkpoint %" PRIu32 " has %" PRIu64 " bytes of data instead of %" PRIu64,
                     record->id, length, record->blob_length);
}

void index_free(struct index *index)
{
    free(index->entries);
    *index = (struct index){0};
}

int index_add(struct index *index, const struct log_checkpoint *checkpoint, struct error *error)
{
    uint32_t id = checkpoint->record.id;

    if (index->count > 0 && id <= index->entries[index->count - 1].record.id)
        return error_set(error, ERROR_INPUT, "checkpoint %" PRIu32 " comes after checkpoint %" PRIu32, id,
                         index->entries[index->count - 1].record.id);
    if (index->count == LOG_CHECKPOINTS_MAX)
        return error_set(error, ERROR_INPUT, "more than %u checkpoints", LOG_CHECKPOINTS_MAX);
    if (index->count == index->capacity) {
        size_t capacity = index->capacity ? 2 * index->capacity : 16;
        struct log_checkpoint *entries = realloc(index->entries, capacity * sizeof *entries);
        if (!entries)
            return error_set(error, ERROR_HOST, "no memory for the list of checkpoints");
        index->entries = entries;
        index->capacity = capacity;
    }
    index->entries[index->count++] = *checkpoint;
    return 0;
}

static int compare_ids(const void *key, const void *element)
{
    uint32_t id = *(const uint32_t *)key;
    const struct log_checkpoint *checkpoint = element;

    return id < checkpoint->record.id ? -1 : id > checkpoint->record.id;
}

const struct log_checkpoint *index_find(const struct index *index, uint32_t id)
{
    if (index->count == 0)
        return NULL;
    return bsearch(&id, index->entries, index->count, sizeof *index->entries, compare_ids);
}

struct log_checkpoint index_entry(const struct log_record *record, const struct cursor *at, const struct index_run *run)
{
    const struct cursor *data = run->open ? &run->start : at;

    return (struct log_checkpoint){
        .record = *record,
        .offset = at->offset,
        .sequence = at->sequence,
        .data_offset = data->offset,
        .data_sequence = data->sequence,
    };
}

static void entry_encode(const struct log_checkpoint *entry, struct bytes_writer *writer)
{
    struct record_context context = {0};

    bytes_put_varint(writer, entry->data_offset);
    bytes_put_varint(writer, entry->data_sequence);
    bytes_put_varint(writer, entry->offset);
    bytes_put_varint(writer, entry->sequence);
    record_encode(&context, &entry->record, writer);
}

static int entry_decode(struct bytes_reader *reader, struct log_checkpoint *entry, struct error *error)
{
    struct record_context context = {0};

    entry->data_offset = bytes_get_varint(reader);
    entry->data_sequence = bytes_get_varint(reader);
    entry->offset = bytes_get_varint(reader);
    entry->sequence = bytes_get_varint(reader);
    if (record_decode(&context, reader, &entry->record, error))
        return -1;
    if (entry->record.type != LOG_CHECKPOINT)
        return error_set(error, ERROR_INPUT, "an entry of the index is no CHECKPOINT");
    return 0;
}

void index_encode(const struct index *index, size_t *from, uint32_t *count, struct bytes_writer *raw)
{
    size_t first = *from;
    struct bytes_writer entries = bytes_writer(INDEX_FRAME_TARGET + LOG_RECORD_MAX);

    while (*from < index->count && entries.length < INDEX_FRAME_TARGET && !entries.failed)
        entry_encode(&index->entries[(*from)++], &entries);
    bytes_put_varint(raw, index->count - *from);
    bytes_put(raw, entries.data, entries.length);
    raw->failed = raw->failed || entries.failed;
    bytes_writer_free(&entries);
    *count = (uint32_t)(*from - first);
}

void index_trailer_encode(const struct frame_codec *codec, const struct cursor *at, uint8_t *bytes)
{
    memcpy(bytes, INDEX_MAGIC, 8);
    bytes_store(bytes + 8, 8, at->offset);
    bytes_store(bytes + 16, 8, at->sequence);
    bytes_store(bytes + 24, 8, XXH3_64bits_withSeed(bytes, 24, codec->seed));
}

static int trailer_load(struct walk *walk, uint64_t *end, struct cursor *at, struct error *error)
{
    const struct log_source *source = walk->source;
    uint8_t bytes[INDEX_TRAILER];
    uint64_t size;
    size_t got;

    if (source->size(source->context, &size, error))
        return -1;
    if (size < INDEX_TRAILER)
        return error_set(error, ERROR_INPUT, "the log has no trailer");
    *end = size - INDEX_TRAILER;
    if (source->read(source->context, *end, bytes, sizeof bytes, &got, error))
        return -1;
    if (got < sizeof bytes || memcmp(bytes, INDEX_MAGIC, 8) != 0)
        return error_set(error, ERROR_INPUT, "the log has no trailer");
    if (XXH3_64bits_withSeed(bytes, 24, walk->codec->seed) != bytes_load(bytes + 24, 8))
        return error_set(error, ERROR_INPUT, "the log's trailer is damaged");
    *at = (struct cursor){.offset = bytes_load(bytes + 8, 8), .sequence = bytes_load(bytes + 16, 8)};
    if (at->offset > *end)
        return error_set(error, ERROR_INPUT, "the log's trailer points beyond the log");
    return 0;
}

bool index_is_closed(struct walk *walk)
{
    struct error ignored;
    struct cursor at;
    uint64_t end;

    return trailer_load(walk, &end, &at, &ignored) == 0;
}

/* The entries of one INDEX frame. */
static int entries_load(struct index *index, const struct frame_header *header, const uint8_t *raw, uint64_t *left,
                        struct error *error)
{
    struct bytes_reader reader = bytes_reader(raw, header->raw_length);
    struct log_checkpoint entry;

    *left = bytes_get_varint(&reader);
    for (uint32_t i = 0; i < header->count; i++) {
        if (entry_decode(&reader, &entry, error) || index_add(index, &entry, error))
            return -1;
    }
    if (reader.bad || bytes_left(&reader) != 0)
        return error_set(error, ERROR_INPUT, "an INDEX frame is malformed");
    return 0;
}

/* The INDEX frame at *at, which moves on. */
static int frame_load(struct walk *walk, uint8_t *raw, struct index *index, struct cursor *at, uint64_t *left,
                      struct error *error)
{
    struct frame_header header;
    uint64_t expected = *left;
    bool first = index->count == 0;

    if (walk_next(walk, at, &header, error) != WALK_FRAME)
        return -1;
    if (header.kind != FRAME_INDEX)
        return error_set(error, ERROR_INPUT, "there is no INDEX frame where one should be");
    if (walk_contents(walk, &header, raw, error) || entries_load(index, &header, raw, left, error))
        return -1;
    if (!first && expected != *left + header.count)
        return error_set(error, ERROR_INPUT, "entries are missing from the index");
    return 0;
}

int index_load(struct walk *walk, uint8_t *raw, struct index *index, struct cursor *at, struct error *error)
{
    uint64_t end = 0;

    if (trailer_load(walk, &end, at, error))
        return -1;
    struct cursor next = *at;
    uint64_t left = 0;
    do {
        if (frame_load(walk, raw, index, &next, &left, error))
            return error_wrap(error, "index");
    } while (left > 0);
    if (next.offset != end)
        return error_set(error, ERROR_INPUT, "the index does not end where the trailer begins");
    return 0;
}
