/*
 * What comes in, at a boundary that has a name.
 *
 * Time. The guest's clock follows the host's, but only in steps that are worth a record: when a device's deadline has
 * passed, it goes exactly to that deadline ("to the deadline" needs no number in the log, which is what makes an idle
 * guest's log so small), one deadline at a time so that the guest sees each tick; when it has fallen behind by more
 * than TIME_LAG, it jumps to the present instead, as a machine does that was asleep. A guest that computes and waits
 * for no deadline gets the time once a second, so that its log has digests; and more often when a backup follows, which
 * can only go as far as the last record.
 */
#include "replay/checkpoint.h"
#include "replay/recorder_internal.h"
#include "vmm/host/clock.h"

#define TIME_LAG        (250 * MILLISECOND)
#define PACE            (1 * SECOND)
#define PACE_FOLLOWED   (25 * MILLISECOND)
#define DIGEST_INTERVAL (1 * SECOND)

bool recorder_input_ready(const struct recorder *recorder)
{
    bool waits = recorder->options.script ? script_ready(recorder->options.script)
                                          : recorder->input_waits || recorder->always_input;

    return waits && machine_console_ready(recorder->machine);
}

bool recorder_interrupts_open(const struct recorder *recorder)
{
    const struct engine *engine = recorder->machine->engine;

    return engine->interruptible || engine->halted;
}

bool recorder_has_inputs(const struct recorder *recorder)
{
    return recorder->events || recorder->stopping || kicker_events(recorder->kicker) ||
           recorder_input_ready(recorder) || recorder_net_ready(recorder);
}

uint64_t recorder_checkpoint_at(const struct recorder *recorder)
{
    if (!recorder->options.writer || !recorder->options.checkpoint_every || recorder->machine->engine->halted ||
        recorder->machine->virtual_clock)
        return UINT64_MAX;
    return recorder->origin + recorder->next_checkpoint;
}

uint64_t recorder_pace(const struct recorder *recorder)
{
    const struct recorder_relay *relay = recorder->options.relay;

    return relay && !recorder->machine->engine->halted && relay->followed(relay->context) ? PACE_FOLLOWED : PACE;
}

static int apply_time(struct recorder *recorder, const struct position *at, bool waits, struct error *error)
{
    struct machine *machine = recorder->machine;
    uint64_t now = recorder_guest_now(recorder);
    uint64_t deadline = machine_deadline(machine);
    uint64_t view = machine_view(machine);
    uint64_t host = host_clock_now();
    struct log_record record = {.type = LOG_TIME, .at = *at, .time = now};

    if (machine->virtual_clock)
        return 0;
    if (deadline <= now && now - deadline <= TIME_LAG) {
        record.time = deadline;
        record.to_deadline = deadline >= view;
    } else if (deadline > now && !waits && host - recorder->last_time < recorder_pace(recorder) &&
               host < recorder_checkpoint_at(recorder)) {
        return 0;
    }
    if (record.time < view)
        record.time = view;
    recorder->last_time = host;
    if (recorder_append(recorder, &record, error) < 0)
        return -1;
    machine_set_time(machine, record.time);
    return 0;
}

static size_t read_input(struct recorder *recorder, uint8_t *bytes, size_t length)
{
    if (recorder->options.script)
        return script_read(recorder->options.script, bytes, length);
    size_t got = console_read(recorder->options.console, bytes, length);
    if (got < length) {
        recorder->input_waits = false;
        if (console_ended(recorder->options.console))
            recorder->always_input = false;
        else if (!recorder->always_input)
            kicker_rearm(recorder->kicker, WATCH_CONSOLE);
    }
    return got;
}

void recorder_console_event(struct recorder *recorder)
{
    uint8_t ignored[256];

    if (!recorder->options.script) {
        recorder->input_waits = true;
        return;
    }
    /* The script is the guest's input. What a person types is only looked at for the wish to end the run. */
    while (console_read(recorder->options.console, ignored, sizeof ignored) == sizeof ignored)
        ;
    if (!console_ended(recorder->options.console))
        kicker_rearm(recorder->kicker, WATCH_CONSOLE);
}

static int apply_input(struct recorder *recorder, const struct position *at, struct error *error)
{
    uint8_t bytes[LOG_BYTES_MAX];
    size_t room = machine_console_room(recorder->machine);

    if (!recorder_input_ready(recorder))
        return 0;
    size_t length = room < sizeof bytes ? room : sizeof bytes;
    if (!recorder->options.relay)
        length = read_input(recorder, bytes, length);
    else if (recorder_relay_input(recorder, at, bytes, &length, error) < 0)
        return -1;
    if (length == 0)
        return 0;
    struct log_record record = {
        .type = LOG_CONSOLE_IN, .at = *at, .channel = MACHINE_CONSOLE_COM1, .bytes = bytes, .length = length};
    if (recorder_append(recorder, &record, error) < 0)
        return -1;
    machine_console_input(recorder->machine, bytes, length);
    inputs_note(&recorder->traffic.inputs, &record);
    return 0;
}

/* What the intervals of digests and checkpoints are measured in: guest time. With the virtual clock the time in which
 * the guest slept does not count: it costs nothing there, and may be years. */
uint64_t recorder_check_time(const struct recorder *recorder)
{
    return recorder->machine->virtual_clock ? machine_ticks(recorder->machine) : recorder->machine->now;
}

static int write_checkpoint_piece(void *context, const void *bytes, size_t length, struct error *error)
{
    return log_writer_checkpoint_write(context, bytes, length, error);
}

static int take_checkpoint(struct recorder *recorder, const struct position *at, struct error *error)
{
    struct machine *machine = recorder->machine;
    bool whole = recorder->chain == 0;
    uint64_t start = host_clock_now();
    struct log_record record = {.type = LOG_CHECKPOINT,
                                .at = *at,
                                .time = machine_time(machine),
                                .id = recorder->checkpoint_id,
                                .parent = whole ? LOG_NO_PARENT : recorder->checkpoint_id - 1};

    if (machine_digest(machine, &record.digest, error) < 0 ||
        log_writer_checkpoint_begin(recorder->options.writer, error) < 0 ||
        checkpoint_save(machine, &recorder->traffic, whole, write_checkpoint_piece, recorder->options.writer, error) <
            0 ||
        log_writer_checkpoint_end(recorder->options.writer, &record, error) < 0)
        return -1;
    machine_forget_changes(machine);
    /* A relay's log has no checkpoint here, but what goes with one. */
    record.type = LOG_DIGEST;
    if (recorder_relay_record(recorder, &record, error) < 0)
        return -1;
    machine_look_at_interrupts(machine);
    recorder->checkpoint_id++;
    recorder->chain = (recorder->chain + 1) % CHECKPOINT_CHAIN_MAX;
    recorder->last_digest = recorder_check_time(recorder);
    uint64_t pause = host_clock_now() - start;
    if (pause > recorder->checkpoint_pause)
        recorder->checkpoint_pause = pause;
    return 0;
}

int recorder_digest(struct recorder *recorder, const struct position *at, struct error *error)
{
    struct machine *machine = recorder->machine;
    struct log_record record = {.type = LOG_DIGEST, .at = *at, .time = machine_time(machine)};

    if (machine_digest(machine, &record.digest, error) < 0 || recorder_append(recorder, &record, error) < 0)
        return -1;
    machine_look_at_interrupts(machine);
    recorder->last_digest = recorder_check_time(recorder);
    return 0;
}

static int apply_checks(struct recorder *recorder, const struct position *at, struct error *error)
{
    uint64_t now = recorder_check_time(recorder);
    uint64_t every = recorder->options.writer ? recorder->options.checkpoint_every : 0;
    int status = 0;

    if (!recorder->options.writer && !recorder->options.relay)
        return 0;
    if (every && now >= recorder->next_checkpoint) {
        recorder->next_checkpoint = now + every;
        status = take_checkpoint(recorder, at, error);
    } else if (now - recorder->last_digest >= DIGEST_INTERVAL) {
        status = recorder_digest(recorder, at, error);
    }
    recorder->machine->stop_ticks = recorder->last_digest + DIGEST_INTERVAL;
    if (every && recorder->next_checkpoint < recorder->machine->stop_ticks)
        recorder->machine->stop_ticks = recorder->next_checkpoint;
    return status;
}

/* With the virtual clock no input may come where the host's clock alone has stopped the guest. A virtio console's room
 * is in guest memory, where the guest makes it between two exits; so it counts from the next exit or deadline on. */
static bool host_chose(const struct recorder *recorder)
{
    const struct machine *machine = recorder->machine;

    return machine->virtual_clock && recorder->options.script && machine->config.virtio_console &&
           !recorder->room_seen && !machine->engine->halted;
}

/* A script's bytes are all applied where they became due, as far as there is room: another boundary that comes along
 * would be the host's choice. */
static int apply_inputs(struct recorder *recorder, const struct position *at, struct error *error)
{
    int status = 0;

    if (!host_chose(recorder)) {
        do
            status = apply_input(recorder, at, error);
        while (status == 0 && recorder->options.script && recorder_input_ready(recorder));
    }
    recorder->room_seen = false;
    return status;
}

int recorder_apply(struct recorder *recorder, const struct position *at, struct error *error)
{
    /* Every record has the processor look at its line; where it may not take the interrupt, that would be in vain. */
    bool waits = recorder->retry_at && machine_interrupt_waits(recorder->machine) && recorder_interrupts_open(recorder);

    if (apply_time(recorder, at, waits, error) < 0 || apply_inputs(recorder, at, error) < 0 ||
        recorder_operator_apply(recorder, at, error) < 0 || recorder_net_apply(recorder, at, error) < 0 ||
        apply_checks(recorder, at, error) < 0)
        return -1;
    return 0;
}
