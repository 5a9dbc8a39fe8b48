/*
 * Where a reader gets a log's bytes from: a file, memory, or a feed into which a connection pushes what it received.
 */
#ifndef ENCORE_LOGS_SOURCE_H
#define ENCORE_LOGS_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/files.h"

/* Functions return 0, or -1 with the error. */
struct log_source {
    /* Copies up to `length` bytes from `offset`; *got tells how many. Fewer than asked for means that there are no more
     * at present. */
    int (*read)(void *context, uint64_t offset, void *to, size_t length, size_t *got, struct error *error);
    /* How many bytes there are at present. */
    int (*size)(void *context, uint64_t *size, struct error *error);
    /* The reader will not ask for anything before `offset` again, unless somebody seeks. NULL: nothing to do. */
    void (*release)(void *context, uint64_t offset);
    /* The reader is done with the source. NULL: nothing to do. */
    void (*close)(void *context);
    void *context;
};

/* A file, an input of the run `files`, opened here and closed by the source's close. ERROR_INPUT when `path` does not
 * name a file that can be read: there is none, it is not a regular file, or we may not read it. */
int log_source_file(struct files *files, const char *path, struct log_source *source, struct error *error);

/* Bytes in memory that stay the caller's and must outlive the source. The struct may be changed between reads, to let
 * the log grow. */
struct log_memory {
    const uint8_t *bytes;
    size_t length;
};
struct log_source log_source_memory(struct log_memory *memory);

/* Bytes pushed in at one end and read at the other; what the reader has released is forgotten. */
struct log_feed {
    struct bytes_writer held;
    uint64_t start;  /* offset in the log of the first byte held */
    size_t released; /* how many of the bytes held are not wanted any more */
};

/* An empty feed that holds at most `limit` bytes at a time. To release a checkpoint's data a reader must first have
 * passed it, so the limit bounds the checkpoints that can be received. */
void log_feed_init(struct log_feed *feed, size_t limit);
void log_feed_free(struct log_feed *feed);
/* Appends bytes; fails with an ERROR_INPUT when the limit is exceeded. */
int log_feed_push(struct log_feed *feed, const void *bytes, size_t length, struct error *error);
/* The feed as a source; the feed must outlive it. */
struct log_source log_feed_source(struct log_feed *feed);

#endif
