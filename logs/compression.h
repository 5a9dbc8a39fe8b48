/*
 * How the contents of frames are made smaller. zstd makes records small, which is what counts for a log that is kept or
 * sent. A checkpoint is so large that time counts: the guest stands still while it is compressed, and whoever wants it
 * back waits for its decompression. LZ4 takes two thirds of the time of zstd's fastest levels for the former, half of
 * it for the latter, and a sixth more bytes. Internal to this library.
 */
#ifndef ENCORE_LOGS_COMPRESSION_H
#define ENCORE_LOGS_COMPRESSION_H

#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

#include "base/error.h"

/* The numbers stand in frames. */
enum compression {
    COMPRESSION_NONE = 0,
    COMPRESSION_ZSTD = 1, /* one zstd frame (RFC 8878), without a dictionary */
    COMPRESSION_LZ4 = 2,  /* one block of LZ4's block format */
};
#define COMPRESSION_LAST COMPRESSION_LZ4

/* What zstd keeps from one time to the next; all zero at first. Not shared between threads. */
struct compression_state {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
};

void compression_free(struct compression_state *state);

/* Compresses `length` bytes into fewer at `to`, which has room for `length`. `how` is not COMPRESSION_NONE; `level` is
 * zstd's. Returns how many there are; 0 when there would not be fewer; -1 with an ERROR_HOST. */
long compression_pack(struct compression_state *state, enum compression how, int level, const void *raw, size_t length,
                      uint8_t *to, struct error *error);

/* Puts into `raw` the `raw_length` bytes that `stored` holds. Returns 0; -1 with an ERROR_INPUT when it does not hold
 * exactly so many, with an ERROR_HOST when memory is exhausted. `how` is not COMPRESSION_NONE. */
int compression_unpack(struct compression_state *state, enum compression how, const uint8_t *stored,
                       size_t stored_length, uint8_t *raw, size_t raw_length, struct error *error);

#endif
