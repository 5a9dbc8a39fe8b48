/*
 * The subcommands of `encore`, one file each. A command gets its own argument vector, its name first, and returns the
 * process's exit code: 0, 1 (the host failed), 2 (bad input), 3 (a replay diverged), 4 (a log breaks off or is
 * damaged), or for run and record the guest's own (tools/outcome.h).
 */
#ifndef ENCORE_TOOLS_COMMANDS_H
#define ENCORE_TOOLS_COMMANDS_H

#include <stddef.h>

#include "base/error.h"

typedef int command_fn(int argc, char **argv);

command_fn command_run, command_record, command_replay, command_log, command_checkpoint, command_doctor;
command_fn command_primary, command_backup, command_console, command_status, command_handover, command_keygen;
command_fn command_ctl, command_arbiter;

/* Prints "encore NAME: error" on stderr and returns the exit code of the error's kind. */
int command_fails(const char *name, const struct error *error);

/* Zeroed memory for what a command keeps: a description of a machine is more than a small stack holds (ulimit -s). Ends
 * the process, with a sentence, where there is none. */
void *command_memory(size_t size);

#endif
