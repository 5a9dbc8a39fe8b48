/* encore primary: runs a guest that a backup may follow (replication/replica.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logs/file_sink.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/guest.h"
#include "tools/machine_options.h"
#include "tools/replicated.h"
#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

struct primary {
    struct machine_options machine;
    struct replicated_options options;
    struct replicated replicated;
    struct guest guest;
    char *description;        /* of the machine, for a log that begins here */
    char *stream_description; /* ... for one that begins in mid-run */
    struct recorder *recorder;
    struct file_sink *file;
    struct log_writer *writer;
};

enum option_key { KEY_NEXT_EPOCH = 0x600 };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct primary *primary = state->input;

    (void)text;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &primary->machine;
        state->child_inputs[1] = &primary->options;
        return 0;
    case KEY_NEXT_EPOCH:
        primary->options.next_epoch = true;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (!primary->options.listen)
            argp_error(state, "--listen is needed: where backups and consoles find this machine");
        for (unsigned i = 0; i < primary->machine.disks.count; i++) {
            if (primary->machine.disks.disks[i].mode == DISK_DIRECT)
                argp_error(state, "--disk: a backup needs the image as it was, so it cannot be direct");
        }
        if (primary->machine.checkpoint_every && !primary->options.log)
            argp_error(state, "--checkpoint-every is about the file of --log");
        if (primary->machine.control)
            argp_error(state, "--control: encore ctl finds a replicated machine at its --listen address");
        if (primary->machine.input || strcmp(primary->machine.console, "stdio") != 0)
            argp_error(state, "the console of a replicated machine is at its address: see encore console");
        if (strcmp(primary->machine.clock, "host") != 0)
            argp_error(state, "a replicated machine follows the host's clock: --clock %s is for run and record",
                       primary->machine.clock);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Files for the log and the overlays, which get their names in open_log. */
static int claim_log(struct primary *primary, struct error *error)
{
    struct guest_disks *disks = &primary->guest.disks;
    const struct replicated_options *options = &primary->options;

    if (!options->log)
        return guest_disks_temporary(disks, NULL, error);
    primary->file = file_sink_create(primary->replicated.files, options->log, options->force,
                                     options->durable ? FILE_SINK_FSYNC : FILE_SINK_PAGE_CACHE, error);
    return primary->file ? guest_disks_overlay(disks, options->log, options->force, error) : -1;
}

/* Everything that can be wrong with what the user gave is found before the node starts. */
static int build(struct primary *primary, struct error *error)
{
    primary->replicated.files = files_create(error);
    guest_begin(&primary->guest, primary->replicated.files);
    if (!primary->replicated.files || guest_choose_engine(&primary->guest, primary->machine.engine, true, error) < 0 ||
        guest_describe(&primary->guest, &primary->machine, true, error) < 0)
        return -1;
    primary->recorder = recorder_create(error);
    if (!primary->recorder || replicated_hold_signals(&primary->replicated, error) < 0)
        return -1;
    struct door door = recorder_door(primary->recorder);
    if (claim_log(primary, error) < 0 || guest_create_machine(&primary->guest, &door, error) < 0 ||
        guest_boot(&primary->guest, error) < 0 || guest_check_options(&primary->guest, &primary->machine, error) < 0)
        return -1;
    primary->description = description_to_json(&primary->guest.description, error);
    primary->guest.description.from_checkpoint = true;
    primary->stream_description = primary->description ? description_to_json(&primary->guest.description, error) : NULL;
    return primary->stream_description ? 0 : -1;
}

static int open_log(struct primary *primary, struct error *error)
{
    struct log_header header = {.machine = primary->description};

    if (!primary->file)
        return 0;
    if (host_entropy(header.id.bytes, sizeof header.id.bytes, error) < 0)
        return -1;
    struct log_sink sink = kept_log_sink(&primary->replicated.kept, primary->file, &primary->replicated.kept.lenient);
    primary->writer = log_writer_create(&sink, &header, NULL, error);
    return primary->writer ? guest_disks_publish(&primary->guest.disks, error) : -1;
}

/* Waits until the epoch is ours. False: it never will be. */
static bool await_start(struct primary *primary)
{
    struct port_orders orders = {0};

    while (!orders.start && !orders.stop)
        orders = port_wait(primary->replicated.port, &orders, UINT64_MAX);
    return !orders.stop;
}

static int run(struct primary *primary, struct error *error)
{
    guest_tell_engine(&primary->guest);
    struct live live = {
        .port = primary->replicated.port,
        .machine = &primary->guest.machine,
        .recorder = primary->recorder,
        .writer = &primary->writer,
        .description = primary->stream_description,
        .checkpoint_every = primary->machine.checkpoint_every,
        .max_exits = primary->machine.max_exits,
        .timeout = primary->machine.timeout,
        .catch_up = primary->machine.catch_up,
    };
    struct error closing;

    if (!await_start(primary))
        return 0;
    if (network_open(&primary->replicated.network, &primary->machine.network, error) < 0)
        return -1;
    int status = replicated_live(&primary->replicated, &live, error);
    if (primary->writer && log_writer_close(primary->writer, status == 0 ? error : &closing) < 0)
        status = -1;
    return status;
}

static void release(struct primary *primary)
{
    struct error ignored;

    log_writer_free(primary->writer);
    log_segments_free(&primary->replicated.segments);
    file_sink_close(primary->file, &ignored);
    recorder_free(primary->recorder);
    guest_free(&primary->guest);
    free(primary->description);
    free(primary->stream_description);
    files_free(primary->replicated.files);
}

int command_primary(int argc, char **argv)
{
    static const struct argp_option own[] = {
        {"next-epoch", KEY_NEXT_EPOCH, NULL, 0,
         "All earlier machines under this arbiter are dead: begin after them with a new one", 5},
        {0},
    };
    static const struct argp_child children[] = {
        {&machine_options_argp, 0, NULL, 0}, {&replicated_options_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = own,
        .parser = parse_option,
        .children = children,
        .args_doc = "IMAGE",
        .doc = "Runs a guest whose log a backup may follow.\v" MACHINE_OPTIONS_IMAGE
               "Output leaves only when the backup has the log up to it, so that the backup can go on from there "
               "when this side dies. Until a backup joins (encore backup), the machine is like any other. SIGINT, "
               "SIGTERM and SIGHUP hand over to the backup. Exit code: the guest's, as for run; 0 after handing over; "
               "7 when "
               "another machine goes on; 2 bad input, 1 the host failed." MACHINE_OPTIONS_QUANTITIES,
    };
    struct primary *primary = command_memory(sizeof *primary);
    struct error error = {0};

    primary->machine = machine_options_default();
    primary->options = replicated_options_default();
    primary->replicated.command = "primary";
    command_line_parse(&argp, "primary", argc, argv, primary);
    bool good = build(primary, &error) == 0 &&
                replicated_start(&primary->replicated, &primary->options, NULL, &error) == 0 &&
                open_log(primary, &error) == 0 && run(primary, &error) == 0;
    int code = replicated_finish(&primary->replicated, good ? NULL : &error);
    release(primary);
    free(primary);
    return code;
}
