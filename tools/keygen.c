/* encore keygen: makes the key of a machine, and from it what others need to deal with it (replication/keys.h). */
#include <argp.h>
#include <stdio.h>

#include "replication/keys.h"
#include "tools/command_line.h"
#include "tools/commands.h"

struct keygen {
    const char *path, *from;
    enum key_role role;
};

enum option_key { KEY_FROM = 0x900, KEY_ROLE };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct keygen *to = state->input;

    switch (key) {
    case KEY_FROM:
        to->from = text;
        return 0;
    case KEY_ROLE:
        to->role = key_role_of_name(text);
        if (to->role == KEY_ROLES)
            argp_error(state, "unknown role '%s' (backup, console or operator)", text);
        return 0;
    case ARGP_KEY_ARG:
        command_line_only(&to->path, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!to->path)
            argp_error(state, "the name of the file to write is needed");
        if (!to->from != (to->role == KEY_MASTER))
            argp_error(state, "--from and --role belong together");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int write_key(const struct keygen *keygen, struct error *error)
{
    struct keys master;

    if (!keygen->from)
        return keys_write_master(keygen->path, error);
    if (keys_read(NULL, keygen->from, KEY_MASTER, &master, error) < 0)
        return -1;
    int status = keys_write_role(keygen->path, &master, keygen->role, error);
    keys_forget(&master);
    return status;
}

int command_keygen(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"from", KEY_FROM, "MASTER", 0, "Derive the key of a role from this master key", 0},
        {"role", KEY_ROLE, "ROLE", 0,
         "What its holder may do: console (use the console), operator (status, ctl, handover), backup (follow, "
         "which is to have a copy of the guest)",
         0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "FILE",
        .doc = "Writes a key to a new file that only you may read.\v"
               "Without options it is a fresh master key, for the machines: copy it to the host of the primary and of "
               "each backup that listens, by a way that nobody listens to. It opens everything. People are given the "
               "key of a role, made with --from and --role. Keys are named with --key. An existing file is never "
               "overwritten.",
    };
    struct keygen keygen = {0};
    struct error error = {0};

    command_line_parse(&argp, "keygen", argc, argv, &keygen);
    return write_key(&keygen, &error) < 0 ? command_fails("keygen", &error) : 0;
}
