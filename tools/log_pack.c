/* encore log pack: a log and everything that its replay needs, in one file. */
#include <sys/stat.h>

#include "base/text.h"
#include "tools/command_line.h"
#include "tools/log_commands.h"
#include "tools/log_support.h"
#include "tools/pack.h"

struct log_pack_options {
    struct log_argument log;
    struct pack_options pack;
};

enum option_key { KEY_FORCE = 0x200 };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct log_pack_options *to = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->log;
        state->child_inputs[1] = &to->pack.places;
        return 0;
    case 'o':
        to->pack.output = text;
        return 0;
    case KEY_FORCE:
        to->pack.replace = true;
        return 0;
    case ARGP_KEY_END:
        if (!to->pack.output)
            argp_error(state, "-o FILE is needed: where the bundle goes");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A log that breaks off is packed as it is, and said to break off. */
static int pack_log(struct log_pack_options *options, struct files *files, struct error *error)
{
    struct log_summary summary;
    struct stat status;

    options->pack.log = options->log.path;
    if (log_verify(options->log.path, &summary, error) < 0 || pack(files, &options->pack, error) < 0)
        return -1;
    text_print(options->pack.output, stdout);
    if (stat(options->pack.output, &status) == 0)
        printf(": %lld bytes", (long long)status.st_size);
    putchar('\n');
    return log_is_whole(&summary, error) ? 0 : -1;
}

int command_log_pack(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "FILE", 0, "The bundle to write", 0},
        {"force", KEY_FORCE, NULL, 0, "Replace FILE if it exists", 0},
        {0},
    };
    static const struct argp_child children[] = {
        {&log_argument_argp, 0, NULL, 0}, {&file_places_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .children = children,
        .doc =
            "Packs a log and all that its replay needs into one file: the guest's image, its modules and initial RAM "
            "disks, and the images of its disks.\v"
            "Whatever takes a log takes such a bundle, too. Holes take no room in it, and what is equal is there "
            "once. A log that breaks off or is damaged is packed as it is; the exit code is then 4. If a file "
            "cannot be found, it is 2, and no bundle is written.",
    };
    struct log_pack_options to = {0};
    struct error error = {0};

    command_line_parse(&argp, "log pack", argc, argv, &to);
    struct files *files = files_create(&error);
    if (files)
        pack_log(&to, files, &error);
    files_free(files);
    return log_finish("log pack", &to.log, &error);
}
