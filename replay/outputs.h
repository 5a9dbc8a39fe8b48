/*
 * What has left the machine: per channel, how many bytes, and a running hash of all of them.
 *
 * While recording, the numbers go into OUTPUT records; in a replay they are computed again and compared, so that equal
 * records prove equal output. A network card's channel carries each frame's length (u16) and then the frame.
 */
#ifndef ENCORE_REPLAY_OUTPUTS_H
#define ENCORE_REPLAY_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "logs/record.h"
#include "vmm/machine.h"
#include "vmm/state.h"

/* The streams that exist: COM1's, which is channel 0, and the network cards', which are channel LOG_CHANNEL_CARD and
 * on.
 */
#define OUTPUT_STREAMS    (1 + MACHINE_CARDS_MAX)
#define OUTPUT_NO_STREAM  OUTPUT_STREAMS
#define OUTPUT_CARD(card) (1 + (card)) /* the stream of a network card */

/* The bytes before a frame. */
#define OUTPUT_FRAME_HEADER 2

struct output_stream {
    uint64_t total;     /* bytes since the machine started */
    uint64_t announced; /* of these, covered by OUTPUT records */
    uint64_t hash;      /* of all of them, chained */
};

struct outputs {
    struct output_stream streams[OUTPUT_STREAMS];
};

/* The stream of an OUTPUT record's channel, OUTPUT_NO_STREAM if there is none; and the channel of a stream. */
unsigned outputs_stream_of(uint8_t channel);
uint8_t outputs_channel_of(unsigned stream);

/* More bytes. */
void outputs_put(struct outputs *outputs, unsigned stream, const uint8_t *bytes, size_t length);

/* How many bytes no record has announced yet. */
uint64_t outputs_waiting(const struct outputs *outputs, unsigned stream);

/* What the next OUTPUT record of the stream says: the bytes since the last one, and the hash of all. Marks them as
 * announced. */
void outputs_announce(struct outputs *outputs, unsigned stream, uint64_t *length, uint32_t *hash);

/* The field list, section "outputs". */
void outputs_state(struct outputs *outputs, struct state *state);

#endif
