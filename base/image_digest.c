#include "base/image_digest.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct image_digest {
    struct digest_stream *whole; /* NULL: it is sparse */
    struct digest sum;
    uint64_t piece; /* the number of the one that comes now */
    size_t filled;  /* bytes of it that are in the buffer */
    uint8_t buffer[DIGEST_PIECE];
};

struct image_digest *image_digest_begin(enum digest_kind kind, struct error *error)
{
    struct image_digest *image = calloc(1, sizeof *image);

    if (image && kind == DIGEST_WHOLE) {
        image->whole = digest_stream_begin(0);
        if (!image->whole) {
            free(image);
            image = NULL;
        }
    }
    if (!image)
        error_set(error, ERROR_HOST, "out of memory");
    return image;
}

static void add_piece(struct image_digest *image, const uint8_t *bytes, size_t length)
{
    if (!bytes_are_zero(bytes, length))
        image->sum = digest_add(image->sum, digest_of(bytes, length, image->piece));
    image->piece++;
}

/* Takes what goes into the piece that has begun. Returns how much that was. `bytes` NULL: zeros. */
static size_t fill(struct image_digest *image, const uint8_t *bytes, uint64_t length)
{
    size_t room = DIGEST_PIECE - image->filled;
    size_t part = length < room ? (size_t)length : room;

    if (bytes)
        memcpy(image->buffer + image->filled, bytes, part);
    else
        memset(image->buffer + image->filled, 0, part);
    image->filled += part;
    if (image->filled == DIGEST_PIECE) {
        add_piece(image, image->buffer, DIGEST_PIECE);
        image->filled = 0;
    }
    return part;
}

void image_digest_add(struct image_digest *image, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    if (image->whole) {
        digest_stream_add(image->whole, bytes, length);
        return;
    }
    while (length > 0) {
        size_t part = DIGEST_PIECE;
        if (image->filled == 0 && length >= DIGEST_PIECE)
            add_piece(image, at, DIGEST_PIECE);
        else
            part = fill(image, at, length);
        at += part;
        length -= part;
    }
}

void image_digest_add_zeros(struct image_digest *image, uint64_t length)
{
    static const uint8_t zeros[DIGEST_PIECE];

    while (image->whole && length > 0) {
        size_t part = length < sizeof zeros ? (size_t)length : sizeof zeros;
        digest_stream_add(image->whole, zeros, part);
        length -= part;
    }
    if (length > 0 && image->filled > 0)
        length -= fill(image, NULL, length);
    image->piece += length / DIGEST_PIECE;
    if (length % DIGEST_PIECE)
        fill(image, NULL, length % DIGEST_PIECE);
}

struct digest image_digest_end(struct image_digest *image)
{
    struct digest digest;

    if (image->filled)
        add_piece(image, image->buffer, image->filled);
    digest = image->whole ? digest_stream_end(image->whole) : image->sum;
    free(image);
    return digest;
}
