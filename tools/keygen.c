/* encore keygen: makes the key that primary, backup and their clients share. */
#include <argp.h>
#include <stdio.h>

#include "replication/keys.h"
#include "tools/command_line.h"
#include "tools/commands.h"

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    const char **path = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        command_line_only(path, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!*path)
            argp_error(state, "the name of the file to write is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_keygen(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = parse_option,
        .args_doc = "FILE",
        .doc =
            "Writes a fresh key to a new file that only you may read.\v"
            "Copy it to each host of a primary, backup or console, by a way that nobody listens to, and name it with "
            "--key. An existing file is never overwritten.",
    };
    const char *path = NULL;
    struct error error = {0};

    command_line_parse(&argp, "keygen", argc, argv, &path);
    return keys_write_master(path, &error) < 0 ? command_fails("keygen", &error) : 0;
}
