/* Bundles (docs/bundle.md): what goes in comes out, in little space; and whatever is wrong with one is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "logs/bundle_format.h"
#include "logs/bundle_writer.h"

#define CHUNK BUNDLE_CHUNK
#define GIB   (UINT64_C(1) << 30)

static int sink_write(void *context, const void *bytes, size_t length, struct error *error)
{
    struct bytes_writer *to = context;

    bytes_put(to, bytes, length);
    return to->failed ? error_set(error, ERROR_HOST, "the sink is full") : 0;
}

struct fixture {
    struct bytes_writer file;
    struct log_memory memory;
    struct log_sink sink;
    struct bundle_writer *writer;
    struct bundle *bundle;
    struct error error;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->file = bytes_writer(64u << 20);
    f->sink = (struct log_sink){.write = sink_write, .context = &f->file};
    f->writer = bundle_writer_create(&f->sink, &f->error);
    *state = f;
    return f->writer ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    bundle_writer_free(f->writer);
    bundle_close(f->bundle);
    bytes_writer_free(&f->file);
    free(f);
    return 0;
}

static void put_member(struct fixture *f, enum bundle_kind kind, unsigned number, const void *bytes, size_t length)
{
    assert_int_equal(bundle_writer_begin(f->writer, kind, number,
                                         kind == BUNDLE_LOG || kind == BUNDLE_DISK ? DIGEST_SPARSE : DIGEST_WHOLE,
                                         &f->error),
                     0);
    /* In two parts, so that chunks and calls have nothing to do with each other. */
    size_t half = length / 3;
    assert_int_equal(bundle_writer_add(f->writer, bytes, half, &f->error), 0);
    assert_int_equal(bundle_writer_add(f->writer, (const uint8_t *)bytes + half, length - half, &f->error), 0);
    assert_int_equal(bundle_writer_end(f->writer, NULL, &f->error), 0);
}

static bool open_bytes(struct fixture *f, const uint8_t *bytes, size_t length)
{
    bundle_close(f->bundle);
    f->memory = (struct log_memory){.bytes = bytes, .length = length};
    struct log_source source = log_source_memory(&f->memory);
    f->bundle = bundle_open(&source, "x.bundle", &f->error);
    if (!f->bundle) {
        assert_int_equal(f->error.kind, ERROR_INPUT);
        assert_true(strncmp(f->error.text, "x.bundle: ", 10) == 0);
    }
    return f->bundle != NULL;
}

static void finish(struct fixture *f)
{
    assert_int_equal(bundle_writer_finish(f->writer, &f->error), 0);
    assert_true(open_bytes(f, f->file.data, f->file.length));
}

static uint8_t *noise(size_t length, uint32_t seed)
{
    uint8_t *bytes = malloc(length);

    for (size_t i = 0; i < length; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    return bytes;
}

static void assert_member(struct fixture *f, const struct bundle_member *member, const uint8_t *bytes, size_t length)
{
    uint8_t *read = malloc(length + 10);
    size_t got;

    assert_non_null(member);
    assert_int_equal(member->size, length);
    assert_int_equal(bundle_read(f->bundle, member, 0, read, length + 10, &got, &f->error), 0);
    assert_int_equal(got, length);
    assert_memory_equal(read, bytes, length);
    for (size_t at = 0; at < length; at += length / 7 + 1) {
        assert_int_equal(bundle_read(f->bundle, member, at, read, 1000, &got, &f->error), 0);
        assert_int_equal(got, length - at < 1000 ? length - at : 1000);
        assert_memory_equal(read, bytes + at, got);
    }
    assert_int_equal(bundle_verify(f->bundle, member, &f->error), 0);
    free(read);
}

static void test_members(void **state)
{
    struct fixture *f = *state;
    const size_t lengths[] = {1000, CHUNK, CHUNK + 1, 5 * CHUNK - 1};
    uint8_t *bytes[4];

    for (unsigned i = 0; i < 4; i++)
        bytes[i] = noise(lengths[i], i);
    memset(bytes[3] + CHUNK, 'x', 2 * CHUNK); /* this can be compressed */
    put_member(f, BUNDLE_LOG, 0, bytes[0], lengths[0]);
    put_member(f, BUNDLE_IMAGE, 0, bytes[1], lengths[1]);
    put_member(f, BUNDLE_MODULE, 0, bytes[2], lengths[2]);
    put_member(f, BUNDLE_MODULE, 7, bytes[0], lengths[0]);
    put_member(f, BUNDLE_DISK, 3, bytes[3], lengths[3]);
    finish(f);
    assert_member(f, bundle_find(f->bundle, BUNDLE_LOG, 0), bytes[0], lengths[0]);
    assert_member(f, bundle_find(f->bundle, BUNDLE_IMAGE, 0), bytes[1], lengths[1]);
    assert_member(f, bundle_find(f->bundle, BUNDLE_MODULE, 0), bytes[2], lengths[2]);
    assert_member(f, bundle_find(f->bundle, BUNDLE_MODULE, 7), bytes[0], lengths[0]);
    assert_member(f, bundle_find(f->bundle, BUNDLE_DISK, 3), bytes[3], lengths[3]);
    assert_null(bundle_find(f->bundle, BUNDLE_DISK, 0));
    assert_null(bundle_member(f->bundle, 5));
    assert_true(digest_equal(bundle_find(f->bundle, BUNDLE_IMAGE, 0)->digest, digest_of(bytes[1], lengths[1], 0)));
    /* The log is there as a source, too. */
    struct log_source log = bundle_log(f->bundle);
    uint64_t size;
    assert_int_equal(log.size(log.context, &size, &f->error), 0);
    assert_int_equal(size, lengths[0]);
    for (unsigned i = 0; i < 4; i++)
        free(bytes[i]);
}

/* Each chunk is there once, whoever has it; and holes are nowhere. */
static void test_space(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = noise(4 * CHUNK, 9);
    uint8_t zeros[5000] = {0};
    bool hole;

    put_member(f, BUNDLE_LOG, 0, bytes, 40);
    put_member(f, BUNDLE_IMAGE, 0, bytes, 4 * CHUNK);
    size_t before = f->file.length;
    put_member(f, BUNDLE_MODULE, 0, bytes, 4 * CHUNK);
    assert_int_equal(bundle_writer_begin(f->writer, BUNDLE_DISK, 0, DIGEST_SPARSE, &f->error), 0);
    assert_int_equal(bundle_writer_add_zeros(f->writer, 3 * GIB, &f->error), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(bundle_writer_add(f->writer, bytes + CHUNK, CHUNK, &f->error), 0);
    assert_int_equal(bundle_writer_add_zeros(f->writer, 5 * GIB + 123, &f->error), 0);
    assert_int_equal(bundle_writer_add(f->writer, "end", 3, &f->error), 0);
    assert_int_equal(bundle_writer_add(f->writer, zeros, sizeof zeros, &f->error), 0);
    assert_int_equal(bundle_writer_end(f->writer, NULL, &f->error), 0);
    finish(f);
    assert_true(f->file.length < before + 2000);
    const struct bundle_member *disk = bundle_find(f->bundle, BUNDLE_DISK, 0);
    assert_int_equal(disk->size, 8 * GIB + 100 * (uint64_t)CHUNK + 123 + 3 + sizeof zeros);
    assert_int_equal(bundle_extent(f->bundle, disk, 5, &hole), 3 * GIB - 5);
    assert_true(hole);
    assert_int_equal(bundle_extent(f->bundle, disk, 3 * GIB, &hole), CHUNK);
    assert_false(hole);
    uint8_t read[8];
    size_t got;
    assert_int_equal(bundle_read(f->bundle, disk, disk->size - sizeof zeros - 4, read, 8, &got, &f->error), 0);
    assert_memory_equal(read, "\0end\0\0\0\0", 8);
    assert_int_equal(bundle_read(f->bundle, disk, 3 * GIB + 60 * (uint64_t)CHUNK - 4, read, 8, &got, &f->error), 0);
    assert_memory_equal(read, bytes + 2 * CHUNK - 4, 4);
    assert_memory_equal(read + 4, bytes + CHUNK, 4);
    assert_int_equal(bundle_verify(f->bundle, disk, &f->error), 0);
    free(bytes);
}

static void make_small(struct fixture *f)
{
    uint8_t *bytes = noise(300, 1);
    char text[3000];

    memset(text, 'a', sizeof text);
    put_member(f, BUNDLE_LOG, 0, bytes, 300);
    put_member(f, BUNDLE_DISK, 0, text, sizeof text);
    finish(f);
    free(bytes);
}

/* Reads and verifies everything in a bundle that could be opened. Whether all of it was good. */
static bool all_good(struct fixture *f)
{
    const struct bundle_member *member;
    bool good = true;

    for (unsigned i = 0; (member = bundle_member(f->bundle, i)); i++) {
        if (bundle_verify(f->bundle, member, &f->error) < 0) {
            assert_int_equal(f->error.kind, ERROR_INPUT);
            good = false;
        }
    }
    return good;
}

static void test_damage(void **state)
{
    struct fixture *f = *state;

    make_small(f);
    assert_true(all_good(f));
    for (size_t cut = 0; cut < f->file.length; cut++)
        assert_false(open_bytes(f, f->file.data, cut));
    uint8_t *copy = malloc(f->file.length + 1);
    for (size_t at = 0; at < f->file.length; at++) {
        memcpy(copy, f->file.data, f->file.length);
        copy[at] ^= 0x10;
        /* The magic is the business of whoever asks what a file is. */
        if (at >= 8 && open_bytes(f, copy, f->file.length))
            assert_false(all_good(f));
    }
    memcpy(copy, f->file.data, f->file.length);
    assert_false(open_bytes(f, copy, f->file.length + 1));
    bundle_close(f->bundle);
    f->bundle = NULL;
    free(copy);
}

/* A bundle with this index behind one chunk of 64 bytes, and good checksums. */
static bool open_index(struct fixture *f, struct bytes_writer *index)
{
    struct bytes_writer file = bytes_writer(1u << 20);
    uint8_t trailer[40];

    bytes_put(&file, BUNDLE_MAGIC, 8);
    bytes_put_uint(&file, 8, 1);
    for (unsigned i = 0; i < 64; i++)
        bytes_put_uint(&file, 1, 'x');
    memcpy(trailer, BUNDLE_END_MAGIC, 8);
    bytes_store(trailer + 8, 8, file.length);
    bytes_store(trailer + 16, 8, index->length);
    bytes_store(trailer + 24, 8, XXH3_64bits(index->data, index->length));
    bytes_store(trailer + 32, 8, XXH3_64bits(trailer, 32));
    bytes_put(&file, index->data, index->length);
    bytes_put(&file, trailer, sizeof trailer);
    bytes_writer_free(index);
    bool opened = open_bytes(f, file.data, file.length);
    if (opened) {
        all_good(f);
        bundle_close(f->bundle);
        f->bundle = NULL;
    }
    bytes_writer_free(&file);
    return opened;
}

/* One number in an otherwise good index: a field (in the order below), what it is instead, and whether that is good. */
enum field { CHUNKS, STORED, RAW, MEMBERS, KIND, NUMBER, SIZE, DIGEST, RUNS, GAP, COUNT, FIRST, FIELDS };
static const uint64_t good[FIELDS] = {1, 64, 64, 1, BUNDLE_LOG, 0, 64, DIGEST_SPARSE, 1, 0, 1, 0};

static bool open_fields(struct fixture *f, const uint64_t v[FIELDS], bool more)
{
    struct bytes_writer index = bytes_writer(1u << 20);
    uint8_t bytes[64];

    memset(bytes, 'x', sizeof bytes);
    struct digest digest = digest_of(bytes, sizeof bytes, 0);
    bytes_put_varint(&index, v[CHUNKS]);
    bytes_put_varint(&index, v[STORED]);
    bytes_put_varint(&index, v[RAW]);
    bytes_put_uint(&index, 8, XXH3_64bits(bytes, sizeof bytes));
    bytes_put_varint(&index, v[MEMBERS]);
    bytes_put_uint(&index, 1, v[KIND]);
    bytes_put_uint(&index, 1, v[NUMBER]);
    bytes_put_varint(&index, v[SIZE]);
    bytes_put_uint(&index, 1, v[DIGEST]);
    bytes_put_uint(&index, 8, digest.low);
    bytes_put_uint(&index, 8, digest.high);
    bytes_put_varint(&index, v[RUNS]);
    bytes_put_varint(&index, v[GAP]);
    bytes_put_varint(&index, v[COUNT]);
    bytes_put_varint(&index, v[FIRST]);
    if (more)
        bytes_put_uint(&index, 1, 0);
    return open_index(f, &index);
}

static void test_hostile_index(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum field field;
        uint64_t value;
        bool opens;
    } cases[] = {
        {CHUNKS, 0, false},
        {CHUNKS, 2, false},
        {CHUNKS, UINT64_MAX, false},
        {STORED, 0, false},
        {STORED, 63, false},
        {STORED, 65, false},
        {RAW, 63, false},
        {RAW, 65, true}, /* to be found out when it is read */
        {RAW, CHUNK, true},
        {RAW, CHUNK + 1, false},
        {RAW, UINT64_MAX, false},
        {MEMBERS, 0, false},
        {MEMBERS, 2, false},
        {MEMBERS, UINT64_MAX, false},
        {KIND, 0, false},
        {KIND, BUNDLE_IMAGE, false},
        {KIND, 5, false},
        {KIND, 255, false},
        {NUMBER, 1, false},
        {SIZE, 0, false},
        {SIZE, 63, true},
        {SIZE, UINT64_C(1) << 62, true},
        {SIZE, (UINT64_C(1) << 62) + 1, false},
        {SIZE, UINT64_MAX, false},
        {DIGEST, DIGEST_WHOLE, false},
        {DIGEST, 2, false},
        {RUNS, 0, false},
        {RUNS, 2, false},
        {RUNS, UINT64_MAX, false},
        {GAP, 1, false},
        {GAP, UINT64_MAX, false},
        {COUNT, 0, false},
        {COUNT, 2, false},
        {COUNT, UINT64_MAX, false},
        {FIRST, 1, false},
        {FIRST, UINT64_MAX, false},
    };

    assert_true(open_fields(f, good, false));
    assert_false(open_fields(f, good, true));
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t fields[FIELDS];
        memcpy(fields, good, sizeof fields);
        fields[cases[i].field] = cases[i].value;
        if (open_fields(f, fields, false) != cases[i].opens)
            fail_msg("case %u: opens", i);
    }
}

static void test_no_bundle(void **state)
{
    struct fixture *f = *state;
    struct log_memory memory = {.bytes = (const uint8_t *)"\x89"
                                                          "ENCORE\n",
                                .length = 8};
    struct log_source source = log_source_memory(&memory);

    assert_int_equal(bundle_is_one(&source, &f->error), 0);
    memory.length = 0;
    assert_int_equal(bundle_is_one(&source, &f->error), 0);
    make_small(f);
    source = log_source_memory(&f->memory);
    assert_int_equal(bundle_is_one(&source, &f->error), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_bundle, setup, teardown),
    };
    return cmocka_run_group_tests_name("bundle", tests, NULL, NULL);
}
