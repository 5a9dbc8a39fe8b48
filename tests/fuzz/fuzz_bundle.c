/*
 * Fuzzing the reader of bundles. The first byte of the input chooses: the rest is a whole file; or an index, behind a
 * few chunks and with good checksums, which would keep a fuzzer out otherwise; or bytes that replace some of a good
 * index; or the stored bytes of a chunk. What can be opened is read from end to end.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/check.h"
#include "logs/bundle_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_LIMIT (1u << 22)
#define READS      64u

static void put_header(struct bytes_writer *file)
{
    bytes_put(file, BUNDLE_MAGIC, 8);
    bytes_put_uint(file, 8, BUNDLE_VERSION);
}

static void put_index(struct bytes_writer *file, const uint8_t *index, size_t length)
{
    uint8_t trailer[BUNDLE_TRAILER];

    memcpy(trailer, BUNDLE_END_MAGIC, 8);
    bytes_store(trailer + 8, 8, file->length);
    bytes_store(trailer + 16, 8, length);
    bytes_store(trailer + 24, 8, XXH3_64bits(index, length));
    bytes_store(trailer + 32, 8, XXH3_64bits(trailer, 32));
    bytes_put(file, index, length);
    bytes_put(file, trailer, sizeof trailer);
}

/* The input is an index; before it are as many bytes as the input's first byte says, in tens. */
static void put_by_index(struct bytes_writer *file, const uint8_t *data, size_t size)
{
    put_header(file);
    for (unsigned i = 0; size && i < data[0] * 10u; i++)
        bytes_put_uint(file, 1, i & 0x3f);
    if (size)
        put_index(file, data + 1, size - 1);
}

/* A good index, and the input as pairs: a place in it, and what is XORed to the byte there. */
static void put_changed_index(struct bytes_writer *file, const uint8_t *data, size_t size)
{
    struct bundle_chunk chunks[3];
    struct bundle_run runs[2][2] = {{{.count = 2}, {.first = 3, .count = 1, .chunk = 2}}, {{.first = 9, .count = 1}}};
    struct bundle_index index = {
        .chunks = chunks,
        .chunk_count = 3,
        .members = {{.kind = BUNDLE_LOG, .size = 3 * BUNDLE_CHUNK + 50, .digest_kind = DIGEST_SPARSE},
                    {.kind = BUNDLE_DISK, .number = 1, .size = UINT64_C(1) << 33, .digest_kind = DIGEST_SPARSE}},
        .runs = {{.list = runs[0], .count = 2}, {.list = runs[1], .count = 1}},
        .member_count = 2,
    };
    struct bytes_writer out = bytes_writer(FILE_LIMIT);
    uint8_t bytes[3][50];

    put_header(file);
    for (unsigned i = 0; i < 3; i++) {
        memset(bytes[i], 'a' + (int)i, sizeof bytes[i]);
        chunks[i] = (struct bundle_chunk){.stored = 50, .raw = 50, .checksum = XXH3_64bits(bytes[i], 50)};
        bytes_put(file, bytes[i], sizeof bytes[i]);
    }
    bundle_index_encode(&index, &out);
    for (size_t i = 0; i + 1 < size && i < 8; i += 2)
        out.data[data[i] % out.length] ^= data[i + 1];
    put_index(file, out.data, out.length);
    bytes_writer_free(&out);
}

/* The input is what is stored of a chunk of 5000 bytes, which is a log. */
static void put_chunk(struct bytes_writer *file, const uint8_t *data, size_t size)
{
    struct bundle_chunk chunk = {.stored = (uint32_t)size, .raw = 5000, .checksum = XXH3_64bits(data, size)};
    struct bundle_run run = {.count = 1};
    struct bundle_index index = {
        .chunks = &chunk,
        .chunk_count = 1,
        .members = {{.kind = BUNDLE_LOG, .size = 5000, .digest_kind = DIGEST_SPARSE}},
        .runs = {{.list = &run, .count = 1}},
        .member_count = 1,
    };
    struct bytes_writer out = bytes_writer(FILE_LIMIT);

    put_header(file);
    bytes_put(file, data, size);
    bundle_index_encode(&index, &out);
    put_index(file, out.data, out.length);
    bytes_writer_free(&out);
}

static void read_member(struct bundle *bundle, const struct bundle_member *member)
{
    uint8_t *bytes = malloc(3 * BUNDLE_CHUNK);
    struct error error;
    uint64_t offset = 0;

    for (unsigned i = 0; bytes && i < READS && offset < member->size; i++) {
        bool hole;
        size_t got;
        uint64_t length = bundle_extent(bundle, member, offset, &hole);
        CHECK(length > 0 && length <= member->size - offset);
        if (bundle_read(bundle, member, offset, bytes, 3 * BUNDLE_CHUNK, &got, &error) == 0)
            CHECK(got == (member->size - offset < 3 * BUNDLE_CHUNK ? member->size - offset : 3 * BUNDLE_CHUNK));
        else
            CHECK(error.kind != ERROR_NONE);
        offset += length;
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_writer file = bytes_writer(FILE_LIMIT);
    struct error error;

    if (size == 0 || size > FILE_LIMIT / 2)
        return 0;
    if (data[0] % 4 == 0)
        bytes_put(&file, data + 1, size - 1);
    else if (data[0] % 4 == 1)
        put_chunk(&file, data + 1, size - 1);
    else if (data[0] % 4 == 2)
        put_changed_index(&file, data + 1, size - 1);
    else
        put_by_index(&file, data + 1, size - 1);
    struct log_memory memory = {.bytes = file.data, .length = file.length};
    struct log_source source = log_source_memory(&memory);
    struct bundle *bundle = bundle_open(&source, "fuzz", &error);
    const struct bundle_member *member;
    for (unsigned i = 0; bundle && (member = bundle_member(bundle, i)); i++) {
        read_member(bundle, member);
        /* A digest of kind 0 may take its time. */
        if (member->size < (1u << 24) || member->digest_kind == DIGEST_SPARSE)
            bundle_verify(bundle, member, &error);
    }
    bundle_close(bundle);
    bytes_writer_free(&file);
    return 0;
}
