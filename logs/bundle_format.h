/* The format of bundles (docs/bundle.md), between the files bundle*.c. */
#ifndef ENCORE_LOGS_BUNDLE_FORMAT_H
#define ENCORE_LOGS_BUNDLE_FORMAT_H

#include "logs/bundle.h"

#define BUNDLE_MAGIC        "\x89\x45\x4e\x43\x42\x4e\x44\x0a"
#define BUNDLE_VERSION      1u
#define BUNDLE_HEADER       16u
#define BUNDLE_END_MAGIC    "ENCOREBX"
#define BUNDLE_TRAILER      40u
#define BUNDLE_CHUNK        131072u
#define BUNDLE_MEMBERS      (2 + BUNDLE_MODULES + BUNDLE_DISKS)
#define BUNDLE_LOG_MAX      (UINT64_C(1) << 62)
#define BUNDLE_FILE_MAX     (UINT64_C(1) << 30)
#define BUNDLE_DISK_MAX     (UINT64_C(1) << 40)
#define BUNDLE_MEMBER_LEAST 21u /* bytes that a member's entry takes in the index, at least */
#define BUNDLE_CHUNK_LEAST  10u /* and a chunk's */

/* A chunk in the file. */
struct bundle_chunk {
    uint64_t offset;
    uint32_t stored, raw; /* how many bytes it takes, and holds; equal: not compressed */
    uint64_t checksum;
};

/* Chunks of a member that follow each other there and in the list of chunks. */
struct bundle_run {
    uint64_t first; /* of the member */
    uint64_t count;
    uint64_t chunk; /* in the list */
};

struct bundle_runs {
    struct bundle_run *list; /* in order; owned */
    size_t count;
};

/* What the index says. All zero at first, and freed by bundle_index_free. */
struct bundle_index {
    struct bundle_chunk *chunks;
    size_t chunk_count;
    struct bundle_member members[BUNDLE_MEMBERS];
    struct bundle_runs runs[BUNDLE_MEMBERS]; /* of each member */
    unsigned member_count;
};

/* Decodes an index whose chunks end at byte `end` of the file. Returns 0, or -1 with the error; to be freed either
 * way. */
int bundle_index_decode(struct bundle_index *index, const uint8_t *bytes, size_t length, uint64_t end,
                        struct error *error);
void bundle_index_encode(const struct bundle_index *index, struct bytes_writer *out);
void bundle_index_free(struct bundle_index *index);

/* How many bytes a member's chunk number `chunk` holds. */
uint32_t bundle_chunk_length(const struct bundle_member *member, uint64_t chunk);

#endif
