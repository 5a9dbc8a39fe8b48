/*
 * The log that a backup keeps on disk: the stream, byte by byte as it arrives, in a file that is a log like any other.
 *
 * The node writes it, before it acknowledges: with FILE_SINK_FSYNC what is acknowledged is on the disk. After a
 * takeover the machine's thread goes on writing where the stream ended. A stream that begins anew replaces the file.
 *
 * Unless it is required, a log that cannot be written (a full disk) ends there, and the backup keeps its place.
 */
#ifndef ENCORE_REPLICATION_KEPT_LOG_H
#define ENCORE_REPLICATION_KEPT_LOG_H

#include "logs/file_sink.h"
#include "logs/lenient_sink.h"
#include "logs/writer.h"

#define KEPT_LOG_ASIDE_MAX 8

struct kept_log {
    struct files *files; /* of the run */
    const char *path;    /* NULL: nothing is kept, and every function succeeds */
    bool force;          /* an existing file may be replaced */
    bool required;       /* what cannot be written is an error */
    enum file_sink_policy policy;
    void (*tell)(void *context, const struct error *why); /* ... else it is told, once for each log */
    void *context;                                        /* tell's */
    struct file_sink *file;
    struct lenient_sink lenient;
    struct log_sink sink;
    struct bytes_writer header; /* until it is whole; then the file gets its name */
    bool published;
    unsigned aside; /* logs that were set aside */
};

struct kept_log kept_log(struct files *files, const char *path, bool force, enum file_sink_policy policy);
/* A sink over `file` as `kept` wants it, required or not; in `lenient`. */
struct log_sink kept_log_sink(const struct kept_log *kept, struct file_sink *file, struct lenient_sink *lenient);
void kept_log_close(struct kept_log *kept);
/* Keeps what there is under another name, PATH.divergence-OFFSET, for it is evidence: KEPT_LOG_ASIDE_MAX times. */
int kept_log_set_aside(struct kept_log *kept, uint64_t offset, struct error *error);
/* Whether a log can be kept there. Nothing is changed. */
int kept_log_check(const struct kept_log *kept, struct error *error);
/* A new stream begins. */
int kept_log_begin(struct kept_log *kept, struct error *error);
/* Its next bytes. */
int kept_log_write(struct kept_log *kept, const uint8_t *bytes, size_t length, struct error *error);
/* A writer that goes on with the log, of which `reader` has delivered all there is; what is in the file after that is
 * cut off. NULL: with an error of kind ERROR_NONE when nothing is kept. The caller frees it before the log is closed.
 */
struct log_writer *kept_log_continue(struct kept_log *kept, struct log_reader *reader, struct error *error);

#endif
