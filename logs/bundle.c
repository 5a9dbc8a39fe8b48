/* Reading bundles; see bundle.h. */
#include "logs/bundle.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"
#include "logs/bundle_format.h"
#include "logs/compression.h"

/* Chunks that are kept decompressed, for a guest reads its disk in small pieces. */
#define CACHE 32u

/* An index of 512 MiB describes more than 5 TiB of chunks; a larger one is not to be believed. */
#define INDEX_MAX (UINT64_C(1) << 29)

struct cached {
    size_t chunk;
    uint64_t used; /* when, in reads; 0: nothing is here */
    uint8_t *bytes;
};

struct bundle {
    struct log_source source;
    char *name;
    struct bundle_index index;
    pthread_mutex_t lock; /* for what follows */
    struct compression_state compression;
    struct cached cache[CACHE];
    uint64_t reads;
    uint8_t stored[BUNDLE_CHUNK];
};

int bundle_is_one(const struct log_source *source, struct error *error)
{
    uint8_t magic[8];
    size_t got;

    if (source->read(source->context, 0, magic, sizeof magic, &got, error))
        return -1;
    return got == sizeof magic && memcmp(magic, BUNDLE_MAGIC, sizeof magic) == 0;
}

static int read_exactly(const struct log_source *source, uint64_t offset, void *to, size_t length, struct error *error)
{
    size_t got;

    if (source->read(source->context, offset, to, length, &got, error))
        return -1;
    return got == length ? 0 : error_set(error, ERROR_INPUT, "the bundle breaks off");
}

/* Where the index is, and the checksum that it is to have. */
static int read_frame(const struct log_source *source, uint64_t *offset, uint64_t *length, uint64_t *checksum,
                      struct error *error)
{
    uint8_t header[BUNDLE_HEADER], trailer[BUNDLE_TRAILER];
    uint64_t size;

    if (source->size(source->context, &size, error) || read_exactly(source, 0, header, sizeof header, error))
        return -1;
    uint64_t version = bytes_load(header + 8, 2);
    if (version != BUNDLE_VERSION)
        return error_set(error, ERROR_INPUT, "a bundle of version %" PRIu64 "; this encore reads version %u", version,
                         BUNDLE_VERSION);
    if (!bytes_are_zero(header + 10, 6))
        return error_set(error, ERROR_INPUT, "the bundle's header is damaged");
    if (size < BUNDLE_HEADER + BUNDLE_TRAILER ||
        read_exactly(source, size - BUNDLE_TRAILER, trailer, sizeof trailer, error) ||
        memcmp(trailer, BUNDLE_END_MAGIC, 8) != 0 || bytes_load(trailer + 32, 8) != XXH3_64bits(trailer, 32))
        return error_set(error, ERROR_INPUT, "the bundle is cut short: its end is missing");
    *offset = bytes_load(trailer + 8, 8);
    *length = bytes_load(trailer + 16, 8);
    *checksum = bytes_load(trailer + 24, 8);
    if (*offset < BUNDLE_HEADER || *offset > size - BUNDLE_TRAILER || *length != size - BUNDLE_TRAILER - *offset ||
        *length > INDEX_MAX)
        return error_set(error, ERROR_INPUT, "the bundle's index is not where its end says");
    return 0;
}

static int read_index(struct bundle *bundle, struct error *error)
{
    uint64_t offset = 0, length = 0, checksum = 0;

    if (read_frame(&bundle->source, &offset, &length, &checksum, error) < 0)
        return -1;
    uint8_t *bytes = malloc((size_t)length + 1);
    if (!bytes)
        return error_set(error, ERROR_HOST, "no memory for the bundle's index");
    int result = read_exactly(&bundle->source, offset, bytes, (size_t)length, error);
    if (result == 0 && XXH3_64bits(bytes, (size_t)length) != checksum)
        result = error_set(error, ERROR_INPUT, "the bundle's index is damaged: its checksum");
    if (result == 0)
        result = bundle_index_decode(&bundle->index, bytes, (size_t)length, offset, error);
    free(bytes);
    return result;
}

struct bundle *bundle_open(const struct log_source *source, const char *name, struct error *error)
{
    struct bundle *bundle = calloc(1, sizeof *bundle);

    if (!bundle) {
        if (source->close)
            source->close(source->context);
        error_set(error, ERROR_HOST, "no memory for reading a bundle");
        return NULL;
    }
    pthread_mutex_init(&bundle->lock, NULL);
    bundle->source = *source;
    bundle->name = strdup(name);
    if (bundle->name && read_index(bundle, error) == 0)
        return bundle;
    if (bundle->name)
        error_wrap(error, "%s", name);
    else
        error_set(error, ERROR_HOST, "no memory for reading a bundle");
    bundle_close(bundle);
    return NULL;
}

void bundle_close(struct bundle *bundle)
{
    if (!bundle)
        return;
    if (bundle->source.close)
        bundle->source.close(bundle->source.context);
    bundle_index_free(&bundle->index);
    compression_free(&bundle->compression);
    for (unsigned i = 0; i < CACHE; i++)
        free(bundle->cache[i].bytes);
    pthread_mutex_destroy(&bundle->lock);
    free(bundle->name);
    free(bundle);
}

const struct bundle_member *bundle_member(const struct bundle *bundle, unsigned index)
{
    return index < bundle->index.member_count ? &bundle->index.members[index] : NULL;
}

const struct bundle_member *bundle_find(const struct bundle *bundle, enum bundle_kind kind, unsigned number)
{
    for (unsigned i = 0; i < bundle->index.member_count; i++) {
        const struct bundle_member *member = &bundle->index.members[i];
        if (member->kind == kind && member->number == number)
            return member;
    }
    return NULL;
}

/* The first run of the member that does not end before its chunk number `chunk`; NULL when there is none. */
static const struct bundle_run *find_run(const struct bundle *bundle, const struct bundle_member *member,
                                         uint64_t chunk)
{
    const struct bundle_runs *runs = &bundle->index.runs[member - bundle->index.members];
    size_t low = 0, high = runs->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs->list[middle].first + runs->list[middle].count <= chunk)
            low = middle + 1;
        else
            high = middle;
    }
    return low < runs->count ? &runs->list[low] : NULL;
}

/* Reads a chunk and decompresses it into `bytes`. */
static int load_chunk(struct bundle *bundle, const struct bundle_chunk *chunk, uint8_t *bytes, struct error *error)
{
    bool packed = chunk->stored < chunk->raw;
    uint8_t *stored = packed ? bundle->stored : bytes;

    if (read_exactly(&bundle->source, chunk->offset, stored, chunk->stored, error) < 0)
        return -1;
    if (XXH3_64bits(stored, chunk->stored) != chunk->checksum)
        return error_set(error, ERROR_INPUT, "the bundle is damaged at byte %" PRIu64, chunk->offset);
    if (packed &&
        compression_unpack(&bundle->compression, COMPRESSION_ZSTD, stored, chunk->stored, bytes, chunk->raw, error) < 0)
        return error_wrap(error, "the bundle is damaged at byte %" PRIu64, chunk->offset);
    return 0;
}

/* The chunk's bytes, which stay good while the lock is held. */
static const uint8_t *get_chunk(struct bundle *bundle, size_t number, struct error *error)
{
    struct cached *oldest = &bundle->cache[0];

    bundle->reads++;
    for (unsigned i = 0; i < CACHE; i++) {
        struct cached *cached = &bundle->cache[i];
        if (cached->used && cached->chunk == number) {
            cached->used = bundle->reads;
            return cached->bytes;
        }
        if (cached->used < oldest->used)
            oldest = cached;
    }
    if (!oldest->bytes)
        oldest->bytes = malloc(BUNDLE_CHUNK);
    oldest->used = 0;
    if (!oldest->bytes) {
        error_set(error, ERROR_HOST, "no memory for reading a bundle");
        return NULL;
    }
    if (load_chunk(bundle, &bundle->index.chunks[number], oldest->bytes, error) < 0)
        return NULL;
    oldest->chunk = number;
    oldest->used = bundle->reads;
    return oldest->bytes;
}

/* Copies bytes of one chunk of the member. */
static int copy_from_chunk(struct bundle *bundle, const struct bundle_member *member, uint64_t chunk, size_t within,
                           uint8_t *to, size_t length, struct error *error)
{
    const struct bundle_run *run = find_run(bundle, member, chunk);

    if (!run || run->first > chunk) {
        memset(to, 0, length);
        return 0;
    }
    size_t number = (size_t)(run->chunk + (chunk - run->first));
    if (bundle->index.chunks[number].raw != bundle_chunk_length(member, chunk))
        return error_set(error, ERROR_INPUT,
                         "the bundle's index is damaged: a chunk is not of the length that is wanted");
    const uint8_t *bytes = get_chunk(bundle, number, error);
    if (!bytes)
        return -1;
    memcpy(to, bytes + within, length);
    return 0;
}

int bundle_read(struct bundle *bundle, const struct bundle_member *member, uint64_t offset, void *to, size_t length,
                size_t *got, struct error *error)
{
    uint8_t *at = to;
    int result = 0;

    *got = 0;
    if (offset >= member->size)
        return 0;
    if (length > member->size - offset)
        length = (size_t)(member->size - offset);
    pthread_mutex_lock(&bundle->lock);
    while (length > 0 && result == 0) {
        size_t within = (size_t)(offset % BUNDLE_CHUNK);
        size_t part = length < BUNDLE_CHUNK - within ? length : BUNDLE_CHUNK - within;
        result = copy_from_chunk(bundle, member, offset / BUNDLE_CHUNK, within, at, part, error);
        if (result == 0)
            *got += part;
        at += part;
        offset += part;
        length -= part;
    }
    pthread_mutex_unlock(&bundle->lock);
    return result;
}

uint64_t bundle_extent(const struct bundle *bundle, const struct bundle_member *member, uint64_t offset, bool *hole)
{
    CHECK(offset < member->size);
    uint64_t chunk = offset / BUNDLE_CHUNK;
    const struct bundle_run *run = find_run(bundle, member, chunk);

    *hole = !run || run->first > chunk;
    uint64_t end = !run ? member->size : (*hole ? run->first : run->first + run->count) * BUNDLE_CHUNK;
    return (end < member->size ? end : member->size) - offset;
}

static int digest_member(struct bundle *bundle, const struct bundle_member *member, struct image_digest *digest,
                         struct error *error)
{
    static const size_t piece = BUNDLE_CHUNK;
    uint8_t *bytes = malloc(piece);
    int result = bytes ? 0 : error_set(error, ERROR_HOST, "no memory for reading a bundle");
    bool hole;

    for (uint64_t offset = 0; offset < member->size && result == 0;) {
        uint64_t length = bundle_extent(bundle, member, offset, &hole);
        size_t got = 0;
        if (hole) {
            image_digest_add_zeros(digest, length);
        } else {
            length = length < piece ? length : piece;
            result = bundle_read(bundle, member, offset, bytes, (size_t)length, &got, error);
            image_digest_add(digest, bytes, got);
        }
        offset += length;
    }
    free(bytes);
    return result;
}

int bundle_verify(struct bundle *bundle, const struct bundle_member *member, struct error *error)
{
    struct image_digest *digest = image_digest_begin(member->digest_kind, error);

    if (!digest)
        return -1;
    int result = digest_member(bundle, member, digest, error);
    struct digest found = image_digest_end(digest);
    if (result < 0)
        return -1;
    return digest_equal(found, member->digest)
               ? 0
               : error_set(error, ERROR_INPUT, "the bundle is damaged: a member is not what its digest says");
}

static int log_read(void *context, uint64_t offset, void *to, size_t length, size_t *got, struct error *error)
{
    struct bundle *bundle = context;

    return bundle_read(bundle, &bundle->index.members[0], offset, to, length, got, error);
}

static int log_size(void *context, uint64_t *size, struct error *error)
{
    const struct bundle *bundle = context;

    (void)error;
    *size = bundle->index.members[0].size;
    return 0;
}

static void log_close(void *context)
{
    bundle_close(context);
}

struct log_source bundle_log(struct bundle *bundle)
{
    return (struct log_source){.read = log_read, .size = log_size, .close = log_close, .context = bundle};
}
