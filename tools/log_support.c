/* See log_support.h. */
#include "tools/log_support.h"

#include <inttypes.h>
#include <string.h>

#include "tools/command_line.h"

static void print_help(const char *command, const char *about, const struct subcommand *list, size_t count,
                       FILE *stream)
{
    fprintf(stream, "Usage: encore %s SUBCOMMAND [OPTION...] RUN.enc\n%s\n\n", command, about);
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "  %-8s %s\n", list[i].name, list[i].summary);
    fprintf(stream, "\n`encore %s SUBCOMMAND --help` tells the options of a subcommand.\n", command);
}

int subcommand_run(const char *command, const char *about, const struct subcommand *list, size_t count, int argc,
                   char **argv)
{
    if (argc < 2) {
        print_help(command, about, list, count, stderr);
        return error_exit_code(ERROR_INPUT);
    }
    switch (command_line_asks(argv[1])) {
    case COMMAND_LINE_HELP:
        print_help(command, about, list, count, stdout);
        return 0;
    case COMMAND_LINE_VERSION:
        command_line_version(stdout);
        return 0;
    case COMMAND_LINE_OTHER:
        break;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(argv[1], list[i].name) == 0)
            return list[i].function(argc - 1, argv + 1);
    }
    fprintf(stderr, "encore %s: unknown subcommand '%s' (encore %s --help lists them)\n", command, argv[1], command);
    return error_exit_code(ERROR_INPUT);
}

static error_t parse_alone(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case ARGP_KEY_ARG:
        command_line_only(state->input, text, state);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a log is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const char *log_parse_alone(const char *name, const char *doc, int argc, char **argv)
{
    const struct argp argp = {.parser = parse_alone, .args_doc = "RUN.enc", .doc = doc};
    const char *log = NULL;

    command_line_parse(&argp, name, argc, argv, &log);
    return log;
}

/* C1 controls are two bytes in UTF-8: 0xc2 and 0x80 to 0x9f. */
static bool steers_terminal(const unsigned char *at)
{
    return *at < ' ' || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f);
}

void log_print_text(const char *text, FILE *stream)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (steers_terminal(at))
            fprintf(stream, "\\x%02x", *at);
        else
            putc(*at, stream);
    }
}

void log_print_time(uint64_t nanoseconds, FILE *stream)
{
    fprintf(stream, "%" PRIu64 ".%09" PRIu64 " s", nanoseconds / 1000000000, nanoseconds % 1000000000);
}

bool log_is_whole(const struct log_summary *summary, struct error *error)
{
    if (log_summary_sound(summary))
        return true;
    if (summary->ended) {
        error_set(error, summary->index.kind, "%.300s; all %" PRIu64 " records, END included, are readable",
                  summary->index.text, summary->records[0]);
        return false;
    }
    if (summary->records[0] == 0) {
        error_set(error, summary->stopped.kind, "%.300s; no record before that is readable", summary->stopped.text);
        return false;
    }
    char last[POSITION_TEXT];
    error_set(error, summary->stopped.kind, "%.300s; the %" PRIu64 " record%s before that, up to %s, are readable",
              summary->stopped.text, summary->records[0], summary->records[0] == 1 ? "" : "s",
              position_text(&summary->last, last));
    return false;
}

int log_finish(const char *name, const struct error *error)
{
    struct error output;

    if (fflush(stdout) != 0 || ferror(stdout)) {
        error_errno(&output, "standard output");
        return command_fails(name, &output);
    }
    return error->kind == ERROR_NONE ? 0 : command_fails(name, error);
}
