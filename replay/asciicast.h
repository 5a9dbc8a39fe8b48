/*
 * A console's output as an asciicast, version 2 (docs.asciinema.org): a header, then one line of JSON for each piece of
 * output, with the time in seconds.
 *
 * Text in it must be UTF-8. A character of which a part only has come waits for the rest; a byte that is no part of one
 * becomes U+FFFD.
 */
#ifndef ENCORE_REPLAY_ASCIICAST_H
#define ENCORE_REPLAY_ASCIICAST_H

#include "base/bytes.h"

struct asciicast {
    uint8_t part[4]; /* the beginning of a character */
    size_t part_length;
};

/* The header; `start`: seconds since 1970 UTC. */
void asciicast_begin(struct asciicast *cast, struct bytes_writer *out, int64_t start);

/* Output at `time`, in nanoseconds since the start. */
void asciicast_output(struct asciicast *cast, struct bytes_writer *out, uint64_t time, const uint8_t *bytes,
                      size_t length);

#endif
