/*
 * docs/log-format.md, checked: a second reader of logs, written from that page alone, reads what the library wrote; and
 * the page's worked example is what the library writes. Of logs/ this file uses nothing but the writer and the structs
 * that say what was written.
 */
#include "tests/unit/log_samples.h"

#include <lz4.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

#define DOCUMENT "docs/log-format.md"

/* The second reader: a place in some bytes. Anything unexpected fails the test. */
struct text {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t get_byte(struct text *text)
{
    assert_true(text->at < text->end);
    return *text->at++;
}

static uint64_t get_fixed(struct text *text, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)get_byte(text) << 8 * i;
    return value;
}

static uint64_t get_varint(struct text *text)
{
    uint64_t value = 0;

    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = get_byte(text);
        assert_true(shift < 63 || byte <= 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            assert_true(byte != 0 || shift == 0);
            return value;
        }
    }
}

static uint64_t get_zigzag(struct text *text)
{
    uint64_t value = get_varint(text);

    return value / 2 ^ (0 - (value & 1));
}

struct base {
    uint64_t records, exits, ticks, rip, time, output;
};

static struct digest get_digest(struct text *text)
{
    struct digest digest;

    digest.low = get_fixed(text, 8);
    digest.high = get_fixed(text, 8);
    return digest;
}

static void get_payload(struct text *text, struct log_record *record)
{
    record->length = get_varint(text);
    assert_true(record->length <= 4096);
    record->bytes = text->at;
    assert_true((size_t)(text->end - text->at) >= record->length);
    text->at += record->length;
}

static void get_position(struct text *text, struct base *base, unsigned kind, struct position *at)
{
    at->exits = base->exits += get_varint(text);
    assert_true(kind <= 2);
    if (kind == 1)
        at->ticks = base->ticks += get_varint(text);
    if (kind != 0)
        at->rip = base->rip += get_zigzag(text);
    if (kind == 2) {
        at->registers = get_digest(text);
        at->ram = get_digest(text);
    }
    at->kind = kind == 0 ? AT_EXIT : kind == 1 ? AT_TICK : AT_LANDMARK;
}

static struct log_record get_record(struct text *text, struct base *base)
{
    uint8_t tag = get_byte(text);
    unsigned type = tag & 15;
    bool flag = tag >> 6 & 1;
    struct log_record record = {.type = (enum log_record_type)type, .parent = UINT32_MAX};

    assert_int_equal(tag & 0x80, 0);
    assert_true(!flag || type == 1 || type == 8 || type == 9);
    get_position(text, base, tag >> 4 & 3, &record.at);
    if (type == 3 || type == 6 || type == 10 || type == 11)
        record.channel = get_byte(text);
    if (type == 5)
        record.command = (uint16_t)get_fixed(text, 2);
    if (type == 3 || type == 4 || type == 5 || type == 10)
        get_payload(text, &record);
    if (type == 10)
        assert_true(record.length >= 14 && record.length <= 1518);
    if (type == 11) {
        uint64_t transfer = get_varint(text);
        assert_true(transfer <= UINT32_MAX);
        record.transfer = (uint32_t)transfer;
    }
    if (type == 6) {
        record.length = get_varint(text);
        record.hash = (uint32_t)get_fixed(text, 4);
        base->output += record.length;
    }
    if (type == 8) {
        record.id = (uint32_t)get_varint(text);
        if (flag)
            record.parent = (uint32_t)get_varint(text);
        record.blob_length = get_varint(text);
    }
    if (type == 9) {
        record.reason = get_byte(text);
        record.exit_value = (uint32_t)get_varint(text);
        record.unnamed = flag;
    }
    record.to_deadline = type == 1 && flag;
    if ((type == 1 && !flag) || type == 2 || (type >= 7 && type <= 9))
        record.time = base->time += get_zigzag(text);
    if (type >= 7 && type <= 9)
        record.digest = get_digest(text);
    base->records++;
    return record;
}

/* A frame taken apart: its contents are the caller's to free. */
struct spec_frame {
    unsigned kind;
    uint32_t count;
    struct text contents;
    uint8_t *raw;
    size_t length;
};

static struct spec_frame get_frame(const uint8_t *log, size_t length, size_t offset, uint64_t sequence, uint64_t seed)
{
    const uint8_t *bytes = log + offset;
    struct text head = {.at = bytes, .end = log + length};
    struct spec_frame frame;

    assert_int_equal(get_fixed(&head, 2), 0xf145);
    frame.kind = get_byte(&head);
    unsigned compression = get_byte(&head);
    assert_int_equal(get_fixed(&head, 8), sequence);
    size_t stored = get_fixed(&head, 4);
    size_t raw = get_fixed(&head, 4);
    frame.count = (uint32_t)get_fixed(&head, 4);
    uint64_t checksum = get_fixed(&head, 8);
    assert_true(raw >= 1 && raw <= 262144 && compression <= 2);
    assert_true(compression ? stored < raw : stored == raw);
    assert_true((size_t)(head.end - head.at) >= stored);
    assert_true(checksum == XXH3_64bits_withSeed(head.at, stored, XXH3_64bits_withSeed(bytes, 24, seed)));
    frame.raw = malloc(raw);
    assert_non_null(frame.raw);
    if (compression == 1)
        assert_int_equal(ZSTD_decompress(frame.raw, raw, head.at, stored), raw);
    else if (compression == 2)
        assert_int_equal(LZ4_decompress_safe((const char *)head.at, (char *)frame.raw, (int)stored, (int)raw), raw);
    else
        memcpy(frame.raw, head.at, raw);
    frame.contents = (struct text){.at = frame.raw, .end = frame.raw + raw};
    frame.length = 32 + stored;
    return frame;
}

static bool same_digest(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

static void expect_record(const struct log_record *a, const struct log_record *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->at.kind, b->at.kind);
    assert_true(a->at.exits == b->at.exits && a->at.ticks == b->at.ticks && a->at.rip == b->at.rip);
    assert_true(same_digest(a->at.registers, b->at.registers) && same_digest(a->at.ram, b->at.ram));
    assert_true(a->time == b->time && a->length == b->length && a->blob_length == b->blob_length);
    assert_true(a->to_deadline == b->to_deadline && a->unnamed == b->unnamed);
    assert_int_equal(a->channel, b->channel);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->command, b->command);
    assert_int_equal(a->hash, b->hash);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->parent, b->parent);
    assert_int_equal(a->exit_value, b->exit_value);
    assert_int_equal(a->transfer, b->transfer);
    assert_true(same_digest(a->digest, b->digest));
    assert_int_equal(a->bytes != NULL, b->bytes != NULL);
    if (a->bytes)
        assert_memory_equal(a->bytes, b->bytes, a->length);
}

static void get_base(struct text *text, struct base *base)
{
    base->records = get_varint(text);
    base->exits = get_varint(text);
    base->ticks = get_varint(text);
    base->rip = get_varint(text);
    base->time = get_varint(text);
    base->output = get_varint(text);
}

/* What the second reader knows while it goes through a log. */
struct spec_reader {
    const struct expected *expected;
    size_t done;
    struct base base;
    uint64_t data_length; /* checkpoint data passed since their piece 0 */
    uint32_t pieces;
    uint8_t data[1 << 16];
    size_t checkpoints;
};

static void read_records(struct spec_reader *reader, struct spec_frame *frame)
{
    struct base base;

    get_base(&frame->contents, &base);
    assert_memory_equal(&base, &reader->base, sizeof base);
    for (uint32_t i = 0; i < frame->count; i++) {
        struct log_record record = get_record(&frame->contents, &reader->base);
        assert_true(reader->done < reader->expected->count);
        expect_record(&record, &reader->expected->records[reader->done++]);
        if (record.type == LOG_CHECKPOINT) {
            assert_int_equal(frame->count, 1);
            assert_int_equal(record.blob_length, reader->data_length);
            for (size_t j = 0; j < reader->data_length; j++)
                assert_int_equal(reader->data[j], blob_byte(record.id, j));
            reader->checkpoints++;
        }
    }
    reader->data_length = 0;
    reader->pieces = 0;
    assert_ptr_equal(frame->contents.at, frame->contents.end);
}

static void read_data(struct spec_reader *reader, struct spec_frame *frame)
{
    size_t length = (size_t)(frame->contents.end - frame->contents.at);

    assert_int_equal(frame->count, reader->pieces++);
    assert_true(reader->data_length + length <= sizeof reader->data);
    memcpy(reader->data + reader->data_length, frame->contents.at, length);
    reader->data_length += length;
}

static void read_index(struct spec_reader *reader, struct spec_frame *frame)
{
    assert_int_equal(reader->done, reader->expected->count);
    assert_int_equal(get_varint(&frame->contents), 0);
    assert_int_equal(frame->count, reader->checkpoints);
    for (uint32_t i = 0; i < frame->count; i++) {
        struct base zero = {0};
        uint64_t data_offset = get_varint(&frame->contents);
        uint64_t data_sequence = get_varint(&frame->contents);
        uint64_t offset = get_varint(&frame->contents);
        uint64_t sequence = get_varint(&frame->contents);
        struct log_record record = get_record(&frame->contents, &zero);
        assert_int_equal(record.type, LOG_CHECKPOINT);
        assert_true(record.blob_length ? data_offset < offset && data_sequence < sequence
                                       : data_offset == offset && data_sequence == sequence);
    }
    assert_ptr_equal(frame->contents.at, frame->contents.end);
}

/* Reads a whole closed log by the letter of the document. */
static void read_by_the_document(const uint8_t *log, size_t length, const struct expected *expected)
{
    struct spec_reader *reader = calloc(1, sizeof *reader);
    struct text head = {.at = log + 8, .end = log + length};
    size_t index = 0;
    uint64_t sequence = 0;

    assert_non_null(reader);
    reader->expected = expected;
    assert_memory_equal(log,
                        "\x89"
                        "ENCORE\n",
                        8);
    assert_int_equal(get_fixed(&head, 2), 1);
    assert_int_equal(get_fixed(&head, 2), 0);
    size_t at = get_fixed(&head, 4);
    uint64_t seed = XXH3_64bits(head.at, 16);
    assert_memory_equal(log + 32, SAMPLE_MACHINE, at - 40);
    struct text check = {.at = log + at - 8, .end = log + at};
    assert_true(get_fixed(&check, 8) == XXH3_64bits(log, at - 8));
    while (at < length - 32) {
        struct spec_frame frame = get_frame(log, length, at, sequence, seed);
        if (frame.kind == 1)
            read_records(reader, &frame);
        else if (frame.kind == 2)
            read_data(reader, &frame);
        else
            read_index(reader, &frame);
        if (frame.kind == 3)
            index = at;
        at += frame.length;
        sequence++;
        free(frame.raw);
    }
    struct text trailer = {.at = log + at + 8, .end = log + length};
    assert_memory_equal(log + at, "ENCOREIX", 8);
    assert_int_equal(get_fixed(&trailer, 8), index);
    assert_int_equal(get_fixed(&trailer, 8), sequence - 1);
    assert_true(get_fixed(&trailer, 8) == XXH3_64bits_withSeed(log + at, 24, seed));
    assert_ptr_equal(trailer.at, trailer.end);
    free(reader);
}

static void second_reader_agrees(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 130; seed++) {
        struct test_sink sink;
        struct expected expected = {0};
        sample_make(&sink, seed, 20, false, &expected);
        read_by_the_document(sink.bytes.data, sink.bytes.length, &expected);
        expected_free(&expected);
        bytes_writer_free(&sink.bytes);
    }
}

/* The log of the document's worked example. */
static void example_make(struct test_sink *sink, struct expected *expected)
{
    const struct log_record records[] = {
        {.type = LOG_TIME, .at = position_at_exit(5), .to_deadline = true, .parent = LOG_NO_PARENT},
        {.type = LOG_TIME, .at = position_at_exit(9), .time = 1000000, .parent = LOG_NO_PARENT},
        {.type = LOG_CONSOLE_IN,
         .at = {.kind = AT_TICK, .exits = 9, .ticks = 300, .rip = 0x100040},
         .bytes = (const uint8_t *)"ls\n",
         .length = 3,
         .parent = LOG_NO_PARENT},
        {.type = LOG_OUTPUT,
         .at = position_at_exit(12),
         .length = 200,
         .hash = 0x1a2b3c4d,
         .channel = 1,
         .parent = LOG_NO_PARENT},
        {.type = LOG_END,
         .at = position_at_exit(14),
         .reason = LOG_END_DEBUG_EXIT,
         .exit_value = 33,
         .time = 999999,
         .digest = {.low = 0x1122334455667788, .high = 0x99aabbccddeeff00},
         .parent = LOG_NO_PARENT},
    };
    struct log_header header = {.machine = (char *)SAMPLE_MACHINE};
    struct error error;

    for (unsigned i = 0; i < 16; i++)
        header.id.bytes[i] = (uint8_t)(0xa0 + i);
    *sink = test_sink();
    struct log_sink to = test_sink_sink(sink);
    struct log_writer *writer = log_writer_create(&to, &header, NULL, &error);
    assert_non_null(writer);
    for (unsigned i = 0; i < sizeof records / sizeof records[0]; i++) {
        expected_add(expected, &records[i], 0);
        assert_int_equal(log_writer_append(writer, &records[i], &error), 0);
        if (i == 2)
            assert_int_equal(log_writer_flush(writer, &error), 0);
    }
    assert_int_equal(log_writer_close(writer, &error), 0);
    log_writer_free(writer);
}

/* Appends the bytes of a line "0040: 41 05 ...  | words"; other lines have none. */
static void hex_line(const char *line, struct bytes_writer *out)
{
    unsigned offset;
    int used = 0;

    if (sscanf(line, "%4x:%n", &offset, &used) != 1 || used != 5)
        return;
    assert_int_equal(offset, out->length);
    for (line += used; *line != '|' && *line != '\n' && *line != 0;) {
        unsigned byte;
        if (sscanf(line, "%2x%n", &byte, &used) != 1)
            break;
        bytes_put_uint(out, 1, byte);
        line += used;
        line += strspn(line, " ");
    }
}

static void worked_example_is_true(void **state)
{
    struct test_sink sink;
    struct expected expected = {0};
    struct bytes_writer document = bytes_writer(1 << 16);
    char line[512];
    bool within = false;

    (void)state;
    example_make(&sink, &expected);
    FILE *file = fopen(DOCUMENT, "r");
    if (!file)
        fail_msg("cannot open " DOCUMENT " (this test runs from the top of the tree)");
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "```", 3) == 0)
            within = strncmp(line, "```hex", 6) == 0;
        else if (within)
            hex_line(line, &document);
    }
    fclose(file);
    if (getenv("ENCORE_SHOW_EXAMPLE")) {
        for (size_t i = 0; i < sink.bytes.length; i++)
            printf("%02x%s", sink.bytes.data[i], i % 16 == 15 ? "\n" : " ");
        printf("\n");
    }
    assert_int_equal(document.length, sink.bytes.length);
    assert_memory_equal(document.data, sink.bytes.data, document.length);
    read_by_the_document(document.data, document.length, &expected);
    bytes_writer_free(&document);
    bytes_writer_free(&sink.bytes);
    expected_free(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_reader_agrees),
        cmocka_unit_test(worked_example_is_true),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
