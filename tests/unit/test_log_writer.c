/*
 * Writing logs: sizes, counters, failing sinks, and files.
 */
#include "tests/unit/log_samples.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logs/file_sink.h"
#include "logs/frame.h"

/* Ten minutes of an idle guest with a 100 Hz timer, flushed once a second. `clock` is whether the times come from the
 * host's clock instead of from deadlines. Returns the bytes of log per second. */
static uint64_t idle_rate(bool clock)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct dice dice = {.state = 1};
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    assert_non_null(writer);
    for (uint64_t tick = 0; tick < 60000; tick++) {
        struct log_record record = {.type = LOG_TIME, .at = position_at_exit(123456789 + 4 * tick)};
        record.to_deadline = !clock;
        if (clock)
            record.time = 5000000000 + 10000000 * tick + dice_below(&dice, 20000);
        assert_int_equal(log_writer_append(writer, &record, &error), 0);
        if (tick % 100 == 99)
            assert_int_equal(log_writer_flush(writer, &error), 0);
    }
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    uint64_t rate = sink.bytes.length / 600;
    bytes_writer_free(&sink.bytes);
    return rate;
}

static void idle_guest_costs_little(void **state)
{
    (void)state;
    uint64_t deadlines = idle_rate(false);
    uint64_t clock = idle_rate(true);
    print_message("idle guest, 100 Hz, a flush a second: %llu B/s with deadlines, %llu B/s with host times\n",
                  (unsigned long long)deadlines, (unsigned long long)clock);
    assert_true(deadlines <= 100);
    assert_true(clock <= 400);
}

static void counters_and_pending(void **state)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct log_record record = {.type = LOG_TIME, .to_deadline = true, .at = position_at_exit(1)};
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    (void)state;
    assert_true(sink.published);
    assert_int_equal(sink.syncs, 0);
    assert_int_equal(log_writer_pending(writer), 0);
    assert_int_equal(log_writer_append(writer, &record, &error), 0);
    size_t pending = log_writer_pending(writer);
    assert_true(pending > 0);
    assert_int_equal(log_writer_flush(writer, &error), 0);
    assert_int_equal(log_writer_flush(writer, &error), 0);
    assert_int_equal(log_writer_pending(writer), 0);
    assert_int_equal(sink.syncs, 1);
    const struct log_counters *counters = log_writer_counters(writer);
    assert_int_equal(counters->records, 1);
    assert_int_equal(counters->frames, 1);
    assert_int_equal(counters->raw_bytes, pending);
    assert_int_equal(counters->stored_bytes, sink.bytes.length);
    log_writer_free(writer);
    bytes_writer_free(&sink.bytes);
}

/* A frame closes by itself when it is large enough, and the log is the same whether or not anybody flushes. */
static void frames_close_by_themselves(void **state)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct log_writer_options options = {.level = 1, .frame_size = 128 * 1024};
    uint8_t payload[LOG_BYTES_MAX];
    struct dice dice = {.state = 2};
    struct expected expected = {0};
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, &options, &error);

    (void)state;
    fill(&dice, payload, sizeof payload);
    for (uint64_t i = 0; i < 100; i++) {
        struct log_record record = {.type = LOG_ENTROPY, .at = position_at_exit(i), .bytes = payload};
        record.length = sizeof payload;
        record.parent = LOG_NO_PARENT;
        expected_add(&expected, &record, 0);
        assert_int_equal(log_writer_append(writer, &record, &error), 0);
    }
    assert_int_equal(log_writer_counters(writer)->frames, 3);
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    struct outcome outcome = read_bytes(sink.bytes.data, sink.bytes.length, false, &expected);
    assert_int_equal(outcome.records, 100);
    assert_false(outcome.differs);
    assert_int_equal(outcome.last, LOG_READ_STOPPED); /* it was closed without an END */
    expected_free(&expected);
    bytes_writer_free(&sink.bytes);
}

/* After a failure: the records of the frames that are whole, and nothing else; with truncation, no torn tail either. */
static void check_after_failure(const struct test_sink *sink, const struct expected *expected, bool truncated)
{
    if (sink->bytes.length < 40 || sink->bytes.length < bytes_load(sink->bytes.data + 12, 4)) {
        assert_false(sink->published);
        return;
    }
    struct frame_map map = frame_map(sink->bytes.data, sink->bytes.length);
    while (map.count > 0 && map.offset[map.count] > sink->bytes.length)
        map.count--;
    struct outcome outcome = read_bytes(sink->bytes.data, sink->bytes.length, false, expected);
    assert_true(outcome.opened);
    assert_false(outcome.differs);
    assert_int_equal(outcome.records, map.records_before[map.count]);
    if (truncated)
        assert_true(map.offset[map.count] == sink->bytes.length || outcome.last == LOG_READ_END);
}

/* Let the first call of the sink fail, then the second, and so on until a run has no failure. */
static void sweep(bool can_truncate)
{
    for (unsigned fail_at = 1;; fail_at++) {
        struct test_sink sink = test_sink();
        struct expected expected = {0};
        struct error error = {.kind = ERROR_NONE};
        sink.fail_at = fail_at;
        sink.can_truncate = can_truncate;
        int result = sample_write(&sink, 11, 6, false, &expected, &error);
        if (result)
            assert_non_null(strstr(error.text, "injected failure"));
        check_after_failure(&sink, &expected, can_truncate);
        unsigned calls = sink.calls;
        expected_free(&expected);
        bytes_writer_free(&sink.bytes);
        if (result == 0) {
            assert_true(calls < fail_at);
            assert_true(fail_at > 15);
            return;
        }
    }
}

static void every_call_of_the_sink_fails_once(void **state)
{
    (void)state;
    sweep(true);
    sweep(false);
}

static void an_error_is_final(void **state)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct log_record record = {.type = LOG_TIME, .to_deadline = true};
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    (void)state;
    size_t header_length = sink.bytes.length;
    assert_int_equal(log_writer_append(writer, &record, &error), 0);
    sink.fail_at = sink.calls + 1;
    assert_int_equal(log_writer_flush(writer, &error), -1);
    assert_int_equal(sink.bytes.length, header_length);
    error.text[0] = 0;
    assert_int_equal(log_writer_append(writer, &record, &error), -1);
    assert_non_null(strstr(error.text, "injected failure 3"));
    assert_int_equal(log_writer_checkpoint_begin(writer, &error), -1);
    assert_int_equal(log_writer_close(writer, &error), -1);
    assert_int_equal(sink.bytes.length, header_length);
    log_writer_free(writer);
    bytes_writer_free(&sink.bytes);
}

/* A directory of its own for each test with files. */
struct place {
    char directory[64];
    char path[96];
};

static void place_make(struct place *place)
{
    strcpy(place->directory, "/tmp/encore-log-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/run.enc", place->directory);
}

static unsigned place_files(const struct place *place)
{
    DIR *directory = opendir(place->directory);
    unsigned files = 0;

    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        files += entry->d_name[0] != '.';
    closedir(directory);
    return files;
}

static void place_remove(const struct place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->directory), 0); /* also shows that no temporary file was left */
}

static struct log_writer *file_writer(struct file_sink *file, uint8_t id, struct error *error)
{
    struct log_sink to = file_sink_sink(file);
    struct log_header header = sample_header(id);

    return log_writer_create(&to, &header, NULL, error);
}

static void file_appears_with_its_header(void **state)
{
    struct place place;
    struct stat status;
    struct error error;

    (void)state;
    place_make(&place);
    struct file_sink *file = file_sink_create(NULL, place.path, false, FILE_SINK_FSYNC, &error);
    assert_non_null(file);
    assert_true(place_files(&place) <= 1); /* without a name, where the file system can do that */
    assert_int_equal(stat(place.path, &status), -1);
    struct log_writer *writer = file_writer(file, 1, &error);
    assert_non_null(writer);
    assert_int_equal(stat(place.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(place_files(&place), 1);
    struct log_reader *reader = log_reader_open(NULL, place.path, true, &error);
    assert_non_null(reader);
    assert_string_equal(log_reader_header(reader)->machine, SAMPLE_MACHINE);
    log_reader_close(reader);
    struct log_record end = {.type = LOG_END, .reason = LOG_END_HALTED};
    assert_int_equal(log_writer_append(writer, &end, &error), 0);
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    assert_int_equal(file_sink_close(file, &error), 0);
    place_remove(&place);
}

static void abandoned_file_is_removed(void **state)
{
    struct place place;
    struct error error;

    (void)state;
    place_make(&place);
    struct file_sink *file = file_sink_create(NULL, place.path, false, FILE_SINK_PAGE_CACHE, &error);
    assert_int_equal(file_sink_close(file, &error), 0);
    assert_int_equal(place_files(&place), 0);
    place_remove(&place);
    file = file_sink_create(NULL, "/nonexistent/run.enc", false, FILE_SINK_PAGE_CACHE, &error);
    assert_null(file);
    assert_int_equal(error.kind, ERROR_INPUT); /* the directory is the user's to name */
    assert_non_null(strstr(error.text, "/nonexistent/run.enc: No such file"));
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
}

static off_t file_length(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void existing_file_is_kept(void **state)
{
    struct place place;
    struct error error;

    (void)state;
    place_make(&place);
    touch(place.path);
    assert_null(file_sink_create(NULL, place.path, false, FILE_SINK_PAGE_CACHE, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_non_null(strstr(error.text, "exists already"));
    unlink(place.path);
    /* The file comes into being between create and publish. */
    struct file_sink *file = file_sink_create(NULL, place.path, false, FILE_SINK_PAGE_CACHE, &error);
    assert_non_null(file);
    touch(place.path);
    assert_null(file_writer(file, 1, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_non_null(strstr(error.text, "exists already"));
    assert_int_equal(file_sink_close(file, &error), 0);
    assert_int_equal(file_length(place.path), 8);
    assert_int_equal(place_files(&place), 1);
    /* With force it stays until the new log has its header. */
    file = file_sink_create(NULL, place.path, true, FILE_SINK_PAGE_CACHE, &error);
    assert_non_null(file);
    assert_int_equal(file_length(place.path), 8);
    struct log_writer *writer = file_writer(file, 1, &error);
    assert_non_null(writer);
    assert_true(file_length(place.path) > 40);
    assert_int_equal(place_files(&place), 1);
    log_writer_free(writer);
    assert_int_equal(file_sink_close(file, &error), 0);
    place_remove(&place);
}

/* A real write that the host cuts short: RLIMIT_FSIZE stands in for a full disk. */
static void full_disk_leaves_a_valid_log(void **state)
{
    struct place place;
    struct error error;
    struct rlimit old;
    struct dice dice = {.state = 5};
    uint8_t payload[4000];
    uint64_t written = 0;

    (void)state;
    place_make(&place);
    struct file_sink *file = file_sink_create(NULL, place.path, false, FILE_SINK_PAGE_CACHE, &error);
    struct log_writer *writer = file_writer(file, 1, &error);
    assert_non_null(writer);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {.rlim_cur = 50000, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int result = 0; result == 0;) {
        struct log_record record = {.type = LOG_ENTROPY, .bytes = payload, .length = sizeof payload};
        fill(&dice, payload, sizeof payload);
        assert_int_equal(log_writer_append(writer, &record, &error), 0);
        result = log_writer_flush(writer, &error);
        written += result == 0;
        assert_true(written < 100);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(error.kind, ERROR_HOST);
    assert_non_null(strstr(error.text, "run.enc: File too large"));
    assert_int_equal(written, 12);
    log_writer_free(writer);
    assert_int_equal(file_sink_close(file, &error), 0);
    struct log_reader *reader = log_reader_open(NULL, place.path, false, &error);
    struct log_record record;
    for (uint64_t i = 0; i < written; i++)
        assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_RECORD);
    assert_int_equal(log_reader_next(reader, &record, &error), LOG_READ_STOPPED);
    assert_non_null(strstr(error.text, "the log breaks off here, without an END record"));
    log_reader_close(reader);
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_guest_costs_little),
        cmocka_unit_test(counters_and_pending),
        cmocka_unit_test(frames_close_by_themselves),
        cmocka_unit_test(every_call_of_the_sink_fails_once),
        cmocka_unit_test(an_error_is_final),
        cmocka_unit_test(file_appears_with_its_header),
        cmocka_unit_test(abandoned_file_is_removed),
        cmocka_unit_test(existing_file_is_kept),
        cmocka_unit_test(full_disk_leaves_a_valid_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
