/* What the parts of base/output.h share: opening (output.c), naming (output_publish.c). */
#ifndef ENCORE_BASE_OUTPUT_INTERNAL_H
#define ENCORE_BASE_OUTPUT_INTERNAL_H

#include <limits.h>

#include "base/output.h"

struct output {
    struct files *files;
    int claim;
    char *path;
    char name[NAME_MAX + 1]; /* the last part of `path` */
    int directory;           /* the rest of it, O_PATH */
    int fd;
    int given;  /* the descriptor of which `fd` is a copy; -1: none */
    bool whole; /* wants a name */
    bool published;
    bool has_old; /* there is a file to replace */
    struct file_id old;
    int old_fd;                   /* it, locked; -1: it could not be opened */
    char temporary[NAME_MAX + 1]; /* in `directory`; "": without a name */
};

/* Makes the file without a name or, where that cannot be, with a temporary one. -1 with errno. */
int output_make_temporary(struct output *output, mode_t mode);
/* Takes the temporary name away, if there is one. */
void output_remove_temporary(struct output *output);

#endif
