/*
 * Frames on a stream of bytes: each preceded by its length, 32 bits, big-endian.
 *
 * The receiving half takes bytes as they come, however they are cut, and gives frames. A frame that is too short or too
 * long for a guest is passed over, and the stream goes on behind it; a length that no sender of this protocol uses
 * means that this is not such a stream, and it is bad from there on.
 */
#ifndef ENCORE_VMM_HOST_NET_STREAM_H
#define ENCORE_VMM_HOST_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ethernet.h"

#define NET_STREAM_HEADER 4
/* The longest frame that anybody sends: 64 KiB of payload, and headers with room to spare. */
#define NET_STREAM_MAX (68 * 1024)
/* So much is received at a time. */
#define NET_STREAM_BUFFER (64 * 1024)

struct net_stream {
    uint8_t bytes[NET_STREAM_BUFFER];
    size_t first, end; /* of what has been received and not taken */
    size_t skip;       /* bytes still to come of a frame that is passed over */
    bool bad;
};

/* Empty, as at the beginning of a connection. */
void net_stream_reset(struct net_stream *stream);

/* Room for bytes to be received: net_stream_received tells how many came. At least 1 whenever net_stream_next has
 * returned 0. */
uint8_t *net_stream_room(struct net_stream *stream, size_t *length);
void net_stream_received(struct net_stream *stream, size_t length);

/* Takes the next whole frame out. Returns its length; 0 when there is none, or the stream is bad. */
size_t net_stream_next(struct net_stream *stream, uint8_t frame[FRAME_MAX]);

/* Writes the length before a frame. */
void net_stream_header(uint8_t header[NET_STREAM_HEADER], size_t length);

#endif
