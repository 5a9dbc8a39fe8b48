/* See log_support.h. */
#include "tools/log_support.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "tools/command_line.h"

static void print_help(const char *command, const char *about, const struct subcommand *list, size_t count,
                       FILE *stream)
{
    fprintf(stream, "Usage: encore %s SUBCOMMAND [ARGUMENT...]\n%s\n\n", command, about);
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

enum option_key { KEY_PARTIAL = 0x900 };

static const struct argp_option log_options[] = {
    {"partial", KEY_PARTIAL, NULL, 0, "A log that breaks off, as after a kill, is no failure", 0},
    {0},
};

static error_t parse_log(int key, char *text, struct argp_state *state)
{
    struct log_argument *to = state->input;

    switch (key) {
    case KEY_PARTIAL:
        to->partial = true;
        return 0;
    case ARGP_KEY_ARG:
        command_line_only(&to->path, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!to->path)
            argp_error(state, "a log is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp log_argument_argp = {.options = log_options, .parser = parse_log, .args_doc = "RUN.enc"};

struct log_argument log_parse_alone(const char *name, const char *doc, int argc, char **argv)
{
    const struct argp_child children[] = {{&log_argument_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {.children = children, .doc = doc};
    struct log_argument argument = {0};

    command_line_parse(&argp, name, argc, argv, &argument);
    return argument;
}

void log_print_time(uint64_t nanoseconds, FILE *stream)
{
    fprintf(stream, "%" PRIu64 ".%09" PRIu64 " s", nanoseconds / 1000000000, nanoseconds % 1000000000);
}

/* What is wrong with a log that could be read up to there. */
static void set_kind(struct error *error, bool cut)
{
    if (error->kind == ERROR_INPUT)
        error->kind = cut ? ERROR_CUT : ERROR_DAMAGED;
}

bool log_is_whole(const struct log_summary *summary, struct error *error)
{
    const struct error *why = summary->ended ? &summary->index : &summary->stopped;
    char last[POSITION_TEXT];

    if (log_summary_sound(summary))
        return true;
    if (summary->ended)
        error_set(error, why->kind, "%.300s; all %" PRIu64 " records, END included, are readable", why->text,
                  summary->records[0]);
    else if (summary->records[0] == 0)
        error_set(error, why->kind, "%.300s; no record before that is readable", why->text);
    else
        error_set(error, why->kind, "%.300s; the %" PRIu64 " record%s before that, up to %s, are readable", why->text,
                  summary->records[0], summary->records[0] == 1 ? "" : "s", position_text(&summary->last, last));
    set_kind(error, summary->cut);
    return false;
}

void log_stopped(const struct log_reader *reader, struct error *error)
{
    set_kind(error, log_reader_is_cut(reader));
}

void log_not_found(const char *path, struct error *error)
{
    struct log_summary summary;
    struct error why;

    if (error->kind != ERROR_INPUT || log_verify(path, &summary, &why) < 0 || log_is_whole(&summary, &why))
        return;
    error->kind = why.kind;
    size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used, "; the log is not whole: %.280s", why.text);
}

int log_exit_code(const struct log_argument *argument, const struct error *error)
{
    return error->kind == ERROR_CUT && argument && argument->partial ? 0 : error_exit_code(error->kind);
}

int log_finish(const char *name, const struct log_argument *argument, const struct error *error)
{
    struct error output;

    if (fflush(stdout) != 0 || ferror(stdout)) {
        /* Whoever read it has read enough (log dump | head). A shell shows 128 + SIGPIPE for others that end so. */
        if (errno == EPIPE)
            return 128 + SIGPIPE;
        error_errno(&output, "standard output");
        return command_fails(name, &output);
    }
    if (error->kind != ERROR_NONE)
        command_fails(name, error);
    return log_exit_code(argument, error);
}
