/*
 * What the tests of the log format share: seeded random records, a sink in memory that can be made to fail, and logs
 * with everything in them.
 */
#ifndef ENCORE_TESTS_UNIT_LOG_SAMPLES_H
#define ENCORE_TESTS_UNIT_LOG_SAMPLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "logs/reader.h"
#include "logs/record.h"
#include "logs/writer.h"

#define SAMPLE_MACHINE "{\"ram\":1048576,\"engine\":\"soft\"}"

/* SplitMix64: small, seeded, and the same everywhere. */
struct dice {
    uint64_t state;
};

static inline uint64_t dice_roll(struct dice *dice)
{
    uint64_t z = (dice->state += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t dice_below(struct dice *dice, uint64_t limit)
{
    return dice_roll(dice) % limit;
}

/* A number of any size: each bit length is as likely as the others. */
static inline uint64_t dice_number(struct dice *dice)
{
    unsigned bits = (unsigned)dice_below(dice, 65);

    return bits == 0 ? 0 : dice_roll(dice) >> (64 - bits);
}

static inline struct digest dice_digest(struct dice *dice)
{
    uint64_t low = dice_roll(dice);

    return (struct digest){.low = low, .high = dice_roll(dice)};
}

static inline void fill(struct dice *dice, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)dice_roll(dice);
}

/* Somewhere after `last`; counts advance by small steps mostly, and never so far that they run out. */
static inline struct position dice_position(struct dice *dice, uint64_t *exits, uint64_t *ticks)
{
    struct position at = {.kind = (enum position_kind)dice_below(dice, 3)};

    *exits += dice_below(dice, 8) ? dice_below(dice, 5) : dice_number(dice) >> 20;
    at.exits = *exits;
    if (at.kind == AT_TICK) {
        *ticks += dice_number(dice) >> 20;
        at.ticks = *ticks;
    }
    if (at.kind != AT_EXIT)
        at.rip = dice_below(dice, 2) ? 0x100000 + dice_below(dice, 4096) : dice_number(dice);
    if (at.kind == AT_LANDMARK) {
        at.registers = dice_digest(dice);
        at.ram = dice_digest(dice);
    }
    return at;
}

/* A type of record. */
static inline enum log_record_type dice_type(struct dice *dice)
{
    return (enum log_record_type)(1 + dice_below(dice, LOG_RECORD_TYPES - 1));
}

/* A record of the given type with random fields; its payload goes into payload[LOG_BYTES_MAX]. */
static inline struct log_record dice_record(struct dice *dice, enum log_record_type type, const struct position *at,
                                            uint8_t *payload)
{
    struct log_record record = {.type = type, .at = *at, .parent = LOG_NO_PARENT};

    if (type == LOG_TIME)
        record.to_deadline = dice_below(dice, 2);
    if (type == LOG_CONSOLE_IN || type == LOG_OUTPUT || type == LOG_FRAME_IN || type == LOG_DISK_ERROR)
        record.channel = (uint8_t)dice_roll(dice);
    if (type == LOG_OPERATOR)
        record.command = (uint16_t)dice_roll(dice);
    if (type == LOG_CONSOLE_IN || type == LOG_ENTROPY || type == LOG_OPERATOR) {
        record.length = dice_below(dice, 10) ? dice_below(dice, 20) : dice_below(dice, LOG_BYTES_MAX + 1);
        fill(dice, payload, record.length);
        record.bytes = payload;
    } else if (type == LOG_FRAME_IN) {
        record.length = FRAME_MIN + dice_below(dice, FRAME_MAX + 1 - FRAME_MIN);
        fill(dice, payload, record.length);
        record.bytes = payload;
    } else if (type == LOG_OUTPUT) {
        record.length = dice_number(dice) >> 20;
        record.hash = (uint32_t)dice_roll(dice);
    } else if (type == LOG_DISK_ERROR) {
        record.transfer = (uint32_t)dice_number(dice);
    } else if (!record.to_deadline) {
        record.time = dice_number(dice);
    }
    if (type == LOG_DIGEST || type == LOG_CHECKPOINT || type == LOG_END)
        record.digest = dice_digest(dice);
    if (type == LOG_CHECKPOINT) {
        record.id = (uint32_t)(dice_number(dice) % LOG_NO_PARENT);
        if (record.id > 0 && dice_below(dice, 2))
            record.parent = (uint32_t)dice_below(dice, record.id);
        record.blob_length = dice_number(dice);
    }
    if (type == LOG_END) {
        record.reason = (uint8_t)dice_roll(dice);
        record.exit_value = (uint32_t)dice_number(dice);
        record.unnamed = dice_below(dice, 2);
    }
    return record;
}

/* A sink in memory. The write, publish, sync or truncate number `fail_at`, counted from 1, fails; a failing write lets
 * half of its bytes through. */
struct test_sink {
    struct bytes_writer bytes;
    unsigned calls;
    unsigned fail_at; /* 0: never */
    bool can_truncate;
    bool published;
    unsigned syncs;
};

static inline int test_sink_fails(struct test_sink *sink, struct error *error)
{
    if (++sink->calls != sink->fail_at)
        return 0;
    return error_set(error, ERROR_HOST, "injected failure %u", sink->calls);
}

static inline int test_sink_write(void *context, const void *bytes, size_t length, struct error *error)
{
    struct test_sink *sink = context;

    if (test_sink_fails(sink, error)) {
        bytes_put(&sink->bytes, bytes, length / 2);
        return -1;
    }
    bytes_put(&sink->bytes, bytes, length);
    assert_false(sink->bytes.failed);
    return 0;
}

static inline int test_sink_publish(void *context, struct error *error)
{
    struct test_sink *sink = context;

    if (test_sink_fails(sink, error))
        return -1;
    sink->published = true;
    return 0;
}

static inline int test_sink_sync(void *context, struct error *error)
{
    struct test_sink *sink = context;

    sink->syncs++;
    return test_sink_fails(sink, error);
}

static inline int test_sink_truncate(void *context, uint64_t length, struct error *error)
{
    struct test_sink *sink = context;

    if (test_sink_fails(sink, error))
        return -1;
    assert_true(length <= sink->bytes.length);
    sink->bytes.length = length;
    return 0;
}

static inline struct test_sink test_sink(void)
{
    return (struct test_sink){.bytes = bytes_writer(1u << 30), .can_truncate = true};
}

static inline struct log_sink test_sink_sink(struct test_sink *sink)
{
    return (struct log_sink){.write = test_sink_write,
                             .publish = test_sink_publish,
                             .sync = test_sink_sync,
                             .truncate = sink->can_truncate ? test_sink_truncate : NULL,
                             .context = sink};
}

static inline struct log_header sample_header(uint8_t id)
{
    struct log_header header = {.machine = (char *)SAMPLE_MACHINE};

    memset(header.id.bytes, id, sizeof header.id.bytes);
    return header;
}

/* Records as they were given to a writer, with copies of their payloads. */
struct expected {
    struct log_record *records;
    size_t count;
};

static inline void expected_add(struct expected *expected, const struct log_record *record, uint64_t blob_length)
{
    expected->records = realloc(expected->records, (expected->count + 1) * sizeof *expected->records);
    assert_non_null(expected->records);
    struct log_record *copy = &expected->records[expected->count++];
    *copy = *record;
    if (record->type == LOG_CHECKPOINT)
        copy->blob_length = blob_length;
    if (record->bytes) {
        uint8_t *bytes = malloc(record->length + 1);
        assert_non_null(bytes);
        memcpy(bytes, record->bytes, record->length);
        copy->bytes = bytes;
    }
}

static inline void expected_free(struct expected *expected)
{
    for (size_t i = 0; i < expected->count; i++)
        free((void *)(uintptr_t)expected->records[i].bytes);
    free(expected->records);
    *expected = (struct expected){0};
}

/* The byte number `i` of checkpoint `id`'s data: half noise, half zeros. */
static inline uint8_t blob_byte(uint32_t id, uint64_t i)
{
    struct dice dice = {.state = (uint64_t)id << 32 ^ i};

    return i & 64 ? 0 : (uint8_t)dice_roll(&dice);
}

static inline int sample_checkpoint(struct log_writer *writer, const struct log_record *record, uint64_t length,
                                    struct error *error)
{
    uint8_t chunk[1000];

    if (log_writer_checkpoint_begin(writer, error))
        return -1;
    for (uint64_t done = 0; done < length;) {
        size_t now = length - done < sizeof chunk ? (size_t)(length - done) : sizeof chunk;
        for (size_t i = 0; i < now; i++)
            chunk[i] = blob_byte(record->id, done + i);
        if (log_writer_checkpoint_write(writer, chunk, now, error))
            return -1;
        done += now;
    }
    return log_writer_checkpoint_end(writer, record, error);
}

/* How long the sample's checkpoint `id` is; number 1 is empty. */
static inline uint64_t sample_blob_length(uint32_t id)
{
    return id == 1 ? 0 : 300 + 150 * id;
}

/*
 * Writes the sample log for `seed`: `rounds` rounds, each with one record of every type that may come in the middle, a
 * flush, and in every other round a checkpoint (ids 1, 3, 5...). Ends with an END record unless `open_end`.
 * Stops at the first error. What was given to the writer goes to `expected`, if that is not NULL.
 */
static inline int sample_write(const struct test_sink *sink, uint64_t seed, unsigned rounds, bool open_end,
                               struct expected *expected, struct error *error)
{
    /* A checkpoint comes last: it has frames of its own, and closes the one before. */
    static const enum log_record_type middle[] = {LOG_TIME,       LOG_CLOCK_READ, LOG_CONSOLE_IN, LOG_ENTROPY,
                                                  LOG_OPERATOR,   LOG_OUTPUT,     LOG_DIGEST,     LOG_FRAME_IN,
                                                  LOG_DISK_ERROR, LOG_CHECKPOINT};
    struct dice dice = {.state = seed};
    uint8_t payload[LOG_BYTES_MAX];
    uint64_t exits = 0;
    uint64_t ticks = 0;
    struct log_header header = sample_header((uint8_t)seed);
    struct log_sink to = test_sink_sink((struct test_sink *)(uintptr_t)sink);
    struct log_writer *writer = log_writer_create(&to, &header, NULL, error);
    int result = writer ? 0 : -1;

    for (unsigned round = 0; round < rounds && result == 0; round++) {
        for (unsigned i = 0; i < sizeof middle / sizeof middle[0] && result == 0; i++) {
            enum log_record_type type = middle[i];
            struct position at = dice_position(&dice, &exits, &ticks);
            struct log_record record = dice_record(&dice, type, &at, payload);
            if (record.bytes && record.length > 40)
                record.length = 40;
            if (type == LOG_CHECKPOINT && round % 2 == 0)
                continue;
            record.id = type == LOG_CHECKPOINT ? round : 0;
            if (record.parent != LOG_NO_PARENT)
                record.parent = 0;
            uint64_t blob = type == LOG_CHECKPOINT ? sample_blob_length(record.id) : 0;
            if (expected)
                expected_add(expected, &record, blob);
            result = type == LOG_CHECKPOINT ? sample_checkpoint(writer, &record, blob, error)
                                            : log_writer_append(writer, &record, error);
        }
        if (result == 0)
            result = log_writer_flush(writer, error);
    }
    if (result == 0 && !open_end) {
        struct position at = dice_position(&dice, &exits, &ticks);
        struct log_record record = dice_record(&dice, LOG_END, &at, payload);
        if (expected)
            expected_add(expected, &record, 0);
        result = log_writer_append(writer, &record, error);
    }
    if (result == 0)
        result = log_writer_close(writer, error);
    log_writer_free(writer);
    return result;
}

/* The sample log in memory; the caller frees sink->bytes and expected. */
static inline void sample_make(struct test_sink *sink, uint64_t seed, unsigned rounds, bool open_end,
                               struct expected *expected)
{
    struct error error = {.kind = ERROR_NONE};

    *sink = test_sink();
    if (sample_write(sink, seed, rounds, open_end, expected, &error))
        fail_msg("%s", error.text);
}

/* The offset of each frame of a log, found without the library; frames[count] is where the last one ends. */
struct frame_map {
    size_t offset[512];
    uint8_t kind[512];
    size_t records_before[513]; /* how many records stand in the frames before this one */
    size_t count;
};

static inline struct frame_map frame_map(const uint8_t *log, size_t length)
{
    struct frame_map map = {.count = 0};
    size_t at = (size_t)bytes_load(log + 12, 4);

    while (at + 32 <= length && bytes_load(log + at, 2) == 0xf145) {
        assert_true(map.count < 511);
        map.offset[map.count] = at;
        map.kind[map.count] = log[at + 2];
        map.records_before[map.count + 1] =
            map.records_before[map.count] + (log[at + 2] == 1 ? (size_t)bytes_load(log + at + 20, 4) : 0);
        at += 32 + (size_t)bytes_load(log + at + 12, 4);
        map.count++;
    }
    map.offset[map.count] = at;
    return map;
}

/* What came of reading a log to where it stops. */
struct outcome {
    bool opened;
    enum log_read last;
    size_t records;
    bool differs; /* some record was not the expected one */
    struct error error;
};

static inline struct outcome read_all(struct log_reader *reader, const struct expected *expected)
{
    struct outcome outcome = {.opened = true};
    struct log_record record;

    while ((outcome.last = log_reader_next(reader, &record, &outcome.error)) == LOG_READ_RECORD) {
        if (outcome.records >= expected->count || !record_equal(&record, &expected->records[outcome.records]))
            outcome.differs = true;
        outcome.records++;
    }
    return outcome;
}

static inline struct outcome read_bytes(const uint8_t *log, size_t length, bool follow, const struct expected *expected)
{
    struct log_memory memory = {.bytes = log, .length = length};
    struct log_source source = log_source_memory(&memory);
    struct outcome outcome = {.opened = false};
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", follow, &outcome.error);

    if (!reader)
        return outcome;
    outcome = read_all(reader, expected);
    log_reader_close(reader);
    return outcome;
}

#endif
