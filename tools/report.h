/*
 * Reports of divergences in files: LOG.divergence-OFFSET.txt, beside the log or in a directory of the user's choice.
 *
 * A machine that diverges may do so again and again. A directory gets at most REPORTS_MAX reports, a report has at most
 * REPORT_SIZE_MAX bytes, and none replaces another.
 */
#ifndef ENCORE_TOOLS_REPORT_H
#define ENCORE_TOOLS_REPORT_H

#include <limits.h>

#include "base/files.h"
#include "replay/divergence.h"

#define REPORTS_MAX     32
#define REPORT_SIZE_MAX (64u * 1024)

/* Whether reports can go to `directory`, which is made with the first one if it does not exist. */
int report_check(const char *directory, struct error *error);

/* Writes one about the log at `log`, whose byte `offset` it concerns, into `directory` or, if that is NULL, beside the
 * log; `path` tells where. Returns 0, or -1 with the error. */
int report_write(struct files *files, const char *directory, const char *log, uint64_t offset,
                 const struct divergence *divergence, struct machine *machine, char path[PATH_MAX],
                 struct error *error);

#endif
