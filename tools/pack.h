/* Putting a log and everything that its replay needs into a bundle (docs/bundle.md). */
#ifndef ENCORE_TOOLS_PACK_H
#define ENCORE_TOOLS_PACK_H

#include "logs/header.h"
#include "tools/file_places.h"

struct pack_options {
    const char *log; /* or a bundle, which is packed anew */
    struct file_places places;
    const char *output;
    bool replace;            /* an existing file may be replaced; it may be the log itself if `files` is NULL */
    const struct log_id *id; /* the log must be this one; NULL: any */
};

/* Packs. `command` is whose progress is shown on a terminal. A file that is needed and cannot be found is an
 * ERROR_INPUT that names it; no output is then left. Returns 0, or -1 with the error. */
int pack(struct files *files, const struct pack_options *options, struct error *error);

#endif
