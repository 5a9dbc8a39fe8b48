/* See replayer.h. */
#include "replay/replayer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay/checkpoint.h"
#include "replay/replayer_internal.h"

/* Output waits for its record, which comes after so many bytes at the latest when encore recorded; a log that says
 * otherwise is refused rather than given unbounded memory. */
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
    return diverge(replayer, replayer->has_next ? "this record" : "the end of the log", got);
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
        diverge(replayer, "as many random bytes as this record has", got);
        return;
    }
    memcpy(bytes, replayer->next.bytes, length);
    divergence_note_input(&replayer->divergence, &replayer->next);
    consume(replayer);
}

static void door_console_output(void *context, uint8_t channel, uint8_t byte)
{
    struct replayer *replayer = context;

    outputs_put(&replayer->traffic.outputs, channel, byte);
    bytes_put_uint(&replayer->waiting, 1, byte);
}

/* The machine was told where to stop when it started to run; an answer taken on the way may have brought a record that
 * is due sooner. */
static bool door_exit_served(void *context)
{
    struct replayer *replayer = context;

    if (replayer->divergence.happened)
        return true;
    return !replayer->has_next || replayer->next.at.exits <= replayer->machine->engine->exits;
}

struct door replayer_door(struct replayer *replayer)
{
    return (struct door){
        .context = replayer,
        .read_clock = door_read_clock,
        .entropy = door_entropy,
        .console_output = door_console_output,
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
    replayer->waiting = bytes_writer(OUTPUT_WAITING_MAX);
    return replayer;
}

void replayer_free(struct replayer *replayer)
{
    if (!replayer)
        return;
    bytes_writer_free(&replayer->waiting);
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

static bool apply_time(struct replayer *replayer)
{
    struct machine *machine = replayer->machine;
    uint64_t time = replayer->next.time;

    if (machine->virtual_clock)
        return diverge(replayer, "no record of the time with a virtual clock", "one");
    if (replayer->next.to_deadline)
        time = machine_deadline(machine);
    if (time == NO_DEADLINE)
        return diverge(replayer, "a device with a deadline", "no device waits for anything");
    machine_set_time(machine, time);
    return true;
}

static bool apply_console_in(struct replayer *replayer)
{
    const struct log_record *record = &replayer->next;

    if (record->channel != MACHINE_CONSOLE_COM1 || record->length > machine_console_room(replayer->machine))
        return diverge(replayer, "a console with room for these bytes", "none");
    machine_console_input(replayer->machine, record->bytes, record->length);
    return inputs_note(&replayer->traffic.inputs, record);
}

static bool apply_frame_in(struct replayer *replayer)
{
    const struct log_record *record = &replayer->next;

    if (machine_net_room(replayer->machine, record->channel) == 0)
        return diverge(replayer, "a network card with room for this frame", "none");
    machine_net_input(replayer->machine, record->channel, record->bytes, record->length);
    return true;
}

static bool apply_operator(struct replayer *replayer)
{
    char got[60];

    if (inputs_note(&replayer->traffic.inputs, &replayer->next))
        return true;
    snprintf(got, sizeof got, "no such command as %u", replayer->next.command);
    return diverge(replayer, "an operator's command that this machine knows", got);
}

static bool check_output(struct replayer *replayer, struct error *error)
{
    const struct log_record *record = &replayer->next;
    char expected[100], got[100];
    uint64_t length;
    uint32_t hash;

    if (record->channel >= OUTPUT_CHANNELS)
        return diverge(replayer, "output on this channel", "there is no such channel");
    outputs_announce(&replayer->traffic.outputs, record->channel, &length, &hash);
    if (length != record->length || hash != record->hash) {
        snprintf(expected, sizeof expected, "%" PRIu64 " bytes of output, hash %08" PRIx32, record->length,
                 record->hash);
        snprintf(got, sizeof got, "%" PRIu64 " bytes of output, hash %08" PRIx32, length, hash);
        return diverge(replayer, expected, got);
    }
    replayer->counts.outputs++;
    if (replayer->waiting.failed)
        return diverge(replayer, "output in pieces of at most a megabyte", "more at once");
    bool good = !replayer->options.output ||
                replayer->options.output(replayer->options.output_context, record->channel, replayer->waiting.data,
                                         replayer->waiting.length, error) == 0;
    bytes_writer_clear(&replayer->waiting);
    return good;
}

static bool check_digest(struct replayer *replayer, struct error *error)
{
    const struct log_record *record = &replayer->next;
    char expected[64], got[64], text[DIGEST_TEXT];
    struct digest digest;

    if (machine_digest(replayer->machine, &digest, error) < 0)
        return false;
    if (digest_equal(digest, record->digest) && record->time == machine_time(replayer->machine))
        return true;
    snprintf(expected, sizeof expected, "digest %s", digest_text(record->digest, text));
    snprintf(got, sizeof got, "digest %s", digest_text(digest, text));
    diverge(replayer, expected, got);
    if (record->type == LOG_CHECKPOINT)
        divergence_compare(&replayer->divergence, replayer->machine, replayer->options.reader);
    return false;
}

/* Applies the record at hand, with the machine at its place. False: diverged, or failed with the error. */
static bool apply(struct replayer *replayer, struct error *error)
{
    struct machine *machine = replayer->machine;

    switch (replayer->next.type) {
    case LOG_TIME:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_time(replayer);
    case LOG_CONSOLE_IN:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_console_in(replayer);
    case LOG_FRAME_IN:
        divergence_note_input(&replayer->divergence, &replayer->next);
        return apply_frame_in(replayer);
    case LOG_OUTPUT:
        return check_output(replayer, error);
    case LOG_DIGEST:
        machine_look_at_interrupts(machine);
        replayer->counts.digests++;
        return check_digest(replayer, error);
    case LOG_CHECKPOINT:
        machine_look_at_interrupts(machine);
        replayer->counts.checkpoints++;
        return check_digest(replayer, error);
    case LOG_OPERATOR:
        machine_look_at_interrupts(machine);
        return apply_operator(replayer);
    case LOG_DISK_ERROR:
        return diverge(replayer, "a disk transfer of this number in this exit", "there was none");
    case LOG_CLOCK_READ:
        return diverge(replayer, "the guest to read a clock in this exit", "it did not");
    case LOG_ENTROPY:
        return diverge(replayer, "the guest to ask for entropy in this exit", "it did not");
    case LOG_END:
        break;
    }
    return diverge(replayer, "a record of a known type", "one of another");
}

static void diverge_on_the_way(struct replayer *replayer, const struct position *until, enum engine_stop stop)
{
    char expected[POSITION_TEXT + 32], got[200], text[POSITION_TEXT];

    snprintf(expected, sizeof expected, "the guest to come to %s", position_text(until, text));
    snprintf(got, sizeof got, "%s, at exit %" PRIu64, divergence_stop_text(stop), replayer->machine->engine->exits);
    diverge(replayer, expected, got);
}

/* After machine_run: whether the replay is over, by a divergence or, with the error, because the host failed. */
static bool went_wrong(const struct replayer *replayer, enum engine_stop stop, struct error *error)
{
    if (replayer->disk_error.kind != ERROR_NONE && !replayer->divergence.happened)
        *error = replayer->disk_error;
    return replayer->divergence.happened || replayer->disk_error.kind != ERROR_NONE || stop == ENGINE_STOP_ERROR;
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
        enum engine_stop stop = machine_run(machine, until, error);
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
            diverge(replayer, "the guest to fault before its next exit", "it did not");
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
        diverge(replayer, "the guest to end as this record says", "it ended in another way, or runs on");
        return REPLAYER_DIVERGED;
    }
    if (!end->unnamed && !check_digest(replayer, error))
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
    if (!apply(replayer, error))
        return replayer->divergence.happened ? REPLAYER_DIVERGED : REPLAYER_ERROR;
    consume(replayer);
    return REPLAYER_MORE;
}

const struct traffic *replayer_traffic(const struct replayer *replayer)
{
    return &replayer->traffic;
}

const uint8_t *replayer_unannounced(const struct replayer *replayer, size_t *length)
{
    *length = replayer->waiting.length;
    return replayer->waiting.data;
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
