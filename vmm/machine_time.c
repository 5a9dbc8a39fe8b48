/*
 * Guest time between the steps in which inputs move it, and the virtual clock, which needs no inputs at all: a
 * nanosecond for each tick, and for an idle guest straight to the next deadline. See machine.h.
 */
#include "base/check.h"
#include "vmm/machine.h"

uint64_t machine_ticks(const struct machine *machine)
{
    uint64_t ticks = 0;
    struct error ignored;

    if (machine->engine->caps.tick_time)
        CHECK(engine_get_ticks(machine->engine, &ticks, &ignored) == 0);
    return ticks;
}

static uint64_t view_at(const struct machine *machine, uint64_t ticks)
{
    uint64_t time = machine->now + (ticks - machine->now_ticks);

    if (machine->virtual_clock)
        return time;
    if (!machine->engine->caps.tick_time)
        return machine->now;
    uint64_t deadline = machine_deadline(machine);
    if (time > deadline)
        time = deadline;
    if (time < machine->now)
        time = machine->now;
    return time < machine->time_seen ? machine->time_seen : time;
}

uint64_t machine_view(const struct machine *machine)
{
    return view_at(machine, machine_ticks(machine));
}

uint64_t machine_time(const struct machine *machine)
{
    return machine->virtual_clock ? machine_view(machine) : machine->now;
}

uint64_t machine_read_time(struct machine *machine, uint64_t ticks)
{
    machine->time_seen = view_at(machine, ticks);
    return machine->time_seen;
}

void machine_set_alarm(struct machine *machine)
{
    uint64_t alarm;

    if (!machine->virtual_clock)
        return;
    uint64_t time = machine_deadline(machine);
    /* At least a tick: so there is an end to it whatever a device says. */
    uint64_t wait = time > machine->now ? time - machine->now : 1;
    if (time == NO_DEADLINE || __builtin_add_overflow(machine->now_ticks, wait, &alarm))
        alarm = UINT64_MAX;
    machine->engine->alarm = alarm < machine->stop_ticks ? alarm : machine->stop_ticks;
}

bool machine_pass_deadline(struct machine *machine)
{
    if (!machine->virtual_clock || machine_view(machine) < machine_deadline(machine))
        return false;
    machine_set_time(machine, machine_view(machine));
    return true;
}

bool machine_skip_idle(struct machine *machine)
{
    uint64_t deadline = machine_deadline(machine);
    uint64_t view = machine_view(machine);

    if (!machine->virtual_clock || machine->end != MACHINE_RUNS || !machine->engine->halted ||
        machine_interrupt_waits(machine) || deadline == NO_DEADLINE)
        return false;
    machine->engine->exits++;
    machine_set_time(machine, deadline > view ? deadline : view);
    return true;
}
