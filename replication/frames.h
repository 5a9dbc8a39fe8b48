/*
 * Frames: messages on a stream of bytes. Each is u32 length, then so many bytes; a length of 0, or beyond the limit, is
 * an error from which there is no way back. Pure.
 */
#ifndef ENCORE_REPLICATION_FRAMES_H
#define ENCORE_REPLICATION_FRAMES_H

#include "base/bytes.h"

#define FRAMES_PREFIX 4

struct frames {
    struct bytes_writer held; /* what arrived */
    size_t taken;             /* of it, by frames_next */
    size_t limit;             /* of a frame's length */
};

enum frames_result { FRAMES_NONE, FRAMES_WHOLE, FRAMES_BAD };

/* `longest`: what `limit` may ever be. At most so much and a little is held. */
struct frames frames(size_t longest);
void frames_free(struct frames *frames);
/* Forgets what arrived. */
void frames_clear(struct frames *frames, size_t limit);
/* Room for bytes that arrive, once frames_next says NONE: `size` of them, at most as many as a frame may have. NULL
 * when memory is exhausted. */
uint8_t *frames_room(struct frames *frames, size_t size);
/* So many came into the room. */
void frames_filled(struct frames *frames, size_t size, size_t came);
/* The next frame's contents, good until the next frames_room. */
enum frames_result frames_next(struct frames *frames, const uint8_t **bytes, size_t *length);

#endif
