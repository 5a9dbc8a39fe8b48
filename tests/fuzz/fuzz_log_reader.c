/*
 * Fuzzing the log reader.
 *
 * The first byte of the input chooses what the rest is. Checksums would keep a fuzzer out of everything behind them, so
 * most choices put the input behind good checksums: as a header, as the stored bytes of a frame, as the contents of
 * frames, as index entries. Whatever it is then goes through the whole reader: records, checkpoints, verification.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/check.h"
#include "logs/frame.h"
#include "logs/index.h"
#include "logs/reader.h"
#include "logs/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOG_LIMIT (1u << 22)

static void put_header(struct bytes_writer *log, const uint8_t *machine, size_t length)
{
    size_t start = log->length;

    bytes_put(log, LOG_MAGIC, 8);
    bytes_put_uint(log, 2, LOG_FORMAT_VERSION);
    bytes_put_uint(log, 2, 0);
    bytes_put_uint(log, 4, LOG_HEADER_FIXED + length);
    for (unsigned i = 0; i < 16; i++)
        bytes_put_uint(log, 1, 0);
    bytes_put(log, machine, length);
    if (!log->failed)
        bytes_put_uint(log, 8, XXH3_64bits(log->data + start, log->length - start));
}

static uint64_t seed(void)
{
    const uint8_t id[16] = {0};

    return XXH3_64bits(id, sizeof id);
}

/* A frame whose header says what it is told to say, with a checksum that fits. */
static void put_frame(struct bytes_writer *log, uint64_t sequence, unsigned kind, unsigned compression,
                      uint32_t raw_length, uint32_t count, const uint8_t *stored, size_t length)
{
    uint8_t *bytes = bytes_reserve(log, FRAME_HEADER + length);

    if (!bytes)
        return;
    bytes_store(bytes, 2, FRAME_MAGIC);
    bytes_store(bytes + 2, 1, kind);
    bytes_store(bytes + 3, 1, compression);
    bytes_store(bytes + 4, 8, sequence);
    bytes_store(bytes + 12, 4, length);
    bytes_store(bytes + 16, 4, raw_length);
    bytes_store(bytes + 20, 4, count);
    memcpy(bytes + FRAME_HEADER, stored, length);
    uint64_t inner = XXH3_64bits_withSeed(bytes, 24, seed());
    bytes_store(bytes + 24, 8, XXH3_64bits_withSeed(stored, length, inner));
}

/* The input as a series of frames, each: kind, compression, count, raw length, stored length, stored bytes. */
static void put_frames(struct bytes_writer *log, struct bytes_reader *input)
{
    for (uint64_t sequence = 0; bytes_left(input) > 6; sequence++) {
        unsigned kind = (unsigned)bytes_get_uint(input, 1) & 3;
        unsigned compression = (unsigned)bytes_get_uint(input, 1) & 3;
        uint32_t count = (uint32_t)bytes_get_uint(input, 1);
        uint32_t raw_length = (uint32_t)bytes_get_uint(input, 2);
        size_t length = (size_t)bytes_get_uint(input, 1);
        if (length > bytes_left(input))
            length = bytes_left(input);
        if (compression == COMPRESSION_NONE)
            raw_length = (uint32_t)length;
        put_frame(log, sequence, kind, compression, raw_length, count, input->at, length);
        input->at += length;
    }
}

/* A RECORDS frame with an END record, then the input as an INDEX frame, then a trailer that points to it. */
static void put_index(struct bytes_writer *log, const uint8_t *data, size_t size)
{
    struct bytes_writer end = bytes_writer(1024);
    struct record_context context = {0};
    struct log_record record = {.type = LOG_END};

    record_base_encode(&context, &end);
    record_encode(&context, &record, &end);
    put_frame(log, 0, FRAME_RECORDS, 0, (uint32_t)end.length, 1, end.data, end.length);
    bytes_writer_free(&end);
    size_t at = log->length;
    put_frame(log, 1, FRAME_INDEX, 0, (uint32_t)size - 1, data[0], data + 1, size - 1);
    uint8_t trailer[INDEX_TRAILER];
    memcpy(trailer, INDEX_MAGIC, 8);
    bytes_store(trailer + 8, 8, at);
    bytes_store(trailer + 16, 8, 1);
    bytes_store(trailer + 24, 8, XXH3_64bits_withSeed(trailer, 24, seed()));
    bytes_put(log, trailer, sizeof trailer);
}

static void read_all(const struct bytes_writer *log, bool follow)
{
    struct log_memory memory = {.bytes = log->data, .length = log->length};
    struct log_source source = log_source_memory(&memory);
    struct error error;
    struct log_reader *reader = log_reader_open_source(&source, "fuzz", follow, &error);
    struct log_record record;
    char text[RECORD_TEXT];
    const struct log_checkpoint *list;
    size_t count;

    if (!reader)
        return;
    if (!follow && log_reader_checkpoints(reader, &list, &count, &error) == 0 && count > 0) {
        struct bytes_writer blob = bytes_writer(1u << 20);
        uint32_t id = list[count - 1].record.id;
        (void)log_reader_checkpoint(reader, id, &blob, &error);
        (void)log_reader_seek_checkpoint(reader, id, &error);
        bytes_writer_free(&blob);
    }
    while (log_reader_next(reader, &record, &error) == LOG_READ_RECORD) {
        CHECK(strlen(record_text(&record, text)) < RECORD_TEXT);
        json_decref(record_json(&record));
    }
    log_reader_close(reader);
}

static void verify(const struct bytes_writer *log)
{
    struct log_memory memory = {.bytes = log->data, .length = log->length};
    struct log_source source = log_source_memory(&memory);
    struct log_summary summary;
    struct error error;

    (void)log_verify_source(&source, "fuzz", &summary, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_writer log = bytes_writer(LOG_LIMIT);

    if (size < 2 || size > 65536)
        return 0;
    struct bytes_reader rest = bytes_reader(data + 1, size - 1);
    switch (data[0] & 3) {
    case 0:
        bytes_put(&log, data + 1, size - 1);
        break;
    case 1:
        put_header(&log, data + 1, size - 1);
        break;
    case 2:
        put_header(&log, (const uint8_t *)"{}", 2);
        put_frames(&log, &rest);
        break;
    case 3:
        put_header(&log, (const uint8_t *)"{}", 2);
        put_index(&log, data + 1, size - 1);
        break;
    }
    if (!log.failed) {
        read_all(&log, false);
        read_all(&log, true);
        verify(&log);
    }
    bytes_writer_free(&log);
    return 0;
}
