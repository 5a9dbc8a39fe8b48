/* encore record: runs a guest and writes everything nondeterministic that reaches it into a log. */
#include <argp.h>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/machine_options.h"
#include "tools/recording.h"

struct record_options {
    struct machine_options machine;
    const char *output;
    bool force;
};

enum option_key { KEY_FORCE = 0x200, KEY_BUNDLE };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct record_options *to = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->machine;
        return 0;
    case 'o':
        to->output = text;
        return 0;
    case 'v':
        to->machine.verbose = true;
        return 0;
    case KEY_FORCE:
        to->force = true;
        return 0;
    case KEY_BUNDLE:
        to->machine.bundle = true;
        return 0;
    case ARGP_KEY_SUCCESS:
        for (unsigned i = 0; to->machine.bundle && i < to->machine.disks.count; i++) {
            if (to->machine.disks.disks[i].mode == DISK_DIRECT)
                argp_error(state,
                           "--bundle: of a disk that is written in place (direct) nothing is left to pack as it was "
                           "before");
        }
        return 0;
    case ARGP_KEY_END:
        if (!to->output)
            argp_error(state, "-o RUN.enc is needed: where the log goes");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_record(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "RUN.enc", 0, "The log to write", 0},
        {"force", KEY_FORCE, NULL, 0, "Replace RUN.enc, a file, and the overlays beside it", 0},
        {"bundle", KEY_BUNDLE, NULL, 0,
         "When the guest has ended, pack all that a replay needs into RUN.enc (see encore log pack)", 0},
        {"verbose", 'v', NULL, 0,
         "Tell at the end of all accesses to addresses without a device, also of the usual probes", 0},
        {0},
    };
    static const struct argp_child children[] = {{&machine_options_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "-o RUN.enc IMAGE",
        .doc = "Runs a guest and records it.\v" MACHINE_OPTIONS_IMAGE
               "The last line of standard output is the machine's digest. The exit code is the guest's, as for encore "
               "run. SIGINT, SIGTERM and SIGHUP end the recording cleanly; after SIGKILL the log replays up to its "
               "last frame." MACHINE_OPTIONS_QUANTITIES,
        .children = children,
    };
    struct record_options to = {.machine = machine_options_default()};

    command_line_parse(&argp, "record", argc, argv, &to);
    return recording_run("record", &to.machine, to.output, to.force);
}
