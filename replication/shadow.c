/* See shadow.h. */
#include "replication/shadow.h"

#include <stdlib.h>
#include <string.h>

#include "replay/checkpoint.h"
#include "vmm/host/clock.h"

/* What may wait besides a checkpoint, which stays in memory until it is restored. */
#define FEED_MAX (UINT64_C(256) << 20)
/* Progress is mentioned so often. */
#define MENTION_EVERY UINT64_C(5000000)

struct shadow {
    struct shadow_options options;
    struct port_orders orders; /* as last looked at */
    struct bytes_writer arrived;
    struct log_feed feed;
    struct log_reader *reader;
    struct replayer *replayer;
    struct machine *machine; /* built when the stream's header is here */
    bool restored;           /* ... and what it is to be since the checkpoint is */
    bool careful;            /* the engine shall be */
    bool diverged;           /* the stream is of no use any more; a new one is awaited */
    bool unfit;              /* likewise: this side could not go on with its machine */
    bool ended;
    uint64_t mentioned_at;
};

static struct port_item item(const struct shadow *shadow, enum port_news news, uint64_t a, uint64_t b)
{
    return (struct port_item){.news = news, .stream = shadow->orders.reset, .a = a, .b = b};
}

static void tell(struct shadow *shadow, enum port_news news, uint64_t a, uint64_t b)
{
    struct port_item told = item(shadow, news, a, b);

    port_tell(shadow->options.port, &told);
}

static void forget_machine(struct shadow *shadow)
{
    port_set_engine(shadow->options.port, NULL);
    replayer_free(shadow->replayer);
    shadow->replayer = NULL;
    shadow->options.maker.unmake(shadow->options.maker.context, shadow->machine);
    shadow->machine = NULL;
    log_reader_close(shadow->reader);
    shadow->reader = NULL;
    log_feed_free(&shadow->feed);
    shadow->restored = shadow->diverged = shadow->unfit = shadow->ended = false;
}

static int begin_stream(struct shadow *shadow, struct error *error)
{
    forget_machine(shadow);
    log_feed_init(&shadow->feed, FEED_MAX);
    struct log_source source = log_feed_source(&shadow->feed);
    shadow->reader = log_reader_open_source(&source, "the primary's log", true, error);
    return shadow->reader ? 0 : -1;
}

/* Looks at the orders and takes what has arrived. Waits when there is nothing to do. Returns 1 when it is over. */
static int look(struct shadow *shadow, bool idle, struct error *error)
{
    struct port *port = shadow->options.port;
    struct port_orders orders = idle ? port_wait(port, &shadow->orders, UINT64_MAX) : port_orders(port);
    bool again = orders.reset != shadow->orders.reset;

    shadow->orders = orders;
    if (orders.stop)
        return 1;
    if (again && begin_stream(shadow, error) < 0)
        return -1;
    bytes_writer_clear(&shadow->arrived);
    port_take_stream(port, orders.reset, &shadow->arrived);
    if (!shadow->reader || shadow->arrived.length == 0)
        return 0;
    if (shadow->arrived.failed)
        return error_set(error, ERROR_HOST, "out of memory");
    return log_feed_push(&shadow->feed, shadow->arrived.data, shadow->arrived.length, error);
}

/* What the backup has replayed is for the primary to know, with the next acknowledgement; and what was printed is for a
 * client to have after a takeover. */
static void mention_progress(struct shadow *shadow, bool now)
{
    uint64_t time = host_clock_now();

    if (!now && time - shadow->mentioned_at < MENTION_EVERY)
        return;
    shadow->mentioned_at = time;
    struct port_item replayed = item(shadow, NEWS_REPLAYED, log_reader_offset(shadow->reader), shadow->machine->now);
    port_mention(shadow->options.port, &replayed);
}

static int mention_output(void *context, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    struct shadow *shadow = context;
    struct port_item output = item(shadow, NEWS_REPLAYED_OUTPUT, 0, channel);

    (void)error;
    output.bytes = bytes;
    output.length = length;
    port_mention(shadow->options.port, &output);
    return 0;
}

/* The most bytes that a checkpoint of this machine can take: a page, or a cluster, may stand in it several times, and
 * is never much longer than itself. */
static size_t checkpoint_most(const struct machine *machine)
{
    uint64_t pages = CHECKPOINT_PAGES_MAX(machine->ram.size);

    for (unsigned i = 0; i < machine->disk_count; i++)
        pages += CHECKPOINT_CLUSTERS_MAX(&machine->disks[i]);
    return pages * (RAM_PAGE_SIZE + RAM_PAGE_SIZE / 16);
}

/* Builds the machine that the stream's header describes, with all that it needs here: before the checkpoint arrives,
 * and long before anybody counts on it. */
static int build(struct shadow *shadow, struct error *error)
{
    const struct machine_maker *maker = &shadow->options.maker;
    struct replayer_options options = {.reader = shadow->reader, .output = mention_output, .output_context = shadow};
    const struct log_header *header = log_reader_header(shadow->reader);
    bool foreign_ticks = false;

    shadow->replayer = replayer_create(&options, error);
    if (!shadow->replayer)
        return -1;
    struct door door = replayer_door(shadow->replayer);
    shadow->machine = maker->make(maker->context, header->machine, &door, shadow->careful, &foreign_ticks, error);
    if (!shadow->machine)
        return -1;
    shadow->feed.held.limit = FEED_MAX + checkpoint_most(shadow->machine);
    replayer_set_foreign_ticks(shadow->replayer, foreign_ticks);
    replayer_attach(shadow->replayer, shadow->machine);
    return 0;
}

/* The primary is to know, and then this side ends. */
static void refuse(struct shadow *shadow, const struct error *error)
{
    struct port_item unfit = item(shadow, NEWS_UNFIT, error->kind == ERROR_INPUT, 0);

    unfit.bytes = (const uint8_t *)error->text;
    unfit.length = strlen(error->text);
    shadow->unfit = true;
    port_tell(shadow->options.port, &unfit);
}

static int restore(struct shadow *shadow, struct error *error)
{
    if (replayer_restore(shadow->replayer, 0, error) < 0)
        return -1;
    shadow->restored = true;
    port_set_engine(shadow->options.port, shadow->machine->engine);
    mention_progress(shadow, true);
    tell(shadow, NEWS_RESTORED, replayer_traffic(shadow->replayer)->outputs.streams[0].total, 0);
    return 0;
}

static void diverge(struct shadow *shadow)
{
    const struct shadow_options *options = &shadow->options;
    uint64_t offset = log_reader_offset(shadow->reader);

    options->report(options->report_context, replayer_divergence(shadow->replayer), shadow->machine, offset);
    shadow->diverged = true;
    tell(shadow, NEWS_DIVERGED, offset, 1);
}

/* Before the machine is restored: 1 when there is nothing to do. */
static int await_checkpoint(struct shadow *shadow, struct error *error)
{
    struct log_record record;
    enum log_read read = log_reader_next(shadow->reader, &record, error);

    if (read != LOG_READ_RECORD && read != LOG_READ_WAIT)
        return -1;
    if (!shadow->machine && log_reader_header(shadow->reader) && build(shadow, error) < 0) {
        refuse(shadow, error);
        return 1;
    }
    if (read == LOG_READ_WAIT)
        return 1;
    if (record.type != LOG_CHECKPOINT || record.id != 0)
        return error_set(error, ERROR_INPUT, "the primary's log does not begin with a checkpoint");
    return restore(shadow, error);
}

/* One record. 1 when there is none. */
static int replay(struct shadow *shadow, struct error *error)
{
    switch (replayer_step(shadow->replayer, error)) {
    case REPLAYER_MORE:
    case REPLAYER_KICKED:
        mention_progress(shadow, false);
        return 0;
    case REPLAYER_WAIT:
        mention_progress(shadow, true);
        return 1;
    case REPLAYER_END: {
        const struct log_record *end = replayer_end(shadow->replayer);
        shadow->ended = true;
        mention_progress(shadow, true);
        tell(shadow, NEWS_ENDED, end->reason, end->exit_value);
        return 1;
    }
    case REPLAYER_DIVERGED:
        diverge(shadow);
        return 1;
    case REPLAYER_OVERSHOT: /* the machine is spoilt, though nothing differs: again from a fresh start, with more care
                             */
        shadow->careful = true;
        shadow->diverged = true;
        tell(shadow, NEWS_DIVERGED, log_reader_offset(shadow->reader), 0);
        return 1;
    case REPLAYER_STOPPED:
    case REPLAYER_ERROR:
        break;
    }
    return -1;
}

enum shadow_end shadow_follow(struct shadow *shadow, struct error *error)
{
    bool idle = true;

    for (;;) {
        int looked = look(shadow, idle, error);
        if (looked)
            return looked < 0 ? SHADOW_FAILED : SHADOW_STOPPED;
        int done = 1;
        if (shadow->reader && !shadow->diverged && !shadow->unfit && !shadow->ended)
            done = shadow->restored ? replay(shadow, error) : await_checkpoint(shadow, error);
        if (done < 0)
            return SHADOW_FAILED;
        idle = done > 0;
        if (idle && shadow->orders.live && !shadow->diverged && shadow->restored &&
            port_stream_waiting(shadow->options.port) == 0)
            return SHADOW_LIVE;
    }
}

struct shadow *shadow_create(const struct shadow_options *options, struct error *error)
{
    struct shadow *shadow = calloc(1, sizeof *shadow);

    if (!shadow) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    shadow->options = *options;
    shadow->arrived = bytes_writer(FEED_MAX);
    return shadow;
}

void shadow_free(struct shadow *shadow)
{
    if (!shadow)
        return;
    forget_machine(shadow);
    bytes_writer_free(&shadow->arrived);
    free(shadow);
}

struct machine *shadow_machine(struct shadow *shadow)
{
    return shadow->machine;
}

struct replayer *shadow_replayer(struct shadow *shadow)
{
    return shadow->replayer;
}

struct log_reader *shadow_reader(struct shadow *shadow)
{
    return shadow->reader;
}

const struct log_record *shadow_ended(struct shadow *shadow)
{
    return shadow->ended ? replayer_end(shadow->replayer) : NULL;
}
