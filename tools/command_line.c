/* See command_line.h. */
#include "tools/command_line.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/version.h"

enum option_key { KEY_USAGE = 0xf00 };

static error_t parse_help(int key, char *text, struct argp_state *state)
{
    (void)text;
    switch (key) {
    case 'h':
    case '?':
        argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP);
        return 0;
    case KEY_USAGE:
        argp_state_help(state, state->out_stream, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
        return 0;
    case 'V':
        command_line_version(state->out_stream);
        exit(0);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* In place of argp's own options of this kind, which have no -h. Group -1 is the last in the help. */
static const struct argp_option help_options[] = {
    {"help", 'h', NULL, 0, "Show this help", -1},
    {NULL, '?', NULL, OPTION_ALIAS, NULL, -1},
    {"usage", KEY_USAGE, NULL, 0, "Show the options in short", -1},
    {"version", 'V', NULL, 0, "Print the version of encore", -1},
    {0},
};

static const struct argp help_argp = {.options = help_options, .parser = parse_help};

void command_line_version(FILE *stream)
{
    fprintf(stream, "encore %s\n", ENCORE_VERSION);
}

void command_line_parse(const struct argp *argp, const char *name, int argc, char **argv, void *to)
{
    /* Without a parser of its own it hands its input to its first child. */
    const struct argp_child children[] = {{argp, 0, NULL, 0}, {&help_argp, 0, NULL, 0}, {0}};
    const struct argp whole = {.children = children};
    char *own = argv[0];
    char shown[64];

    snprintf(shown, sizeof shown, "encore %s", name);
    argv[0] = shown;
    argp_err_exit_status = error_exit_code(ERROR_INPUT);
    argp_parse(&whole, argc, argv, ARGP_NO_HELP, NULL, to);
    argv[0] = own;
}

void command_line_only(const char **to, char *text, struct argp_state *state)
{
    if (*to)
        argp_error(state, "unexpected argument '%s'", text);
    *to = text;
}

enum command_line_asked command_line_asks(const char *argument)
{
    static const struct {
        const char *text;
        enum command_line_asked asked;
    } known[] = {
        {"-h", COMMAND_LINE_HELP},   {"-?", COMMAND_LINE_HELP},    {"--help", COMMAND_LINE_HELP},
        {"help", COMMAND_LINE_HELP}, {"-V", COMMAND_LINE_VERSION}, {"--version", COMMAND_LINE_VERSION},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(argument, known[i].text) == 0)
            return known[i].asked;
    }
    return COMMAND_LINE_OTHER;
}
