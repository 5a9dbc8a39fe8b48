/*
 * The gate of network frames: what the guest sent, kept until it may leave.
 *
 * A network may lose frames and repeat them, which makes this simpler than the console's gate (output_gate.h): nobody
 * confirms a frame. At a primary a frame waits for its record to be committed. A backup cannot know which frames left
 * before the primary died, so it keeps the last ones, and lets them out again when it takes over.
 */
#ifndef ENCORE_REPLICATION_FRAME_GATE_H
#define ENCORE_REPLICATION_FRAME_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ethernet.h"

/* When more than this wait, the oldest is lost. */
#define FRAME_GATE_KEEP 1024
/* A frame that waits longer is lost: whoever should get it has asked again, or does not care any more. */
#define FRAME_GATE_AGE UINT64_C(1000000000)

struct frame_gate_entry {
    uint64_t offset; /* of the stream: when it is committed up to here, the frame may leave */
    uint64_t since;  /* ns */
    uint8_t card;
    uint16_t length;
    uint8_t frame[FRAME_MAX];
};

struct frame_gate {
    struct frame_gate_entry *entries; /* a ring of FRAME_GATE_KEEP; owned */
    size_t first, count;
};

int frame_gate_create(struct frame_gate *gate, struct error *error);
void frame_gate_destroy(struct frame_gate *gate);

/* The guest sent a frame; it may leave when the stream is committed up to `offset`. */
void frame_gate_put(struct frame_gate *gate, uint64_t offset, uint64_t now, uint8_t card, const uint8_t *frame,
                    size_t length);

/* Takes the next frame that may leave with the stream committed up to `committed`; good until the next put. NULL: there
 * is none now. */
const struct frame_gate_entry *frame_gate_take(struct frame_gate *gate, uint64_t committed, uint64_t now);

/* How many wait. */
size_t frame_gate_waiting(const struct frame_gate *gate);

#endif
