/* encore backup: follows a primary, and goes on when it dies (replication/replica.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replication/shadow.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/guest.h"
#include "tools/replicated.h"
#include "tools/report.h"

struct backup {
    struct replicated_options options;
    const char *connect, *engine;
    const char *report; /* a directory; NULL: beside the log */
    struct file_places places;
    struct network_options network;
    uint64_t checkpoint_every;
    struct replicated replicated;
    struct guest guest;
    struct shadow *shadow;
    struct recorder *recorder;
    struct log_writer *writer;
};

enum option_key { KEY_CONNECT = 0x600, KEY_ENGINE, KEY_NET, KEY_REPORT };

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct backup *backup = state->input;
    struct error error;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &backup->options;
        state->child_inputs[1] = &backup->places;
        return 0;
    case KEY_CONNECT:
        backup->connect = text;
        return 0;
    case KEY_ENGINE:
        if (strcmp(text, "kvm") && strcmp(text, "soft"))
            argp_error(state, "--engine: unknown engine '%s' (kvm or soft)", text);
        backup->engine = text;
        return 0;
    case KEY_NET:
        if (network_options_add(&backup->network, text, false, &error) < 0)
            argp_error(state, "--net: %s", error.text);
        return 0;
    case KEY_REPORT:
        backup->report = text;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s': a backup gets its guest from the primary", text);
        return 0;
    case ARGP_KEY_SUCCESS:
        if (!backup->connect)
            argp_error(state, "--connect is needed: the primary's address");
        if (backup->options.lag_max_given && !backup->options.listen)
            argp_error(state, "--lag-max is about a new backup after the takeover, which needs --listen to find it");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A primary that counts ticks names places by them, and nobody finds these who counts otherwise. */
static int check_engine(const struct guest *guest, struct error *error)
{
    const struct description *description = &guest->description;
    const struct engine_caps *caps = &guest->engine->caps;
    bool ticks = strcmp(description->tick_unit, "none") != 0;

    if (ticks ? strcmp(description->tick_unit, caps->tick_unit) == 0
              : caps->landmarks || strcmp(description->engine, guest->engine->ops->name) == 0)
        return 0;
    return error_set(
        error, ERROR_INPUT,
        "its engine (%s) cannot land on the places that the primary names (%s, engine %s): the same engine "
        "is needed on both sides",
        guest->engine->ops->name, ticks ? description->tick_unit : "landmarks", description->engine);
}

static int open_network(struct backup *backup, struct error *error)
{
    unsigned cards = backup->guest.description.net_count;

    if (backup->network.count != cards)
        return error_set(error, ERROR_INPUT,
                         "the guest has %u network card%s, and %u are given here (--net; none for a card without a "
                         "network)",
                         cards, cards == 1 ? "" : "s", backup->network.count);
    if (network_open(&backup->replicated.network, &backup->network, error) == 0)
        return 0;
    /* Whatever it is (no right, somebody else has it), it is the user's to put right. */
    error->kind = ERROR_INPUT;
    return -1;
}

static int choose_engine(struct backup *backup, bool careful, struct error *error)
{
    struct guest *guest = &backup->guest;
    const char *name = backup->engine ? backup->engine : guest->description.engine;

    guest->engine = guest_engine(name, careful, error);
    if (guest->engine)
        return check_engine(guest, error);
    error_wrap(error, "its engine (%s)", name);
    error->kind = ERROR_INPUT;
    return -1;
}

static struct machine *make_machine(void *context, const char *text, const struct door *door, bool careful,
                                    bool *foreign_ticks, struct error *error)
{
    struct backup *backup = context;
    struct guest *guest = &backup->guest;

    if (description_from_json(text, strlen(text), &guest->description, error) < 0)
        return NULL;
    /* Files may lie beside the log that is kept; or where this command was started. */
    if (choose_engine(backup, careful, error) < 0 || open_network(backup, error) < 0 ||
        guest_find_files(guest, &backup->places, NULL, backup->options.log ? backup->options.log : "log", error) < 0 ||
        guest_disks_find(&guest->disks, &guest->finder, &guest->description, error) < 0 ||
        guest_disks_temporary(&guest->disks, backup->options.log, error) < 0 ||
        guest_create_machine(guest, door, error) < 0 || guest_keep_image(guest, error) < 0)
        return NULL;
    guest->recorded = true;
    guest_tell_engine(guest);
    *foreign_ticks = strcmp(guest->description.tick_unit, guest->engine->caps.tick_unit) != 0;
    return &guest->machine;
}

static void unmake_machine(void *context, struct machine *machine)
{
    struct backup *backup = context;

    (void)machine;
    guest_free(&backup->guest);
}

/* A report where the user finds it: in the directory that was named, or beside the log that is kept. */
static void report(void *context, const struct divergence *divergence, struct machine *machine, uint64_t offset)
{
    const struct backup *backup = context;
    const char *log = backup->options.log;
    char path[PATH_MAX];
    struct error error;

    divergence_print(divergence, machine, stderr);
    if (!backup->report && !log)
        return;
    if (report_write(backup->replicated.files, backup->report, log ? log : "backup", offset, divergence, machine, path,
                     &error) < 0)
        fprintf(stderr, "encore backup: the report is not kept: %s\n", error.text);
    else
        fprintf(stderr, "encore backup: the report is in %s\n", path);
}

/* The machine is ours now: from a replay to a recording, in mid-run. */
static int live(struct backup *backup, struct error *error)
{
    struct machine *machine = shadow_machine(backup->shadow);
    struct replayer *replayer = shadow_replayer(backup->shadow);
    struct log_reader *reader = shadow_reader(backup->shadow);
    const struct log_record *end = shadow_ended(backup->shadow);
    const struct traffic *traffic = replayer_traffic(replayer);

    if (end) {
        port_tell(backup->replicated.port,
                  &(struct port_item){.news = NEWS_LIVE, .a = traffic->inputs.total, .b = traffic->inputs.owner});
        port_tell(backup->replicated.port,
                  &(struct port_item){.news = NEWS_ENDED, .a = end->reason, .b = end->exit_value});
        return 0;
    }
    network_arrive(&backup->replicated.network, backup->guest.description.macs);
    backup->recorder = recorder_create(error);
    if (!backup->recorder)
        return -1;
    backup->writer = kept_log_continue(&backup->replicated.kept, reader, error);
    if (!backup->writer && error->kind != ERROR_NONE)
        return -1;
    /* The checkpoint with which the stream began has number 0. */
    if (recorder_adopt(backup->recorder, traffic, 1, replayer_unannounced(replayer), error) < 0)
        return -1;
    machine->door = recorder_door(backup->recorder);
    struct live live = {
        .port = backup->replicated.port,
        .machine = machine,
        .recorder = backup->recorder,
        .writer = &backup->writer,
        .description = log_reader_header(reader)->machine,
    };
    int status = replicated_live(&backup->replicated, &live, error);
    struct error closing;
    if (backup->writer && log_writer_close(backup->writer, status == 0 ? error : &closing) < 0)
        status = -1;
    return status;
}

static int follow(struct backup *backup, struct error *error)
{
    struct shadow_options options = {
        .port = backup->replicated.port,
        .maker = {.context = backup, .make = make_machine, .unmake = unmake_machine},
        .report = report,
        .report_context = backup,
    };

    backup->shadow = shadow_create(&options, error);
    if (!backup->shadow)
        return -1;
    switch (shadow_follow(backup->shadow, error)) {
    case SHADOW_LIVE:
        return live(backup, error);
    case SHADOW_STOPPED:
        return 0;
    case SHADOW_FAILED:
        break;
    }
    return -1;
}

/* The images are opened when a primary has told of them, but no output may take their place before. */
static int begin(struct backup *backup, struct error *error)
{
    backup->replicated.files = files_create(error);
    if (!backup->replicated.files)
        return -1;
    guest_begin(&backup->guest, backup->replicated.files);
    if (backup->report && report_check(backup->report, error) < 0)
        return error_wrap(error, "--report");
    return file_places_expect(&backup->places, backup->replicated.files, error);
}

int command_backup(int argc, char **argv)
{
    static const struct argp_option own[] = {
        {"connect", KEY_CONNECT, "ADDR", 0, "The primary's address", 0},
        {"engine", KEY_ENGINE, "kvm|soft", 0, "What executes the guest (the primary's engine)", 0},
        {"net", KEY_NET, "BACKEND", 0,
         "The other end of the guest's next network card on this host, opened when it joins: tap:NAME, "
         "user[,hostfwd=...], unix:PATH[,listen], or none. One for each of the guest's cards",
         0},
        {"report", KEY_REPORT, "DIR", 0, "Where reports of divergences go (beside the log)", 0},
        {0},
    };
    static const struct argp_child children[] = {
        {&replicated_options_argp, 0, NULL, 0}, {&file_places_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = own,
        .parser = parse_option,
        .children = children,
        .doc = "Follows a primary in lockstep and goes on with its guest when it dies.\v"
               "Of the guest the images of its disks are needed here and, should it reset its machine, its image and "
               "modules: where the primary has them, or beside the log that is kept (without --log, in the working "
               "directory). The rest comes from the primary. With "
               "--listen this side can be found "
               "by consoles, and by a new backup, once it has taken over. Exit code: the guest's, as for run; 7 when "
               "another machine goes on; 130 when stopped by the user; 2 bad input, 1 the host failed.",
    };
    struct backup *backup = command_memory(sizeof *backup);
    struct error error = {0};

    backup->options = replicated_options_default();
    backup->replicated.command = "backup";
    command_line_parse(&argp, "backup", argc, argv, backup);
    bool good = begin(backup, &error) == 0 &&
                replicated_start(&backup->replicated, &backup->options, backup->connect, &error) == 0 &&
                follow(backup, &error) == 0;
    /* The machine's thread is done; what it had goes before the port and the kept log that it looks at. */
    log_writer_free(backup->writer);
    log_segments_free(&backup->replicated.segments);
    recorder_free(backup->recorder);
    shadow_free(backup->shadow);
    int code = replicated_finish(&backup->replicated, good ? NULL : &error);
    files_free(backup->replicated.files);
    free(backup);
    return code;
}
