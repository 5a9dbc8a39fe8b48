/*
 * A sink that is a file.
 *
 * It is a whole output (base/output.h), which gets its name when the log's header is in it and on the disk: nobody ever
 * sees a log without its header, and a recording that fails to start leaves an older log of the same name as it was.
 * Until it is closed, the log is locked: another recording that would replace it is refused. Everything typed into the
 * guest is in a log, so the file is its owner's alone (0600).
 */
#ifndef ENCORE_LOGS_FILE_SINK_H
#define ENCORE_LOGS_FILE_SINK_H

#include <stdbool.h>

#include "base/files.h"
#include "logs/writer.h"

enum file_sink_policy {
    FILE_SINK_PAGE_CACHE = 0, /* never fsync after the header: survives the death of this process, not of the host */
    FILE_SINK_FSYNC,          /* fsync at each flush */
};

struct file_sink;

/*
 * Makes the file of a log at `path`, an output of the run `files`. With `force` an existing file is replaced when the
 * header is out; without, its existence is an ERROR_INPUT, now or, if it comes into being meanwhile, then. Returns NULL
 * with the error.
 */
struct file_sink *file_sink_create(struct files *files, const char *path, bool force, enum file_sink_policy policy,
                                   struct error *error);

/* The sink to give to log_writer_create; valid until file_sink_close. */
struct log_sink file_sink_sink(struct file_sink *file);

/* Closes the file; removes it if it was never published. Returns 0, or -1 with the error when close(2) reports one; the
 * file_sink is gone either way. NULL is allowed. */
int file_sink_close(struct file_sink *file, struct error *error);

#endif
