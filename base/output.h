/*
 * An output: a file that is written. All files that Encore writes come into being here.
 *
 * Most are *whole*: written without a name, or under a temporary one where the file system cannot do that, and given
 * their name when they are fit to be seen; until then an older file of that name is as it was, and a run that fails or
 * dies leaves nothing. A *live* one, such as a console's file, can be watched while it is written.
 *
 * What may be written over:
 *   - nothing that this run reads, or writes otherwise (base/files.h);
 *   - never a device, FIFO, socket or directory; no symbolic link, and not what one leads to;
 *   - a regular file only where the caller says so, and then only the very file that was looked at, and none that a
 *     process has locked (flock), as a recorder has its log.
 * A *stream* may go to a character device or a FIFO as well, also through a symbolic link to one, or to a descriptor
 * that the process was started with: "-", /dev/stdout, /dev/stderr, /dev/fd/N, /proc/self/fd/N. Those are not opened
 * anew, so a file behind one is not cut.
 */
#ifndef ENCORE_BASE_OUTPUT_H
#define ENCORE_BASE_OUTPUT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/files.h"

struct output;

struct output_options {
    bool replace; /* an existing regular file may be replaced, or cut if it is live */
    bool stream;  /* devices, FIFOs and descriptors will do */
    bool live;    /* a regular file is written in its place */
    mode_t mode;  /* of a new file, before the umask */
};

/* Opens an output at `path`. When it fails, nothing was touched. What is wrong with the path is an ERROR_INPUT. NULL
 * with the error. */
struct output *output_open(struct files *files, const char *path, const struct output_options *options,
                           struct error *error);

/* The descriptor to write to; the output's own. */
int output_fd(const struct output *output);
/* Whether it is the standard output that the process was started with. */
bool output_is_stdout(const struct output *output);
/* As the user gave it. */
const char *output_path(const struct output *output);

/* Writes all of it. Returns 0, or -1 with the error. */
int output_write(struct output *output, const void *bytes, size_t length, struct error *error);

/* A whole output: brings it to the disk and gives it its name. ERROR_INPUT if something else has come there since
 * output_open. Others: nothing to do. Returns 0, or -1 with the error. */
int output_publish(struct output *output, struct error *error);

/* Closes it. A whole output that was not published is gone. Returns 0, or -1 with the error if close(2) reports one for
 * an output that stays; the output is released either way. NULL is allowed. */
int output_close(struct output *output, struct error *error);

/* A new file in a directory that the caller has just made, for writing. -1 with errno. */
int output_new_in(int directory, const char *name, mode_t mode);

/* A file without a name in `directory`, for reading and writing, which is gone when it is closed. -1 with errno. */
int output_unnamed(const char *directory);

/* Gives what is at `from` the name `to`, in the same directory or another of the same file system, unless that exists.
 * Returns 0, or -1 with errno. */
int output_rename_new(const char *from, const char *to);

#endif
