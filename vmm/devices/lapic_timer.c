#include "vmm/devices/lapic_timer.h"

#include "vmm/wires.h"

#define DIVIDE_BITS 0x0bu

void lapic_timer_init(struct lapic_timer *timer)
{
    *timer = (struct lapic_timer){0};
}

void lapic_timer_state(struct lapic_timer *timer, struct state *state)
{
    state_u8_max(state, "timer mode", &timer->mode, LAPIC_TIMER_TSC_DEADLINE);
    state_u8_max(state, "timer divide", &timer->divide, DIVIDE_BITS);
    state_require(state, (timer->divide & ~DIVIDE_BITS) == 0, "timer divide has a bit that does not exist");
    state_u32(state, "timer initial", &timer->initial);
    state_bool(state, "timer running", &timer->running);
    state_u64(state, "timer due", &timer->due);
    state_require(state, timer->mode == LAPIC_TIMER_TSC_DEADLINE || !timer->running || timer->initial != 0,
                  "the timer counts down from zero");
    state_require(state, timer->running || timer->due == 0, "the timer is due and does not run");
}

/* Figure 10-10: 000b divides by 2, 110b by 128, 111b by 1. */
static unsigned divide_shift(const struct lapic_timer *timer)
{
    unsigned value = (timer->divide & 3u) | (timer->divide & 8u) >> 1;

    return (value + 1) & 7;
}

static void stop(struct lapic_timer *timer)
{
    timer->running = false;
    timer->due = 0;
}

static uint64_t later(uint64_t now, uint64_t by)
{
    return by > UINT64_MAX - now ? UINT64_MAX : now + by;
}

static void start(struct lapic_timer *timer, uint64_t count, uint64_t now)
{
    timer->running = true;
    timer->due = later(now, count << divide_shift(timer));
}

void lapic_timer_set_mode(struct lapic_timer *timer, enum lapic_timer_mode mode)
{
    if (timer->mode == mode)
        return;
    if (timer->mode == LAPIC_TIMER_TSC_DEADLINE || mode == LAPIC_TIMER_TSC_DEADLINE)
        stop(timer);
    timer->mode = (uint8_t)mode;
}

void lapic_timer_set_divide(struct lapic_timer *timer, uint32_t value, uint64_t now)
{
    uint32_t left = lapic_timer_current(timer, now);

    timer->divide = value & DIVIDE_BITS;
    if (timer->mode != LAPIC_TIMER_TSC_DEADLINE && timer->running)
        start(timer, left, now);
}

void lapic_timer_set_initial(struct lapic_timer *timer, uint32_t value, uint64_t now)
{
    if (timer->mode == LAPIC_TIMER_TSC_DEADLINE)
        return;
    timer->initial = value;
    stop(timer);
    if (value)
        start(timer, value, now);
}

uint32_t lapic_timer_current(const struct lapic_timer *timer, uint64_t now)
{
    if (!timer->running || timer->mode == LAPIC_TIMER_TSC_DEADLINE || now >= timer->due)
        return 0;
    uint64_t left = ((timer->due - now - 1) >> divide_shift(timer)) + 1;
    return left < timer->initial ? (uint32_t)left : timer->initial;
}

void lapic_timer_set_deadline(struct lapic_timer *timer, uint64_t when)
{
    if (timer->mode != LAPIC_TIMER_TSC_DEADLINE)
        return;
    timer->running = when != 0;
    timer->due = when;
}

uint64_t lapic_timer_deadline_register(const struct lapic_timer *timer)
{
    return timer->mode == LAPIC_TIMER_TSC_DEADLINE && timer->running ? timer->due : 0;
}

uint64_t lapic_timer_due(const struct lapic_timer *timer)
{
    return timer->running ? timer->due : NO_DEADLINE;
}

bool lapic_timer_expired(struct lapic_timer *timer, uint64_t now)
{
    if (!timer->running || now < timer->due)
        return false;
    if (timer->mode == LAPIC_TIMER_PERIODIC) {
        uint64_t period = (uint64_t)timer->initial << divide_shift(timer);
        timer->due = later(timer->due, (now - timer->due) / period * period);
        timer->due = later(timer->due, period);
    } else {
        stop(timer);
    }
    return true;
}
