/*
 * A directory of files that comes into being whole or not at all: it is filled under a temporary name beside the final
 * one, and renamed at the end.
 */
#ifndef ENCORE_TOOLS_CHECKPOINT_FILES_H
#define ENCORE_TOOLS_CHECKPOINT_FILES_H

#include <limits.h>

#include "base/error.h"
#include "vmm/host/signals.h"

struct new_directory {
    const char *path;
    char temporary[PATH_MAX]; /* "" when there is none (any more) */
    int fd;
    struct signals *signals;
};

/* Begins a directory that is to be `path`, which must not exist (ERROR_INPUT). Signals are held
 * from here on (vmm/host/signals.h), so that they too leave nothing behind. `path` is borrowed. */
int new_directory_create(struct new_directory *directory, const char *path, struct error *error);

/* -1, with the error, when a signal came: the caller then gives up. */
int new_directory_check(const struct new_directory *directory, struct error *error);

/* Gives it its name. */
int new_directory_publish(struct new_directory *directory, struct error *error);

/* Releases it, and removes it unless it was published. */
void new_directory_close(struct new_directory *directory);

#endif
