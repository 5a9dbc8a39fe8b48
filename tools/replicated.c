/* See replicated.h. */
#include "tools/replicated.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "tools/commands.h"
#include "tools/outcome.h"
#include "tools/quantity.h"

/* The exit code of a side that has to give way to another machine. */
#define EXIT_LOST 7
/* Shorter segments would be checkpoints and little else. */
#define LOG_SEGMENT_MIN 65536

enum option_key {
    KEY_LISTEN = 0x500,
    KEY_ARBITER,
    KEY_KEY,
    KEY_LOG,
    KEY_FORCE,
    KEY_DURABLE,
    KEY_LOG_REQUIRED,
    KEY_LOG_SEGMENT,
    KEY_LOG_KEEP,
    KEY_NEXT_EPOCH,
    KEY_SUSPECT_AFTER,
    KEY_BEAT_EVERY,
    KEY_LAG_MAX,
    KEY_METRICS,
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Replication:", 5},
    {"listen", KEY_LISTEN, "ADDR", 0,
     "Where backups, consoles and commands find this side: ipc://PATH, tcp://HOST:PORT", 5},
    {"arbiter", KEY_ARBITER, "SPEC", 0, "Who decides which side goes on: file:PATH or etcd:URL,KEY", 5},
    {"key", KEY_KEY, "FILE", 0, "Authenticate and encrypt with this key (encore keygen)", 5},
    {"log", KEY_LOG, "FILE", 0, "Keep the log on disk too", 5},
    {"force", KEY_FORCE, NULL, 0, "... replacing FILE", 5},
    {"durable", KEY_DURABLE, NULL, 0, "... on the disk before anything that depends on it leaves", 5},
    {"log-required", KEY_LOG_REQUIRED, NULL, 0, "... or end: a log that cannot be written (disk full) is not given up",
     5},
    {"log-segment", KEY_LOG_SEGMENT, "SIZE", 0,
     "... in segments of about this size, each of which replays by itself: FILE, FILE.1, FILE.2, ...; on a backup from "
     "its takeover on",
     5},
    {"log-keep", KEY_LOG_KEEP, "N", 0, "... of which the last N are kept (all)", 5},
    {"suspect-after", KEY_SUSPECT_AFTER, "TIME", 0,
     "Silence after which the other side is taken for dead (75ms, and up to 1s where the link needs it)", 5},
    {"beat-every", KEY_BEAT_EVERY, "TIME", 0, "Time between heartbeats (20ms)", 5},
    {"metrics", KEY_METRICS, "WHERE", 0, "Tell Prometheus at unix:PATH or tcp:HOST:PORT (GET /metrics)", 5},
    {"lag-max", KEY_LAG_MAX, "TIME", 0, "How far the backup may be behind before the primary waits (1s)", 5},
    {0},
};

struct replicated_options replicated_options_default(void)
{
    return (struct replicated_options){.replica = replica_config_default()};
}

static void parse_time(const char *option, const char *text, uint64_t *to, struct argp_state *state)
{
    struct error error;

    if (quantity_time(text, to, &error) < 0)
        argp_error(state, "%s: %s", option, error.text);
    if (*to < 1000000 || *to > UINT64_C(3600000000000))
        argp_error(state, "%s: '%s' is not from 1ms to 1h", option, text);
}

static void check(const struct replicated_options *to, struct argp_state *state)
{
    if (!to->arbiter)
        argp_error(state, "--arbiter is needed: file:PATH or etcd:URL,KEY");
    if (to->durable && !to->log)
        argp_error(state, "--durable is about the file of --log");
    if (to->force && !to->log)
        argp_error(state, "--force is about the file of --log");
    if (to->log_required && !to->log)
        argp_error(state, "--log-required is about the file of --log");
    if (to->log_segment && !to->log)
        argp_error(state, "--log-segment is about the file of --log");
    if (to->log_keep && !to->log_segment)
        argp_error(state, "--log-keep is about the segments of --log-segment");
    if (to->replica.suspect_after < 3 * to->replica.beat_every)
        argp_error(state, "--suspect-after must be at least three times --beat-every");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct replicated_options *to = state->input;
    struct error error;

    switch (key) {
    case KEY_LISTEN:
        to->listen = text;
        return 0;
    case KEY_ARBITER:
        to->arbiter = text;
        return 0;
    case KEY_KEY:
        to->key = text;
        return 0;
    case KEY_LOG:
        to->log = text;
        return 0;
    case KEY_FORCE:
        to->force = true;
        return 0;
    case KEY_DURABLE:
        to->durable = true;
        return 0;
    case KEY_LOG_REQUIRED:
        to->log_required = true;
        return 0;
    case KEY_LOG_SEGMENT:
        if (quantity_size(text, &to->log_segment, &error) < 0)
            argp_error(state, "--log-segment: %s", error.text);
        if (to->log_segment < LOG_SEGMENT_MIN)
            argp_error(state, "--log-segment: '%s' is less than 64K", text);
        return 0;
    case KEY_LOG_KEEP:
        if (quantity_count(text, &to->log_keep, &error) < 0)
            argp_error(state, "--log-keep: %s", error.text);
        if (to->log_keep == 0 || to->log_keep > UINT32_MAX)
            argp_error(state, "--log-keep: '%s' is not from 1 on", text);
        return 0;
    case KEY_SUSPECT_AFTER:
        parse_time("--suspect-after", text, &to->replica.suspect_after, state);
        to->replica.suspect_max = to->replica.suspect_after;
        return 0;
    case KEY_BEAT_EVERY:
        parse_time("--beat-every", text, &to->replica.beat_every, state);
        return 0;
    case KEY_METRICS:
        to->metrics = text;
        return 0;
    case KEY_LAG_MAX:
        parse_time("--lag-max", text, &to->replica.lag_max, state);
        to->lag_max_given = true;
        to->replica.lag_slow = to->replica.lag_max / 5;
        return 0;
    case ARGP_KEY_END:
        check(to, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp replicated_options_argp = {.options = options, .parser = parse_option};

static void say(void *context, const char *text)
{
    const struct replicated *replicated = context;
    struct timespec now;
    struct tm utc;
    char time[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(stderr, "%s%s.%03ldZ encore %s: ", replicated->shows ? "\r\033[K" : "", time, now.tv_nsec / 1000000,
            replicated->command);
    text_print(text, stderr);
    putc('\n', stderr);
}

static void show(void *context, const struct node_status *status)
{
    const struct replicated *replicated = context;
    const struct replica_status *replica = &status->replica;

    if (replicated->metrics)
        metrics_server_publish(replicated->metrics, status);
    if (!replicated->shows)
        return;
    fprintf(stderr, "\r\033[K[epoch %" PRIu64 "] %s", replica->epoch, replica_state_name(replica->state));
    if (replica->peer)
        fprintf(stderr, "  other side heard %.0f ms ago  log %.1f KB  lag %.0f ms", (double)replica->heard / 1e6,
                (double)replica->stream_end / 1e3, (double)replica->lag / 1e6);
    fprintf(stderr, "  output held %" PRIu64 " bytes%s", status->output_held, status->consoles ? "  console" : "");
    fflush(stderr);
}

static uint8_t exit_code(uint64_t reason, uint64_t value)
{
    return (uint8_t)outcome_exit_code((enum log_end_reason)reason, (uint32_t)value);
}

/* The network is open before the node hears that the machine lives, and closed after the node is gone. */
static void send_frame(void *context, unsigned card, const uint8_t *frame, size_t length)
{
    struct replicated *replicated = context;

    if (replicated->network.nets[card])
        net_write(replicated->network.nets[card], frame, length);
}

/* From either thread. */
static void tell_log_end(void *context, const struct error *why)
{
    struct replicated *replicated = context;
    char text[640];

    atomic_store(&replicated->log_ended, true);
    snprintf(text, sizeof text, "the log ends here (%s); the guest goes on without one (--log-required: it would not)",
             why->text);
    say(replicated, text);
}

static void tell_log_resumed(void *context, const char *name)
{
    struct replicated *replicated = context;
    char text[640];

    atomic_store(&replicated->log_ended, false);
    snprintf(text, sizeof text, "there is a log again: %.500s begins here", name);
    say(replicated, text);
}

/* The first wish is to hand over, the second to end without (node.h). */
int replicated_hold_signals(struct replicated *replicated, struct error *error)
{
    if (!replicated->signals)
        replicated->signals = signals_hold(2, error);
    return replicated->signals ? 0 : -1;
}

int replicated_start(struct replicated *replicated, const struct replicated_options *given, const char *connect,
                     struct error *error)
{
    struct node_options to = {
        .replica = given->replica,
        .listen = given->listen,
        .connect = connect,
        .keys = given->key ? &replicated->keys : NULL,
        .arbiter = given->arbiter,
        .next_epoch = given->next_epoch,
        .kept = connect ? &replicated->kept : NULL,
        .log_ended = &replicated->log_ended,
        .exit_code = exit_code,
        .frame = send_frame,
        .say = say,
        .context = replicated,
    };

    if (replicated_hold_signals(replicated, error) < 0)
        return -1;
    to.signals = signals_fd(replicated->signals);
    to.replica.backup = connect != NULL;
    replicated->shows = isatty(STDERR_FILENO);
    if (replicated->shows || given->metrics)
        to.show = show;
    if (given->key &&
        keys_read(replicated->files, given->key, given->listen ? KEY_MASTER : KEY_BACKUP, &replicated->keys, error) < 0)
        return -1;
    replicated->kept =
        kept_log(replicated->files, given->log, given->force, given->durable ? FILE_SINK_FSYNC : FILE_SINK_PAGE_CACHE);
    replicated->kept.required = given->log_required;
    replicated->kept.tell = tell_log_end;
    replicated->kept.context = replicated;
    if ((to.kept && kept_log_check(to.kept, error) < 0) ||
        (given->log_segment && log_segments_check(given->log, given->force, error) < 0))
        return error_wrap(error, "--log");
    replicated->segments = (struct log_segments){.kept = &replicated->kept,
                                                 .size = given->log_segment,
                                                 .keep = (unsigned)given->log_keep,
                                                 .say = say,
                                                 .resumed = tell_log_resumed,
                                                 .context = replicated};
    replicated->port = port_create(error);
    if (!replicated->port)
        return -1;
    if (given->metrics && !(replicated->metrics = metrics_server_open(given->metrics, error)))
        return -1;
    replicated->node = node_start(&to, replicated->port, error);
    return replicated->node ? 0 : -1;
}

int replicated_live(struct replicated *replicated, const struct live *live, struct error *error)
{
    const struct inputs *inputs = &recorder_traffic(live->recorder)->inputs;
    struct recorder_result result;
    struct live networked = *live;
    bool stopped;

    networked.nets = replicated->network.nets;
    replicated->segments.writer = live->writer;
    networked.segments = replicated->segments.size ? &replicated->segments : NULL;
    port_set_ram_size(replicated->port, live->machine->ram.size);
    port_tell(replicated->port, &(struct port_item){.news = NEWS_LIVE, .a = inputs->total, .b = inputs->owner});
    if (live_run(&networked, &result, &stopped, error) < 0)
        return -1;
    if (!stopped)
        port_tell(replicated->port,
                  &(struct port_item){.news = NEWS_ENDED, .a = result.reason, .b = result.exit_value});
    return 0;
}

static int code_of(const struct node_result *result)
{
    switch (result->end) {
    case NODE_FINISHED:
        return exit_code(result->reason, result->value);
    case NODE_HANDED_OVER:
        return 0;
    case NODE_LOST:
        return EXIT_LOST;
    case NODE_UNFIT:
        return 2;
    case NODE_SIGNALLED:
        return 130;
    case NODE_FAILED:
        break;
    }
    return error_exit_code(result->bad_input ? ERROR_INPUT : ERROR_HOST);
}

int replicated_finish(struct replicated *replicated, const struct error *error)
{
    struct node_result result = {.end = NODE_FAILED};

    if (error) {
        struct port_item failed = {
            .news = NEWS_FAILED, .bytes = (const uint8_t *)error->text, .length = strlen(error->text)};
        snprintf(result.text, sizeof result.text, "%s", error->text);
        if (replicated->node)
            port_tell(replicated->port, &failed);
    }
    if (replicated->node)
        node_finish(replicated->node, &result);
    metrics_server_close(replicated->metrics);
    port_free(replicated->port);
    network_close(&replicated->network);
    kept_log_close(&replicated->kept);
    keys_forget(&replicated->keys);
    say(replicated, result.text);
    return error && result.end == NODE_FAILED ? error_exit_code(error->kind) : code_of(&result);
}
