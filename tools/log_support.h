/* What the subcommands of `encore log` and `encore checkpoint` have in common. */
#ifndef ENCORE_TOOLS_LOG_SUPPORT_H
#define ENCORE_TOOLS_LOG_SUPPORT_H

#include <argp.h>
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

/* The log that a subcommand works on, and what it says about one that breaks off. */
struct log_argument {
    const char *path;
    bool partial; /* --partial: that is good, too */
};

/* A child parser; its input is a struct log_argument. It takes RUN.enc and --partial. */
extern const struct argp log_argument_argp;

/* Parses the arguments of a subcommand that has no others, as command_line_parse. */
struct log_argument log_parse_alone(const char *name, const char *doc, int argc, char **argv);

/* "1.234567890 s" */
void log_print_time(uint64_t nanoseconds, FILE *stream);

/* Whether the log was complete and undamaged; if not, the error says in one sentence where it stops (ERROR_CUT,
 * ERROR_DAMAGED, or ERROR_HOST when it could not be read). */
bool log_is_whole(const struct log_summary *summary, struct error *error);

/* For an error that `reader` gave when it stopped, or at its end: makes it one of those kinds. */
void log_stopped(const struct log_reader *reader, struct error *error);

/* For an ERROR_INPUT about something that was not found in a log: if the log breaks off or is damaged, says so, too,
 * and becomes one of those kinds. */
void log_not_found(const char *path, struct error *error);

/* Ends a subcommand: makes sure that standard output took everything, then reports the error if there is one. Returns
 * the exit code. `argument` is NULL where there is no --partial. */
int log_finish(const char *name, const struct log_argument *argument, const struct error *error);

/* The exit code for an error, which has been told: that of its kind, but 0 for a log that breaks off with --partial. */
int log_exit_code(const struct log_argument *argument, const struct error *error);

#endif
