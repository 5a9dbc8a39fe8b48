/*
 * The relay: what stands between a replicated machine and the world, instead of a console. See struct recorder_relay.
 */
#include "base/bytes.h"
#include "replay/recorder_internal.h"

int recorder_relay_record(struct recorder *recorder, const struct log_record *record, struct error *error)
{
    const struct recorder_relay *relay = recorder->options.relay;

    return relay ? relay->record(relay->context, record, error) : 0;
}

int recorder_relay_let_go(struct recorder *recorder, struct error *error)
{
    const struct recorder_relay *relay = recorder->options.relay;

    return relay ? relay->let_go(relay->context, &recorder->held_until, error) : 0;
}

void recorder_relay_event(struct recorder *recorder)
{
    recorder->options.relay->drain(recorder->options.relay->context);
    recorder->input_waits = true;
    kicker_rearm(recorder->kicker, WATCH_RELAY);
}

int recorder_relay_boundary(struct recorder *recorder, const struct position *at, struct error *error)
{
    const struct recorder_relay *relay = recorder->options.relay;

    return relay ? relay->boundary(relay->context, at, &recorder->relay_at, error) : 0;
}

int recorder_relay_input(struct recorder *recorder, const struct position *at, uint8_t *bytes, size_t *length,
                         struct error *error)
{
    const struct recorder_relay *relay = recorder->options.relay;
    uint64_t owner = 0;
    uint8_t number[8];

    size_t got = relay->input(relay->context, bytes, *length, &owner);
    if (got < *length)
        recorder->input_waits = false;
    *length = got;
    if (owner == 0)
        return 0;
    bytes_store(number, 8, owner);
    struct log_record record = {
        .type = LOG_OPERATOR, .at = *at, .command = INPUTS_OWNER, .bytes = number, .length = sizeof number};
    if (recorder_append(recorder, &record, error) < 0)
        return -1;
    inputs_note(&recorder->traffic.inputs, &record);
    machine_look_at_interrupts(recorder->machine);
    return 0;
}
