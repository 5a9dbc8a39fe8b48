/*
 * Digests: 128-bit hashes (XXH3-128) of machines, images and streams of output.
 *
 * They guard against accident, not against an adversary: whoever can write a log can also write its digests.
 */
#ifndef ENCORE_BASE_DIGEST_H
#define ENCORE_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest {
    uint64_t low;
    uint64_t high;
};

/* Thirty-two hexadecimal digits and a NUL. */
#define DIGEST_TEXT 33

/* The digest of some bytes; `seed` separates uses, so that equal bytes in two roles have two digests. */
struct digest digest_of(const void *data, size_t length, uint64_t seed);

/* The same for bytes that come in pieces. NULL when memory is exhausted; digest_stream_end releases it. */
struct digest_stream;
struct digest_stream *digest_stream_begin(uint64_t seed);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t length);
struct digest digest_stream_end(struct digest_stream *stream);

bool digest_equal(struct digest a, struct digest b);

/* Order-free combination: addition and subtraction modulo 2^128. A sum of per-page digests can be brought up to date by
 * subtracting a page's old digest and adding its new one. */
struct digest digest_add(struct digest a, struct digest b);
struct digest digest_subtract(struct digest a, struct digest b);

/* Writes 32 hexadecimal digits, high half first, into text[DIGEST_TEXT]; returns text. */
char *digest_text(struct digest digest, char *text);

/* Reads what digest_text wrote. Returns 0, or -1 when it is not exactly 32 hexadecimal digits. */
int digest_parse(const char *text, struct digest *digest);

#endif
