/* See outputs.h. The chain is FNV-1a, 64 bits: one multiplication a byte, and every byte changes all that follows. */
#include "replay/outputs.h"

#include "base/check.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

void outputs_put(struct outputs *outputs, uint8_t channel, uint8_t byte)
{
    CHECK(channel < OUTPUT_CHANNELS);
    struct output_stream *stream = &outputs->channels[channel];
    if (stream->total == 0)
        stream->hash = FNV_OFFSET;
    stream->total++;
    stream->hash = (stream->hash ^ byte) * FNV_PRIME;
}

void outputs_announce(struct outputs *outputs, uint8_t channel, uint64_t *length, uint32_t *hash)
{
    CHECK(channel < OUTPUT_CHANNELS);
    struct output_stream *stream = &outputs->channels[channel];
    *length = stream->total - stream->announced;
    *hash = (uint32_t)(stream->hash ^ stream->hash >> 32);
    stream->announced = stream->total;
}

void outputs_state(struct outputs *outputs, struct state *state)
{
    state_section(state, "outputs", 1);
    for (unsigned i = 0; i < OUTPUT_CHANNELS; i++) {
        struct output_stream *stream = &outputs->channels[i];
        state_u64(state, "total", &stream->total);
        state_u64(state, "announced", &stream->announced);
        state_u64(state, "hash", &stream->hash);
        state_require(state, stream->announced <= stream->total, "no more output is announced than there was");
    }
}
