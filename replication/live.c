/* See live.h. The relay's functions (replay/recorder.h). */
#include "replication/live.h"

#include "replication/follower.h"
#include "vmm/host/clock.h"

#define MILLISECOND UINT64_C(1000000)
/* Slowing down goes by slices of this length. */
#define THROTTLE_SLICE (10 * MILLISECOND)
/* A guest that goes on working prints more often than it is worth to send each piece by itself: to the backup, back as
 * an acknowledgement, and to the client. So its console output leaves once in so long a time. */
#define GATHER   MILLISECOND
#define HELD_MAX (64u * 1024)

struct relay {
    struct port *port;
    struct recorder *recorder;
    struct follower follower;
    uint64_t input_untold; /* bytes of input that are recorded, and the node does not know where */
    uint64_t ran_since;    /* host time of the last standing still */
    bool stopped;
    struct bytes_writer held; /* console output that was announced, and has not left */
    uint64_t let_go_at;       /* host time at which some left last */
    struct log_writer **kept; /* goes to its file before output that it tells of leaves; *kept NULL: none is kept */
    struct log_segments *segments;
};

static uint32_t log_number(const struct relay *relay)
{
    return relay->follower.following ? relay->follower.stream : 0;
}

/* Once the input's record is on its way, the node can be told when to confirm it. */
static void tell_input(struct relay *relay, void tell(struct port *port, const struct port_item *item))
{
    bool waits = relay->follower.following && log_writer_pending(relay->follower.writer) > 0;

    if (relay->input_untold == 0 || waits)
        return;
    tell(relay->port, &(struct port_item){.news = NEWS_INPUT,
                                          .stream = log_number(relay),
                                          .a = relay->input_untold,
                                          .b = follower_offset(&relay->follower)});
    relay->input_untold = 0;
}

static void relay_drain(void *context)
{
    struct relay *relay = context;

    port_drain_orders(relay->port);
}

static int relay_record(void *context, const struct log_record *record, struct error *error)
{
    struct relay *relay = context;

    if (follower_record(&relay->follower, record, error) < 0)
        return -1;
    if (record->type == LOG_CONSOLE_IN)
        relay->input_untold += record->length;
    return 0;
}

static int let_out(struct relay *relay, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    if ((*relay->kept && log_writer_flush(*relay->kept, error) < 0) ||
        follower_flush_before_output(&relay->follower, error) < 0)
        return -1;
    tell_input(relay, port_mention);
    port_tell(relay->port, &(struct port_item){.news = NEWS_OUTPUT,
                                               .stream = log_number(relay),
                                               .a = follower_offset(&relay->follower),
                                               .b = channel,
                                               .halted = relay->follower.machine->engine->halted,
                                               .bytes = bytes,
                                               .length = length});
    return 0;
}

/* Whether what the console has printed had better leave together with what comes. */
static bool gathers(const struct relay *relay)
{
    return relay->held.length > 0 && relay->held.length < HELD_MAX && relay->follower.following &&
           !relay->follower.machine->engine->halted && host_clock_now() - relay->let_go_at < GATHER;
}

static int let_go_now(struct relay *relay, struct error *error)
{
    if (relay->held.length == 0)
        return 0;
    relay->let_go_at = host_clock_now();
    int status = let_out(relay, MACHINE_CONSOLE_COM1, relay->held.data, relay->held.length, error);
    bytes_writer_clear(&relay->held);
    return status;
}

static int relay_let_go(void *context, uint64_t *again_at, struct error *error)
{
    struct relay *relay = context;

    bool later = gathers(relay);
    *again_at = later ? relay->let_go_at + GATHER : UINT64_MAX;
    return later ? 0 : let_go_now(relay, error);
}

static int relay_output(void *context, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    struct relay *relay = context;

    if (channel != MACHINE_CONSOLE_COM1)
        return let_out(relay, channel, bytes, length, error);
    bytes_put(&relay->held, bytes, length);
    return relay->held.failed ? error_set(error, ERROR_HOST, "out of memory") : 0;
}

static size_t relay_input(void *context, uint8_t *bytes, size_t length, uint64_t *owner)
{
    struct relay *relay = context;

    return port_take_input(relay->port, bytes, length, owner);
}

static bool relay_order(void *context, struct operator_order *order)
{
    struct relay *relay = context;

    return port_take_order(relay->port, order);
}

/* Slowed down, the machine runs for a part of each slice, and stands still for the rest of it. */
static void throttle(struct relay *relay, const struct port_orders *orders, uint64_t *again_at)
{
    uint64_t run = THROTTLE_SLICE * (1000 - orders->throttle) / 1000;
    uint64_t now = host_clock_now();

    if (now - relay->ran_since >= run) {
        uint64_t still = THROTTLE_SLICE - run;
        port_wait(relay->port, orders, now + still);
        relay->ran_since = host_clock_now();
    }
    if (relay->ran_since + run < *again_at)
        *again_at = relay->ran_since + run;
}

/* The log for a backup, and the segments of the one that is kept here. Only one checkpoint is written at a time. */
static int tend_logs(struct relay *relay, const struct port_orders *given, const struct position *at,
                     uint64_t *again_at, struct error *error)
{
    struct follower *follower = &relay->follower;
    struct port_orders orders = *given;

    if (relay->segments) {
        bool joins = orders.join != follower->stream || (follower->stream && !follower->following && !follower->failed);
        if (log_segments_tend(relay->segments, relay->recorder, joins, at, again_at, error) < 0)
            return -1;
        if (log_segments_busy(relay->segments))
            orders.join = follower->stream;
    }
    return follower_tend(follower, relay->recorder, &orders, at, again_at, error);
}

/* Stands still as ordered. At this boundary a backup may still join. */
static int stand_still(struct relay *relay, struct port_orders *orders, const struct position *at, uint64_t *again_at,
                       struct error *error)
{
    bool told = false;

    if ((orders->quiet || orders->wait) && let_go_now(relay, error) < 0)
        return -1;
    while ((orders->quiet || orders->wait) && !orders->stop && !orders->end) {
        if (orders->quiet && !told) {
            if (follower_flush(&relay->follower, error) < 0)
                return -1;
            tell_input(relay, port_tell);
            port_tell(relay->port, &(struct port_item){.news = NEWS_QUIET});
            told = true;
        }
        *orders = port_wait(relay->port, orders, host_clock_now() + 5 * MILLISECOND);
        if (tend_logs(relay, orders, at, again_at, error) < 0)
            return -1;
    }
    return 0;
}

static bool relay_followed(void *context)
{
    const struct relay *relay = context;

    return relay->follower.following;
}

static int relay_boundary(void *context, const struct position *at, uint64_t *again_at, struct error *error)
{
    struct relay *relay = context;
    struct port_orders orders = port_orders(relay->port);

    *again_at = UINT64_MAX;
    if (!orders.stop && tend_logs(relay, &orders, at, again_at, error) < 0)
        return -1;
    if (stand_still(relay, &orders, at, again_at, error) < 0)
        return -1;
    tell_input(relay, port_tell);
    if (orders.throttle && !orders.stop && !orders.end)
        throttle(relay, &orders, again_at);
    relay->stopped = orders.stop;
    if (orders.stop)
        follower_end(&relay->follower);
    return orders.stop || orders.end;
}

int live_run(const struct live *live, struct recorder_result *result, bool *stopped, struct error *error)
{
    struct relay relay = {
        .port = live->port,
        .recorder = live->recorder,
        .kept = live->writer,
        .segments = live->segments,
        .follower = follower_none(live->port, live->machine, live->description),
        .held = bytes_writer(2 * HELD_MAX),
    };
    struct recorder_relay functions = {
        .context = &relay,
        .fd = port_orders_fd(live->port),
        .drain = relay_drain,
        .record = relay_record,
        .output = relay_output,
        .let_go = relay_let_go,
        .input = relay_input,
        .order = relay_order,
        .followed = relay_followed,
        .boundary = relay_boundary,
    };
    struct recorder_options options = {
        .writer = *live->writer,
        .relay = &functions,
        .checkpoint_every = live->checkpoint_every,
        .max_exits = live->max_exits,
        .timeout = live->timeout,
        .catch_up = live->catch_up,
    };

    if (live->segments)
        log_segments_start(live->segments, live->port, live->machine, live->description);
    for (unsigned card = 0; card < MACHINE_CARDS_MAX; card++)
        options.nets[card] = live->nets[card];
    int status = recorder_run(live->recorder, live->machine, &options, result, error);
    if (status == 0)
        status = let_go_now(&relay, error);
    *stopped = relay.stopped;
    tell_input(&relay, port_tell);
    follower_end(&relay.follower);
    if (live->segments)
        log_segments_stop(live->segments);
    bytes_writer_free(&relay.held);
    return status;
}
