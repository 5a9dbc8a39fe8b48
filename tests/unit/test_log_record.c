/*
 * The codec of records: round trips, boundaries, refusals, and how it reads.
 */
#include "tests/unit/log_samples.h"

#include <stdio.h>

/* Encodes a record against one context and decodes it against an equal one; both must end equal. */
static void round_trip(struct record_context *context, const struct log_record *record)
{
    struct record_context decoding = *context;
    struct bytes_writer writer = bytes_writer(LOG_RECORD_MAX);
    struct log_record decoded;
    struct error error;

    record_encode(context, record, &writer);
    assert_false(writer.failed);
    struct bytes_reader reader = bytes_reader(writer.data, writer.length);
    if (record_decode(&decoding, &reader, &decoded, &error))
        fail_msg("%s", error.text);
    assert_int_equal(bytes_left(&reader), 0);
    assert_true(record_equal(record, &decoded));
    assert_true(record_context_equal(context, &decoding));
    bytes_writer_free(&writer);
}

static void hundred_thousand_random_records(void **state)
{
    struct dice dice = {.state = 1};
    struct record_context context = {0};
    uint8_t payload[LOG_BYTES_MAX];
    uint64_t exits = 0;
    uint64_t ticks = 0;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        enum log_record_type type = dice_type(&dice);
        struct position at = dice_position(&dice, &exits, &ticks);
        struct log_record record = dice_record(&dice, type, &at, payload);
        round_trip(&context, &record);
    }
    assert_int_equal(context.records, 100000);
}

static void boundary_values(void **state)
{
    static const uint64_t edges[] = {0, 1, 127, 128, UINT32_MAX, (uint64_t)INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    uint8_t payload[LOG_BYTES_MAX];

    (void)state;
    memset(payload, 0xff, sizeof payload);
    for (unsigned i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        uint64_t edge = edges[i];
        struct digest digest = {.low = edge, .high = ~edge};
        struct position at[] = {
            {.kind = AT_EXIT, .exits = edge},
            {.kind = AT_TICK, .exits = edge, .ticks = edge, .rip = edge},
            {.kind = AT_LANDMARK, .exits = edge, .rip = edge, .registers = digest, .ram = digest},
        };
        for (unsigned kind = 0; kind < 3; kind++) {
            for (int type = LOG_TIME; type < LOG_RECORD_TYPES; type++) {
                struct record_context context = {.rip = ~edge, .time = edge / 2};
                struct log_record record = {
                    .type = (enum log_record_type)type, .at = at[kind], .parent = LOG_NO_PARENT};
                if (type == LOG_CONSOLE_IN || type == LOG_ENTROPY || type == LOG_OPERATOR) {
                    record.bytes = payload;
                    record.length = i % 2 ? LOG_BYTES_MAX : 0;
                } else if (type == LOG_FRAME_IN) {
                    record.bytes = payload;
                    record.length = i % 2 ? FRAME_MAX : FRAME_MIN;
                } else if (type == LOG_DISK_ERROR) {
                    record.channel = UINT8_MAX;
                    record.transfer = (uint32_t)edge;
                } else if (type == LOG_OUTPUT) {
                    record.length = edge;
                    record.hash = UINT32_MAX;
                } else {
                    record.time = edge;
                }
                if (type == LOG_OPERATOR)
                    record.command = UINT16_MAX;
                if (type == LOG_DIGEST || type == LOG_CHECKPOINT || type == LOG_END)
                    record.digest = digest;
                if (type == LOG_CHECKPOINT) {
                    record.id = LOG_NO_PARENT - 1;
                    record.parent = LOG_NO_PARENT - 2;
                    record.blob_length = edge;
                }
                if (type == LOG_END) {
                    record.reason = UINT8_MAX;
                    record.exit_value = UINT32_MAX;
                    record.unnamed = true;
                }
                round_trip(&context, &record);
            }
        }
    }
}

static void idle_record_is_two_bytes(void **state)
{
    struct record_context context = {.exits = 1000000, .ticks = 5, .time = 1ull << 60, .records = 77};
    struct bytes_writer writer = bytes_writer(LOG_RECORD_MAX);
    struct log_record record = {.type = LOG_TIME, .to_deadline = true, .at = position_at_exit(1000004)};

    (void)state;
    record_encode(&context, &record, &writer);
    assert_int_equal(writer.length, 2);
    assert_int_equal(writer.data[0], 0x41);
    assert_int_equal(writer.data[1], 4);
    bytes_writer_free(&writer);
}

/* The longest record of all: LOG_RECORD_MAX must be true. */
static void longest_record_fits(void **state)
{
    struct record_context context = {.rip = 0};
    struct bytes_writer writer = bytes_writer(LOG_RECORD_MAX);
    uint8_t payload[LOG_BYTES_MAX] = {0};
    struct log_record record = {.type = LOG_OPERATOR,
                                .at = {.kind = AT_LANDMARK, .exits = UINT64_MAX, .rip = 1ull << 63},
                                .command = 1,
                                .bytes = payload,
                                .length = sizeof payload};

    (void)state;
    record_encode(&context, &record, &writer);
    assert_false(writer.failed);
    bytes_writer_free(&writer);
}

static void refuse(const struct record_context *context, const uint8_t *bytes, size_t length, const char *words)
{
    struct record_context copy = *context;
    struct bytes_reader reader = bytes_reader(bytes, length);
    struct log_record record;
    struct error error = {.kind = ERROR_NONE};

    assert_int_equal(record_decode(&copy, &reader, &record, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    if (!strstr(error.text, words))
        fail_msg("expected \"%s\" in \"%s\"", words, error.text);
}

#define REFUSE(context, words, ...)                                                                                    \
    do {                                                                                                               \
        const uint8_t bytes_[] = {__VA_ARGS__};                                                                        \
        refuse(context, bytes_, sizeof bytes_, words);                                                                 \
    } while (0)

static void malformed_records_are_refused(void **state)
{
    struct record_context start = {0};
    struct record_context far = {.exits = UINT64_MAX, .ticks = UINT64_MAX, .output = UINT64_MAX};
    struct record_context full = {.records = UINT64_MAX};

    (void)state;
    REFUSE(&start, "unknown record type 0", 0x00, 0);
    REFUSE(&start, "unknown record type 12", 0x0c, 0);
    REFUSE(&start, "unknown record type 15", 0x0f, 0);
    REFUSE(&start, "unknown kind of position 3", 0x71, 0);
    REFUSE(&start, "unknown flag", 0xc1, 0);
    REFUSE(&start, "unknown flag", 0x42, 0, 0);
    REFUSE(&start, "cut short", 0x41);
    REFUSE(&start, "malformed", 0x41, 0x80, 0x00);
    REFUSE(&start, "4097 bytes", 0x04, 0, 0x81, 0x20);
    REFUSE(&start, "cut short", 0x04, 0, 3, 'a', 'b');
    REFUSE(&start, "unknown flag", 0x4a, 0);
    REFUSE(&start, "frame of 13 bytes", 0x0a, 0, 0, 13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    REFUSE(&start, "cut short", 0x0a, 0, 0, 0xee, 0x0b, 0);
    REFUSE(&start, "more than 32 bits", 0x0b, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x10);
    REFUSE(&start, "cut short", 0x0b, 0, 0);
    REFUSE(&start, "unknown flag", 0x4b, 0, 0, 0);
    REFUSE(&far, "count of exits", 0x41, 1);
    REFUSE(&far, "count of ticks", 0x51, 0, 1, 0);
    REFUSE(&far, "count of output bytes", 0x06, 0, 0, 1, 0, 0, 0, 0);
    REFUSE(&full, "count of records", 0x41, 0);
    REFUSE(&start, "no checkpoint's id", 0x08, 0, 0xff, 0xff, 0xff, 0xff, 0x0f);
    REFUSE(&start, "as its parent", 0x48, 0, 5, 5);
    REFUSE(&start, "more than 32 bits", 0x09, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x10);
}

static void every_truncation_is_refused(void **state)
{
    struct dice dice = {.state = 3};
    uint8_t payload[LOG_BYTES_MAX];

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct record_context start = {0};
        struct record_context context = start;
        struct bytes_writer writer = bytes_writer(LOG_RECORD_MAX);
        uint64_t exits = 0;
        uint64_t ticks = 0;
        struct position at = dice_position(&dice, &exits, &ticks);
        struct log_record record =
            dice_record(&dice, (enum log_record_type)(1 + i % (LOG_RECORD_TYPES - 1)), &at, payload);
        record_encode(&context, &record, &writer);
        for (size_t length = 0; length < writer.length; length++) {
            uint8_t *exact = malloc(length ? length : 1); /* so that a sanitizer sees a byte too many */
            assert_non_null(exact);
            memcpy(exact, writer.data, length);
            refuse(&start, exact, length, "");
            free(exact);
        }
        bytes_writer_free(&writer);
    }
}

static void equality_sees_every_field(void **state)
{
    uint8_t one[2] = {1, 2};
    uint8_t other[2] = {1, 3};
    struct log_record a = {.type = LOG_CONSOLE_IN, .bytes = one, .length = 2, .channel = 1};
    struct log_record b = a;

    (void)state;
    b.bytes = other;
    assert_false(record_equal(&a, &b));
    other[1] = 2;
    assert_true(record_equal(&a, &b));
    b.channel = 2;
    assert_false(record_equal(&a, &b));
    a.type = b.type = LOG_FRAME_IN;
    b = a;
    b.bytes = other;
    other[1] = 3;
    assert_false(record_equal(&a, &b));
    b = a;
    b.transfer = 1;
    assert_false(record_equal(&a, &b));
    b = a;
    b.at.exits = 1;
    assert_false(record_equal(&a, &b));
    struct log_record end = {.type = LOG_END, .exit_value = 3};
    b = end;
    b.unnamed = true;
    assert_false(record_equal(&end, &b));
    b = end;
    b.digest.high = 1;
    assert_false(record_equal(&end, &b));
}

static void expect_text(const struct log_record *record, const char *expected)
{
    char text[RECORD_TEXT];

    assert_string_equal(record_text(record, text), expected);
}

static void records_in_words(void **state)
{
    struct log_record record = {.type = LOG_TIME, .at = position_at_exit(12), .time = 1500000000};

    (void)state;
    expect_text(&record, "exit 12: TIME 1.500000000 s");
    record.to_deadline = true;
    expect_text(&record, "exit 12: TIME to the next deadline");
    record = (struct log_record){
        .type = LOG_CONSOLE_IN, .at = position_at_exit(3), .bytes = (const uint8_t *)"a\"\n", .length = 3};
    expect_text(&record, "exit 3: CONSOLE_IN channel 0, 3 bytes \"a\\\"\\x0a\"");
    record =
        (struct log_record){.type = LOG_OUTPUT, .at = position_at_exit(3), .channel = 1, .length = 1, .hash = 0xab};
    expect_text(&record, "exit 3: OUTPUT channel 1, 1 byte, stream 000000ab");
    record = (struct log_record){.type = LOG_FRAME_IN,
                                 .at = position_at_exit(4),
                                 .channel = 1,
                                 .bytes = (const uint8_t *)"\xff\xff\xff\xff\xff\xff\x52\x54\x00\x12\x34\x56\x08\x06",
                                 .length = 14};
    expect_text(&record, "exit 4: FRAME_IN card 1, 14 bytes, 52:54:00:12:34:56 to ff:ff:ff:ff:ff:ff, type 0806");
    record = (struct log_record){.type = LOG_DISK_ERROR, .at = position_at_exit(5), .channel = 1, .transfer = 3};
    expect_text(&record, "exit 5: DISK_ERROR disk 1, transfer 3 of this exit");
    record = (struct log_record){.type = LOG_CHECKPOINT, .id = 7, .parent = 5, .blob_length = 9};
    expect_text(&record, "exit 0: CHECKPOINT 7, on 5, 9 bytes, at 0.000000000 s, machine "
                         "00000000000000000000000000000000");
    record = (struct log_record){.type = LOG_END, .reason = LOG_END_DEBUG_EXIT, .exit_value = 33, .unnamed = true};
    expect_text(&record, "exit 0: END debug exit, exit value 33, at 0.000000000 s, machine "
                         "00000000000000000000000000000000, at an unnamed place after that exit");
    record.reason = 200;
    assert_null(record_reason_name(200));
    char text[RECORD_TEXT];
    assert_non_null(strstr(record_text(&record, text), "reason 200"));
}

static void long_payload_is_cut_in_words(void **state)
{
    uint8_t payload[LOG_BYTES_MAX];
    char text[RECORD_TEXT];
    struct log_record record = {.type = LOG_ENTROPY,
                                .at = {.kind = AT_TICK, .exits = UINT64_MAX, .ticks = UINT64_MAX, .rip = UINT64_MAX},
                                .bytes = payload,
                                .length = sizeof payload};

    (void)state;
    memset(payload, 0xee, sizeof payload);
    record_text(&record, text);
    assert_non_null(strstr(text, "4096 bytes \"\\xee"));
    assert_non_null(strstr(text, "\"..."));
}

static void records_as_json(void **state)
{
    struct dice dice = {.state = 4};
    uint8_t payload[LOG_BYTES_MAX];
    uint64_t exits = 0;
    uint64_t ticks = 0;

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        struct position at = dice_position(&dice, &exits, &ticks);
        struct log_record record =
            dice_record(&dice, (enum log_record_type)(1 + i % (LOG_RECORD_TYPES - 1)), &at, payload);
        json_t *json = record_json(&record);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "type")), record_type_name(record.type));
        assert_true(json_is_object(json_object_get(json, "at")));
        const char *bytes = json_string_value(json_object_get(json, "bytes"));
        if (bytes)
            assert_int_equal(strlen(bytes), 2 * record.length);
        json_decref(json);
    }
    struct log_record record = {.type = LOG_DIGEST, .time = UINT64_MAX, .at = position_at_exit(9)};
    json_t *json = record_json(&record);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, "{\"type\":\"DIGEST\",\"at\":{\"kind\":\"exit\",\"exits\":9},"
                              "\"time\":\"18446744073709551615\",\"digest\":\"00000000000000000000000000000000\"}");
    free(text);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundred_thousand_random_records), cmocka_unit_test(boundary_values),
        cmocka_unit_test(idle_record_is_two_bytes),        cmocka_unit_test(longest_record_fits),
        cmocka_unit_test(malformed_records_are_refused),   cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(equality_sees_every_field),       cmocka_unit_test(records_in_words),
        cmocka_unit_test(long_payload_is_cut_in_words),    cmocka_unit_test(records_as_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
