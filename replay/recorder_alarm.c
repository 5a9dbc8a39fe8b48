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

/* How late a stop of the guest may be before that counts as the host's standing still. An overloaded host gives each
 * process its turn sooner than this, and no guest takes a second for a lockup. */
#define STANDSTILL (250 * MILLISECOND)

/*
 * A guest that was not stopped when it was to be could not run in the time since, nor could we: the process was
 * stopped, the host slept, or a disk or a reader of the console took that long. Guest time goes on from where the stop
 * was to be.
 */
uint64_t recorder_note_stop(struct recorder *recorder)
{
    uint64_t now = host_clock_now();

    if (recorder->options.catch_up || now < recorder->alarm_at || now - recorder->alarm_at < STANDSTILL)
        return now;
    recorder->origin += now - recorder->alarm_at;
    recorder->alarm_at = now;
    return now;
}

/* When the guest is to be given the time. */
static uint64_t time_due(const struct recorder *recorder)
{
    bool halted = recorder->machine->engine->halted;
    uint64_t when = recorder->deadline == NO_DEADLINE ? UINT64_MAX : recorder->origin + recorder->deadline;

    if (recorder->machine->virtual_clock)
        return halted && !machine_interrupt_waits(recorder->machine) ? UINT64_MAX
                                                                     : recorder->stopped_at + ATTENTION_INTERVAL;
    return halted ? when : earlier(when, recorder->last_time + recorder_pace(recorder));
}

/* When something is to be applied that time alone brings about. */
static uint64_t next_due(const struct recorder *recorder)
{
    uint64_t when = earlier(time_due(recorder), recorder_checkpoint_at(recorder));

    when = earlier(when, recorder->relay_at);
    when = earlier(when, recorder_net_at(recorder));
    return recorder->options.timeout ? earlier(when, recorder->started + recorder->options.timeout) : when;
}

void recorder_set_alarm(struct recorder *recorder)
{
    uint64_t earliest = recorder->stopped_at + LEAST_RUN;

    recorder_note_stop(recorder);

    recorder->deadline = machine_deadline(recorder->machine);
    uint64_t when = earlier(next_due(recorder), recorder->held_until);
    if (recorder->retry_at)
        when = earlier(when, recorder->retry_at);
    if (recorder->output_at)
        when = earlier(when, recorder->output_at);
    if (recorder->options.progress)
        when = earlier(when, recorder->last_progress + RECORDER_PROGRESS);
    /* In steps, so that stops that follow each other closely do not set the host's timer anew each time. */
    if (when < earliest)
        when = (earliest / LEAST_RUN + 1) * LEAST_RUN;
    recorder->alarm_at = when;
    kicker_alarm(recorder->kicker, when);
}

bool recorder_anything_due(const struct recorder *recorder)
{
    return recorder->events & ~KICKER_ALARM || recorder->stopping || machine_interrupt_waits(recorder->machine) ||
           recorder_input_ready(recorder) || recorder_net_ready(recorder) || next_due(recorder) <= recorder->stopped_at;
}
