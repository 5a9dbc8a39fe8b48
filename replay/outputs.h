/*
 * What has left the machine: per console channel, how many bytes, and a running hash of all of them.
 *
 * While recording, the numbers go into OUTPUT records; in a replay they are computed again and compared, so that equal
 * records prove equal output.
 */
#ifndef ENCORE_REPLAY_OUTPUTS_H
#define ENCORE_REPLAY_OUTPUTS_H

#include <stdint.h>

#include "vmm/state.h"

/* Channels that exist: COM1. */
#define OUTPUT_CHANNELS 1

struct output_stream {
    uint64_t total;     /* bytes since the machine started */
    uint64_t announced; /* of these, covered by OUTPUT records */
    uint64_t hash;      /* of all of them, chained */
};

struct outputs {
    struct output_stream channels[OUTPUT_CHANNELS];
};

/* One more byte. */
void outputs_put(struct outputs *outputs, uint8_t channel, uint8_t byte);

/* What the next OUTPUT record of the channel says: the bytes since the last one, and the hash of all. Marks them as
 * announced. */
void outputs_announce(struct outputs *outputs, uint8_t channel, uint64_t *length, uint32_t *hash);

/* The field list, section "outputs". */
void outputs_state(struct outputs *outputs, struct state *state);

#endif
