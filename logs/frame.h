/*
 * Frames: the unit in which a log is written, sent, checked and lost.
 *
 * A frame is a header of fixed size followed by its contents, compressed when that makes them smaller. Its
 * checksum covers both, and starts from a seed made of the log's id, so that a frame of one log is never good in
 * another. Its sequence number makes a missing, doubled or moved frame visible. This file works from memory to memory;
 * logs/writer.h and logs/reader.h put frames into logs, and a network may carry them as they are.
 *
 * Layout, little-endian:
 *    0  u16  magic FRAME_MAGIC                 16  u32  raw length: of the contents when decompressed
 *    2  u8   kind, an enum frame_kind          20  u32  count, see enum frame_kind
 *    3  u8   an enum compression               24  u64  checksum
 *    4  u64  sequence number, from 0           32  the stored bytes
 *   12  u32  stored length
 */
#ifndef ENCORE_LOGS_FRAME_H
#define ENCORE_LOGS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "logs/compression.h"
#include "logs/header.h"

#define FRAME_MAGIC     0xf145u
#define FRAME_HEADER    32u
#define FRAME_RAW_MAX   (256u * 1024)                  /* bytes of contents, both compressed and not; at least 1 */
#define FRAME_WHOLE_MAX (FRAME_HEADER + FRAME_RAW_MAX) /* bytes of a whole frame */

enum frame_kind {
    FRAME_RECORDS = 1,         /* a base and `count` records, at least one */
    FRAME_CHECKPOINT_DATA = 2, /* a piece of a checkpoint; `count` is the piece's number, from 0 */
    FRAME_INDEX = 3,           /* where the checkpoints stand; `count` entries */
};

struct frame_header {
    enum frame_kind kind;
    enum compression compression;
    uint64_t sequence;
    uint32_t stored_length; /* <= raw_length; less if and only if there is compression */
    uint32_t raw_length;    /* 1 to FRAME_RAW_MAX */
    uint32_t count;
    uint64_t checksum;
};

/* What coding frames of one log takes. Not shared between threads. */
struct frame_codec {
    struct compression_state compression;
    int level;     /* zstd's */
    uint64_t seed; /* the log's id, folded */
};

#define FRAME_DEFAULT_LEVEL 3

/* A codec for the log with this id; `level` is zstd's, 1 to 19. Holds no memory until it is used. */
struct frame_codec frame_codec(const struct log_id *id, int level);
void frame_codec_free(struct frame_codec *codec);

/*
 * Appends one whole frame with `length` bytes of contents (1 to FRAME_RAW_MAX) to `out`. Returns 0, or -1 with an
 * ERROR_HOST when memory or the writer's limit is exhausted.
 */
int frame_encode(struct frame_codec *codec, enum frame_kind kind, uint64_t sequence, uint32_t count, const void *raw,
                 size_t length, struct bytes_writer *out, struct error *error);

/*
 * Reads a frame's header from FRAME_HEADER bytes and checks everything but the checksum: magic, kind, compression,
 * lengths. Returns 0, or -1 with an ERROR_INPUT.
 */
int frame_header_decode(const uint8_t *bytes, struct frame_header *header, struct error *error);

/* Checks the checksum of a frame: `bytes` are its FRAME_HEADER bytes, from which `header` was read, and `stored` its
 * stored bytes. Returns 0, or -1 with an ERROR_INPUT. */
int frame_check(const struct frame_codec *codec, const uint8_t *bytes, const struct frame_header *header,
                const uint8_t *stored, struct error *error);

/*
 * Puts the contents of a checked frame into `raw`, which has room for header->raw_length bytes. Returns 0, or -1: with
 * an ERROR_INPUT when the stored bytes do not decompress to exactly that length, with an ERROR_HOST when memory is
 * exhausted.
 */
int frame_contents(struct frame_codec *codec, const struct frame_header *header, const uint8_t *stored, uint8_t *raw,
                   struct error *error);

/*
 * Reads the one frame at the start of `length` bytes: header, checksum, and contents into raw[FRAME_RAW_MAX]. Returns
 * the frame's whole length in bytes; 0 when more bytes are needed; -1 with the error of the three functions above.
 */
long frame_decode(struct frame_codec *codec, const uint8_t *bytes, size_t length, struct frame_header *header,
                  uint8_t *raw, struct error *error);

#endif
