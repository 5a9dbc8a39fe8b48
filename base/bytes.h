/*
 * Bytes, in and out.
 *
 * Everything Encore stores or sends is little-endian and goes through these two cursors. The reader treats every byte
 * as hostile: reading past the end gives zeros and sets `bad`, which the caller checks once at the end of a unit.
 * Varints are LEB128, least significant group first, at most ten bytes; an encoding that is longer than needed or that
 * does not fit 64 bits is bad, so that every value has one encoding only.
 */
#ifndef ENCORE_BASE_BYTES_H
#define ENCORE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes_reader {
    const uint8_t *at; /* next byte */
    const uint8_t *end;
    bool bad; /* something was missing or malformed; every later read gives zeros */
};

/* A reader over bytes that the caller owns and keeps. */
struct bytes_reader bytes_reader(const void *data, size_t length);

size_t bytes_left(const struct bytes_reader *reader);
uint64_t bytes_get_uint(struct bytes_reader *reader, unsigned width); /* width 1, 2, 4 or 8 bytes */
uint64_t bytes_get_varint(struct bytes_reader *reader);
/* Copies `length` bytes out; zeros when they are not there. */
void bytes_get(struct bytes_reader *reader, void *to, size_t length);
/* A pointer to the next `length` bytes, which stay the reader's; NULL when they are not there. */
const uint8_t *bytes_take(struct bytes_reader *reader, size_t length);

struct bytes_writer {
    uint8_t *data; /* owned, and released by bytes_writer_free, unless it is borrowed */
    size_t length;
    size_t capacity;
    size_t limit;   /* never grows beyond this many bytes */
    bool failed;    /* the limit or the memory was exceeded; nothing is written from then on */
    bool no_memory; /* it was the memory */
    bool borrowed;  /* see bytes_writer_over */
};

/* An empty writer that may grow to `limit` bytes. */
struct bytes_writer bytes_writer(size_t limit);
/* An empty writer into `storage`, which stays the caller's: it takes `size` bytes and can fail only beyond them. */
struct bytes_writer bytes_writer_over(void *storage, size_t size);
void bytes_writer_free(struct bytes_writer *writer);
/* Empties the writer, keeps its memory, and forgets a failure. */
void bytes_writer_clear(struct bytes_writer *writer);

void bytes_put_uint(struct bytes_writer *writer, unsigned width, uint64_t value);
void bytes_put_varint(struct bytes_writer *writer, uint64_t value);
void bytes_put(struct bytes_writer *writer, const void *data, size_t length);
/* Room for `length` bytes at the end, to be filled in by the caller at once; NULL on failure. */
uint8_t *bytes_reserve(struct bytes_writer *writer, size_t length);

/* Whether all of them are zero; so it is for none. */
bool bytes_are_zero(const void *bytes, size_t length);

/* Fixed-width little-endian access to plain memory; width is 1, 2, 4 or 8 bytes. */
uint64_t bytes_load(const void *from, unsigned width);
void bytes_store(void *to, unsigned width, uint64_t value);

#endif
