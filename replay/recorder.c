/* The recorder's loop, and the door's callbacks. See recorder.h. */
#include "replay/recorder.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "replay/recorder_internal.h"
#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

/* After a stop at a place without a name, and while an interrupt waits that could not be taken, the guest is stopped
 * again after this time; it also stops at its next exit. */
#define RETRY_INTERVAL (MILLISECOND / 10)
/* While the guest has interrupts off, inputs wait for a better place, but no longer than this. An input given there
 * would wait in the chips all the same, and cost a second stop when interrupts are on again. */
#define DEFER_MAX (2 * MILLISECOND)
/* Output leaves at boundaries; one is made for it at the latest so long after its first byte. */
#define OUTPUT_WAIT MILLISECOND
/* How long the end may wait for a place with a name. */
#define STOP_PATIENCE (2 * SECOND)
/* An open frame is handed on at least so often, so that a reader or a crash finds the log no older than this. */
#define FLUSH_INTERVAL (1 * SECOND)

void recorder_fail(struct recorder *recorder, const struct error *error)
{
    if (!recorder->failed)
        recorder->error = *error;
    recorder->failed = true;
    engine_request_stop(recorder->machine->engine);
}

uint64_t recorder_guest_now(struct recorder *recorder)
{
    return recorder_note_stop(recorder) - recorder->origin;
}

int recorder_append(struct recorder *recorder, const struct log_record *record, struct error *error)
{
    /* Positions in a log never go back: what was printed before this comes before it. */
    if (record->type != LOG_OUTPUT && recorder_release_output(recorder, error) < 0)
        return -1;
    if (recorder->options.writer && log_writer_append(recorder->options.writer, record, error) < 0)
        return -1;
    return recorder_relay_record(recorder, record, error);
}

static uint64_t door_read_clock(void *context, uint64_t now)
{
    struct recorder *recorder = context;
    uint64_t time = recorder_guest_now(recorder);
    struct error error;

    if (time < now)
        time = now;
    struct log_record record = {
        .type = LOG_CLOCK_READ, .at = position_at_exit(recorder->machine->engine->exits), .time = time};
    if (recorder_append(recorder, &record, &error) < 0)
        recorder_fail(recorder, &error);
    return time;
}

/* Bytes that depend on the seed and on how many were drawn before, and on nothing of the host. */
static void seeded_entropy(struct recorder *recorder, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++, recorder->drawn++) {
        uint8_t count[8];
        bytes_store(count, sizeof count, recorder->drawn / 8);
        struct digest digest = digest_of(count, sizeof count, recorder->options.seed);
        bytes[i] = (uint8_t)(digest.low >> recorder->drawn % 8 * 8);
    }
}

static int draw_entropy(struct recorder *recorder, uint8_t *bytes, size_t length, struct error *error)
{
    if (!recorder->machine->virtual_clock)
        return host_entropy(bytes, length, error);
    seeded_entropy(recorder, bytes, length);
    return 0;
}

static void door_entropy(void *context, uint8_t *bytes, size_t length)
{
    struct recorder *recorder = context;
    struct error error;
    struct log_record record = {.type = LOG_ENTROPY,
                                .at = position_at_exit(recorder->machine->engine->exits),
                                .bytes = bytes,
                                .length = length};

    memset(bytes, 0, length);
    CHECK(length <= LOG_BYTES_MAX);
    if (draw_entropy(recorder, bytes, length, &error) < 0 || recorder_append(recorder, &record, &error) < 0)
        recorder_fail(recorder, &error);
}

static void door_console_output(void *context, uint8_t channel, uint8_t byte)
{
    CHECK(channel == MACHINE_CONSOLE_COM1);
    recorder_output(context, byte);
}

static void door_frame_output(void *context, uint8_t card, const uint8_t *frame, size_t length)
{
    recorder_frame_output(context, card, frame, length);
}

/* In this exit the guest has begun to print. */
static bool output_begins(const struct recorder *recorder)
{
    return recorder->outbox.streams[0].length > 0 && !recorder->output_at;
}

static bool door_exit_served(void *context)
{
    struct recorder *recorder = context;
    struct machine *machine = recorder->machine;

    struct error error;
    bool waits = machine_interrupt_waits(machine);

    recorder->room_seen = machine_console_ready(machine);
    if (recorder->frames_wait && recorder_release_output(recorder, &error) < 0)
        recorder_fail(recorder, &error);
    if (machine->virtual_clock) {
        /* Whatever the clock brings about, the machine does by itself. */
    } else if (waits && !recorder->retry_at && !machine->engine->prompt) {
        recorder->retry_at = host_clock_now() + RETRY_INTERVAL;
        recorder_set_alarm(recorder);
    } else if (output_begins(recorder)) {
        recorder->output_at = host_clock_now() + OUTPUT_WAIT;
        recorder_set_alarm(recorder);
    } else if (machine_deadline(machine) != recorder->deadline) {
        recorder_set_alarm(recorder);
    }
    if (recorder->options.max_exits && machine->engine->exits >= recorder->options.max_exits)
        return true;
    return recorder->failed || recorder_has_inputs(recorder);
}

struct door recorder_door(struct recorder *recorder)
{
    return (struct door){
        .context = recorder,
        .read_clock = door_read_clock,
        .entropy = door_entropy,
        .console_output = door_console_output,
        .frame_output = door_frame_output,
        .disk = recorder_disk,
        .exit_served = door_exit_served,
    };
}

struct recorder *recorder_create(struct error *error)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);

    if (!recorder) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    recorder->outbox = outbox(RECORDER_FRAMES_MAX);
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    if (recorder)
        outbox_free(&recorder->outbox);
    free(recorder);
}

int recorder_adopt(struct recorder *recorder, const struct traffic *traffic, uint32_t checkpoints,
                   const struct outbox *output, struct error *error)
{
    recorder->traffic = *traffic;
    recorder->checkpoint_id = checkpoints;
    for (unsigned stream = 0; stream < OUTPUT_STREAMS; stream++) {
        const struct bytes_writer *from = &output->streams[stream];
        if (from->failed || from->length > (stream == 0 ? RECORDER_OUTPUT_MAX : RECORDER_FRAMES_MAX))
            return error_set(error, ERROR_INPUT, "the log leaves %zu bytes of output unannounced", from->length);
        bytes_put(&recorder->outbox.streams[stream], from->data, from->length);
    }
    return 0;
}

const struct traffic *recorder_traffic(const struct recorder *recorder)
{
    return &recorder->traffic;
}

void recorder_continue_in(struct recorder *recorder, struct log_writer *writer)
{
    recorder->options.writer = writer;
    /* The next checkpoint has no parent in that log. */
    recorder->chain = 0;
    if (recorder->checkpoint_id == 0)
        recorder->checkpoint_id = 1;
}

/* From the kicker's thread. A user who wants the end shall not wait for a reader of the console who does not read. */
static void kick_engine(void *context)
{
    struct recorder *recorder = context;
    struct kicker *kicker = atomic_load(&recorder->kicker);

    if (kicker && kicker_events(kicker) & KICKER_SIGNAL && recorder->options.console)
        console_hurry(recorder->options.console);
    engine_kick(recorder->machine->engine);
}

static int watch_outside(struct recorder *recorder, struct error *error)
{
    if (recorder_net_watch(recorder, error) < 0 || recorder_operator_watch(recorder, error) < 0)
        return -1;
    if (recorder->options.relay)
        return kicker_watch(recorder->kicker, WATCH_RELAY, recorder->options.relay->fd, error) < 0 ? -1 : 0;
    int fd = console_poll_fd(recorder->options.console);
    if (fd < 0)
        return 0;
    int watched = kicker_watch(recorder->kicker, WATCH_CONSOLE, fd, error);
    if (watched < 0)
        return -1;
    recorder->always_input = watched == KICKER_ALWAYS && !recorder->options.script;
    return 0;
}

static int start(struct recorder *recorder, struct error *error)
{
    int signals = recorder->options.signals ? signals_fd(recorder->options.signals) : -1;

    recorder->kicker = kicker_start(kick_engine, recorder, signals, error);
    if (!recorder->kicker)
        return -1;
    if (watch_outside(recorder, error) < 0)
        return -1;
    uint64_t now = host_clock_now();
    recorder->origin = now - recorder->machine->now;
    recorder->started = recorder->last_time = recorder->last_flush = recorder->last_progress = now;
    return 0;
}

static void want_stop(struct recorder *recorder, enum log_end_reason reason)
{
    if (recorder->stopping)
        return;
    recorder->stopping = true;
    recorder->stop_reason = reason;
    recorder->stop_by = host_clock_now() + STOP_PATIENCE;
}

static void report_progress(struct recorder *recorder, uint64_t now)
{
    struct recorder_progress progress = {.guest_time = machine_time(recorder->machine),
                                         .exits = recorder->machine->engine->exits};

    if (!recorder->options.progress || now - recorder->last_progress < RECORDER_PROGRESS)
        return;
    if (recorder->options.writer) {
        progress.raw_bytes = log_writer_counters(recorder->options.writer)->raw_bytes;
        progress.stored_bytes = log_writer_counters(recorder->options.writer)->stored_bytes;
    }
    recorder->last_progress = now;
    recorder->options.progress(recorder->options.progress_context, &progress);
}

static int flush_if_old(struct recorder *recorder, uint64_t now, struct error *error)
{
    if (!recorder->options.writer || now - recorder->last_flush < FLUSH_INTERVAL)
        return 0;
    recorder->last_flush = now;
    return log_writer_flush(recorder->options.writer, error);
}

static void note_events(struct recorder *recorder)
{
    const struct recorder_options *options = &recorder->options;

    recorder->events |= kicker_take(recorder->kicker);
    if (recorder->events & KICKER_WATCH(WATCH_CONSOLE))
        recorder_console_event(recorder);
    if (recorder->events & KICKER_WATCH(WATCH_RELAY))
        recorder_relay_event(recorder);
    recorder_net_event(recorder, recorder->events);
    if (recorder->events & KICKER_SIGNAL)
        want_stop(recorder, LOG_END_SIGNAL);
    if (options->timeout && host_clock_now() - recorder->started >= options->timeout)
        want_stop(recorder, LOG_END_TIMEOUT);
    if (options->max_exits && recorder->machine->engine->exits >= options->max_exits)
        want_stop(recorder, LOG_END_MAX_EXITS);
}

/* Whether what is due waits for a place where the guest has interrupts on. */
static bool defer(struct recorder *recorder, uint64_t now)
{
    const struct machine *machine = recorder->machine;
    bool open = recorder_interrupts_open(recorder);

    /* An interrupt that waits is worth being looked for. */
    if (open || machine_interrupt_waits(machine))
        recorder->masked = false;
    if (open || machine->engine->exits == 0 || recorder->stopping || recorder->masked || machine->engine->prompt)
        return false;
    if (!recorder->deferred_since)
        recorder->deferred_since = now;
    recorder->masked = now - recorder->deferred_since >= DEFER_MAX;
    return !recorder->masked;
}

/* At a boundary: applies what is due if the place has a name, and decides when to be back. Returns 1 when the recording
 * is over, 0 to go on, -1 on error. */
static int at_boundary(struct recorder *recorder, struct position *at, bool *named, struct error *error)
{
    uint64_t now = recorder_note_stop(recorder);

    recorder->stopped_at = now;
    note_events(recorder);
    if (recorder_release_output(recorder, error) < 0 || recorder_relay_let_go(recorder, error) < 0 ||
        flush_if_old(recorder, now, error) < 0)
        return -1;
    report_progress(recorder, now);
    error->kind = ERROR_NONE;
    *named = !defer(recorder, now) && engine_name_position(recorder->machine->engine, at, error);
    if (!*named) {
        if (error->kind != ERROR_NONE)
            return -1;
        recorder->retry_at = recorder_anything_due(recorder) ? now + RETRY_INTERVAL : 0;
        recorder_set_alarm(recorder);
        return recorder->stopping && now >= recorder->stop_by;
    }
    recorder->deferred_since = 0;
    if (recorder_apply(recorder, at, error) < 0)
        return -1;
    recorder->events = 0;
    int relayed = recorder_relay_boundary(recorder, at, error);
    if (relayed < 0)
        return -1;
    if (relayed)
        want_stop(recorder, LOG_END_SIGNAL);
    bool retry = machine_interrupt_waits(recorder->machine) && !recorder->machine->engine->prompt;
    recorder->retry_at = retry ? now + RETRY_INTERVAL : 0;
    if (recorder->options.console && console_quit(recorder->options.console))
        want_stop(recorder, LOG_END_SIGNAL);
    recorder_set_alarm(recorder);
    return recorder->stopping;
}

/* The guest sleeps, and nothing wakes it yet. */
static bool idle(const struct recorder *recorder)
{
    return recorder->machine->engine->halted && !machine_interrupt_waits(recorder->machine) &&
           !recorder_has_inputs(recorder);
}

static int run_to_end(struct recorder *recorder, struct position *at, bool *named, struct error *error)
{
    struct machine *machine = recorder->machine;
    int over = at_boundary(recorder, at, named, error);

    while (over == 0 && machine->end == MACHINE_RUNS) {
        if (idle(recorder)) {
            if (!machine_skip_idle(machine))
                kicker_wait(recorder->kicker);
            over = at_boundary(recorder, at, named, error);
            continue;
        }
        if (machine_run(machine, NULL, error) == ENGINE_STOP_ERROR)
            return -1;
        if (recorder->failed) {
            *error = recorder->error;
            return -1;
        }
        if (machine->end == MACHINE_RUNS)
            over = at_boundary(recorder, at, named, error);
    }
    return over < 0 ? -1 : 0;
}

static enum log_end_reason end_reason(const struct recorder *recorder)
{
    switch (recorder->machine->end) {
    case MACHINE_DEBUG_EXIT:
        return LOG_END_DEBUG_EXIT;
    case MACHINE_HALTED:
        return LOG_END_HALTED;
    case MACHINE_TRIPLE_FAULT:
        return LOG_END_TRIPLE_FAULT;
    case MACHINE_ENGINE_FAULT:
        return LOG_END_ENGINE_FAULT;
    case MACHINE_POWER_OFF:
        return LOG_END_POWER_OFF;
    case MACHINE_RESET:
        return LOG_END_RESET;
    case MACHINE_RUNS:
        break;
    }
    return recorder->stop_reason;
}

static int finish(struct recorder *recorder, const struct position *at, bool named, struct recorder_result *result,
                  struct error *error)
{
    struct machine *machine = recorder->machine;
    struct log_record record = {.type = LOG_END, .at = *at, .time = machine_time(machine)};

    if (machine->end != MACHINE_RUNS) {
        /* It ended by its own doing, which needs no name: the last exit, and the end that follows it. */
        record.at = position_at_exit(machine->engine->exits);
        named = true;
    }
    if (recorder_release_output(recorder, error) < 0 || machine_digest(machine, &record.digest, error) < 0)
        return -1;
    record.unnamed = !named;
    if (!named)
        record.at = position_at_exit(machine->engine->exits);
    record.reason = (uint8_t)end_reason(recorder);
    record.exit_value = machine->exit_value;
    *result = (struct recorder_result){
        .reason = end_reason(recorder),
        .exit_value = machine->exit_value,
        .named = named,
        .digest = record.digest,
        .in_line = recorder->traffic.outputs.streams[0].total && recorder->last_byte != '\n',
        .checkpoints = recorder->checkpoint_id,
        .checkpoint_pause = recorder->checkpoint_pause,
        .disk_errors = recorder->disk_errors,
        .disk_error = recorder->disk_error,
    };
    return recorder_append(recorder, &record, error);
}

int recorder_run(struct recorder *recorder, struct machine *machine, const struct recorder_options *options,
                 struct recorder_result *result, struct error *error)
{
    struct position at = position_at_exit(0);
    bool named = true;

    recorder->machine = machine;
    recorder->options = *options;
    recorder->relay_at = recorder->held_until = recorder->alarm_at = UINT64_MAX;
    recorder->last_output = machine->engine->exits;
    recorder->last_digest = recorder_check_time(recorder);
    recorder->next_checkpoint = recorder->last_digest;
    int status = start(recorder, error);
    if (status == 0)
        status = run_to_end(recorder, &at, &named, error);
    if (status == 0)
        status = finish(recorder, &at, named, result, error);
    kicker_stop(recorder->kicker);
    recorder->kicker = NULL;
    return status;
}
