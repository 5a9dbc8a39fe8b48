/*
 * Logs whose checksums are right and whose contents are not: what a defective or malicious writer could make. Each rule
 * of docs/log-format.md that only a reader's own check upholds is broken here once.
 */
#include "tests/unit/log_samples.h"

#include "logs/frame.h"
#include "logs/index.h"
#include "logs/verify.h"

/* A log in the making, frame by frame. */
struct forge {
    struct bytes_writer log;
    struct frame_codec codec;
    struct cursor next;
    struct record_context context;
};

static struct forge forge_start(void)
{
    struct log_header header = sample_header(1);
    struct forge forge = {.log = bytes_writer(1u << 22), .codec = frame_codec(&header.id, 1)};
    struct error error;

    assert_int_equal(log_header_encode(&header, &forge.log, &error), 0);
    forge.next.offset = forge.log.length;
    return forge;
}

static void forge_end(struct forge *forge)
{
    frame_codec_free(&forge->codec);
    bytes_writer_free(&forge->log);
}

/* A frame with whatever contents. Returns where it is. */
static struct cursor add_frame(struct forge *forge, enum frame_kind kind, uint32_t count, const void *raw,
                               size_t length)
{
    struct cursor at = forge->next;
    struct error error;

    assert_int_equal(frame_encode(&forge->codec, kind, at.sequence, count, raw, length, &forge->log, &error), 0);
    forge->next = (struct cursor){.offset = forge->log.length, .sequence = at.sequence + 1};
    return at;
}

/* A RECORDS frame that says `count` and holds these records and `extra` zero bytes. */
static struct cursor add_records(struct forge *forge, uint32_t count, const struct log_record *records, size_t held,
                                 size_t extra)
{
    struct bytes_writer raw = bytes_writer(FRAME_RAW_MAX);
    uint8_t zeros[8] = {0};

    record_base_encode(&forge->context, &raw);
    for (size_t i = 0; i < held; i++)
        record_encode(&forge->context, &records[i], &raw);
    bytes_put(&raw, zeros, extra);
    struct cursor at = add_frame(forge, FRAME_RECORDS, count, raw.data, raw.length);
    bytes_writer_free(&raw);
    return at;
}

static struct log_record checkpoint(uint32_t id, uint64_t blob_length)
{
    return (struct log_record){.type = LOG_CHECKPOINT, .id = id, .parent = LOG_NO_PARENT, .blob_length = blob_length};
}

static const struct log_record tick = {.type = LOG_TIME, .to_deadline = true, .parent = LOG_NO_PARENT};
static const struct log_record end = {.type = LOG_END, .parent = LOG_NO_PARENT};

static struct log_reader *open_forged(const struct forge *forge, struct log_memory *memory)
{
    *memory = (struct log_memory){.bytes = forge->log.data, .length = forge->log.length};
    struct log_source source = log_source_memory(memory);
    struct error error;
    struct log_reader *reader = log_reader_open_source(&source, "test.enc", false, &error);

    assert_non_null(reader);
    return reader;
}

static void expect_words(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("expected \"%s\" in \"%s\"", words, text);
}

/* Reading delivers `records` records and stops with these words. Releases the forgery. */
static void expect_stop(struct forge *forge, unsigned records, const char *words)
{
    struct log_memory memory;
    struct log_reader *reader = open_forged(forge, &memory);
    struct log_record record;
    struct error error;
    enum log_read result;
    unsigned done = 0;

    while ((result = log_reader_next(reader, &record, &error)) == LOG_READ_RECORD)
        done++;
    assert_int_equal(result, LOG_READ_STOPPED);
    assert_int_equal(done, records);
    expect_words(error.text, words);
    log_reader_close(reader);
    forge_end(forge);
}

static void records_frames(void **state)
{
    struct forge forge = forge_start();

    (void)state;
    add_records(&forge, 1, &tick, 1, 0);
    add_records(&forge, 1, &tick, 1, 3);
    expect_stop(&forge, 1, "3 bytes are left over");

    forge = forge_start();
    add_records(&forge, 2, &tick, 1, 0);
    expect_stop(&forge, 0, "record 2 of 2: a record is missing");

    const struct log_record after_end[] = {end, tick};
    forge = forge_start();
    add_records(&forge, 2, after_end, 2, 0);
    expect_stop(&forge, 0, "record 2 of 2: it comes after the END record");

    const struct log_record not_alone[] = {checkpoint(1, 0), tick};
    forge = forge_start();
    add_records(&forge, 2, not_alone, 2, 0);
    expect_stop(&forge, 0, "a CHECKPOINT is not alone in its frame");

    forge = forge_start();
    add_frame(&forge, FRAME_RECORDS, 1, "\x80\x80\x80", 3);
    expect_stop(&forge, 0, "base is cut short");

    forge = forge_start();
    add_frame(&forge, FRAME_INDEX, 0, "\0", 1);
    expect_stop(&forge, 0, "an INDEX frame before the END record");
}

static void checkpoint_ids_must_rise(void **state)
{
    struct forge forge = forge_start();
    const struct log_record first = checkpoint(5, 0);
    struct log_memory memory;
    const struct log_checkpoint *list;
    struct error error;
    size_t count;

    (void)state;
    add_records(&forge, 1, &first, 1, 0);
    add_records(&forge, 1, &first, 1, 0);
    struct log_reader *reader = open_forged(&forge, &memory);
    assert_int_equal(log_reader_checkpoints(reader, &list, &count, &error), 0);
    assert_int_equal(count, 1);
    log_reader_close(reader);
    expect_stop(&forge, 1, "checkpoint 5 comes after checkpoint 5");
}

static struct cursor add_index_frame(struct forge *forge, const struct log_checkpoint *entries, uint32_t count,
                                     uint64_t left)
{
    struct bytes_writer raw = bytes_writer(FRAME_RAW_MAX);

    bytes_put_varint(&raw, left);
    for (uint32_t i = 0; i < count; i++) {
        struct record_context context = {0};
        bytes_put_varint(&raw, entries[i].data_offset);
        bytes_put_varint(&raw, entries[i].data_sequence);
        bytes_put_varint(&raw, entries[i].offset);
        bytes_put_varint(&raw, entries[i].sequence);
        record_encode(&context, &entries[i].record, &raw);
    }
    struct cursor at = add_frame(forge, FRAME_INDEX, count, raw.data, raw.length);
    bytes_writer_free(&raw);
    return at;
}

static void add_trailer(struct forge *forge, const struct cursor *at)
{
    uint8_t trailer[INDEX_TRAILER];

    index_trailer_encode(&forge->codec, at, trailer);
    bytes_put(&forge->log, trailer, sizeof trailer);
}

/* Two pieces of data with checkpoint 1, a tick, checkpoint 2 without data, END. The entries are the true ones. */
static struct forge forge_checkpoints(struct log_checkpoint *entries)
{
    struct forge forge = forge_start();
    const struct log_record records[2] = {checkpoint(1, 6), checkpoint(2, 0)};

    struct cursor data = add_frame(&forge, FRAME_CHECKPOINT_DATA, 0, "abc", 3);
    add_frame(&forge, FRAME_CHECKPOINT_DATA, 1, "def", 3);
    struct cursor first = add_records(&forge, 1, &records[0], 1, 0);
    add_records(&forge, 1, &tick, 1, 0);
    struct cursor second = add_records(&forge, 1, &records[1], 1, 0);
    add_records(&forge, 1, &end, 1, 0);
    entries[0] = (struct log_checkpoint){records[0], first.offset, first.sequence, data.offset, data.sequence};
    entries[1] = (struct log_checkpoint){records[1], second.offset, second.sequence, second.offset, second.sequence};
    return forge;
}

/* The records are all there, and verify says what is wrong with the index. Leaves the forgery. */
static void expect_index(const struct forge *forge, const char *words)
{
    struct log_memory memory = {.bytes = forge->log.data, .length = forge->log.length};
    struct log_source source = log_source_memory(&memory);
    struct log_summary summary;
    struct error error;

    assert_int_equal(log_verify_source(&source, "test.enc", &summary, &error), 0);
    assert_true(summary.ended);
    assert_int_equal(summary.records[0], 4);
    assert_int_equal(log_summary_sound(&summary), words == NULL);
    if (words)
        expect_words(summary.index.text, words);
}

/* Fetching checkpoint `id` fails with these words, or gives `data` when `words` is NULL. Leaves the forgery. */
static void expect_fetch(const struct forge *forge, uint32_t id, const char *data, const char *words)
{
    struct log_memory memory;
    struct log_reader *reader = open_forged(forge, &memory);
    struct bytes_writer blob = bytes_writer(100);
    struct error error;
    int result = log_reader_checkpoint(reader, id, &blob, &error);

    assert_int_equal(result, words ? -1 : 0);
    if (words)
        expect_words(error.text, words);
    else {
        assert_int_equal(blob.length, strlen("abcdef"));
        assert_memory_equal(blob.data, data, blob.length);
    }
    bytes_writer_free(&blob);
    log_reader_close(reader);
}

static void true_index(void **state)
{
    struct log_checkpoint entries[2];
    struct forge forge = forge_checkpoints(entries);
    struct cursor at = add_index_frame(&forge, entries, 1, 1);

    (void)state;
    add_index_frame(&forge, entries + 1, 1, 0);
    add_trailer(&forge, &at);
    expect_index(&forge, NULL);
    expect_fetch(&forge, 1, "abcdef", NULL);
    forge_end(&forge);
}

/* An index whose entries are not true: fetching notices. */
static void lying_entries(void **state)
{
    struct log_checkpoint entries[2];

    (void)state;
    for (unsigned lie = 0; lie < 5; lie++) {
        static const char *const fetch_words[] = {
            "not the checkpoint of which the index speaks",
            "there is no checkpoint here",
            "piece 0 of the checkpoint",
            "out of its place",
            "its data are not the 3 bytes just before it",
        };
        struct forge forge = forge_checkpoints(entries);
        switch (lie) {
        case 0:
            entries[0].record.digest.low = 1;
            break;
        case 1:
            entries[0].offset = entries[0].data_offset;
            entries[0].sequence = entries[0].data_sequence;
            break;
        case 2: { /* the data said to begin with their second piece */
            entries[0].data_offset += FRAME_HEADER + 3;
            entries[0].data_sequence++;
            break;
        }
        case 3:
            entries[0].data_sequence++;
            break;
        case 4: { /* a checkpoint that says less than its data are */
            forge_end(&forge);
            forge = forge_start();
            const struct log_record record = checkpoint(1, 3);
            struct cursor data = add_frame(&forge, FRAME_CHECKPOINT_DATA, 0, "abc", 3);
            add_frame(&forge, FRAME_CHECKPOINT_DATA, 1, "def", 3);
            struct cursor first = add_records(&forge, 1, &record, 1, 0);
            entries[0] = (struct log_checkpoint){record, first.offset, first.sequence, data.offset, 0};
            add_records(&forge, 1, &end, 1, 0);
            break;
        }
        }
        struct cursor at = add_index_frame(&forge, entries, lie == 4 ? 1 : 2, 0);
        add_trailer(&forge, &at);
        if (lie < 4)
            expect_index(&forge, "the index is wrong about checkpoint 1");
        expect_fetch(&forge, 1, NULL, fetch_words[lie]);
        forge_end(&forge);
    }
}

static void malformed_index(void **state)
{
    struct log_checkpoint entries[2];
    struct forge forge = forge_checkpoints(entries);

    (void)state;
    struct cursor at = add_index_frame(&forge, entries, 1, 0);
    add_trailer(&forge, &at);
    expect_index(&forge, "the index has 1 checkpoints, the log has 2");
    forge_end(&forge);

    forge = forge_checkpoints(entries);
    at = add_index_frame(&forge, entries, 1, 5);
    add_index_frame(&forge, entries + 1, 1, 0);
    add_trailer(&forge, &at);
    expect_index(&forge, "entries are missing from the index");
    expect_fetch(&forge, 1, "abcdef", NULL); /* found by scanning instead */
    forge_end(&forge);

    forge = forge_checkpoints(entries);
    at = add_index_frame(&forge, entries, 2, 0);
    add_index_frame(&forge, entries, 0, 0);
    add_trailer(&forge, &at);
    expect_index(&forge, "does not end where the trailer begins");
    expect_fetch(&forge, 1, "abcdef", NULL);
    forge_end(&forge);

    forge = forge_checkpoints(entries);
    add_index_frame(&forge, entries, 0, 0);
    at = add_index_frame(&forge, entries, 2, 0);
    add_trailer(&forge, &at);
    expect_index(&forge, "does not begin right after the END record");
    forge_end(&forge);

    const struct log_checkpoint swapped[2] = {entries[1], entries[0]};
    forge = forge_checkpoints(entries);
    at = add_index_frame(&forge, swapped, 2, 0);
    add_trailer(&forge, &at);
    expect_index(&forge, "checkpoint 1 comes after checkpoint 2");
    forge_end(&forge);

    forge = forge_checkpoints(entries);
    at = add_frame(&forge, FRAME_INDEX, 0, "\0x", 2);
    add_trailer(&forge, &at);
    expect_index(&forge, "an INDEX frame is malformed");
    forge_end(&forge);

    forge = forge_checkpoints(entries);
    at = (struct cursor){.offset = 1u << 20, .sequence = 6};
    add_trailer(&forge, &at);
    expect_index(&forge, "points beyond the log");
    forge_end(&forge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_frames), cmocka_unit_test(checkpoint_ids_must_rise), cmocka_unit_test(true_index),
        cmocka_unit_test(lying_entries),  cmocka_unit_test(malformed_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
