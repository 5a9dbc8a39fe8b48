/*
 * See bundle_writer.h. Chunks are known by a cryptographic hash (BLAKE2b), so that nobody can make a disk of which two
 * different chunks are taken for one.
 */
#include "logs/bundle_writer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "logs/bundle_format.h"
#include "logs/compression.h"

#define LEVEL     3 /* of zstd: a disk of gigabytes is to be packed in seconds */
#define INDEX_MAX (UINT64_C(1) << 29)
#define NO_CHUNK  SIZE_MAX

struct identity {
    uint8_t bytes[crypto_generichash_BYTES];
};

struct bundle_writer {
    struct log_sink sink;
    struct compression_state compression;
    struct bundle_index index;
    size_t chunk_room; /* of index.chunks and identities */
    struct identity *identities;
    size_t *slots;   /* a hash table of chunk numbers; its size is a power of two, at least twice chunk_room */
    uint64_t offset; /* in the file */
    struct image_digest *digest; /* of the member that has begun; NULL: none has */
    size_t run_room;
    uint64_t chunk; /* the number of the member's chunk that comes now */
    size_t filled;  /* bytes of it that are here */
    uint8_t bytes[BUNDLE_CHUNK], packed[BUNDLE_CHUNK];
};

static int no_memory(struct error *error)
{
    return error_set(error, ERROR_HOST, "no memory for writing a bundle");
}

static int put(struct bundle_writer *writer, const void *bytes, size_t length, struct error *error)
{
    if (writer->sink.write(writer->sink.context, bytes, length, error))
        return -1;
    writer->offset += length;
    return 0;
}

struct bundle_writer *bundle_writer_create(const struct log_sink *sink, struct error *error)
{
    struct bundle_writer *writer = calloc(1, sizeof *writer);
    uint8_t header[BUNDLE_HEADER] = {0};

    if (!writer || sodium_init() < 0) {
        no_memory(error);
        free(writer);
        return NULL;
    }
    writer->sink = *sink;
    memcpy(header, BUNDLE_MAGIC, 8);
    bytes_store(header + 8, 2, BUNDLE_VERSION);
    if (put(writer, header, sizeof header, error) < 0) {
        bundle_writer_free(writer);
        return NULL;
    }
    return writer;
}

void bundle_writer_free(struct bundle_writer *writer)
{
    if (!writer)
        return;
    if (writer->digest)
        image_digest_end(writer->digest);
    compression_free(&writer->compression);
    bundle_index_free(&writer->index);
    free(writer->identities);
    free(writer->slots);
    free(writer);
}

/* Where the chunk is in the table, or where it would go. The room is never full. */
static size_t *find_slot(const struct bundle_writer *writer, const struct identity *identity)
{
    size_t mask = 2 * writer->chunk_room - 1;
    size_t at = (size_t)bytes_load(identity->bytes, 8) & mask;

    while (writer->slots[at] != NO_CHUNK &&
           memcmp(&writer->identities[writer->slots[at]], identity, sizeof *identity) != 0)
        at = (at + 1) & mask;
    return &writer->slots[at];
}

static int make_room(struct bundle_writer *writer, struct error *error)
{
    size_t room = writer->chunk_room ? writer->chunk_room * 2 : 1024;

    if (writer->index.chunk_count < writer->chunk_room)
        return 0;
    struct bundle_chunk *chunks = realloc(writer->index.chunks, room * sizeof *chunks);
    writer->index.chunks = chunks ? chunks : writer->index.chunks;
    struct identity *identities = realloc(writer->identities, room * sizeof *identities);
    writer->identities = identities ? identities : writer->identities;
    size_t *slots = malloc(2 * room * sizeof *slots);
    if (!chunks || !identities || !slots) {
        free(slots);
        return no_memory(error);
    }
    free(writer->slots);
    writer->slots = slots;
    writer->chunk_room = room;
    for (size_t i = 0; i < 2 * room; i++)
        slots[i] = NO_CHUNK;
    for (size_t i = 0; i < writer->index.chunk_count; i++)
        *find_slot(writer, &identities[i]) = i;
    return 0;
}

/* Writes the chunk that is here, as number `chunk_count` of the list. */
static int store_chunk(struct bundle_writer *writer, struct error *error)
{
    const uint8_t *bytes = writer->bytes;
    size_t length = writer->filled;
    long packed = compression_pack(&writer->compression, COMPRESSION_ZSTD, LEVEL, bytes, length, writer->packed, error);

    if (packed < 0)
        return -1;
    if (packed > 0) {
        bytes = writer->packed;
        length = (size_t)packed;
    }
    writer->index.chunks[writer->index.chunk_count] = (struct bundle_chunk){.offset = writer->offset,
                                                                            .stored = (uint32_t)length,
                                                                            .raw = (uint32_t)writer->filled,
                                                                            .checksum = XXH3_64bits(bytes, length)};
    return put(writer, bytes, length, error);
}

/* The member's chunk number writer->chunk is number `stored` of the list. */
static int note_chunk(struct bundle_writer *writer, size_t stored, struct error *error)
{
    struct bundle_runs *runs = &writer->index.runs[writer->index.member_count];
    struct bundle_run *last = runs->count ? &runs->list[runs->count - 1] : NULL;

    if (last && last->first + last->count == writer->chunk && last->chunk + last->count == stored) {
        last->count++;
        return 0;
    }
    if (runs->count == writer->run_room) {
        size_t room = writer->run_room ? writer->run_room * 2 : 64;
        struct bundle_run *list = realloc(runs->list, room * sizeof *list);
        if (!list)
            return no_memory(error);
        runs->list = list;
        writer->run_room = room;
    }
    runs->list[runs->count++] = (struct bundle_run){.first = writer->chunk, .count = 1, .chunk = stored};
    return 0;
}

/* Puts away the chunk that is here: zeros nowhere, and what was there before, where it is. */
static int put_chunk(struct bundle_writer *writer, struct error *error)
{
    struct identity identity;

    if (!bytes_are_zero(writer->bytes, writer->filled)) {
        if (make_room(writer, error) < 0)
            return -1;
        crypto_generichash(identity.bytes, sizeof identity.bytes, writer->bytes, writer->filled, NULL, 0);
        size_t *slot = find_slot(writer, &identity);
        if (*slot == NO_CHUNK) {
            if (store_chunk(writer, error) < 0)
                return -1;
            writer->identities[writer->index.chunk_count] = identity;
            *slot = writer->index.chunk_count++;
        }
        if (note_chunk(writer, *slot, error) < 0)
            return -1;
    }
    writer->chunk++;
    writer->filled = 0;
    return 0;
}

int bundle_writer_begin(struct bundle_writer *writer, enum bundle_kind kind, unsigned number,
                        enum digest_kind digest_kind, struct error *error)
{
    CHECK(!writer->digest && writer->index.member_count < BUNDLE_MEMBERS);
    writer->index.members[writer->index.member_count] =
        (struct bundle_member){.kind = kind, .number = number, .digest_kind = digest_kind};
    writer->chunk = 0;
    writer->filled = 0;
    writer->run_room = 0;
    writer->digest = image_digest_begin(digest_kind, error);
    return writer->digest ? 0 : -1;
}

/* `bytes` NULL: zeros. Returns how many of them were taken, or -1. */
static long fill_chunk(struct bundle_writer *writer, const uint8_t *bytes, uint64_t length, struct error *error)
{
    size_t room = BUNDLE_CHUNK - writer->filled;
    size_t part = length < room ? (size_t)length : room;

    if (bytes)
        memcpy(writer->bytes + writer->filled, bytes, part);
    else
        memset(writer->bytes + writer->filled, 0, part);
    writer->filled += part;
    return writer->filled == BUNDLE_CHUNK && put_chunk(writer, error) < 0 ? -1 : (long)part;
}

int bundle_writer_add(struct bundle_writer *writer, const void *bytes, size_t length, struct error *error)
{
    const uint8_t *at = bytes;

    image_digest_add(writer->digest, bytes, length);
    writer->index.members[writer->index.member_count].size += length;
    while (length > 0) {
        long part = fill_chunk(writer, at, length, error);
        if (part < 0)
            return -1;
        at += part;
        length -= (size_t)part;
    }
    return 0;
}

int bundle_writer_add_zeros(struct bundle_writer *writer, uint64_t length, struct error *error)
{
    image_digest_add_zeros(writer->digest, length);
    writer->index.members[writer->index.member_count].size += length;
    while (length > 0) {
        if (writer->filled == 0 && length >= BUNDLE_CHUNK) {
            writer->chunk += length / BUNDLE_CHUNK;
            length %= BUNDLE_CHUNK;
            continue;
        }
        long part = fill_chunk(writer, NULL, length, error);
        if (part < 0)
            return -1;
        length -= (uint64_t)part;
    }
    return 0;
}

int bundle_writer_end(struct bundle_writer *writer, struct digest *digest, struct error *error)
{
    struct bundle_member *member = &writer->index.members[writer->index.member_count];

    member->digest = image_digest_end(writer->digest);
    writer->digest = NULL;
    if (digest)
        *digest = member->digest;
    if (writer->filled && put_chunk(writer, error) < 0)
        return -1;
    writer->index.member_count++;
    return 0;
}

int bundle_writer_finish(struct bundle_writer *writer, struct error *error)
{
    struct bytes_writer index = bytes_writer(INDEX_MAX);
    uint8_t trailer[BUNDLE_TRAILER];

    bundle_index_encode(&writer->index, &index);
    int result = index.failed ? no_memory(error) : 0;
    if (result == 0) {
        memcpy(trailer, BUNDLE_END_MAGIC, 8);
        bytes_store(trailer + 8, 8, writer->offset);
        bytes_store(trailer + 16, 8, index.length);
        bytes_store(trailer + 24, 8, XXH3_64bits(index.data, index.length));
        bytes_store(trailer + 32, 8, XXH3_64bits(trailer, 32));
        result = put(writer, index.data, index.length, error);
    }
    if (result == 0)
        result = put(writer, trailer, sizeof trailer, error);
    bytes_writer_free(&index);
    return result;
}
