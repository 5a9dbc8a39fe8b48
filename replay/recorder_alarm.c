/*
 * When the guest is to be stopped next. There is one alarm, for whatever is due first: the guest's clock, checkpoints,
 * the relay, frames, output that waits, another look at an interrupt that could not be taken.
 */
#include "replay/recorder_internal.h"
#include "vmm/host/clock.h"

/* The guest gets at least so long between two stops, and at most twice as long when something is due. */
#define LEAST_RUN (MILLISECOND / 20)
/* With the virtual clock no deadline stops the guest for the host's sake: it is stopped so often instead, for output
 * that has gathered. */
#define ATTENTION_INTERVAL (20 * MILLISECOND)

/* When the guest is to be given the time. */
static uint64_t time_due(const struct recorder *recorder, uint64_t now)
{
    bool halted = recorder->machine->engine->halted;
    uint64_t when = recorder->deadline == NO_DEADLINE ? UINT64_MAX : recorder->origin + recorder->deadline;
    uint64_t again = recorder->last_time + recorder_pace(recorder);

    if (recorder->machine->virtual_clock)
        return halted && !machine_interrupt_waits(recorder->machine) ? UINT64_MAX : now + ATTENTION_INTERVAL;
    return halted || when < again ? when : again;
}

/* When something is to be applied that time alone brings about. */
static uint64_t next_due(const struct recorder *recorder, uint64_t now)
{
    uint64_t when = time_due(recorder, now);

    if (recorder_checkpoint_at(recorder) < when)
        when = recorder_checkpoint_at(recorder);
    if (recorder->relay_at < when)
        when = recorder->relay_at;
    if (recorder_net_at(recorder) < when)
        when = recorder_net_at(recorder);
    if (recorder->options.timeout && recorder->started + recorder->options.timeout < when)
        when = recorder->started + recorder->options.timeout;
    return when;
}

void recorder_set_alarm(struct recorder *recorder)
{
    uint64_t earliest = recorder->stopped_at + LEAST_RUN;

    recorder->deadline = machine_deadline(recorder->machine);
    uint64_t when = next_due(recorder, host_clock_now());
    if (recorder->retry_at && recorder->retry_at < when)
        when = recorder->retry_at;
    if (recorder->output_at && recorder->output_at < when)
        when = recorder->output_at;
    if (recorder->held_until < when)
        when = recorder->held_until;
    if (recorder->options.progress && recorder->last_progress + RECORDER_PROGRESS < when)
        when = recorder->last_progress + RECORDER_PROGRESS;
    /* In steps, so that stops that follow each other closely do not set the host's timer anew each time. */
    if (when < earliest)
        when = (earliest / LEAST_RUN + 1) * LEAST_RUN;
    kicker_alarm(recorder->kicker, when);
}

bool recorder_anything_due(const struct recorder *recorder, uint64_t now)
{
    return recorder->events & ~KICKER_ALARM || recorder->stopping || machine_interrupt_waits(recorder->machine) ||
           recorder_input_ready(recorder) || recorder_net_ready(recorder) || next_due(recorder, now) <= now;
}
