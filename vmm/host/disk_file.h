/*
 * The files behind a disk: an image, and an overlay that takes what the guest writes.
 *
 * Each byte stands in the overlay where it stands on the disk, and the overlay is sparse. Which parts of it count is
 * the disk's to know (vmm/disk_contents.h).
 *
 * Order of calls: disk_file_open, then one of disk_file_overlay and disk_file_temporary unless the image itself is
 * written, then the transfers, and disk_file_close.
 */
#ifndef ENCORE_VMM_HOST_DISK_FILE_H
#define ENCORE_VMM_HOST_DISK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/files.h"

struct disk_file;

/* Opens an image, a regular file that is not empty, for reading or, `in_place`, for writing too. Nobody else may then
 * write it by this function, nor read it if it is to be written; nor may the run `files`. NULL with the error. */
struct disk_file *disk_file_open(struct files *files, const char *path, bool in_place, struct error *error);

/* An image that is no file, but is had by these functions; `read` gives zeros beyond its end. */
struct disk_image {
    void *context;
    uint64_t size;
    const char *name; /* for messages; copied */
    int (*read)(void *context, uint64_t offset, void *bytes, size_t length, struct error *error);
    uint64_t (*extent)(void *context, uint64_t offset, bool *hole); /* as disk_file_extent */
    void (*close)(void *context);
};
/* The same over such an image, which is closed with it, or when this fails. */
struct disk_file *disk_file_of_image(const struct disk_image *image, struct error *error);
/* Removes an overlay that was not published. NULL is allowed. */
void disk_file_close(struct disk_file *file);

/* The image's absolute path, the file's, and its size in bytes. */
const char *disk_file_path(const struct disk_file *file);
uint64_t disk_file_size(const struct disk_file *file);
/* The descriptor of the image, the file's; -1: it is no file of its own. */
int disk_file_fd(const struct disk_file *file);
/* How many bytes from `offset`, which is below the size, are of one sort: in a hole of the file, or not. */
uint64_t disk_file_extent(const struct disk_file *file, uint64_t offset, bool *hole);

/* Takes the next `length` bytes of an image; NULL: so many zeros, in a hole. Returns 0, or -1 with the error. */
typedef int disk_walk_fn(void *context, const uint8_t *bytes, uint64_t length, struct error *error);
/* Hands all of the image to `take`, from its start to its end. Holes are not read. */
int disk_file_walk(const struct disk_file *file, disk_walk_fn *take, void *context, struct error *error);

/* Whether the image is still the file that was opened: neither written nor cut since, as far as its times tell. */
bool disk_file_unchanged(const struct disk_file *file);

/* Whether what is written needs an overlay: not when it goes to the image. */
bool disk_file_wants_overlay(const struct disk_file *file);

/* Makes an overlay that is to be called `path` (a whole output, base/output.h); and gives it that name. With `force` it
 * replaces another file; without, that is an ERROR_INPUT. */
int disk_file_overlay(struct disk_file *file, const char *path, bool force, struct error *error);
int disk_file_publish(struct disk_file *file, struct error *error);
/* An overlay without a name, in the first of some directories (up to NULL) where that is possible. */
int disk_file_temporary(struct disk_file *file, const char *const *directories, struct error *error);

/* Return 0, or -1 with the error. What lies beyond the end of a file is zeros; an image does not grow. */
int disk_file_read_image(const struct disk_file *file, uint64_t offset, void *bytes, size_t length,
                         struct error *error);
int disk_file_read(const struct disk_file *file, uint64_t offset, void *bytes, size_t length, struct error *error);
int disk_file_write(const struct disk_file *file, uint64_t offset, const void *bytes, size_t length,
                    struct error *error);
/* All that was written survives the host's crash when it returns 0; for a temporary overlay there is nothing to do. */
int disk_file_flush(const struct disk_file *file, struct error *error);

#endif
