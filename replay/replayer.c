/* See replayer.h. */
#include "replay/replayer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "replay/checkpoint.h"
#include "replay/replayer_internal.h"

/* Output of a stream waits for its record, which comes after so many bytes at the latest when encore recorded; a log
 * that says otherwise is refused rather than given unbounded memory. */
#define OUTPUT_WAITING_MAX (1u << 20)

/* For the door's callbacks, inside exit n: whether the next record is the answer that was recorded for it. */
static bool is_answer(struct replayer *replayer, enum log_record_type type, const char *what)
{
    uint64_t exit = replayer->machine->engine->exits;
    char got[100];

    if (replayer->divergence.happened)
        return false;
    if (fetch(replayer) && replayer->next.type == type && replayer->next.at.exits == exit)
        return true;
    snprintf(got, sizeof got, "the guest %s in exit %" PRIu64, what, exit);
    if (!replayer->has_next)
        replayer->next = (struct log_record){.type = type, .at = position_at_exit(exit)};
    engine_request_stop(replayer->machine->engine);
    return replayer_diverge(replayer, replayer->has_next ? "this record" : "the end of the log", got);
}

static uint64_t door_read_clock(void *context, uint64_t now)
{
    struct replayer *replayer = context;

    if (!is_answer(replayer, LOG_CLOCK_READ, "read a clock"))
        return now;
    uint64_t time = replayer->next.time;
    divergence_note_input(&replayer->divergence, &replayer->next);
    consume(replayer);
    return time;
}

static void door_entropy(void *context, uint8_t *bytes, size_t length)
{
    struct replayer *replayer = context;

    memset(bytes, 0, length);
    if (!is_answer(replayer, LOG_ENTROPY, "asked for entropy"))
        return;
    if (replayer->next.length != length) {
        char got[100];
        snprintf(got, sizeof got, "the guest asked for %zu random bytes", length);
        engine_request_stop(replayer->machine->engine);
        replayer_diverge(replayer, "as many random bytes as this record has", got);
        return;
    }
    memcpy(bytes, replayer->next.bytes, length);
    divergence_note_input(&replayer->divergence, &replayer->next);
    consume(replayer);
}

/* One exit may send more than one record announces. So a record of this exit is due as soon as its stream is as long as
 * it says, and not only when the exit is over. */
static void meet_records(struct replayer *replayer)
{
    struct error error;

    while (!replayer->divergence.happened && !replayer->failed && fetch(replayer) &&
           replayer->next.type == LOG_OUTPUT && replayer->next.at.exits == replayer->machine->engine->exits) {
        unsigned stream = outputs_stream_of(replayer->next.channel);
        if (stream == OUTPUT_NO_STREAM || outputs_waiting(&replayer->traffic.outputs, stream) != replayer->next.length)
            return;
        if (replayer_check_output(replayer, &error)) {
            consume(replayer);
            continue;
        }
        replayer->failed = !replayer->divergence.happened;
        if (replayer->failed)
            replayer->error = error;
        engine_request_stop(replayer->machine->engine);
    }
}

static void door_console_output(void *context, uint8_t channel, uint8_t byte)
{
    struct replayer *replayer = context;

    CHECK(channel == MACHINE_CONSOLE_COM1);
    outbox_put_byte(&replayer->waiting, &replayer->traffic.outputs, byte);
    meet_records(replayer);
}

static void door_frame_output(void *context, uint8_t card, const uint8_t *frame, size_t length)
{
    struct replayer *replayer = context;

    outbox_put_frame(&replayer->waiting, &replayer->traffic.outputs, card, frame, length);
    meet_records(replayer);
}

/* The machine was told where to stop when it started to run; an answer taken on the way may have brought a record that
 * is due sooner. */
static bool door_exit_served(void *context)
{
    struct replayer *replayer = context;

    if (replayer->divergence.happened || replayer->failed)
        return true;
    return replayer->answered || !replayer->has_next || replayer->next.at.exits <= replayer->machine->engine->exits;
}

struct door replayer_door(struct replayer *replayer)
{
    return (struct door){
        .context = replayer,
        .read_clock = door_read_clock,
        .entropy = door_entropy,
        .console_output = door_console_output,
        .frame_output = door_frame_output,
        .disk = replayer_disk,
        .exit_served = door_exit_served,
    };
}

struct replayer *replayer_create(const struct replayer_options *options, struct error *error)
{
    struct replayer *replayer = calloc(1, sizeof *replayer);

    if (!replayer) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    replayer->options = *options;
    replayer->waiting = outbox(OUTPUT_WAITING_MAX);
    return replayer;
}

void replayer_free(struct replayer *replayer)
{
    if (!replayer)
        return;
    outbox_free(&replayer->waiting);
    free(replayer);
}

void replayer_attach(struct replayer *replayer, struct machine *machine)
{
    replayer->machine = machine;
}

void replayer_set_foreign_ticks(struct replayer *replayer, bool foreign)
{
    replayer->options.foreign_ticks = foreign;
}

int replayer_restore(struct replayer *replayer, uint32_t id, struct error *error)
{
    return checkpoint_restore(replayer->machine, &replayer->traffic, replayer->options.reader, id, error);
}

static void diverge_on_the_way(struct replayer *replayer, const struct position *until, enum engine_stop stop)
{
    char expected[POSITION_TEXT + 32], got[200], text[POSITION_TEXT];

    snprintf(expected, sizeof expected, "the guest to come to %s", position_text(until, text));
    snprintf(got, sizeof got, "%s, at exit %" PRIu64, divergence_stop_text(stop), replayer->machine->engine->exits);
    replayer_diverge(replayer, expected, got);
}

/* After machine_run: whether the replay is over, by a divergence or, with the error, because the host failed. */
static bool went_wrong(const struct replayer *replayer, enum engine_stop stop, struct error *error)
{
    if (replayer->failed && !replayer->divergence.happened)
        *error = replayer->error;
    return replayer->divergence.happened || replayer->failed || stop == ENGINE_STOP_ERROR;
}

/* Brings the machine to `until`. REPLAYER_MORE: it is there, or an answer was taken on the way and the next record is
 * another one. */
static enum replayer_step travel(struct replayer *replayer, const struct position *until, struct error *error)
{
    struct machine *machine = replayer->machine;

    if (until->kind == AT_TICK && replayer->options.foreign_ticks) {
        char text[POSITION_TEXT];
        error_set(error, ERROR_INPUT, "the log has an input at %s, counted in ticks that this engine does not have",
                  position_text(until, text));
        return REPLAYER_ERROR;
    }
    if (machine->end != MACHINE_RUNS) {
        diverge_on_the_way(replayer, until, ENGINE_STOP_REQUESTED);
        return REPLAYER_DIVERGED;
    }
    for (;;) {
        uint64_t records = replayer->counts.records;
        uint64_t exits = machine->engine->exits;
        replayer->answered = false;
        enum engine_stop stop = machine_run_to(machine, until, error);
        if (went_wrong(replayer, stop, error))
            return replayer->divergence.happened ? REPLAYER_DIVERGED : REPLAYER_ERROR;
        if (stop == ENGINE_STOP_POSITION || replayer->counts.records != records)
            return REPLAYER_MORE;
        if (stop == ENGINE_STOP_KICK)
            return REPLAYER_KICKED;
        if (stop == ENGINE_STOP_OVERSHOT)
            return REPLAYER_OVERSHOT;
        bool wakes = stop == ENGINE_STOP_HALT && machine->end == MACHINE_RUNS && machine_interrupt_waits(machine) &&
                     machine->engine->exits != exits;
        if ((stop == ENGINE_STOP_REQUESTED && machine->end == MACHINE_RUNS) || wakes ||
            (stop == ENGINE_STOP_HALT && machine_skip_idle(machine)))
            continue;
        diverge_on_the_way(replayer, until, stop);
        return REPLAYER_DIVERGED;
    }
}

static enum machine_end expected_end(const struct log_record *end)
{
    switch (end->reason) {
    case LOG_END_DEBUG_EXIT:
        return MACHINE_DEBUG_EXIT;
    case LOG_END_HALTED:
        return MACHINE_HALTED;
    case LOG_END_TRIPLE_FAULT:
        return MACHINE_TRIPLE_FAULT;
    case LOG_END_ENGINE_FAULT:
        return MACHINE_ENGINE_FAULT;
    case LOG_END_POWER_OFF:
        return MACHINE_POWER_OFF;
    case LOG_END_RESET:
        return MACHINE_RESET;
    default:
        return MACHINE_RUNS;
    }
}

/* A triple fault or an engine's fault has no position of its own: the guest runs on from its last exit into it. */
static enum replayer_step run_into_fault(struct replayer *replayer, struct error *error)
{
    struct machine *machine = replayer->machine;

    while (machine->end == MACHINE_RUNS) {
        enum engine_stop stop = machine_run(machine, NULL, error);
        if (went_wrong(replayer, stop, error))
            return replayer->divergence.happened ? REPLAYER_DIVERGED : REPLAYER_ERROR;
        if (stop == ENGINE_STOP_KICK)
            return REPLAYER_KICKED;
        if (machine->end == MACHINE_RUNS &&
            (machine->engine->exits > replayer->next.at.exits || stop == ENGINE_STOP_HALT)) {
            replayer_diverge(replayer, "the guest to fault before its next exit", "it did not");
            return REPLAYER_DIVERGED;
        }
    }
    return REPLAYER_MORE;
}

static enum replayer_step reach_end(struct replayer *replayer, struct error *error)
{
    const struct log_record *end = &replayer->next;
    struct machine *machine = replayer->machine;
    enum machine_end expected = expected_end(end);
    enum replayer_step step = REPLAYER_MORE;

    if (machine->end == MACHINE_RUNS && machine->engine->exits < end->at.exits)
        step = travel(replayer, &end->at, error);
    else if (machine->end == MACHINE_RUNS && end->at.kind != AT_EXIT)
        step = travel(replayer, &end->at, error);
    if (step != REPLAYER_MORE)
        return step;
    if (expected == MACHINE_TRIPLE_FAULT || expected == MACHINE_ENGINE_FAULT)
        step = run_into_fault(replayer, error);
    if (step != REPLAYER_MORE)
        return step;
    if (machine->end != expected || (expected == MACHINE_DEBUG_EXIT && machine->exit_value != end->exit_value)) {
        replayer_diverge(replayer, "the guest to end as this record says", "it ended in another way, or runs on");
        return REPLAYER_DIVERGED;
    }
    if (!end->unnamed && !replayer_check_digest(replayer, error))
        return replayer->divergence.happened ? REPLAYER_DIVERGED : REPLAYER_ERROR;
    replayer->end = *end;
    consume(replayer);
    return REPLAYER_END;
}

static enum replayer_step no_record(struct replayer *replayer, struct error *error)
{
    switch (replayer->read) {
    case LOG_READ_WAIT:
        return REPLAYER_WAIT;
    case LOG_READ_STOPPED:
        *error = replayer->read_error;
        return replayer->read_error.kind == ERROR_HOST ? REPLAYER_ERROR : REPLAYER_STOPPED;
    case LOG_READ_END:
    case LOG_READ_RECORD:
        break;
    }
    return REPLAYER_END;
}

enum replayer_step replayer_step(struct replayer *replayer, struct error *error)
{
    error->kind = ERROR_NONE;
    if (!fetch(replayer))
        return no_record(replayer, error);
    if (replayer->next.type == LOG_END)
        return reach_end(replayer, error);
    uint64_t records = replayer->counts.records;
    bool here = replayer->next.at.kind == AT_EXIT && replayer->next.at.exits == replayer->machine->engine->exits &&
                replayer->next.type == LOG_OUTPUT;
    if (!here) {
        enum replayer_step step = travel(replayer, &replayer->next.at, error);
        if (step != REPLAYER_MORE || replayer->counts.records != records)
            return step;
    }
    if (!replayer_apply(replayer, error))
        return replayer->divergence.happened ? REPLAYER_DIVERGED : REPLAYER_ERROR;
    consume(replayer);
    return REPLAYER_MORE;
}

const struct traffic *replayer_traffic(const struct replayer *replayer)
{
    return &replayer->traffic;
}

const struct outbox *replayer_unannounced(const struct replayer *replayer)
{
    return &replayer->waiting;
}

const struct log_record *replayer_end(const struct replayer *replayer)
{
    return &replayer->end;
}

const struct divergence *replayer_divergence(const struct replayer *replayer)
{
    return &replayer->divergence;
}

const struct replayer_counts *replayer_counts(const struct replayer *replayer)
{
    return &replayer->counts;
}
