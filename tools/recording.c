/* See recording.h. */
#include "tools/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logs/file_sink.h"
#include "replay/recorder.h"
#include "tools/commands.h"
#include "tools/guest.h"
#include "tools/outcome.h"
#include "tools/pack.h"
#include "tools/progress.h"
#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

struct recording {
    const struct machine_options *options;
    struct files *files;
    struct guest guest;
    struct console *console;
    struct script *script;
    struct network network;
    struct control *control;
    struct signals *signals;
    struct file_sink *file;
    struct log_writer *writer;
    struct log_id id; /* the log's */
    bool ended;       /* the guest, and not by a failure of the host */
    struct recorder *recorder;
    struct progress progress;
};

static void show_progress(void *context, const struct recorder_progress *progress)
{
    struct recording *recording = context;

    progress_show(&recording->progress, progress->guest_time, progress->exits, progress->raw_bytes,
                  progress->stored_bytes);
}

/* The machine, booted but not started. */
static int prepare_machine(struct recording *recording, struct error *error)
{
    struct door door = recorder_door(recording->recorder);

    if (guest_create_machine(&recording->guest, &door, error) < 0)
        return -1;
    if (guest_boot(&recording->guest, error) < 0)
        return -1;
    return guest_check_options(&recording->guest, recording->options, error);
}

/* Begins the log that `claim_log` has found a place for. */
static int open_log(struct recording *recording, struct error *error)
{
    struct log_header header = {0};
    int result = -1;

    header.machine = description_to_json(&recording->guest.description, error);
    if (header.machine && host_entropy(header.id.bytes, sizeof header.id.bytes, error) == 0) {
        struct log_sink sink = file_sink_sink(recording->file);
        recording->id = header.id;
        recording->writer = log_writer_create(&sink, &header, NULL, error);
        result = recording->writer ? 0 : -1;
    }
    free(header.machine);
    return result;
}

/* Files for the log and the overlays, which get their names in open_log. */
static int claim_log(struct recording *recording, const char *path, bool force, struct error *error)
{
    struct guest_disks *disks = &recording->guest.disks;

    /* From here on there is something to tidy up. A script may have been a FIFO, which was waited for. */
    recording->signals = signals_hold(1, error);
    if (!recording->signals)
        return -1;
    if (!path)
        return guest_disks_temporary(disks, NULL, error);
    recording->file = file_sink_create(recording->files, path, force, FILE_SINK_PAGE_CACHE, error);
    return recording->file ? guest_disks_overlay(disks, path, force, error) : -1;
}

static int open_script(struct recording *recording, struct error *error)
{
    if (!recording->options->input)
        return 0;
    recording->script = script_open(recording->files, recording->options->input, error);
    return recording->script ? 0 : -1;
}

/* The console is the last: its file is the one output that is not as it was if something is wrong after that. */
static int open_surroundings(struct recording *recording, struct error *error)
{
    if (network_open(&recording->network, &recording->options->network, error) < 0)
        return -1;
    if (recording->options->control) {
        recording->control = control_open(recording->options->control, error);
        if (!recording->control)
            return -1;
    }
    recording->console = console_open(recording->files, recording->options->console, error);
    return recording->console ? 0 : -1;
}

static struct recorder_options recorder_options(struct recording *recording)
{
    const struct machine_options *options = recording->options;
    struct recorder_options to = {
        .writer = recording->writer,
        .console = recording->console,
        .script = recording->script,
        .control = recording->control,
        .signals = recording->signals,
        .seed = options->seed,
        .checkpoint_every = options->checkpoint_every,
        .max_exits = options->max_exits,
        .timeout = options->timeout,
        .catch_up = options->catch_up,
    };

    memcpy(to.nets, recording->network.nets, sizeof to.nets);
    if (progress_wanted(strcmp(options->console, "stdio") == 0)) {
        to.progress = show_progress;
        to.progress_context = recording;
    }
    return to;
}

/* The virtual clock is for engine soft alone. */
static const char *engine_name(const struct machine_options *options)
{
    bool soft = strcmp(options->engine, "auto") == 0 && strcmp(options->clock, "virtual") == 0;

    return soft ? "soft" : options->engine;
}

/* Everything that can be wrong with what the user gave is found before the log comes into being. */
static int run(struct recording *recording, const char *log_path, bool force, struct recorder_result *result,
               struct error *error)
{
    recording->files = files_create(error);
    guest_begin(&recording->guest, recording->files);
    if (!recording->files ||
        guest_choose_engine(&recording->guest, engine_name(recording->options), log_path != NULL, error) < 0 ||
        guest_describe(&recording->guest, recording->options, log_path != NULL, error) < 0)
        return -1;
    recording->recorder = recorder_create(error);
    if (!recording->recorder || prepare_machine(recording, error) < 0 || open_script(recording, error) < 0 ||
        claim_log(recording, log_path, force, error) < 0 || open_surroundings(recording, error) < 0)
        return -1;
    if (log_path && (open_log(recording, error) < 0 || guest_disks_publish(&recording->guest.disks, error) < 0))
        return -1;
    guest_tell_engine(&recording->guest);
    struct recorder_options options = recorder_options(recording);
    int status = recorder_run(recording->recorder, &recording->guest.machine, &options, result, error);
    progress_wipe(&recording->progress);
    struct error closing;
    if (recording->writer && log_writer_close(recording->writer, status == 0 ? error : &closing) < 0)
        status = -1;
    return status;
}

static void release(struct recording *recording)
{
    struct error ignored;

    log_writer_free(recording->writer);
    file_sink_close(recording->file, &ignored);
    console_close(recording->console);
    script_free(recording->script);
    network_close(&recording->network);
    control_close(recording->control);
    recorder_free(recording->recorder);
    guest_free(&recording->guest);
    files_free(recording->files);
}

static void warn_of_script(const struct recording *recording)
{
    unsigned line;
    const char *text = recording->script ? script_waiting(recording->script, &line) : NULL;

    if (text)
        fprintf(stderr, "encore: the input script was still waiting at line %u for: %s\n", line, text);
}

/* The log becomes a bundle: it is replaced when that is whole, and stays as it is otherwise. */
static int pack_log(const char *command, const char *path, const struct log_id *id, int code)
{
    const struct pack_options options = {.log = path, .output = path, .replace = true, .id = id};
    struct error error = {0};

    return pack(NULL, &options, &error) == 0 ? code : command_fails(command, &error);
}

int recording_run(const char *command, const struct machine_options *options, const char *log_path, bool force)
{
    struct recording *recording = command_memory(sizeof *recording);
    struct recorder_result result;
    struct error error = {0};
    char text[DIGEST_TEXT];
    int code;

    recording->options = options;
    if (run(recording, log_path, force, &result, &error) < 0) {
        console_close(recording->console);
        recording->console = NULL;
        code = command_fails(command, &error);
    } else {
        console_close(recording->console); /* gives the terminal back before more is printed */
        recording->console = NULL;
        recording->ended = true;
        code = outcome_exit_code(result.reason, result.exit_value);
        if (result.reason != LOG_END_DEBUG_EXIT || result.exit_value != 0)
            outcome_print(&recording->guest.machine, result.reason, result.exit_value, stderr);
        outcome_print_unmapped(&recording->guest.machine, options->verbose, stderr);
        outcome_print_disk_errors(&result, stderr);
        guest_disks_warn(&recording->guest.disks, &recording->guest.description);
        warn_of_script(recording);
        if (log_path && !result.named)
            fprintf(stderr, "encore: the guest was stopped where this host's KVM has no name for the place; a replay "
                            "ends at its last exit\n");
        bool print = log_path || options->digest;
        if (print && result.in_line && strcmp(options->console, "stdio") == 0)
            putchar('\n');
        if (print)
            printf("digest %s\n", digest_text(result.digest, text));
    }
    const struct log_id id = recording->id;
    bool packs = recording->ended && options->bundle;
    release(recording);
    free(recording);
    return packs ? pack_log(command, log_path, &id, code) : code;
}
