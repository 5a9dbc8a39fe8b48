/*
 * A directory of files that comes into being whole or not at all: it is filled under a temporary name beside the final
 * one, and renamed at the end.
 */
#ifndef ENCORE_TOOLS_CHECKPOINT_FILES_H
#define ENCORE_TOOLS_CHECKPOINT_FILES_H

#include <limits.h>
#include <signal.h>

#include "base/error.h"

struct new_directory {
    const char *path;
    char temporary[PATH_MAX]; /* "" when there is none (any more) */
    int fd;
    sigset_t signals; /* the mask as it was */
};

/* Begins a directory that is to be `path`, which must not exist (ERROR_INPUT). SIGINT, SIGTERM and SIGHUP wait from
 * here on until it is closed, so that they too leave nothing behind. `path` is borrowed. */
int new_directory_create(struct new_directory *directory, const char *path, struct error *error);

/* Whether such a signal waits: the caller then gives up. */
int new_directory_check(const struct new_directory *directory, struct error *error);

/* Gives it its name. */
int new_directory_publish(struct new_directory *directory, struct error *error);

/* Releases it, removes it unless it was published, and lets the signals in. */
void new_directory_close(struct new_directory *directory);

#endif
