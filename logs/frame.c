#include "logs/frame.h"

#include <string.h>
#include <xxhash.h>

#include "base/check.h"

#define CHECKSUM_AT 24u

struct frame_codec frame_codec(const struct log_id *id, int level)
{
    return (struct frame_codec){.level = level, .seed = XXH3_64bits(id->bytes, sizeof id->bytes)};
}

void frame_codec_free(struct frame_codec *codec)
{
    compression_free(&codec->compression);
}

/* The header's hash is the seed of the contents', so one number covers both without first bringing them together. */
static uint64_t frame_checksum(const struct frame_codec *codec, const uint8_t *bytes, const uint8_t *stored,
                               size_t length)
{
    return XXH3_64bits_withSeed(stored, length, XXH3_64bits_withSeed(bytes, CHECKSUM_AT, codec->seed));
}

int frame_encode(struct frame_codec *codec, enum frame_kind kind, uint64_t sequence, uint32_t count, const void *raw,
                 size_t length, struct bytes_writer *out, struct error *error)
{
    size_t start = out->length;

    CHECK(length >= 1 && length <= FRAME_RAW_MAX);
    uint8_t *bytes = bytes_reserve(out, FRAME_HEADER + length);
    if (!bytes)
        return error_set(error, ERROR_HOST, "no memory for a frame");
    uint8_t *stored = bytes + FRAME_HEADER;
    enum compression how = kind == FRAME_CHECKPOINT_DATA ? COMPRESSION_LZ4 : COMPRESSION_ZSTD;
    long compressed = compression_pack(&codec->compression, how, codec->level, raw, length, stored, error);
    if (compressed < 0) {
        out->length = start;
        return -1;
    }
    size_t stored_length = compressed ? (size_t)compressed : length;
    if (!compressed)
        memcpy(stored, raw, length);
    bytes_store(bytes, 2, FRAME_MAGIC);
    bytes_store(bytes + 2, 1, kind);
    bytes_store(bytes + 3, 1, compressed ? how : COMPRESSION_NONE);
    bytes_store(bytes + 4, 8, sequence);
    bytes_store(bytes + 12, 4, stored_length);
    bytes_store(bytes + 16, 4, length);
    bytes_store(bytes + 20, 4, count);
    bytes_store(bytes + CHECKSUM_AT, 8, frame_checksum(codec, bytes, stored, stored_length));
    out->length = start + FRAME_HEADER + stored_length;
    return 0;
}

int frame_header_decode(const uint8_t *bytes, struct frame_header *header, struct error *error)
{
    unsigned kind = bytes[2];
    unsigned compression = bytes[3];

    if (bytes_load(bytes, 2) != FRAME_MAGIC)
        return error_set(error, ERROR_INPUT, "no frame begins here");
    if (kind < FRAME_RECORDS || kind > FRAME_INDEX)
        return error_set(error, ERROR_INPUT, "unknown kind of frame %u", kind);
    if (compression > COMPRESSION_LAST)
        return error_set(error, ERROR_INPUT, "unknown compression %u in a frame's header", compression);
    *header = (struct frame_header){
        .kind = (enum frame_kind)kind,
        .compression = (enum compression)compression,
        .sequence = bytes_load(bytes + 4, 8),
        .stored_length = (uint32_t)bytes_load(bytes + 12, 4),
        .raw_length = (uint32_t)bytes_load(bytes + 16, 4),
        .count = (uint32_t)bytes_load(bytes + 20, 4),
        .checksum = bytes_load(bytes + CHECKSUM_AT, 8),
    };
    bool lengths_agree =
        compression ? header->stored_length < header->raw_length : header->stored_length == header->raw_length;
    if (header->raw_length < 1 || header->raw_length > FRAME_RAW_MAX || !lengths_agree)
        return error_set(error, ERROR_INPUT, "impossible lengths in a frame's header (%u stored, %u raw)",
                         header->stored_length, header->raw_length);
    if (header->kind == FRAME_RECORDS && (header->count < 1 || header->count > header->raw_length))
        return error_set(error, ERROR_INPUT, "a frame of %u bytes with %u records", header->raw_length, header->count);
    return 0;
}

int frame_check(const struct frame_codec *codec, const uint8_t *bytes, const struct frame_header *header,
                const uint8_t *stored, struct error *error)
{
    if (frame_checksum(codec, bytes, stored, header->stored_length) != header->checksum)
        return error_set(error, ERROR_INPUT, "the checksum does not match");
    return 0;
}

int frame_contents(struct frame_codec *codec, const struct frame_header *header, const uint8_t *stored, uint8_t *raw,
                   struct error *error)
{
    if (header->compression)
        return compression_unpack(&codec->compression, header->compression, stored, header->stored_length, raw,
                                  header->raw_length, error);
    memcpy(raw, stored, header->raw_length);
    return 0;
}

long frame_decode(struct frame_codec *codec, const uint8_t *bytes, size_t length, struct frame_header *header,
                  uint8_t *raw, struct error *error)
{
    if (length < FRAME_HEADER)
        return 0;
    if (frame_header_decode(bytes, header, error))
        return -1;
    if (length - FRAME_HEADER < header->stored_length)
        return 0;
    if (frame_check(codec, bytes, header, bytes + FRAME_HEADER, error) ||
        frame_contents(codec, header, bytes + FRAME_HEADER, raw, error))
        return -1;
    return (long)(FRAME_HEADER + header->stored_length);
}
