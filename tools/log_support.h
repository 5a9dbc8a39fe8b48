/* What the subcommands of `encore log` and `encore checkpoint` have in common. */
#ifndef ENCORE_TOOLS_LOG_SUPPORT_H
#define ENCORE_TOOLS_LOG_SUPPORT_H

#include <stdint.h>
#include <stdio.h>

#include "logs/verify.h"
#include "tools/commands.h"

/* One of a command's own subcommands. */
struct subcommand {
    const char *name;
    command_fn *function;
    const char *summary;
};

/* `argv` is the command's own, its name first. Finds the subcommand that argv[1] names and hands over to it, or prints
 * the help. Returns the process's exit code. */
int subcommand_run(const char *command, const char *about, const struct subcommand *list, size_t count, int argc,
                   char **argv);

/* Parses the arguments of a subcommand whose only one is a log, as command_line_parse. Returns the log's path. */
const char *log_parse_alone(const char *name, const char *doc, int argc, char **argv);

/* Text from a log, with what could steer a terminal written as \xHH. */
void log_print_text(const char *text, FILE *stream);

/* "1.234567890 s" */
void log_print_time(uint64_t nanoseconds, FILE *stream);

/* Whether the log was complete and undamaged; if not, the error says in one sentence where it stops. */
bool log_is_whole(const struct log_summary *summary, struct error *error);

/* Ends a subcommand: makes sure that standard output took everything, then reports the error if there is one. Returns
 * the exit code. */
int log_finish(const char *name, const struct error *error);

#endif
