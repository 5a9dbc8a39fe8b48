/*
 * Output on its way out: bytes that the guest sent and no OUTPUT record has announced yet, by stream (outputs.h).
 */
#ifndef ENCORE_REPLAY_OUTBOX_H
#define ENCORE_REPLAY_OUTBOX_H

#include "base/bytes.h"
#include "replay/outputs.h"

struct outbox {
    struct bytes_writer streams[OUTPUT_STREAMS]; /* `failed`: more than the limit, or the memory */
};

/* An empty one, which holds up to `limit` bytes of each stream. */
struct outbox outbox(size_t limit);
void outbox_free(struct outbox *outbox);

/* A byte of the console, and a frame of a card; into the box, and into the counts. */
void outbox_put_byte(struct outbox *outbox, struct outputs *outputs, uint8_t byte);
void outbox_put_frame(struct outbox *outbox, struct outputs *outputs, unsigned card, const uint8_t *frame,
                      size_t length);

/* Whether there is anything in it. */
bool outbox_is_empty(const struct outbox *outbox);

/* Takes the next frame of a card's bytes, which stays theirs; returns its length, 0 when there is no more. */
size_t outbox_next_frame(struct bytes_reader *bytes, const uint8_t **frame);

#endif
