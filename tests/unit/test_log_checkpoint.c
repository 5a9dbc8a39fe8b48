/*
 * Checkpoints in a log: storing, listing, fetching, seeking, with an index and without one.
 */
#include "tests/unit/log_samples.h"

#include "logs/frame.h"

/* A log with checkpoints 0, 1, ... of the given lengths, a TIME record after each, and an END if `ended`. */
static struct test_sink checkpoint_log(const uint64_t *lengths, uint32_t count, bool ended)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    assert_non_null(writer);
    for (uint32_t id = 0; id < count; id++) {
        struct log_record record = {.type = LOG_CHECKPOINT, .id = id, .parent = LOG_NO_PARENT};
        record.at = position_at_exit(10 * id);
        record.time = 1000 * id;
        assert_int_equal(sample_checkpoint(writer, &record, lengths[id], &error), 0);
        struct log_record time = {.type = LOG_TIME, .at = position_at_exit(10 * id + 1), .time = 1000 * id + 7};
        assert_int_equal(log_writer_append(writer, &time, &error), 0);
    }
    struct log_record end = {.type = LOG_END, .at = position_at_exit(10 * count)};
    if (ended)
        assert_int_equal(log_writer_append(writer, &end, &error), 0);
    assert_int_equal(log_writer_close(writer, &error), 0);
    assert_int_equal(log_writer_counters(writer)->checkpoints, count);
    log_writer_free(writer);
    return sink;
}

static struct log_reader *open_memory(struct log_memory *memory, const struct test_sink *sink, bool follow)
{
    *memory = (struct log_memory){.bytes = sink->bytes.data, .length = sink->bytes.length};
    struct log_source source = log_source_memory(memory);
    struct error error;
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", follow, &error);

    assert_non_null(reader);
    return reader;
}

static void expect_blob(struct log_reader *reader, uint32_t id, uint64_t length)
{
    struct bytes_writer blob = bytes_writer(length);
    struct error error;

    if (log_reader_checkpoint(reader, id, &blob, &error))
        fail_msg("%s", error.text);
    assert_int_equal(blob.length, length);
    for (uint64_t i = 0; i < length; i++) {
        if (blob.data[i] != blob_byte(id, i))
            fail_msg("byte %lu of checkpoint %u", (unsigned long)i, id);
    }
    bytes_writer_free(&blob);
    if (length > 0) {
        struct bytes_writer small = bytes_writer(length - 1);
        assert_int_equal(log_reader_checkpoint(reader, id, &small, &error), -1);
        assert_int_equal(error.kind, ERROR_INPUT);
        assert_non_null(strstr(error.text, "are more than"));
        bytes_writer_free(&small);
    }
}

static const uint64_t lengths[] = {0,
                                   1,
                                   5000,
                                   FRAME_RAW_MAX - 1,
                                   FRAME_RAW_MAX,
                                   FRAME_RAW_MAX + 1,
                                   0,
                                   1000,
                                   2 * FRAME_RAW_MAX,
                                   3 * FRAME_RAW_MAX + 77};
#define LENGTHS (sizeof lengths / sizeof lengths[0])

static void check_all(struct log_reader *reader)
{
    const struct log_checkpoint *list;
    struct log_record record;
    struct error error;
    size_t count;

    assert_int_equal(log_reader_checkpoints(reader, &list, &count, &error), 0);
    assert_int_equal(count, LENGTHS);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i].record.id, i);
        assert_int_equal(list[i].record.at.exits, 10 * i);
        assert_int_equal(list[i].record.blob_length, lengths[i]);
    }
    for (size_t i = LENGTHS; i-- > 0;) {
        expect_blob(reader, (uint32_t)i, lengths[i]);
        assert_int_equal(log_reader_seek_checkpoint(reader, (uint32_t)i, &error), 0);
        assert_int_equal(log_reader_place(reader).record, 2 * i);
        assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_RECORD);
        assert_int_equal(record.type, LOG_TIME);
        assert_int_equal(record.time, 1000 * i + 7);
        assert_int_equal(log_reader_place(reader).record, 2 * i + 1);
    }
    assert_int_equal(log_reader_seek_checkpoint(reader, LENGTHS, &error), -1);
    assert_string_equal(error.text, "test.enc: there is no checkpoint 10 in the log");
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_RECORD); /* the place did not change */
    assert_int_equal(record.type, LOG_CHECKPOINT);
    assert_int_equal(record.id, 1);
}

static void through_the_index(void **state)
{
    struct test_sink sink = checkpoint_log(lengths, LENGTHS, true);
    struct log_memory memory;
    struct log_reader *reader = open_memory(&memory, &sink, false);

    (void)state;
    check_all(reader);
    log_reader_close(reader);
    bytes_writer_free(&sink.bytes);
}

static void without_an_index(void **state)
{
    struct test_sink sink = checkpoint_log(lengths, LENGTHS, false);
    struct log_memory memory;
    struct log_reader *reader = open_memory(&memory, &sink, false);

    (void)state;
    check_all(reader);
    log_reader_close(reader);
    bytes_writer_free(&sink.bytes);
}

/* Every byte of index and trailer damaged in turn: the checkpoints are found all the same. */
static void damaged_index_is_rebuilt(void **state)
{
    static const uint64_t few[] = {100, 0, 200};
    struct test_sink sink = checkpoint_log(few, 3, true);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    size_t index = map.offset[map.count - 1];

    (void)state;
    assert_int_equal(map.kind[map.count - 1], 3);
    for (size_t at = index; at < sink.bytes.length; at++) {
        struct log_memory memory;
        sink.bytes.data[at] ^= 0xff;
        struct log_reader *reader = open_memory(&memory, &sink, false);
        for (uint32_t id = 0; id < 3; id++)
            expect_blob(reader, id, few[id]);
        log_reader_close(reader);
        sink.bytes.data[at] ^= 0xff;
    }
    bytes_writer_free(&sink.bytes);
}

/* The end of the log destroyed from each frame on: the checkpoints before it are found. */
static void checkpoints_before_the_damage(void **state)
{
    static const uint64_t few[] = {100, 0, 200, 50};
    struct test_sink sink = checkpoint_log(few, 4, true);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    size_t expected = 0;

    (void)state;
    for (size_t frame = 0; frame < map.count; frame++) {
        struct log_memory memory;
        const struct log_checkpoint *list;
        struct error error;
        size_t count;
        struct log_reader *reader = open_memory(&memory, &sink, false);
        memory.length = map.offset[frame] + 40;
        assert_int_equal(log_reader_checkpoints(reader, &list, &count, &error), 0);
        assert_int_equal(count, expected);
        log_reader_close(reader);
        /* A frame with one record is a checkpoint's, or a TIME record's, which is short. */
        const uint8_t *at = sink.bytes.data + map.offset[frame];
        expected += at[2] == 1 && bytes_load(at + 20, 4) == 1 && bytes_load(at + 12, 4) > 20;
    }
    assert_int_equal(expected, 4);
    bytes_writer_free(&sink.bytes);
}

/* So many checkpoints that the index takes several frames. */
static void long_index(void **state)
{
    uint32_t count = 5000;
    uint64_t *small = calloc(count, sizeof *small);
    struct log_memory memory;
    const struct log_checkpoint *list;
    struct error error;
    size_t listed;

    (void)state;
    for (uint32_t i = 0; i < count; i++)
        small[i] = i % 3;
    struct test_sink sink = checkpoint_log(small, count, true);
    struct log_reader *reader = open_memory(&memory, &sink, false);
    assert_int_equal(log_reader_checkpoints(reader, &list, &listed, &error), 0);
    assert_int_equal(listed, count);
    expect_blob(reader, 4321, small[4321]);
    log_reader_close(reader);
    /* The trailer points to the first INDEX frame; more than one stands between it and the trailer. */
    size_t at = (size_t)bytes_load(sink.bytes.data + sink.bytes.length - 24, 8);
    unsigned frames = 0;
    for (; at < sink.bytes.length - 32; frames++) {
        assert_int_equal(sink.bytes.data[at + 2], 3);
        at += 32 + (size_t)bytes_load(sink.bytes.data + at + 12, 4);
    }
    assert_true(frames > 2);
    free(small);
    bytes_writer_free(&sink.bytes);
}

static void cancelled_checkpoint_leaves_a_good_log(void **state)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct log_record record = {.type = LOG_CHECKPOINT, .id = 4, .parent = LOG_NO_PARENT};
    struct log_record time = {.type = LOG_TIME, .time = 5, .parent = LOG_NO_PARENT};
    struct expected expected = {0};
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);
    uint8_t *bytes = calloc(2, FRAME_RAW_MAX);

    (void)state;
    assert_int_equal(log_writer_checkpoint_begin(writer, &error), 0);
    assert_int_equal(log_writer_checkpoint_write(writer, bytes, FRAME_RAW_MAX + 10, &error), 0);
    log_writer_checkpoint_cancel(writer);
    assert_int_equal(sample_checkpoint(writer, &record, 333, &error), 0);
    expected_add(&expected, &record, 333);
    assert_int_equal(log_writer_checkpoint_begin(writer, &error), 0);
    assert_int_equal(log_writer_checkpoint_write(writer, bytes, FRAME_RAW_MAX, &error), 0);
    log_writer_checkpoint_cancel(writer);
    assert_int_equal(log_writer_append(writer, &time, &error), 0);
    expected_add(&expected, &time, 0);
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    struct outcome outcome = read_bytes(sink.bytes.data, sink.bytes.length, false, &expected);
    assert_int_equal(outcome.records, 2);
    assert_false(outcome.differs);
    struct log_memory memory;
    struct log_reader *reader = open_memory(&memory, &sink, false);
    expect_blob(reader, 4, 333);
    log_reader_close(reader);
    free(bytes);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* Data damaged in the middle: the records before are read, the fetch says what is wrong. */
static void damaged_data(void **state)
{
    static const uint64_t few[] = {700000};
    struct test_sink sink = checkpoint_log(few, 1, true);
    struct log_memory memory;
    struct bytes_writer blob = bytes_writer(1u << 20);
    struct error error;

    (void)state;
    sink.bytes.data[sink.bytes.length / 2] ^= 1;
    struct log_reader *reader = open_memory(&memory, &sink, false);
    assert_int_equal(log_reader_checkpoint(reader, 0, &blob, &error), -1);
    assert_non_null(strstr(error.text, "test.enc: checkpoint 0: frame 1 at byte"));
    assert_non_null(strstr(error.text, "checksum does not match"));
    bytes_writer_free(&blob);
    log_reader_close(reader);
    bytes_writer_free(&sink.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(through_the_index),
        cmocka_unit_test(without_an_index),
        cmocka_unit_test(damaged_index_is_rebuilt),
        cmocka_unit_test(checkpoints_before_the_damage),
        cmocka_unit_test(long_index),
        cmocka_unit_test(cancelled_checkpoint_leaves_a_good_log),
        cmocka_unit_test(damaged_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
