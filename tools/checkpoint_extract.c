/* encore checkpoint extract: one checkpoint as files that need no encore to be read. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "replay/checkpoint.h"
#include "replay/description.h"
#include "tools/checkpoint_commands.h"
#include "tools/checkpoint_files.h"
#include "tools/checkpoint_shelf.h"
#include "tools/command_line.h"
#include "tools/log_support.h"
#include "tools/quantity.h"

struct extract_options {
    const char *log;
    const char *output;
    bool has_id;
    uint64_t id;
};

/* A machine that was unpacked from a log. */
struct unpacked {
    struct description description;
    struct log_reader *reader;
    struct engine *engine;
    struct machine machine;
    bool has_machine;
    bool interrupted;
    struct traffic traffic;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct extract_options *to = state->input;
    struct error error;

    switch (key) {
    case 'o':
        to->output = text;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 1) {
            to->has_id = true;
            if (strcmp(text, "0") != 0 && (quantity_count(text, &to->id, &error) < 0 || to->id >= LOG_NO_PARENT))
                argp_error(state, "'%s' is not the number of a checkpoint", text);
        } else {
            command_line_only(&to->log, text, state);
        }
        return 0;
    case ARGP_KEY_END:
        if (!to->log || !to->has_id)
            argp_error(state, "a log and the number of a checkpoint are needed");
        if (!to->output)
            argp_error(state, "-o DIR is needed: where the files go");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Unpacks the checkpoint and its parents; the result has been checked against the digest in the log. */
static int unpack(struct unpacked *unpacked, const struct extract_options *options, struct error *error)
{
    const struct door door = {0}; /* nothing goes through it: the machine does not run */

    unpacked->reader = log_reader_open(NULL, options->log, false, error);
    if (!unpacked->reader)
        return -1;
    const char *json = log_reader_header(unpacked->reader)->machine;
    if (description_from_json(json, strlen(json), &unpacked->description, error) < 0)
        return error_wrap(error, "%s", options->log);
    struct machine_config config = description_config(&unpacked->description);
    unpacked->engine = shelf_create(error);
    if (!unpacked->engine || machine_create(&unpacked->machine, &config, unpacked->engine, &door, error) < 0)
        return -1;
    unpacked->has_machine = true;
    if (checkpoint_restore(&unpacked->machine, &unpacked->traffic, unpacked->reader, (uint32_t)options->id, error) <
        0) {
        error_wrap(error, "%s", options->log);
        log_not_found(options->log, error);
        return -1;
    }
    error->kind = ERROR_NONE;
    return 0;
}

/* A log without its index is not whole. The damage says whether it has its END all the same, or breaks off before. */
static bool is_damaged(const struct unpacked *unpacked, const struct extract_options *options, struct error *damage)
{
    struct log_summary summary;

    return unpacked->reader && !log_reader_has_index(unpacked->reader) &&
           log_verify(options->log, &summary, damage) == 0 && !log_is_whole(&summary, damage);
}

static void unpacked_free(struct unpacked *unpacked)
{
    engine_destroy(unpacked->engine);
    if (unpacked->has_machine)
        machine_destroy(&unpacked->machine);
    log_reader_close(unpacked->reader);
}

static int write_page(int fd, const struct ram *ram, uint64_t address, struct error *error)
{
    for (uint64_t done = 0; done < RAM_PAGE_SIZE;) {
        ssize_t written = pwrite(fd, ram->bytes + address + done, RAM_PAGE_SIZE - done, (off_t)(address + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_errno(error, "cannot write ram.bin");
        done += (uint64_t)written;
    }
    return 0;
}

/* Guest memory from address 0 on; pages of zeros become holes. */
static int write_pages(int fd, const struct ram *ram, const struct new_directory *directory, struct error *error)
{
    if (ftruncate(fd, (off_t)ram->size) < 0)
        return error_errno(error, "cannot write ram.bin");
    for (uint64_t address = 0; address < ram->size; address += RAM_PAGE_SIZE) {
        if (page_is_zero(ram->bytes + address))
            continue;
        if (write_page(fd, ram, address, error) < 0 || new_directory_check(directory, error) < 0)
            return -1;
    }
    return fsync(fd) < 0 ? error_errno(error, "cannot write ram.bin") : 0;
}

static int write_ram(const struct ram *ram, const struct new_directory *directory, struct error *error)
{
    int fd = output_new_in(directory->fd, "ram.bin", 0600);

    if (fd < 0)
        return error_errno(error, "cannot make ram.bin");
    int result = write_pages(fd, ram, directory, error);
    if (close(fd) < 0 && result == 0)
        result = error_errno(error, "cannot write ram.bin");
    return result;
}

static int write_state(struct unpacked *unpacked, const struct new_directory *directory, struct error *error)
{
    int fd = output_new_in(directory->fd, "state.txt", 0600);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");

    if (!stream) {
        error_errno(error, "cannot make state.txt");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int result = checkpoint_print(&unpacked->machine, &unpacked->traffic, stream, error);
    if (result == 0 && (fflush(stream) != 0 || ferror(stream) || fsync(fd) < 0))
        result = error_errno(error, "cannot write state.txt");
    if (fclose(stream) != 0 && result == 0)
        result = error_errno(error, "cannot write state.txt");
    return result;
}

static int extract(struct unpacked *unpacked, const struct extract_options *options, struct error *error)
{
    struct new_directory directory;

    if (unpack(unpacked, options, error) < 0 || new_directory_create(&directory, options->output, error) < 0)
        return -1;
    int result = -1;
    if (write_ram(&unpacked->machine.ram, &directory, error) < 0 || write_state(unpacked, &directory, error) < 0)
        error_wrap(error, "%s", options->output);
    else
        result = new_directory_publish(&directory, error);
    unpacked->interrupted = signals_came(directory.signals) && result < 0;
    new_directory_close(&directory);
    return result;
}

int command_checkpoint_extract(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "DIR", 0, "The directory to make", 0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "RUN.enc N -o DIR",
        .doc =
            "Writes checkpoint N of a log into a new directory.\v"
            "DIR/ram.bin is the guest's memory from address 0 on; DIR/state.txt the state of the processor and of "
            "each chip. The machine is checked against the digest in the log first. No KVM is needed. When it "
            "fails, DIR is not made. A log that breaks off, or lacks its index, is said to be one on standard error; "
            "a checkpoint in it that is whole is written all the same, with exit code 0. Exit code 4: there is no such "
            "checkpoint before the place where the log breaks off or is damaged.",
    };
    struct extract_options to = {0};
    struct unpacked *unpacked = command_memory(sizeof *unpacked);
    struct error error = {0}, damage;

    command_line_parse(&argp, "checkpoint extract", argc, argv, &to);
    if (extract(unpacked, &to, &error) == 0) {
        if (is_damaged(unpacked, &to, &damage))
            fprintf(stderr, "encore checkpoint extract: the checkpoint is whole, the log is not: %s\n", damage.text);
        printf("%s: ram.bin (%" PRIu64 " bytes) and state.txt of checkpoint %" PRIu64 "\n", to.output,
               unpacked->machine.ram.size, to.id);
    }
    unpacked_free(unpacked);
    bool interrupted = unpacked->interrupted;
    free(unpacked);
    int code = log_finish("checkpoint extract", NULL, &error);
    return interrupted ? 130 : code;
}
