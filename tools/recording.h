/* What `run` and `record` have in common: all but the log. */
#ifndef ENCORE_TOOLS_RECORDING_H
#define ENCORE_TOOLS_RECORDING_H

#include "base/error.h"
#include "tools/machine_options.h"

/* Runs a guest to its end, with a log at `log_path` unless that is NULL; `force` lets the log replace a file. Prints
 * how it ended and, when recording or wanted, the digest. Returns the process's exit code. */
int recording_run(const char *command, const struct machine_options *options, const char *log_path, bool force);

#endif
