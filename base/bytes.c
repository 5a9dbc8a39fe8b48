#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct bytes_reader bytes_reader(const void *data, size_t length)
{
    const uint8_t *at = data;

    return (struct bytes_reader){.at = at, .end = at ? at + length : NULL};
}

size_t bytes_left(const struct bytes_reader *reader)
{
    return reader->bad || !reader->at ? 0 : (size_t)(reader->end - reader->at);
}

const uint8_t *bytes_take(struct bytes_reader *reader, size_t length)
{
    if (bytes_left(reader) < length || !reader->at) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *taken = reader->at;
    reader->at += length;
    return taken;
}

void bytes_get(struct bytes_reader *reader, void *to, size_t length)
{
    if (length == 0)
        return;
    const uint8_t *from = bytes_take(reader, length);
    if (from)
        memcpy(to, from, length);
    else
        memset(to, 0, length);
}

uint64_t bytes_get_uint(struct bytes_reader *reader, unsigned width)
{
    const uint8_t *from = bytes_take(reader, width);

    return from ? bytes_load(from, width) : 0;
}

uint64_t bytes_get_varint(struct bytes_reader *reader)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        const uint8_t *byte = bytes_take(reader, 1);
        if (!byte)
            return 0;
        if ((shift == 63 && *byte > 1) || (shift > 0 && *byte == 0))
            break;
        value |= (uint64_t)(*byte & 0x7f) << shift;
        if (!(*byte & 0x80))
            return value;
    }
    reader->bad = true;
    return 0;
}

struct bytes_writer bytes_writer(size_t limit)
{
    return (struct bytes_writer){.limit = limit};
}

struct bytes_writer bytes_writer_over(void *storage, size_t size)
{
    return (struct bytes_writer){.data = storage, .capacity = size, .limit = size, .borrowed = true};
}

void bytes_writer_free(struct bytes_writer *writer)
{
    if (!writer->borrowed)
        free(writer->data);
    *writer = (struct bytes_writer){.limit = writer->limit};
}

void bytes_writer_clear(struct bytes_writer *writer)
{
    writer->length = 0;
    writer->failed = writer->no_memory = false;
}

uint8_t *bytes_reserve(struct bytes_writer *writer, size_t length)
{
    if (writer->failed || length > writer->limit - writer->length) {
        writer->failed = true;
        return NULL;
    }
    size_t needed = writer->length + length;
    if (needed > writer->capacity) {
        size_t capacity = writer->capacity < 256 ? 256 : writer->capacity;
        while (capacity < needed)
            capacity += capacity / 2;
        uint8_t *data = realloc(writer->data, capacity);
        if (!data) {
            writer->failed = writer->no_memory = true;
            return NULL;
        }
        writer->data = data;
        writer->capacity = capacity;
    }
    uint8_t *room = writer->data + writer->length;
    writer->length = needed;
    return room;
}

void bytes_put(struct bytes_writer *writer, const void *data, size_t length)
{
    if (length == 0)
        return;
    uint8_t *room = bytes_reserve(writer, length);
    if (room)
        memcpy(room, data, length);
}

void bytes_put_uint(struct bytes_writer *writer, unsigned width, uint64_t value)
{
    uint8_t *room = bytes_reserve(writer, width);

    if (room)
        bytes_store(room, width, value);
}

void bytes_put_varint(struct bytes_writer *writer, uint64_t value)
{
    uint8_t encoded[10];
    unsigned length = 0;

    do {
        encoded[length] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        length++;
    } while (value);
    bytes_put(writer, encoded, length);
}

uint64_t bytes_load(const void *from, unsigned width)
{
    const uint8_t *byte = from;
    uint64_t value = 0;

    CHECK(width == 1 || width == 2 || width == 4 || width == 8);
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)byte[i] << (8 * i);
    return value;
}

void bytes_store(void *to, unsigned width, uint64_t value)
{
    uint8_t *byte = to;

    CHECK(width == 1 || width == 2 || width == 4 || width == 8);
    for (unsigned i = 0; i < width; i++)
        byte[i] = (uint8_t)(value >> (8 * i));
}

bool bytes_are_zero(const void *bytes, size_t length)
{
    const uint8_t *byte = bytes;

    return length == 0 || (byte[0] == 0 && memcmp(byte, byte + 1, length - 1) == 0);
}
