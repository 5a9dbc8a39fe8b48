#include "logs/walk.h"

#include <inttypes.h>

int walk_locate(const struct cursor *cursor, struct error *error)
{
    return error_wrap(error, "frame %" PRIu64 " at byte %" PRIu64, cursor->sequence, cursor->offset);
}

/* A frame that is all there: does it belong here? */
static int check(struct walk *walk, const struct cursor *cursor, const struct frame_header *header, struct error *error)
{
    if (frame_check(walk->codec, walk->frame, header, walk->frame + FRAME_HEADER, error))
        return -1;
    if (header->sequence != cursor->sequence)
        return error_set(error, ERROR_INPUT, "this is frame %" PRIu64 ", out of its place", header->sequence);
    return 0;
}

static enum walk_result next(struct walk *walk, const struct cursor *cursor, struct frame_header *header,
                             struct error *error)
{
    const struct log_source *source = walk->source;
    size_t got;

    if (source->read(source->context, cursor->offset, walk->frame, FRAME_HEADER, &got, error))
        return WALK_BAD;
    if (got == 0) {
        error_set(error, ERROR_INPUT, "the log breaks off here, without an END record");
        return WALK_SHORT;
    }
    if (got < FRAME_HEADER) {
        error_set(error, ERROR_INPUT, "the log breaks off within a frame's header (%zu of %u bytes)", got,
                  FRAME_HEADER);
        return WALK_SHORT;
    }
    if (frame_header_decode(walk->frame, header, error))
        return WALK_BAD;
    if (source->read(source->context, cursor->offset + FRAME_HEADER, walk->frame + FRAME_HEADER, header->stored_length,
                     &got, error))
        return WALK_BAD;
    if (got < header->stored_length) {
        error_set(error, ERROR_INPUT, "the log breaks off within a frame (%zu of %" PRIu32 " bytes)", got,
                  header->stored_length);
        return WALK_SHORT;
    }
    return check(walk, cursor, header, error) ? WALK_BAD : WALK_FRAME;
}

enum walk_result walk_next(struct walk *walk, struct cursor *cursor, struct frame_header *header, struct error *error)
{
    enum walk_result result = next(walk, cursor, header, error);

    if (result != WALK_FRAME) {
        walk_locate(cursor, error);
        return result;
    }
    cursor->offset += FRAME_HEADER + header->stored_length;
    cursor->sequence++;
    return WALK_FRAME;
}

int walk_contents(struct walk *walk, const struct frame_header *header, uint8_t *raw, struct error *error)
{
    return frame_contents(walk->codec, header, walk->frame + FRAME_HEADER, raw, error);
}
