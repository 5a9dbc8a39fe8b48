/* See frames.h. */
#include "replication/frames.h"

#include <string.h>

struct frames frames(size_t longest)
{
    return (struct frames){.held = bytes_writer(2 * (longest + FRAMES_PREFIX)), .limit = longest};
}

void frames_free(struct frames *frames)
{
    bytes_writer_free(&frames->held);
}

void frames_clear(struct frames *frames, size_t limit)
{
    bytes_writer_clear(&frames->held);
    frames->taken = 0;
    frames->limit = limit;
}

uint8_t *frames_room(struct frames *frames, size_t size)
{
    struct bytes_writer *held = &frames->held;

    if (frames->taken > 0)
        memmove(held->data, held->data + frames->taken, held->length - frames->taken);
    held->length -= frames->taken;
    frames->taken = 0;
    return bytes_reserve(held, size);
}

void frames_filled(struct frames *frames, size_t size, size_t came)
{
    frames->held.length -= size - came;
}

enum frames_result frames_next(struct frames *frames, const uint8_t **bytes, size_t *length)
{
    size_t left = frames->held.length - frames->taken;
    const uint8_t *at = frames->held.data + frames->taken;

    if (left < FRAMES_PREFIX)
        return FRAMES_NONE;
    uint64_t wanted = bytes_load(at, FRAMES_PREFIX);
    if (wanted == 0 || wanted > frames->limit)
        return FRAMES_BAD;
    if (left - FRAMES_PREFIX < wanted)
        return FRAMES_NONE;
    *bytes = at + FRAMES_PREFIX;
    *length = (size_t)wanted;
    frames->taken += FRAMES_PREFIX + (size_t)wanted;
    return FRAMES_WHOLE;
}
