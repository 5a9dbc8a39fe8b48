/*
 * Logs that are cut off, flipped, spliced and shuffled: whatever happens to a log, what was whole before the damage is
 * delivered, nothing else is, and it is said.
 */
#include "tests/unit/log_samples.h"

#include <stdio.h>
#include <xxhash.h>

#include "logs/verify.h"

#define ROUNDS 8

/* How many records stand in the frames that end at or before `length`. */
static size_t records_within(const struct frame_map *map, size_t length)
{
    size_t frames = 0;

    while (frames < map->count && map->offset[frames + 1] <= length)
        frames++;
    return map->records_before[frames];
}

static void whole_log_reads_back(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};

    (void)state;
    sample_make(&sink, 1, ROUNDS, false, &expected);
    struct outcome outcome = read_bytes(sink.bytes.data, sink.bytes.length, false, &expected);
    assert_true(outcome.opened);
    assert_int_equal(outcome.last, LOG_READ_END);
    assert_int_equal(outcome.records, expected.count);
    assert_false(outcome.differs);
    assert_true(expected.count > 7 * ROUNDS);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* Cut at every byte, read plainly and in follow mode. */
static void every_truncation(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};

    (void)state;
    sample_make(&sink, 2, ROUNDS, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    for (size_t length = 0; length < sink.bytes.length; length++) {
        uint8_t *log = malloc(length ? length : 1);
        assert_non_null(log);
        memcpy(log, sink.bytes.data, length);
        size_t records = records_within(&map, length);
        bool ended = records == expected.count;
        struct outcome plain = read_bytes(log, length, false, &expected);
        struct outcome follow = read_bytes(log, length, true, &expected);
        assert_int_equal(plain.opened, length >= map.offset[0]);
        assert_true(follow.opened);
        assert_int_equal(follow.last, ended ? LOG_READ_END : LOG_READ_WAIT);
        assert_int_equal(follow.records, records);
        assert_false(follow.differs);
        if (plain.opened) {
            assert_int_equal(plain.last, ended ? LOG_READ_END : LOG_READ_STOPPED);
            assert_int_equal(plain.records, records);
            assert_false(plain.differs);
            assert_true(ended || strstr(plain.error.text, "breaks off"));
            assert_true(ended || strncmp(plain.error.text, "test.enc: frame ", 16) == 0);
        }
        free(log);
    }
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* One byte at `at` was changed: the log must be refused, or stop in the frame of that byte, or be found wanting by
 * log_verify when the byte stands behind the END record. */
static void check_changed(const struct test_sink *sink, const struct frame_map *map, const struct expected *expected,
                          size_t at)
{
    struct outcome outcome = read_bytes(sink->bytes.data, sink->bytes.length, false, expected);
    struct log_memory memory = {.bytes = sink->bytes.data, .length = sink->bytes.length};
    struct log_source source = log_source_memory(&memory);
    struct log_summary summary;
    struct error error;
    size_t frame = 0;

    if (at < map->offset[0]) {
        assert_false(outcome.opened);
        return;
    }
    assert_true(outcome.opened);
    assert_false(outcome.differs);
    while (frame < map->count && map->offset[frame + 1] <= at)
        frame++;
    bool after_end = map->records_before[frame] == expected->count;
    assert_int_equal(outcome.last, after_end ? LOG_READ_END : LOG_READ_STOPPED);
    assert_int_equal(outcome.records, map->records_before[frame]);
    assert_int_equal(log_verify_source(&source, "test.enc", &summary, &error), 0);
    assert_false(log_summary_sound(&summary));
    assert_int_equal(summary.records[0], map->records_before[frame]);
    assert_int_equal(summary.ended, after_end);
    if (!after_end) {
        char words[64];
        snprintf(words, sizeof words, "test.enc: frame %zu at byte %zu: ", frame, map->offset[frame]);
        assert_non_null(strstr(outcome.error.text, words));
        assert_int_equal(summary.stop_offset, map->offset[frame]);
    }
}

static void every_flip(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    struct dice dice = {.state = 77};

    (void)state;
    sample_make(&sink, 3, ROUNDS, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    for (size_t at = 0; at < sink.bytes.length; at++) {
        uint8_t masks[2] = {0xff, (uint8_t)(1u << dice_below(&dice, 8))};
        for (unsigned i = 0; i < 2; i++) {
            sink.bytes.data[at] ^= masks[i];
            check_changed(&sink, &map, &expected, at);
            sink.bytes.data[at] ^= masks[i];
        }
    }
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* Gives the frame at `frame` another sequence number and the checksum that goes with it. */
static void renumber(uint8_t *frame, uint8_t id, uint64_t sequence)
{
    struct log_header header = sample_header(id);

    bytes_store(frame + 4, 8, sequence);
    uint64_t seed = XXH3_64bits_withSeed(frame, 24, XXH3_64bits(header.id.bytes, 16));
    bytes_store(frame + 24, 8, XXH3_64bits_withSeed(frame + 32, (size_t)bytes_load(frame + 12, 4), seed));
}

/* A new log made of the header and the given frames of `sink`. */
static struct bytes_writer arrange(const struct test_sink *sink, const struct frame_map *map, const size_t *frames,
                                   size_t count)
{
    struct bytes_writer log = bytes_writer(1u << 24);

    bytes_put(&log, sink->bytes.data, map->offset[0]);
    for (size_t i = 0; i < count; i++)
        bytes_put(&log, sink->bytes.data + map->offset[frames[i]], map->offset[frames[i] + 1] - map->offset[frames[i]]);
    assert_false(log.failed);
    return log;
}

static void expect_stop(const struct bytes_writer *log, const struct expected *expected, size_t records,
                        const char *words)
{
    struct outcome outcome = read_bytes(log->data, log->length, false, expected);

    assert_true(outcome.opened);
    assert_int_equal(outcome.last, LOG_READ_STOPPED);
    assert_int_equal(outcome.records, records);
    assert_false(outcome.differs);
    if (!strstr(outcome.error.text, words))
        fail_msg("expected \"%s\" in \"%s\"", words, outcome.error.text);
}

static void removed_doubled_and_moved_frames(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    static const size_t removed[] = {0, 1, 3, 4};
    static const size_t doubled[] = {0, 1, 1, 2};
    static const size_t moved[] = {0, 2, 1, 3};

    (void)state;
    sample_make(&sink, 4, ROUNDS, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    struct bytes_writer log = arrange(&sink, &map, removed, 4);
    expect_stop(&log, &expected, map.records_before[2], "this is frame 3, out of its place");
    bytes_writer_free(&log);
    log = arrange(&sink, &map, doubled, 4);
    expect_stop(&log, &expected, map.records_before[2], "this is frame 1, out of its place");
    bytes_writer_free(&log);
    log = arrange(&sink, &map, moved, 4);
    expect_stop(&log, &expected, map.records_before[1], "this is frame 2, out of its place");
    bytes_writer_free(&log);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* Even with sequence number and checksum set right, a frame that does not go on from the one before is refused. */
static void removed_frame_with_forged_numbers(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    static const size_t removed[] = {0, 4};

    (void)state;
    sample_make(&sink, 5, ROUNDS, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    assert_int_equal(map.kind[0], 1);
    assert_int_equal(map.kind[4], 1);
    struct bytes_writer log = arrange(&sink, &map, removed, 2);
    renumber(log.data + map.offset[1], 5, 1);
    expect_stop(&log, &expected, map.records_before[1], "does not go on where the one before it ended");
    bytes_writer_free(&log);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

static void frame_of_another_log(void **state)
{
    struct test_sink sink;
    struct test_sink other;
    struct expected expected = {0};

    (void)state;
    sample_make(&sink, 6, ROUNDS, false, &expected);
    sample_make(&other, 7, ROUNDS, false, NULL);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    struct frame_map other_map = frame_map(other.bytes.data, other.bytes.length);
    struct bytes_writer log = bytes_writer(1u << 24);
    bytes_put(&log, sink.bytes.data, map.offset[1]);
    bytes_put(&log, other.bytes.data + other_map.offset[1], other.bytes.length - other_map.offset[1]);
    expect_stop(&log, &expected, map.records_before[1], "frame 1 at byte");
    expect_stop(&log, &expected, map.records_before[1], "the checksum does not match");
    bytes_writer_free(&log);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
    bytes_writer_free(&other.bytes);
}

/* Pieces of a checkpoint's data must all be there, in their order. */
static void missing_checkpoint_data(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};

    (void)state;
    sample_make(&sink, 8, ROUNDS, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    size_t data = 0;
    while (map.kind[data] != 2)
        data++;
    assert_int_equal(data,
                     5); /* 0 and 1: rounds; 2: the empty checkpoint 1; 3 and 4: rounds; 5: data; 6: checkpoint 3 */
    static const size_t frames[] = {0, 1, 2, 3, 4, 6};
    struct bytes_writer log = arrange(&sink, &map, frames, 6);
    renumber(log.data + map.offset[5], 8, 5);
    expect_stop(&log, &expected, map.records_before[5], "checkpoint 3 has 0 bytes of data instead of 750");
    bytes_writer_free(&log);
    static const size_t second_piece[] = {0, 1, 2, 3, 4, 5, 6};
    log = arrange(&sink, &map, second_piece, 7);
    bytes_store(log.data + map.offset[5] + 20, 4, 1);
    renumber(log.data + map.offset[5], 8, 5);
    expect_stop(&log, &expected, map.records_before[5], "piece 1 of a checkpoint's data is out of its place");
    bytes_writer_free(&log);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

static void random_rubbish_is_never_read(void **state)
{
    struct dice dice = {.state = 9};
    struct expected none = {0};
    uint8_t rubbish[4096];

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        size_t length = dice_below(&dice, sizeof rubbish);
        fill(&dice, rubbish, length);
        assert_false(read_bytes(rubbish, length, false, &none).opened);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_log_reads_back),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_flip),
        cmocka_unit_test(removed_doubled_and_moved_frames),
        cmocka_unit_test(removed_frame_with_forged_numbers),
        cmocka_unit_test(frame_of_another_log),
        cmocka_unit_test(missing_checkpoint_data),
        cmocka_unit_test(random_rubbish_is_never_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
