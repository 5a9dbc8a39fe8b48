/*
 * Finding the files of a recorded machine: each is known by its size and digest, and is taken from where the user says;
 * or else from the bundle that holds the log; or else from where it was when recorded, or from beside the log,
 * whichever has the right one. A log can so be moved together with its files.
 */
#ifndef ENCORE_TOOLS_FIND_FILES_H
#define ENCORE_TOOLS_FIND_FILES_H

#include "logs/bundle.h"
#include "tools/file_places.h"
#include "vmm/host/disk_file.h"

/* An image or module is at most so large. */
#define FIND_FILE_MAX (UINT64_C(1) << 30)

struct file_finder {
    struct files *files;              /* of the run; may be NULL */
    const struct file_places *places; /* borrowed */
    const char *beside;               /* a file; what is wanted may lie in its directory. Borrowed; NULL: nowhere */
    struct bundle *bundle;            /* or NULL; owned */
};

/* Begins to look for the files of a log at `log`, which may be a bundle; NULL: of a machine that has no log here,
 * beside `beside`. Returns 0, or -1 with the error; to be closed either way. */
int file_finder_open(struct file_finder *finder, struct files *files, const struct file_places *places, const char *log,
                     const char *beside, struct error *error);
void file_finder_close(struct file_finder *finder);

/* Reads the image, or module `number`, of the machine, and puts where it was found into the description. The bytes are
 * the caller's to free. Returns 0, or -1 with an error that says what was looked for and how to name it. */
int find_image(const struct file_finder *finder, struct description *description, uint8_t **bytes, size_t *length,
               struct error *error);
int find_module(const struct file_finder *finder, struct description *description, unsigned number, uint8_t **bytes,
                struct error *error);

/* Opens the image of disk `number`. NULL with the error. */
struct disk_file *find_disk(const struct file_finder *finder, const struct description *description, unsigned number,
                            struct error *error);

#endif
