/* The index of a bundle; see bundle_format.h and docs/bundle.md. */
#include <inttypes.h>
#include <stdlib.h>

#include "logs/bundle_format.h"

uint32_t bundle_chunk_length(const struct bundle_member *member, uint64_t chunk)
{
    uint64_t left = member->size - chunk * BUNDLE_CHUNK;

    return left < BUNDLE_CHUNK ? (uint32_t)left : BUNDLE_CHUNK;
}

static int damaged(struct error *error, const char *what)
{
    return error_set(error, ERROR_INPUT, "the bundle's index is damaged: %s", what);
}

/* A list is as long as its bytes allow at most, and so is its memory. */
static int get_count(struct bytes_reader *in, size_t least, size_t *count, struct error *error)
{
    uint64_t number = bytes_get_varint(in);

    *count = 0;
    if (in->bad || number > bytes_left(in) / least)
        return damaged(error, "a list is longer than it");
    *count = (size_t)number;
    return 0;
}

static int get_chunks(struct bundle_index *index, struct bytes_reader *in, uint64_t end, struct error *error)
{
    uint64_t offset = BUNDLE_HEADER;

    if (get_count(in, BUNDLE_CHUNK_LEAST, &index->chunk_count, error) < 0)
        return -1;
    index->chunks = calloc(index->chunk_count + 1, sizeof *index->chunks);
    if (!index->chunks)
        return error_set(error, ERROR_HOST, "no memory for the bundle's index");
    for (size_t i = 0; i < index->chunk_count; i++) {
        uint64_t stored = bytes_get_varint(in), raw = bytes_get_varint(in), checksum = bytes_get_uint(in, 8);
        if (in->bad || stored == 0 || stored > raw || raw > BUNDLE_CHUNK || stored > end - offset)
            return damaged(error, "a chunk's length");
        index->chunks[i] = (struct bundle_chunk){
            .offset = offset, .stored = (uint32_t)stored, .raw = (uint32_t)raw, .checksum = checksum};
        offset += stored;
    }
    return offset == end ? 0 : damaged(error, "the chunks' lengths");
}

static int get_runs(struct bundle_runs *runs, const struct bundle_index *index, const struct bundle_member *member,
                    struct bytes_reader *in, struct error *error)
{
    uint64_t left = (member->size + BUNDLE_CHUNK - 1) / BUNDLE_CHUNK, at = 0;
    size_t count;

    if (get_count(in, 3, &count, error) < 0)
        return -1;
    runs->list = calloc(count + 1, sizeof *runs->list);
    if (!runs->list)
        return error_set(error, ERROR_HOST, "no memory for the bundle's index");
    for (; runs->count < count; runs->count++) {
        uint64_t gap = bytes_get_varint(in), length = bytes_get_varint(in), chunk = bytes_get_varint(in);
        if (in->bad || gap > left || length == 0 || length > left - gap || chunk > index->chunk_count ||
            length > index->chunk_count - chunk)
            return damaged(error, "a run of chunks");
        runs->list[runs->count] = (struct bundle_run){.first = at + gap, .count = length, .chunk = chunk};
        at += gap + length;
        left -= gap + length;
    }
    return 0;
}

static bool is_allowed(const struct bundle_member *member)
{
    static const struct {
        unsigned count;
        uint64_t size;
    } limits[] = {[BUNDLE_LOG] = {1, BUNDLE_LOG_MAX},
                  [BUNDLE_IMAGE] = {1, BUNDLE_FILE_MAX},
                  [BUNDLE_MODULE] = {BUNDLE_MODULES, BUNDLE_FILE_MAX},
                  [BUNDLE_DISK] = {BUNDLE_DISKS, BUNDLE_DISK_MAX}};

    if (member->kind < BUNDLE_LOG || member->kind > BUNDLE_DISK || member->digest_kind > DIGEST_SPARSE)
        return false;
    /* Zeros that take no bytes must not take long to digest. */
    if (member->kind == BUNDLE_LOG && member->digest_kind != DIGEST_SPARSE)
        return false;
    return member->number < limits[member->kind].count && member->size > 0 && member->size <= limits[member->kind].size;
}

static bool in_order(const struct bundle_member *a, const struct bundle_member *b)
{
    return a->kind < b->kind || (a->kind == b->kind && a->number < b->number);
}

static int get_member(struct bundle_index *index, struct bytes_reader *in, struct error *error)
{
    unsigned i = index->member_count;
    struct bundle_member *member = &index->members[i];

    member->kind = (enum bundle_kind)bytes_get_uint(in, 1);
    member->number = (unsigned)bytes_get_uint(in, 1);
    member->size = bytes_get_varint(in);
    member->digest_kind = (enum digest_kind)bytes_get_uint(in, 1);
    member->digest.low = bytes_get_uint(in, 8);
    member->digest.high = bytes_get_uint(in, 8);
    if (in->bad || !is_allowed(member) || (i > 0 && !in_order(&index->members[i - 1], member)))
        return damaged(error, "a member");
    index->member_count++;
    return get_runs(&index->runs[i], index, member, in, error);
}

int bundle_index_decode(struct bundle_index *index, const uint8_t *bytes, size_t length, uint64_t end,
                        struct error *error)
{
    struct bytes_reader in = bytes_reader(bytes, length);
    size_t members;

    if (get_chunks(index, &in, end, error) < 0 || get_count(&in, BUNDLE_MEMBER_LEAST, &members, error) < 0)
        return -1;
    if (members > BUNDLE_MEMBERS)
        return damaged(error, "too many members");
    while (index->member_count < members) {
        if (get_member(index, &in, error) < 0)
            return -1;
    }
    if (members == 0 || index->members[0].kind != BUNDLE_LOG)
        return damaged(error, "there is no log");
    return bytes_left(&in) == 0 ? 0 : damaged(error, "bytes behind its end");
}

void bundle_index_encode(const struct bundle_index *index, struct bytes_writer *out)
{
    bytes_put_varint(out, index->chunk_count);
    for (size_t i = 0; i < index->chunk_count; i++) {
        bytes_put_varint(out, index->chunks[i].stored);
        bytes_put_varint(out, index->chunks[i].raw);
        bytes_put_uint(out, 8, index->chunks[i].checksum);
    }
    bytes_put_varint(out, index->member_count);
    for (unsigned i = 0; i < index->member_count; i++) {
        const struct bundle_member *member = &index->members[i];
        const struct bundle_runs *runs = &index->runs[i];
        uint64_t at = 0;
        bytes_put_uint(out, 1, member->kind);
        bytes_put_uint(out, 1, member->number);
        bytes_put_varint(out, member->size);
        bytes_put_uint(out, 1, member->digest_kind);
        bytes_put_uint(out, 8, member->digest.low);
        bytes_put_uint(out, 8, member->digest.high);
        bytes_put_varint(out, runs->count);
        for (size_t r = 0; r < runs->count; r++) {
            bytes_put_varint(out, runs->list[r].first - at);
            bytes_put_varint(out, runs->list[r].count);
            bytes_put_varint(out, runs->list[r].chunk);
            at = runs->list[r].first + runs->list[r].count;
        }
    }
}

void bundle_index_free(struct bundle_index *index)
{
    free(index->chunks);
    for (unsigned i = 0; i < BUNDLE_MEMBERS; i++)
        free(index->runs[i].list);
    *index = (struct bundle_index){0};
}
