/* Whole files from the host. */
#ifndef ENCORE_VMM_HOST_FILE_H
#define ENCORE_VMM_HOST_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/files.h"

/* Reads all of a regular file of at most `limit` bytes, an input of the run `files`. Returns 0 and memory to be freed
 * by the caller (never NULL, even for an empty file), or -1 with an error that names the file and the fault:
 * ERROR_INPUT when it is missing, a directory, not readable, or too large; ERROR_HOST when reading or memory failed. */
int host_file_read(struct files *files, const char *path, size_t limit, uint8_t **bytes, size_t *length,
                   struct error *error);

#define HOST_STDIN_NAME "standard input"

/* The same for standard input, which may be anything that can be read to its end. */
int host_stdin_read(struct files *files, size_t limit, uint8_t **bytes, size_t *length, struct error *error);

#endif
