/* Locks that say "a process is writing this file" (flock): gone with the process, however it ends. */
#ifndef ENCORE_BASE_FILE_LOCK_H
#define ENCORE_BASE_FILE_LOCK_H

#include "base/error.h"

/* Locks it for ourselves alone. ERROR_INPUT, with the other's process number if it can be found, when it is locked
 * already; `path` is for the sentence. A file system without locks is no error. */
int file_lock(int fd, const char *path, struct error *error);

#endif
