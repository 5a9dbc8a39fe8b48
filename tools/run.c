/* encore run: runs a guest, and leaves no trace of it. */
#include <argp.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/machine_options.h"
#include "tools/recording.h"

enum option_key { KEY_DIGEST = 0x700 };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct machine_options *to = state->input;

    (void)text;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = to;
        return 0;
    case ARGP_KEY_END:
        if (to->checkpoint_every)
            argp_error(state, "--checkpoint-every: run writes no log that checkpoints could go into; record does");
        return 0;
    case 'v':
        to->verbose = true;
        return 0;
    case KEY_DIGEST:
        to->digest = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_run(int argc, char **argv)
{
    static const struct argp_option own[] = {
        {"digest", KEY_DIGEST, NULL, 0, "Print the machine's digest at the end, on a line of its own", 0},
        {"verbose", 'v', NULL, 0,
         "Tell at the end of all accesses to addresses without a device, also of the usual probes", 0},
        {0},
    };
    static const struct argp_child children[] = {{&machine_options_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = own,
        .parser = parse_option,
        .args_doc = "IMAGE",
        .doc =
            "Runs a guest.\v" MACHINE_OPTIONS_IMAGE
            "The exit code is the guest's: (v << 1) | 1 when it writes v to port 0xf4, 0 when it halts with interrupts "
            "off or turns the machine off, 4 after a triple fault, 6 when the engine cannot execute it, 8 at "
            "--max-exits, 124 at --timeout, 130 when the user stops it." MACHINE_OPTIONS_QUANTITIES,
        .children = children,
    };
    struct machine_options options = machine_options_default();

    command_line_parse(&argp, "run", argc, argv, &options);
    return recording_run("run", &options, NULL, false);
}
