/* See outputs.h. The chain is FNV-1a, 64 bits: one multiplication a byte, and every byte changes all that follows. */
#include "replay/outputs.h"

#include "base/check.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

unsigned outputs_stream_of(uint8_t channel)
{
    if (channel == MACHINE_CONSOLE_COM1)
        return 0;
    if (channel >= LOG_CHANNEL_CARD && channel < LOG_CHANNEL_CARD + MACHINE_CARDS_MAX)
        return OUTPUT_CARD(channel - LOG_CHANNEL_CARD);
    return OUTPUT_NO_STREAM;
}

uint8_t outputs_channel_of(unsigned stream)
{
    CHECK(stream < OUTPUT_STREAMS);
    return (uint8_t)(stream == 0 ? MACHINE_CONSOLE_COM1 : LOG_CHANNEL_CARD + stream - OUTPUT_CARD(0));
}

void outputs_put(struct outputs *outputs, unsigned stream, const uint8_t *bytes, size_t length)
{
    CHECK(stream < OUTPUT_STREAMS);
    struct output_stream *to = &outputs->streams[stream];
    uint64_t hash = to->total == 0 ? FNV_OFFSET : to->hash;
    for (size_t n = 0; n < length; n++)
        hash = (hash ^ bytes[n]) * FNV_PRIME;
    to->hash = hash;
    to->total += length;
}

uint64_t outputs_waiting(const struct outputs *outputs, unsigned stream)
{
    CHECK(stream < OUTPUT_STREAMS);
    return outputs->streams[stream].total - outputs->streams[stream].announced;
}

void outputs_announce(struct outputs *outputs, unsigned stream, uint64_t *length, uint32_t *hash)
{
    CHECK(stream < OUTPUT_STREAMS);
    struct output_stream *of = &outputs->streams[stream];
    *length = of->total - of->announced;
    *hash = (uint32_t)(of->hash ^ of->hash >> 32);
    of->announced = of->total;
}

void outputs_state(struct outputs *outputs, struct state *state)
{
    state_section(state, "outputs", 2);
    for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
        struct output_stream *stream = &outputs->streams[i];
        state_u64(state, "total", &stream->total);
        state_u64(state, "announced", &stream->announced);
        state_u64(state, "hash", &stream->hash);
        state_require(state, stream->announced <= stream->total, "no more output is announced than there was");
    }
}
