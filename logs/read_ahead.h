/*
 * The frames of a checkpoint's data, decompressed by other threads before they are asked for. Internal to this library.
 *
 * A large checkpoint takes longer to decompress than to put in its place, and its frames do not depend on each other.
 * So threads read and decompress some frames beyond the one in use; whoever wants the next and finds nobody at it does
 * it himself, so that it works without any thread, too. What is handed out, and the errors, are those of reading frame
 * by frame.
 */
#ifndef ENCORE_LOGS_READ_AHEAD_H
#define ENCORE_LOGS_READ_AHEAD_H

#include "logs/walk.h"

struct read_ahead;

/*
 * Begins to read frames from `from` on, as many as have `length` bytes of contents in all; never more than a few frames
 * beyond those asked for. The source is borrowed, and nobody else may read from it until the end. `codec` is that of
 * the log, and is only looked at. Returns NULL with an ERROR_HOST when memory is exhausted; threads that cannot be had
 * are done without.
 */
struct read_ahead *read_ahead_begin(const struct log_source *source, const struct frame_codec *codec,
                                    const struct cursor *from, uint64_t length, struct error *error);

/* One frame, valid until the next is asked for. */
struct read_ahead_frame {
    struct cursor at;
    struct cursor after;
    struct frame_header header;
    const uint8_t *contents; /* of a CHECKPOINT_DATA frame; NULL for others, after which none can be asked for */
};

/* The next frame. Returns 0, or -1 with the error of walk_next or, located, of walk_contents; after that no frame may
 * be asked for. */
int read_ahead_next(struct read_ahead *ahead, struct read_ahead_frame *frame, struct error *error);

/* Ends the threads and frees everything. */
void read_ahead_end(struct read_ahead *ahead);

#endif
