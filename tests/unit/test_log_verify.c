/*
 * Verifying and summing up logs.
 */
#include "tests/unit/log_samples.h"

#include <stdio.h>
#include <unistd.h>
#include <xxhash.h>

#include "logs/verify.h"

static struct log_summary verify(const struct test_sink *sink, size_t length)
{
    struct log_memory memory = {.bytes = sink->bytes.data, .length = length};
    struct log_source source = log_source_memory(&memory);
    struct log_summary summary;
    struct error error;

    assert_int_equal(log_verify_source(&source, "test.enc", &summary, &error), 0);
    return summary;
}

static void sound_log(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};

    (void)state;
    sample_make(&sink, 31, 8, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    struct log_summary summary = verify(&sink, sink.bytes.length);
    assert_true(log_summary_sound(&summary));
    assert_int_equal(summary.stopped.kind, ERROR_NONE);
    assert_int_equal(summary.records[0], expected.count);
    assert_int_equal(summary.records[LOG_TIME], 8);
    assert_int_equal(summary.records[LOG_CHECKPOINT], 4);
    assert_int_equal(summary.records[LOG_END], 1);
    assert_int_equal(summary.frames[0], map.count);
    assert_int_equal(summary.frames[2], 3); /* of checkpoints 3, 5 and 7; number 1 is empty */
    assert_int_equal(summary.frames[3], 1);
    assert_int_equal(summary.checkpoint_raw, 750 + 1050 + 1350);
    assert_int_equal(summary.stored_bytes, sink.bytes.length - map.offset[0] - 32);
    assert_int_equal(summary.file_bytes, sink.bytes.length);
    assert_true(summary.raw_bytes > summary.checkpoint_raw);
    assert_true(position_equal(&summary.first, &expected.records[0].at));
    assert_true(position_equal(&summary.last, &expected.records[expected.count - 1].at));
    assert_true(record_equal(&summary.end, &expected.records[expected.count - 1]));
    assert_true(summary.timed);
    assert_int_equal(summary.time_last, expected.records[expected.count - 1].time);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

static void log_without_an_end(void **state)
{
    struct test_sink sink;

    (void)state;
    sample_make(&sink, 32, 4, true, NULL);
    struct log_summary summary = verify(&sink, sink.bytes.length);
    assert_false(log_summary_sound(&summary));
    assert_false(summary.ended);
    assert_int_equal(summary.stopped.kind, ERROR_INPUT);
    assert_int_equal(summary.stop_offset, sink.bytes.length);
    assert_true(summary.cut);
    bytes_writer_free(&sink.bytes);
}

/* A log that breaks off anywhere is cut; one with a wrong byte anywhere is damaged, be it a frame's length that makes
 * the frame seem to go on behind the end. */
static void cut_or_damaged(void **state)
{
    struct test_sink sink;

    (void)state;
    sample_make(&sink, 36, 4, false, NULL);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    size_t first = map.offset[0];
    for (size_t length = first; length < sink.bytes.length; length++) {
        struct log_summary summary = verify(&sink, length);
        assert_false(log_summary_sound(&summary));
        assert_true(summary.cut);
    }
    for (size_t at = first; at < sink.bytes.length; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sink.bytes.data[at] ^= (uint8_t)(1u << bit);
            struct log_summary summary = verify(&sink, sink.bytes.length);
            assert_false(log_summary_sound(&summary));
            if (at < sink.bytes.length - 32) /* a wrong trailer is none, and the frames before it are good */
                assert_false(summary.cut);
            sink.bytes.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    struct log_summary summary = verify(&sink, sink.bytes.length);
    assert_true(log_summary_sound(&summary));
    assert_false(summary.cut);
    bytes_writer_free(&sink.bytes);
}

/* Index and trailer missing, cut, or followed by something. */
static void wrong_after_the_end(void **state)
{
    struct test_sink sink;

    (void)state;
    sample_make(&sink, 33, 4, false, NULL);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    size_t index = map.offset[map.count - 1];
    for (size_t length = index; length < sink.bytes.length; length++) {
        struct log_summary summary = verify(&sink, length);
        assert_true(summary.ended);
        assert_false(log_summary_sound(&summary));
        assert_int_equal(summary.index.kind, ERROR_INPUT);
        assert_true(summary.cut);
    }
    struct log_summary cut = verify(&sink, index);
    assert_string_equal(cut.index.text, "test.enc: the log has no index: it was not closed");
    bytes_put(&sink.bytes, "x", 1);
    struct log_summary summary = verify(&sink, sink.bytes.length);
    assert_true(summary.ended);
    assert_false(log_summary_sound(&summary));
    assert_false(summary.cut);
    bytes_writer_free(&sink.bytes);
}

/* A CHECKPOINT_DATA frame whose checksum is right but whose contents do not decompress: only verify looks inside. */
static void data_that_do_not_decompress(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    struct log_header header = sample_header(34);
    size_t frame = 0;

    (void)state;
    sample_make(&sink, 34, 4, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    while (map.kind[frame] != 2)
        frame++;
    uint8_t *bytes = sink.bytes.data + map.offset[frame];
    assert_int_equal(bytes[3], 2);
    memset(bytes + 32, 0xee, 20);
    uint64_t seed = XXH3_64bits_withSeed(bytes, 24, XXH3_64bits(header.id.bytes, 16));
    bytes_store(bytes + 24, 8, XXH3_64bits_withSeed(bytes + 32, (size_t)bytes_load(bytes + 12, 4), seed));
    struct outcome outcome = read_bytes(sink.bytes.data, sink.bytes.length, false, &expected);
    assert_int_equal(outcome.last, LOG_READ_END);
    struct log_summary summary = verify(&sink, sink.bytes.length);
    assert_false(summary.ended);
    assert_int_equal(summary.stop_offset, map.offset[frame]);
    assert_non_null(strstr(summary.stopped.text, "do not decompress"));
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

static void files(void **state)
{
    struct test_sink sink;
    struct log_summary summary;
    struct error error;
    char path[] = "/tmp/encore-verify-XXXXXX";
    char too_long[300] = {0}; /* for a file name (NAME_MAX) */
    int fd = mkstemp(path);

    (void)state;
    const char *const wrong[] = {"/tmp/no/such/log", "/dev/null/log", "/tmp", "/dev/null", too_long};
    memset(too_long, 'x', sizeof too_long - 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error.kind = ERROR_NONE;
        assert_int_equal(log_verify(wrong[i], &summary, &error), -1);
        assert_int_equal(error.kind, ERROR_INPUT);
    }
    assert_int_equal(log_verify(path, &summary, &error), -1);
    assert_non_null(strstr(error.text, "not an Encore log"));
    sample_make(&sink, 35, 4, false, NULL);
    assert_int_equal(write(fd, sink.bytes.data, sink.bytes.length), sink.bytes.length);
    assert_int_equal(log_verify(path, &summary, &error), 0);
    assert_true(log_summary_sound(&summary));
    close(fd);
    unlink(path);
    bytes_writer_free(&sink.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_log),
        cmocka_unit_test(log_without_an_end),
        cmocka_unit_test(cut_or_damaged),
        cmocka_unit_test(wrong_after_the_end),
        cmocka_unit_test(data_that_do_not_decompress),
        cmocka_unit_test(files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
