/* encore log unpack: the members of a bundle as files, under names of our own. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "base/text.h"
#include "logs/bundle.h"
#include "tools/checkpoint_files.h"
#include "tools/command_line.h"
#include "tools/log_commands.h"
#include "tools/log_support.h"

#define PIECE (1u << 20)

struct unpack_options {
    const char *bundle, *output;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct unpack_options *to = state->input;

    switch (key) {
    case 'o':
        to->output = text;
        return 0;
    case ARGP_KEY_ARG:
        command_line_only(&to->bundle, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!to->bundle)
            argp_error(state, "a bundle is needed");
        if (!to->output)
            argp_error(state, "-o DIR is needed: where the files go");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The names that a replay looks for beside a log (tools/find_files.c). */
static const char *name_of(const struct bundle_member *member, char name[16])
{
    switch (member->kind) {
    case BUNDLE_LOG:
        return "run.enc";
    case BUNDLE_IMAGE:
        return "image";
    case BUNDLE_MODULE:
        snprintf(name, 16, "initrd%u", member->number);
        break;
    case BUNDLE_DISK:
        snprintf(name, 16, "disk%u", member->number);
        break;
    }
    return name;
}

static int write_at(int fd, uint64_t offset, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t put = pwrite(fd, bytes, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        offset += (uint64_t)put;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

/* What takes no room in the bundle takes none on the disk. */
static int write_member(struct bundle *bundle, const struct bundle_member *member, int fd,
                        const struct new_directory *directory, uint8_t *piece, struct error *error)
{
    if (ftruncate(fd, (off_t)member->size) < 0)
        return error_errno(error, "cannot write");
    for (uint64_t offset = 0; offset < member->size;) {
        bool hole;
        uint64_t length = bundle_extent(bundle, member, offset, &hole);
        size_t got = 0;
        if (!hole) {
            length = length < PIECE ? length : PIECE;
            if (bundle_read(bundle, member, offset, piece, (size_t)length, &got, error) < 0)
                return -1;
            if (write_at(fd, offset, piece, got) < 0)
                return error_errno(error, "cannot write");
        }
        if (new_directory_check(directory, error) < 0)
            return -1;
        offset += length;
    }
    return fsync(fd) < 0 ? error_errno(error, "cannot write") : 0;
}

static int write_members(struct bundle *bundle, const struct new_directory *directory, struct error *error)
{
    const struct bundle_member *member;
    uint8_t *piece = malloc(PIECE);
    int result = piece ? 0 : error_set(error, ERROR_HOST, "out of memory");

    for (unsigned i = 0; result == 0 && (member = bundle_member(bundle, i)); i++) {
        char room[16];
        const char *name = name_of(member, room);
        int fd = output_new_in(directory->fd, name, 0600);
        if (fd < 0) {
            result = error_errno(error, "cannot make %s", name);
            break;
        }
        result = bundle_verify(bundle, member, error);
        if (result == 0)
            result = write_member(bundle, member, fd, directory, piece, error);
        if (close(fd) < 0 && result == 0)
            result = error_errno(error, "cannot write");
        if (result < 0)
            error_wrap(error, "%s", name);
    }
    free(piece);
    return result;
}

static int unpack(const struct unpack_options *options, bool *interrupted, struct error *error)
{
    struct bundle *bundle = bundle_open_file(NULL, options->bundle, error);
    struct new_directory directory;
    int result = -1;

    if (!bundle)
        return error->kind == ERROR_NONE ? error_set(error, ERROR_INPUT, "%s is no bundle", options->bundle) : -1;
    if (new_directory_create(&directory, options->output, error) == 0) {
        if (write_members(bundle, &directory, error) < 0)
            error_wrap(error, "%s", options->output);
        else
            result = new_directory_publish(&directory, error);
        *interrupted = signals_came(directory.signals) && result < 0;
        new_directory_close(&directory);
    }
    bundle_close(bundle);
    return result;
}

int command_log_unpack(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "DIR", 0, "The directory to make", 0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "BUNDLE -o DIR",
        .doc = "Takes a bundle apart (encore log pack makes one).\v"
               "DIR gets the log as run.enc and the files as image, initrdN and diskN, and `encore replay DIR/run.enc` "
               "finds them there. Everything is compared with its digest. When it fails, DIR is not made.",
    };
    struct unpack_options to = {0};
    bool interrupted = false;
    struct error error = {0};

    command_line_parse(&argp, "log unpack", argc, argv, &to);
    unpack(&to, &interrupted, &error);
    int code = log_finish("log unpack", NULL, &error);
    return interrupted ? 130 : code;
}
