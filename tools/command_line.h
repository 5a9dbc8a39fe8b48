/* What the command lines of all subcommands have in common. */
#ifndef ENCORE_TOOLS_COMMAND_LINE_H
#define ENCORE_TOOLS_COMMAND_LINE_H

#include <argp.h>
#include <stdio.h>

/* Parses the arguments of the subcommand whose full name is `name` ("run", "log export"), which all messages begin
 * with. Besides the options of `argp` it knows -h, -?, --help and --usage, and -V and --version, which print on
 * standard output and end the program with exit code 0. A bad argument ends it with a sentence and exit code 2. */
void command_line_parse(const struct argp *argp, const char *name, int argc, char **argv, void *to);

/* For a parser's ARGP_KEY_ARG: takes the one argument that there may be. */
void command_line_only(const char **to, char *text, struct argp_state *state);

/* What the first argument asks for where there is a list of commands and no parser: "-h", "-?", "--help" or "help";
 * "-V" or "--version". */
enum command_line_asked { COMMAND_LINE_OTHER, COMMAND_LINE_HELP, COMMAND_LINE_VERSION };
enum command_line_asked command_line_asks(const char *argument);

void command_line_version(FILE *stream);

#endif
