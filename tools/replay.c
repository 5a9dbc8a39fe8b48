/* encore replay: runs a recorded guest again, and proves that it was the same. */
#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay/replayer.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/guest.h"
#include "tools/log_support.h"
#include "tools/outcome.h"
#include "tools/progress.h"
#include "tools/quantity.h"
#include "tools/replay.h"
#include "tools/report.h"
#include "vmm/host/clock.h"

struct replay_options {
    const char *command; /* who speaks to the user */
    struct log_argument log;
    struct file_places places;
    const char *engine; /* NULL: the one that recorded */
    struct capture_paths capture;
    const char *report; /* a directory, or NULL */
    bool verify;
    bool silent; /* neither output nor verdict */
    bool from_checkpoint;
    uint64_t from;
};

struct replay {
    const struct replay_options *options;
    struct files *files;
    struct guest guest;
    struct log_reader *reader;
    struct replayer *replayer;
    struct capture capture;
    struct progress progress;
    uint64_t shown_at;
    bool careful;     /* the second attempt, after an overshoot */
    uint64_t printed; /* bytes of guest output that have been printed */
    uint64_t output;  /* bytes of guest output so far in this attempt */
};

enum option_key { KEY_VERIFY = 0x300, KEY_FROM, KEY_ENGINE, KEY_PCAP, KEY_CAST, KEY_REPORT };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct replay_options *to = state->input;
    struct error error;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &to->log;
        state->child_inputs[1] = &to->places;
        return 0;
    case KEY_VERIFY:
        to->verify = true;
        return 0;
    case KEY_FROM:
        to->from_checkpoint = true;
        if (strcmp(text, "0") != 0 && (quantity_count(text, &to->from, &error) < 0 || to->from >= LOG_NO_PARENT))
            argp_error(state, "--from: '%s' is not the number of a checkpoint", text);
        return 0;
    case KEY_PCAP:
        to->capture.pcap = text;
        return 0;
    case KEY_CAST:
        to->capture.cast = text;
        return 0;
    case KEY_REPORT:
        to->report = text;
        return 0;
    case KEY_ENGINE:
        if (strcmp(text, "kvm") && strcmp(text, "soft"))
            argp_error(state, "--engine: unknown engine '%s' (kvm or soft)", text);
        to->engine = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What an attempt that overshot has printed already is not printed again. */
static int print_output(struct replay *replay, const uint8_t *bytes, size_t length, struct error *error)
{
    uint64_t again = replay->printed > replay->output ? replay->printed - replay->output : 0;

    replay->output += length;
    if (again >= length)
        return 0;
    replay->printed = replay->output;
    length -= again;
    if (fwrite(bytes + again, 1, length, stdout) != length || fflush(stdout) != 0)
        return error_errno(error, "standard output");
    return 0;
}

static int take_output(void *context, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    struct replay *replay = context;
    bool prints = channel == MACHINE_CONSOLE_COM1 && !replay->options->verify && !replay->options->silent &&
                  !capture_takes_stdout(&replay->capture);

    if (prints && print_output(replay, bytes, length, error) < 0)
        return -1;
    return capture_output(&replay->capture, channel, bytes, length, error);
}

static int take_frame_in(void *context, uint8_t card, const uint8_t *frame, size_t length, struct error *error)
{
    struct replay *replay = context;

    (void)card;
    return capture_frame_in(&replay->capture, frame, length, error);
}

static int check_image(struct replay *replay, struct error *error)
{
    if (guest_find_image(&replay->guest, error) == 0)
        return 0;
    error_wrap(error, "%s", replay->options->log.path);
    error->kind = ERROR_INPUT;
    return -1;
}

/* Two engines may count different things; a log without places between exits replays on both all the same. */
static bool has_foreign_ticks(const struct replay *replay)
{
    const char *recorded = replay->guest.description.tick_unit;

    return strcmp(recorded, "none") != 0 && strcmp(recorded, replay->guest.engine->caps.tick_unit) != 0;
}

/* A backup's log begins with a checkpoint, and there is no other place to begin. */
static bool begins_at_checkpoint(const struct replay *replay)
{
    return replay->options->from_checkpoint || replay->guest.description.from_checkpoint;
}

static int open_machine(struct replay *replay, struct error *error)
{
    const struct replay_options *options = replay->options;
    struct replayer_options replayer_options = {
        .reader = replay->reader, .output = take_output, .frame_in = take_frame_in, .output_context = replay};

    replay->guest.engine =
        guest_engine(options->engine ? options->engine : replay->guest.description.engine, replay->careful, error);
    if (!replay->guest.engine)
        return -1;
    replayer_options.foreign_ticks = has_foreign_ticks(replay);
    replay->replayer = replayer_create(&replayer_options, error);
    if (!replay->replayer)
        return -1;
    struct door door = replayer_door(replay->replayer);
    if (guest_create_machine(&replay->guest, &door, error) < 0)
        return -1;
    replayer_attach(replay->replayer, &replay->guest.machine);
    if (begins_at_checkpoint(replay)) {
        if (guest_keep_image(&replay->guest, error) < 0)
            return -1;
        if (replayer_restore(replay->replayer, (uint32_t)options->from, error) == 0)
            return 0;
        /* What is wrong with a checkpoint does not name the file; what is wrong with reading the log does. */
        if (!strstr(error->text, options->log.path))
            error_wrap(error, "%s", options->log.path);
        log_not_found(options->log.path, error);
        return -1;
    }
    return guest_boot(&replay->guest, error);
}

/* The images are only read: what the guest writes goes where nobody finds it. */
static int open_disks(struct replay *replay, struct error *error)
{
    struct guest *guest = &replay->guest;

    if (guest_disks_find(&guest->disks, &guest->finder, &guest->description, error) < 0)
        return -1;
    return guest_disks_temporary(&guest->disks, replay->options->log.path, error);
}

static int open_all(struct replay *replay, struct error *error)
{
    const struct log_header *header;

    if (!replay->files && !(replay->files = files_create(error)))
        return -1;
    guest_begin(&replay->guest, replay->files);
    if (replay->options->report && report_check(replay->options->report, error) < 0)
        return error_wrap(error, "--report");
    replay->reader = log_reader_open(replay->files, replay->options->log.path, false, error);
    if (!replay->reader)
        return -1;
    log_reader_check_data(replay->reader);
    header = log_reader_header(replay->reader);
    if (description_from_json(header->machine, strlen(header->machine), &replay->guest.description, error) < 0)
        return error_wrap(error, "%s", replay->options->log.path);
    if (guest_find_files(&replay->guest, &replay->options->places, replay->options->log.path, NULL, error) < 0)
        return -1;
    if (!begins_at_checkpoint(replay) && check_image(replay, error) < 0)
        return -1;
    if (open_disks(replay, error) < 0)
        return error_wrap(error, "%s", replay->options->log.path);
    if (open_machine(replay, error) < 0)
        return -1;
    if (replay->careful)
        return capture_again(&replay->capture, &replay->guest.description, error);
    return capture_open(&replay->capture, replay->files, &replay->options->capture, &replay->guest.description,
                        &replay->guest.machine, error);
}

static void show_progress(struct replay *replay)
{
    uint64_t now = host_clock_now();

    if (now - replay->shown_at < 200000000)
        return;
    replay->shown_at = now;
    progress_show(&replay->progress, machine_time(&replay->guest.machine), replay->guest.machine.engine->exits, 0, 0);
}

/* Says what could be done about a log that this engine cannot follow. */
static void advise(const struct replay *replay, enum replayer_step step, struct error *error)
{
    const struct description *d = &replay->guest.description;

    if (step == REPLAYER_ERROR && has_foreign_ticks(replay) && error->kind == ERROR_INPUT) {
        const struct error plain = *error;
        error_set(error, ERROR_INPUT, "%.300s (recorded by engine %s in %.40s; replay it with --engine %s)", plain.text,
                  d->engine, d->tick_unit, d->engine);
    }
}

static enum replayer_step run(struct replay *replay, struct error *error)
{
    bool wanted = progress_wanted(!replay->options->verify && !replay->options->silent);
    enum replayer_step step;

    do {
        step = replayer_step(replay->replayer, error);
        if (wanted)
            show_progress(replay);
    } while (step == REPLAYER_MORE);
    progress_wipe(&replay->progress);
    advise(replay, step, error);
    return step;
}

static void print_verdict(struct replay *replay, const struct digest *digest, const struct error *broken)
{
    const struct replayer_counts *counts = replayer_counts(replay->replayer);
    bool verify = replay->options->verify;
    FILE *stream = verify && !capture_takes_stdout(&replay->capture) ? stdout : stderr;
    char text[DIGEST_TEXT];

    if (verify)
        fprintf(stream,
                "%" PRIu64 " records replayed; %" PRIu64 " outputs, %" PRIu64 " digests and %" PRIu64
                " checkpoints compared\ndigest %s%s\n",
                counts->records, counts->outputs, counts->digests, counts->checkpoints, digest_text(*digest, text),
                broken->kind == ERROR_NONE ? " identical" : "");
    if (broken->kind == ERROR_NONE)
        return;
    fprintf(stream, "%s%s%sidentical so far: %" PRIu64 " records, to ", verify ? "" : "encore ",
            verify ? "" : replay->options->command, verify ? "" : ": ", counts->records);
    log_print_time(machine_time(&replay->guest.machine), stream);
    fprintf(stream, "; then the log breaks off (%s)\n", broken->text);
}

static void print_end(struct replay *replay)
{
    const struct log_record *end = replayer_end(replay->replayer);

    if (!replay->options->verify && !replay->options->silent &&
        (end->reason != LOG_END_DEBUG_EXIT || end->exit_value != 0))
        outcome_print(&replay->guest.machine, end->reason, end->exit_value, stderr);
    if (end->unnamed)
        fprintf(stderr, "encore: the recording was stopped at a place without a name; the replay ends at its last "
                        "exit\n");
}

static void print_divergence(struct replay *replay)
{
    const struct replay_options *options = replay->options;
    const struct divergence *divergence = replayer_divergence(replay->replayer);
    char path[PATH_MAX];
    struct error error;

    divergence_print(divergence, &replay->guest.machine, stderr);
    if (!options->report)
        return;
    if (report_write(replay->files, options->report, options->log.path, divergence->place.offset, divergence,
                     &replay->guest.machine, path, &error) < 0)
        fprintf(stderr, "encore %s: the report is not kept: %s\n", options->command, error.text);
    else
        fprintf(stderr, "encore %s: the report is in %s\n", options->command, path);
}

/* The exit code is 0 only for a log that was replayed and compared from END to END, and is whole behind it. */
static int report(struct replay *replay, enum replayer_step step, struct error *error)
{
    const struct replay_options *options = replay->options;
    struct machine *machine = &replay->guest.machine;
    struct error broken = {0}, none = {0};
    struct digest digest;

    switch (step) {
    case REPLAYER_END:
        print_end(replay);
        log_reader_check_end(replay->reader, &broken);
        break;
    case REPLAYER_STOPPED:
        broken = *error;
        break;
    case REPLAYER_DIVERGED:
        print_divergence(replay);
        if (capture_publish(&replay->capture, error) < 0)
            command_fails(options->command, error);
        return error_exit_code(ERROR_DIVERGED);
    case REPLAYER_KICKED:
    case REPLAYER_WAIT:
    case REPLAYER_MORE:
    case REPLAYER_OVERSHOT:
    case REPLAYER_ERROR:
        return command_fails(options->command, error);
    }
    if (broken.kind == ERROR_HOST) /* which says nothing of the log */
        return command_fails(options->command, &broken);
    log_stopped(replay->reader, &broken);
    if (machine_digest(machine, &digest, error) < 0 || capture_publish(&replay->capture, error) < 0)
        return command_fails(options->command, error);
    print_verdict(replay, &digest, &broken);
    int code = log_finish(options->command, &options->log, &none);
    return code ? code : log_exit_code(&options->log, &broken);
}

static void release(struct replay *replay)
{
    replayer_free(replay->replayer);
    log_reader_close(replay->reader);
    guest_free(&replay->guest);
    replay->replayer = NULL;
    replay->reader = NULL;
}

/* Landing on a position is quick because it relies on a timer not being very late. When it was, the guest has run too
 * far, and the whole replay is done again in a way that relies on nothing. */
static int attempt(struct replay *replay, struct error *error)
{
    if (open_all(replay, error) < 0)
        return command_fails(replay->options->command, error);
    enum replayer_step step = run(replay, error);
    if (step != REPLAYER_OVERSHOT)
        return report(replay, step, error);
    release(replay);
    replay->careful = true;
    replay->output = 0;
    if (open_all(replay, error) < 0)
        return command_fails(replay->options->command, error);
    return report(replay, run(replay, error), error);
}

int replay_capture(const char *command, const struct log_argument *log, const struct file_places *places,
                   const struct capture_paths *paths)
{
    struct replay_options options = {
        .command = command, .log = *log, .places = *places, .capture = *paths, .silent = true};
    struct replay *replay = command_memory(sizeof *replay);
    struct error error = {0};

    replay->options = &options;
    int code = attempt(replay, &error);
    release(replay);
    capture_close(&replay->capture);
    files_free(replay->files);
    free(replay);
    return code;
}

int command_replay(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"verify", KEY_VERIFY, NULL, 0, "Print no guest output; end with the digest and `identical`", 0},
        {"from", KEY_FROM, "N", 0, "Start at checkpoint N (encore checkpoint list)", 0},
        {"engine", KEY_ENGINE, "kvm|soft", 0, "What executes the guest (the engine that recorded)", 0},
        {"pcap", KEY_PCAP, "FILE", 0, "Write the network's frames, both ways, for Wireshark", 0},
        {"cast", KEY_CAST, "FILE", 0, "Write the console's output as an asciicast, for asciinema", 0},
        {"report", KEY_REPORT, "DIR", 0, "Where the report of a divergence goes, besides standard error", 0},
        {0},
    };
    static const struct argp_child children[] = {
        {&log_argument_argp, 0, NULL, 0}, {&file_places_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .children = children,
        .doc = "Replays a recording: the guest gets the same inputs at the same places.\v"
               "Outputs and digests are compared with the log's as they come. Exit code, whatever the guest's was: 0 "
               "when the whole log was replayed, up to its END, and all agreed; 3 with a report at the first "
               "divergence; 4 when the log breaks off or is damaged and all before that agreed (with --partial 0 when "
               "it only breaks off); 2 for a log that cannot be read, 1 when the host failed.",
    };
    struct replay_options to = {.command = "replay"};
    struct replay *replay = command_memory(sizeof *replay);
    struct error error = {0};

    command_line_parse(&argp, "replay", argc, argv, &to);
    replay->options = &to;
    int code = attempt(replay, &error);
    release(replay);
    capture_close(&replay->capture);
    files_free(replay->files);
    free(replay);
    return code;
}
