/* A replay for what can be captured of it; encore replay itself is in the same file. */
#ifndef ENCORE_TOOLS_REPLAY_H
#define ENCORE_TOOLS_REPLAY_H

#include "tools/capture.h"
#include "tools/file_places.h"
#include "tools/log_support.h"

/* Replays a log in silence and writes what `paths` says, for the subcommand of that name. Returns the process's exit
 * code, as of encore replay. */
int replay_capture(const char *command, const struct log_argument *log, const struct file_places *places,
                   const struct capture_paths *paths);

#endif
