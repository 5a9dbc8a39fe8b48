/* See net_stream.h. */
#include "vmm/host/net_stream.h"

#include <string.h>

#include "base/check.h"

_Static_assert(NET_STREAM_BUFFER >= NET_STREAM_HEADER + FRAME_MAX, "a frame and its length fit");

void net_stream_reset(struct net_stream *stream)
{
    stream->first = stream->end = stream->skip = 0;
    stream->bad = false;
}

uint8_t *net_stream_room(struct net_stream *stream, size_t *length)
{
    if (stream->first > 0) {
        memmove(stream->bytes, stream->bytes + stream->first, stream->end - stream->first);
        stream->end -= stream->first;
        stream->first = 0;
    }
    *length = sizeof stream->bytes - stream->end;
    return stream->bytes + stream->end;
}

void net_stream_received(struct net_stream *stream, size_t length)
{
    CHECK(length <= sizeof stream->bytes - stream->end);
    stream->end += length;
}

static void pass_over(struct net_stream *stream)
{
    size_t there = stream->end - stream->first;
    size_t now = stream->skip < there ? stream->skip : there;

    stream->first += now;
    stream->skip -= now;
}

size_t net_stream_next(struct net_stream *stream, uint8_t frame[FRAME_MAX])
{
    while (!stream->bad) {
        pass_over(stream);
        const uint8_t *at = stream->bytes + stream->first;
        size_t there = stream->end - stream->first;
        if (stream->skip || there < NET_STREAM_HEADER)
            return 0;
        size_t length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        if (length == 0 || length > NET_STREAM_MAX) {
            stream->bad = true;
            return 0;
        }
        if (length < FRAME_MIN || length > FRAME_MAX) {
            stream->skip = NET_STREAM_HEADER + length;
            continue;
        }
        if (there < NET_STREAM_HEADER + length)
            return 0;
        memcpy(frame, at + NET_STREAM_HEADER, length);
        stream->first += NET_STREAM_HEADER + length;
        return length;
    }
    return 0;
}

void net_stream_header(uint8_t header[NET_STREAM_HEADER], size_t length)
{
    for (unsigned n = 0; n < NET_STREAM_HEADER; n++)
        header[n] = (uint8_t)(length >> (24 - 8 * n));
}
