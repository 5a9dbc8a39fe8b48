/*
 * Walking over the frames of a log, one after the other, without looking into them. Internal to this library.
 */
#ifndef ENCORE_LOGS_WALK_H
#define ENCORE_LOGS_WALK_H

#include "logs/frame.h"
#include "logs/source.h"

/* What walking takes; all borrowed. */
struct walk {
    const struct log_source *source;
    struct frame_codec *codec;
    uint8_t *frame; /* FRAME_WHOLE_MAX bytes: the last frame as it stands in the log */
};

/* The place of the next frame. */
struct cursor {
    uint64_t offset;
    uint64_t sequence;
};

enum walk_result {
    WALK_FRAME, /* a whole frame with the right checksum and the right sequence number */
    WALK_SHORT, /* the bytes end here, at or within the frame; the error says so */
    WALK_BAD,   /* this is not the frame that belongs here, or the host failed; the error says why */
};

/* Reads the frame at the cursor into walk->frame and its header into `header`, and moves the cursor past it; leaves the
 * cursor alone when there is none. */
enum walk_result walk_next(struct walk *walk, struct cursor *cursor, struct frame_header *header, struct error *error);

/* Decompresses the frame in walk->frame into raw[FRAME_RAW_MAX]. Returns 0 or -1 with the error. */
int walk_contents(struct walk *walk, const struct frame_header *header, uint8_t *raw, struct error *error);

/* Puts "frame N at byte M: " before the error's text. Returns -1. */
int walk_locate(const struct cursor *cursor, struct error *error);

#endif
