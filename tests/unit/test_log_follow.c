/*
 * Reading a log while it is being written: from a file, byte by byte from memory, and through a feed as a backup does.
 */
#include "tests/unit/log_samples.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "logs/file_sink.h"

/* Reads what there is; every record must be the next expected one. */
static enum log_read drain(struct log_reader *reader, const struct expected *expected, size_t *done)
{
    struct log_record record;
    struct error error;
    enum log_read result;

    while ((result = log_reader_next(reader, &record, &error)) == LOG_READ_RECORD) {
        assert_true(*done < expected->count);
        assert_true(record_equal(&record, &expected->records[*done]));
        (*done)++;
    }
    return result;
}

static void log_grows_by_single_bytes(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    struct log_memory memory = {.length = 0};
    struct log_source source = log_source_memory(&memory);
    struct error error;
    size_t done = 0;

    (void)state;
    sample_make(&sink, 21, 8, false, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    memory.bytes = sink.bytes.data;
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", true, &error);
    assert_non_null(reader);
    size_t frame = 0;
    for (size_t length = 0; length <= sink.bytes.length; length++) {
        memory.length = length;
        enum log_read result = drain(reader, &expected, &done);
        while (frame < map.count && map.offset[frame + 1] <= length)
            frame++;
        assert_int_equal(done, map.records_before[frame]);
        assert_int_equal(result, done == expected.count ? LOG_READ_END : LOG_READ_WAIT);
        assert_int_equal(log_reader_header(reader) != NULL, length >= map.offset[0]);
    }
    log_reader_close(reader);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* A backup's view: pieces of any size pushed in, checkpoints fetched as they come by, nothing kept for long. */
static void feed_in_pieces(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    struct dice dice = {.state = 6};
    struct log_feed feed;
    struct error error;
    struct log_record record;
    size_t done = 0;
    unsigned fetched = 0;

    (void)state;
    sample_make(&sink, 22, 40, false, &expected);
    log_feed_init(&feed, 16384);
    struct log_source source = log_feed_source(&feed);
    struct log_reader *reader = log_reader_open_source(&source, "primary", true, &error);
    assert_non_null(reader);
    enum log_read result = LOG_READ_WAIT;
    for (size_t sent = 0; sent < sink.bytes.length;) {
        size_t now = 1 + dice_below(&dice, 200);
        now = now < sink.bytes.length - sent ? now : sink.bytes.length - sent;
        assert_int_equal(log_feed_push(&feed, sink.bytes.data + sent, now, &error), 0);
        sent += now;
        while ((result = log_reader_next(reader, &record, &error)) == LOG_READ_RECORD) {
            assert_true(record_equal(&record, &expected.records[done]));
            done++;
            if (record.type != LOG_CHECKPOINT)
                continue;
            struct bytes_writer blob = bytes_writer(1 << 16);
            if (log_reader_checkpoint(reader, record.id, &blob, &error))
                fail_msg("%s", error.text);
            assert_int_equal(blob.length, sample_blob_length(record.id));
            for (size_t i = 0; i < blob.length; i++)
                assert_int_equal(blob.data[i], blob_byte(record.id, i));
            bytes_writer_free(&blob);
            fetched++;
        }
        assert_true(result == LOG_READ_WAIT || result == LOG_READ_END);
    }
    assert_int_equal(result, LOG_READ_END);
    assert_int_equal(done, expected.count);
    assert_int_equal(fetched, 20);
    assert_true(sink.bytes.length > 2 * feed.held.limit); /* so the feed did forget */
    struct bytes_writer blob = bytes_writer(1 << 16);
    assert_int_equal(log_reader_checkpoint(reader, 3, &blob, &error), -1);
    assert_non_null(strstr(error.text, "no longer held"));
    bytes_writer_free(&blob);
    log_reader_close(reader);
    log_feed_free(&feed);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

static void feed_has_a_limit(void **state)
{
    struct log_feed feed;
    struct error error;
    uint8_t bytes[100] = {0};

    (void)state;
    log_feed_init(&feed, 150);
    assert_int_equal(log_feed_push(&feed, bytes, 100, &error), 0);
    assert_int_equal(log_feed_push(&feed, bytes, 51, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_int_equal(log_feed_push(&feed, bytes, 50, &error), 0);
    log_feed_free(&feed);
}

static void writer_and_reader_take_turns(void **state)
{
    char path[] = "/tmp/encore-follow-XXXXXX";
    struct error error;
    struct log_header header = sample_header(1);
    struct log_record record;

    (void)state;
    close(mkstemp(path));
    struct file_sink *file = file_sink_create(NULL, path, true, FILE_SINK_PAGE_CACHE, &error);
    struct log_sink to = file_sink_sink(file);
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);
    struct log_reader *reader = log_reader_open(NULL, path, true, &error);
    assert_non_null(reader);
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_WAIT);
    for (uint64_t i = 0; i < 300; i++) {
        struct log_record time = {.type = LOG_TIME, .at = position_at_exit(i), .time = i * i};
        assert_int_equal(log_writer_append(writer, &time, &error), 0);
        if (i % 3 != 2)
            continue;
        assert_int_equal(log_writer_flush(writer, &error), 0);
        for (uint64_t j = i - 2; j <= i; j++) {
            assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_RECORD);
            assert_int_equal(record.time, j * j);
        }
        assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_WAIT);
    }
    struct log_record end = {.type = LOG_END, .at = position_at_exit(300)};
    assert_int_equal(log_writer_append(writer, &end, &error), 0);
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    assert_int_equal(file_sink_close(file, &error), 0);
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_RECORD);
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_END);
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_END);
    log_reader_close(reader);
    unlink(path);
}

static void end_of_following(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    struct error error;
    struct log_record record;
    size_t done = 0;

    (void)state;
    sample_make(&sink, 23, 3, true, &expected);
    struct log_memory memory = {.bytes = sink.bytes.data, .length = sink.bytes.length - 1};
    struct log_source source = log_source_memory(&memory);
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", true, &error);
    assert_int_equal(drain(reader, &expected, &done), LOG_READ_WAIT);
    log_reader_unfollow(reader);
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_STOPPED);
    assert_non_null(strstr(error.text, "breaks off within a frame"));
    log_reader_close(reader);
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* A frame in the making that is already wrong is not waited for. */
static void damage_is_not_waited_for(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};

    (void)state;
    sample_make(&sink, 24, 3, true, &expected);
    struct frame_map map = frame_map(sink.bytes.data, sink.bytes.length);
    sink.bytes.data[map.offset[1]] ^= 1;
    struct outcome outcome = read_bytes(sink.bytes.data, map.offset[1] + 40, true, &expected);
    assert_int_equal(outcome.last, LOG_READ_STOPPED);
    assert_int_equal(outcome.records, map.records_before[1]);
    assert_non_null(strstr(outcome.error.text, "no frame begins here"));
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* What the child of the next test does until it is killed: record, and say on the pipe how many frames are flushed. */
static void record_until_killed(const char *path, int pipe_end)
{
    struct error error;
    struct log_header header = sample_header(1);
    struct file_sink *file = file_sink_create(NULL, path, true, FILE_SINK_PAGE_CACHE, &error);
    struct log_sink to = file_sink_sink(file);
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    for (uint64_t i = 0;; i++) {
        struct log_record record = {.type = LOG_TIME, .at = position_at_exit(i), .time = i};
        if (log_writer_append(writer, &record, &error) || log_writer_flush(writer, &error) ||
            write(pipe_end, "x", 1) != 1)
            _exit(1);
    }
}

static void recorder_is_killed(void **state)
{
    char path[] = "/tmp/encore-killed-XXXXXX";
    int ends[2];
    struct error error;
    struct log_record record;
    uint64_t acknowledged = 0;
    uint64_t read_back = 0;
    char buffer[64];

    (void)state;
    close(mkstemp(path));
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        record_until_killed(path, ends[1]);
    }
    close(ends[1]);
    for (ssize_t n; acknowledged < 200; acknowledged += (uint64_t)n) {
        n = read(ends[0], buffer, sizeof buffer);
        assert_true(n > 0);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ends[0]);
    struct log_reader *reader = log_reader_open(NULL, path, false, &error);
    assert_non_null(reader);
    while (log_reader_next(reader, &record, &error) == LOG_READ_RECORD) {
        assert_int_equal(record.time, read_back);
        read_back++;
    }
    assert_true(read_back >= acknowledged);
    assert_non_null(strstr(error.text, "breaks off"));
    log_reader_close(reader);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_grows_by_single_bytes), cmocka_unit_test(feed_in_pieces),
        cmocka_unit_test(feed_has_a_limit),          cmocka_unit_test(writer_and_reader_take_turns),
        cmocka_unit_test(end_of_following),          cmocka_unit_test(damage_is_not_waited_for),
        cmocka_unit_test(recorder_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
