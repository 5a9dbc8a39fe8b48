/*
 * Frames and the log's header, from memory to memory.
 */
#include "tests/unit/log_samples.h"

#include <lz4.h>
#include <xxhash.h>
#include <zstd.h>

#include "logs/frame.h"

static struct log_id id_of(uint8_t byte)
{
    struct log_id id;

    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

/* Contents of each sort: noise, zeros, text-like. */
static void fill_contents(struct dice *dice, unsigned sort, uint8_t *raw, size_t length)
{
    for (size_t i = 0; i < length; i++)
        raw[i] = sort == 0 ? (uint8_t)dice_roll(dice) : sort == 1 ? 0 : (uint8_t)('a' + dice_below(dice, 4));
}

static void round_trips(void **state)
{
    static const size_t lengths[] = {1, 2, 23, 24, 25, 100, 4096, 65537, FRAME_RAW_MAX - 1, FRAME_RAW_MAX};
    struct log_id id = id_of(1);
    struct frame_codec codec = frame_codec(&id, FRAME_DEFAULT_LEVEL);
    struct dice dice = {.state = 1};
    uint8_t *raw = malloc(FRAME_RAW_MAX);
    uint8_t *back = malloc(FRAME_RAW_MAX);

    (void)state;
    for (unsigned i = 0; i < 3 * sizeof lengths / sizeof lengths[0]; i++) {
        size_t length = lengths[i / 3];
        struct bytes_writer out = bytes_writer(FRAME_WHOLE_MAX);
        struct frame_header header;
        struct error error;
        /* Checkpoints are compressed for speed: letters at random are too little for that. */
        enum frame_kind kind = i % 3 == 2 && length >= 7 ? FRAME_RECORDS : FRAME_CHECKPOINT_DATA;
        fill_contents(&dice, i % 3, raw, length);
        assert_int_equal(frame_encode(&codec, kind, i, 7, raw, length, &out, &error), 0);
        for (size_t part = 0; part < out.length; part += 1 + part / 3)
            assert_int_equal(frame_decode(&codec, out.data, part, &header, back, &error), 0);
        assert_int_equal(frame_decode(&codec, out.data, out.length, &header, back, &error), out.length);
        assert_int_equal(header.kind, kind);
        assert_int_equal(header.sequence, i);
        assert_int_equal(header.count, 7);
        assert_int_equal(header.raw_length, length);
        assert_memory_equal(raw, back, length);
        if (i % 3 == 0)
            assert_int_equal(header.compression, COMPRESSION_NONE);
        else if (length >= 100)
            assert_true(header.compression == (kind == FRAME_RECORDS ? COMPRESSION_ZSTD : COMPRESSION_LZ4) &&
                        (i % 3 == 2 || header.stored_length < length / 2));
        bytes_writer_free(&out);
    }
    free(raw);
    free(back);
    frame_codec_free(&codec);
}

/* A frame of noise (stored) or of zeros (compressed), valid for log 1. */
static struct bytes_writer make_frame(struct frame_codec *codec, bool compressed)
{
    uint8_t raw[100] = {0};
    struct dice dice = {.state = 5};
    struct bytes_writer out = bytes_writer(FRAME_WHOLE_MAX);
    struct error error;

    if (!compressed)
        fill(&dice, raw, sizeof raw);
    assert_int_equal(frame_encode(codec, FRAME_RECORDS, 3, 9, raw, sizeof raw, &out, &error), 0);
    return out;
}

static void every_flip_is_refused(void **state)
{
    struct log_id id = id_of(1);
    struct frame_codec codec = frame_codec(&id, FRAME_DEFAULT_LEVEL);
    uint8_t *back = malloc(FRAME_RAW_MAX);

    (void)state;
    for (unsigned compressed = 0; compressed < 2; compressed++) {
        struct bytes_writer frame = make_frame(&codec, compressed);
        for (size_t bit = 0; bit < 8 * frame.length; bit++) {
            struct frame_header header;
            struct error error;
            frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            long result = frame_decode(&codec, frame.data, frame.length, &header, back, &error);
            /* A length that grew asks for more bytes; in a log there are more or it ends, and both are told. */
            bool length_grew = bit / 8 >= 12 && bit / 8 < 16 && header.stored_length > frame.length - FRAME_HEADER;
            assert_true(result == -1 || (result == 0 && length_grew));
            frame.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        bytes_writer_free(&frame);
    }
    free(back);
    frame_codec_free(&codec);
}

static void frame_of_another_log_is_refused(void **state)
{
    struct log_id id = id_of(1);
    struct log_id other = id_of(2);
    struct frame_codec codec = frame_codec(&id, FRAME_DEFAULT_LEVEL);
    struct frame_codec foreign = frame_codec(&other, FRAME_DEFAULT_LEVEL);
    struct bytes_writer frame = make_frame(&foreign, true);
    struct frame_header header;
    struct error error;
    uint8_t back[100];

    (void)state;
    assert_int_equal(frame_decode(&codec, frame.data, frame.length, &header, back, &error), -1);
    assert_non_null(strstr(error.text, "checksum"));
    bytes_writer_free(&frame);
    frame_codec_free(&codec);
    frame_codec_free(&foreign);
}

/* A frame with these header fields and stored bytes and the right checksum, which the test works out for itself. */
static size_t forge(const struct log_id *id, uint8_t *frame, unsigned flags, uint32_t raw_length, const void *stored,
                    uint32_t length)
{
    bytes_store(frame, 2, FRAME_MAGIC);
    frame[2] = FRAME_CHECKPOINT_DATA;
    frame[3] = (uint8_t)flags;
    bytes_store(frame + 4, 8, 0);
    bytes_store(frame + 12, 4, length);
    bytes_store(frame + 16, 4, raw_length);
    bytes_store(frame + 20, 4, 0);
    memcpy(frame + 32, stored, length);
    uint64_t seed = XXH3_64bits_withSeed(frame, 24, XXH3_64bits(id->bytes, 16));
    bytes_store(frame + 24, 8, XXH3_64bits_withSeed(frame + 32, length, seed));
    return 32 + length;
}

static void expect_refusal(struct frame_codec *codec, const uint8_t *frame, size_t length, const char *words)
{
    struct frame_header header;
    struct error error;
    uint8_t *back = malloc(FRAME_RAW_MAX);

    assert_int_equal(frame_decode(codec, frame, length, &header, back, &error), -1);
    if (!strstr(error.text, words))
        fail_msg("expected \"%s\" in \"%s\"", words, error.text);
    free(back);
}

/* Frames whose checksum is right and whose contents are not: nothing is decompressed beyond what was declared. */
static void forged_contents_are_refused(void **state)
{
    struct log_id id = id_of(1);
    struct frame_codec codec = frame_codec(&id, FRAME_DEFAULT_LEVEL);
    uint8_t zeros[10000] = {0};
    uint8_t packed[1000];
    uint8_t frame[2000];

    (void)state;
    uint32_t length = (uint32_t)ZSTD_compress(packed, sizeof packed, zeros, sizeof zeros, 3);
    expect_refusal(&codec, frame, forge(&id, frame, 1, 9999, packed, length), "do not decompress");
    expect_refusal(&codec, frame, forge(&id, frame, 1, 10001, packed, length), "instead of 10001");
    expect_refusal(&codec, frame, forge(&id, frame, 1, 10000, packed, length - 1), "not one zstd frame");
    memcpy(packed + length, packed, length);
    expect_refusal(&codec, frame, forge(&id, frame, 1, 20000, packed, 2 * length), "not one zstd frame");
    expect_refusal(&codec, frame, forge(&id, frame, 1, 100, zeros, 50), "not one zstd frame");
    length = (uint32_t)LZ4_compress_default((const char *)zeros, (char *)packed, sizeof zeros, sizeof packed);
    expect_refusal(&codec, frame, forge(&id, frame, 2, 9999, packed, length), "do not decompress");
    expect_refusal(&codec, frame, forge(&id, frame, 2, 10001, packed, length), "instead of 10001");
    expect_refusal(&codec, frame, forge(&id, frame, 2, 10000, packed, length - 1), "do not decompress");
    expect_refusal(&codec, frame, forge(&id, frame, 2, 10000, packed, length + 1), "do not decompress");
    expect_refusal(&codec, frame, forge(&id, frame, 2, 50, zeros, 50), "impossible lengths");
    expect_refusal(&codec, frame, forge(&id, frame, 3, 50, zeros, 50), "unknown compression 3");
    expect_refusal(&codec, frame, forge(&id, frame, 0, 51, zeros, 50), "impossible lengths");
    expect_refusal(&codec, frame, forge(&id, frame, 1, 50, zeros, 50), "impossible lengths");
    expect_refusal(&codec, frame, forge(&id, frame, 0, 0, zeros, 0), "impossible lengths");
    expect_refusal(&codec, frame, forge(&id, frame, 1, FRAME_RAW_MAX + 1, zeros, 50), "impossible lengths");
    frame_codec_free(&codec);
}

static void header_round_trips(void **state)
{
    struct log_header header = sample_header(9);
    struct bytes_writer out = bytes_writer(LOG_HEADER_MAX);
    struct log_header back;
    struct error error;
    size_t used;

    (void)state;
    assert_int_equal(log_header_encode(&header, &out, &error), 0);
    for (size_t length = 0; length < out.length; length++)
        assert_int_equal(log_header_decode(out.data, length, &back, &used, &error), 0);
    assert_int_equal(log_header_decode(out.data, out.length, &back, &used, &error), 1);
    assert_int_equal(used, out.length);
    assert_string_equal(back.machine, SAMPLE_MACHINE);
    assert_memory_equal(&back.id, &header.id, sizeof header.id);
    log_header_free(&back);
    for (size_t bit = 0; bit < 8 * out.length; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int result = log_header_decode(out.data, out.length, &back, &used, &error);
        assert_true(result == -1 || (result == 0 && bit / 8 >= 12 && bit / 8 < 16));
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    bytes_writer_free(&out);
}

static void foreign_and_newer_files_are_named(void **state)
{
    struct log_header header = sample_header(9);
    struct bytes_writer out = bytes_writer(LOG_HEADER_MAX);
    struct log_header back;
    struct error error;
    size_t used;

    (void)state;
    assert_int_equal(log_header_decode((const uint8_t *)"\177ELF.....", 9, &back, &used, &error), -1);
    assert_string_equal(error.text, "not an Encore log");
    assert_int_equal(log_header_encode(&header, &out, &error), 0);
    bytes_store(out.data + 8, 2, 7);
    assert_int_equal(log_header_decode(out.data, 10, &back, &used, &error), -1);
    assert_string_equal(error.text, "written by a newer encore (format 7, this one reads up to 1)");
    bytes_writer_free(&out);
}

static void description_must_be_a_small_json_object(void **state)
{
    static const char *const wrong[] = {"", "{", "[]", "\"text\"", "{\"a\":1,\"a\":2}", "{} x"};
    struct bytes_writer out = bytes_writer(2 * LOG_HEADER_MAX);
    struct log_header header = sample_header(9);
    struct error error;
    char *large = malloc(LOG_MACHINE_MAX + 2);

    (void)state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        header.machine = (char *)(uintptr_t)wrong[i];
        assert_int_equal(log_header_encode(&header, &out, &error), -1);
        assert_int_equal(error.kind, ERROR_INPUT);
    }
    memset(large, ' ', LOG_MACHINE_MAX + 1);
    memcpy(large, "{}", 2);
    large[LOG_MACHINE_MAX + 1] = 0;
    header.machine = large;
    assert_int_equal(log_header_encode(&header, &out, &error), -1);
    large[LOG_MACHINE_MAX] = 0;
    assert_int_equal(log_header_encode(&header, &out, &error), 0);
    assert_int_equal(out.length, LOG_HEADER_MAX);
    free(large);
    bytes_writer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(every_flip_is_refused),
        cmocka_unit_test(frame_of_another_log_is_refused),
        cmocka_unit_test(forged_contents_are_refused),
        cmocka_unit_test(header_round_trips),
        cmocka_unit_test(foreign_and_newer_files_are_named),
        cmocka_unit_test(description_must_be_a_small_json_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
