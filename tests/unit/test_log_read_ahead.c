/*
 * A long checkpoint, whose data other threads decompress before they are asked for: the same bytes, and the same
 * errors, as with no thread at all.
 */
#include "tests/unit/log_samples.h"

#include <sched.h>

#include "logs/frame.h"

#define FRAMES 40u
#define LENGTH (FRAMES * (uint64_t)FRAME_RAW_MAX - 1000)

static struct test_sink long_checkpoint(void)
{
    struct test_sink sink = test_sink();
    struct log_sink to = test_sink_sink(&sink);
    struct log_header header = sample_header(1);
    struct log_record record = {.type = LOG_CHECKPOINT, .parent = LOG_NO_PARENT};
    struct error error;
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);

    assert_non_null(writer);
    assert_int_equal(sample_checkpoint(writer, &record, LENGTH, &error), 0);
    struct log_record end = {.type = LOG_END, .at = position_at_exit(1)};
    assert_int_equal(log_writer_append(writer, &end, &error),
                     0); /* with the index that follows, damage hides nothing */
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
    return sink;
}

struct receiver {
    uint64_t received;
    uint64_t fail_at; /* bytes after which it wants no more */
};

static int receive(void *context, const uint8_t *bytes, size_t length, struct error *error)
{
    struct receiver *receiver = context;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != blob_byte(0, receiver->received + i))
            fail_msg("byte %lu differs", (unsigned long)(receiver->received + i));
    }
    receiver->received += length;
    return receiver->received >= receiver->fail_at ? error_set(error, ERROR_HOST, "enough") : 0;
}

static int fetch(const struct test_sink *sink, struct receiver *receiver, struct error *error)
{
    struct log_memory memory = {.bytes = sink->bytes.data, .length = sink->bytes.length};
    struct log_source source = log_source_memory(&memory);
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", false, error);

    assert_non_null(reader);
    int result = log_reader_checkpoint_pieces(reader, 0, LENGTH, receive, receiver, error);
    log_reader_close(reader);
    return result;
}

static void every_frame_damaged_in_turn(const struct test_sink *sink)
{
    struct frame_map map = frame_map(sink->bytes.data, sink->bytes.length);
    struct error error;
    char text[64];

    for (unsigned frame = 0; frame < FRAMES; frame++) {
        struct receiver receiver = {.fail_at = UINT64_MAX};
        uint8_t *last = sink->bytes.data + map.offset[frame + 1] - 1;
        assert_int_equal(map.kind[frame], FRAME_CHECKPOINT_DATA);
        *last ^= 1;
        assert_int_equal(fetch(sink, &receiver, &error), -1);
        *last ^= 1;
        snprintf(text, sizeof text, "checkpoint 0: frame %u at byte %zu: ", frame, map.offset[frame]);
        assert_non_null(strstr(error.text, text));
        assert_int_equal(receiver.received, frame * (uint64_t)FRAME_RAW_MAX);
    }
}

static void check(void **state)
{
    const struct test_sink *sink = *state;
    struct error error;

    for (unsigned n = 0; n < 20; n++) {
        struct receiver receiver = {.fail_at = UINT64_MAX};
        if (fetch(sink, &receiver, &error))
            fail_msg("%s", error.text);
        assert_int_equal(receiver.received, LENGTH);
    }
    for (unsigned n = 1; n <= FRAMES; n++) {
        struct receiver receiver = {.fail_at = n * (uint64_t)FRAME_RAW_MAX - 1000};
        assert_int_equal(fetch(sink, &receiver, &error), -1);
        assert_string_equal(error.text, "test.enc: checkpoint 0: enough");
    }
    every_frame_damaged_in_turn(sink);
}

/* A process that may use one processor starts no thread. */
static void check_alone(void **state)
{
    cpu_set_t before, one;

    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    check(state);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    struct test_sink sink = long_checkpoint();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(check, &sink),
        cmocka_unit_test_prestate(check_alone, &sink),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    bytes_writer_free(&sink.bytes);
    return failed;
}
