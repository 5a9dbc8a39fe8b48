/*
 * The files of one run: which it reads, and which it writes.
 *
 * A command has one struct files, and hands it to whatever opens a file for it. A file is known by its device and
 * inode, so that another name, a link or another way through the directories does not hide it; one that does not exist
 * yet is known by its directory and name. What is written (base/output.h) may be neither read by the same run nor
 * written by it a second time: an output that is an input is refused when it is opened, and so is an input that is an
 * output already.
 *
 * NULL stands for a run of which nothing is known: tests and benchmarks. The functions may be called from any thread.
 */
#ifndef ENCORE_BASE_FILES_H
#define ENCORE_BASE_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

struct files;

struct file_id {
    dev_t device;
    ino_t inode;
};

static inline struct file_id file_id_of(const struct stat *status)
{
    return (struct file_id){.device = status->st_dev, .inode = status->st_ino};
}

static inline bool file_id_equal(struct file_id a, struct file_id b)
{
    return a.device == b.device && a.inode == b.inode;
}

/* Standard output and standard error are outputs from the start where they are regular files. NULL with the error. */
struct files *files_create(struct error *error);
void files_free(struct files *files);

/* This run reads the file behind `fd`, which the user calls `path`. ERROR_INPUT if it is written, too. */
int files_add_input(struct files *files, int fd, const char *path, struct error *error);

/* The same for what is at `path` now; nothing there is no error. For what will be opened only after an output was:
 * options that name inputs are best all looked at first. */
int files_expect_input(struct files *files, const char *path, struct error *error);

/* This run reads and writes the file behind `fd`, where it is: nothing else may read or write it. */
int files_add_in_place(struct files *files, int fd, const char *path, struct error *error);

/* The file behind `fd` is closed again, and this run has nothing to do with it any more: takes back one call of
 * files_add_in_place. What was an input stays one. */
void files_remove_in_place(struct files *files, int fd);

/* Something to be written, as output.c describes it. */
struct files_claim {
    const char *path;         /* for messages */
    struct file_id directory; /* where it is ... */
    const char *name;         /* ... and its name there; NULL: it is known by its inode only */
    bool exists;              /* there is such a file ... */
    struct file_id id;        /* ... this one */
    bool given;               /* it is open already, as a descriptor that this process was started with */
};

/* Claims it. Returns a number above zero for files_unclaim, or -1 with the error (ERROR_INPUT). 0: `files` is NULL. */
int files_claim(struct files *files, const struct files_claim *claim, struct error *error);
/* The file that was claimed has become another, which will have its name. */
void files_claim_becomes(struct files *files, int claim, struct file_id id);
void files_unclaim(struct files *files, int claim);

#endif
