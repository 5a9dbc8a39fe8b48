/*
 * The local APIC's timer: SDM volume 3, 10.5.4.
 *
 * Its clock is guest time, one tick a nanosecond, divided by what the divide configuration register says. It counts
 * down from the initial count once or again and again, or (TSC-deadline mode) waits for a moment that is given as a
 * value of the time-stamp counter; here as guest time, for the engine knows how far the two are apart.
 */
#ifndef ENCORE_VMM_DEVICES_LAPIC_TIMER_H
#define ENCORE_VMM_DEVICES_LAPIC_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/state.h"

enum lapic_timer_mode { LAPIC_TIMER_ONE_SHOT, LAPIC_TIMER_PERIODIC, LAPIC_TIMER_TSC_DEADLINE };

struct lapic_timer {
    uint8_t mode;     /* enum lapic_timer_mode */
    uint8_t divide;   /* the divide configuration register: bits 3, 1 and 0 */
    uint32_t initial; /* the initial count register */
    bool running;     /* counts down, or waits for a deadline */
    uint64_t due;     /* guest time, ns, at which it next reaches zero; meaningful while running */
};

void lapic_timer_init(struct lapic_timer *timer);
/* Fields in the section that is being visited. */
void lapic_timer_state(struct lapic_timer *timer, struct state *state);

/* Registers; `now` is guest time. A change of mode stops the timer when it is to or from TSC-deadline. */
void lapic_timer_set_mode(struct lapic_timer *timer, enum lapic_timer_mode mode);
void lapic_timer_set_divide(struct lapic_timer *timer, uint32_t value, uint64_t now);
void lapic_timer_set_initial(struct lapic_timer *timer, uint32_t value, uint64_t now);
uint32_t lapic_timer_current(const struct lapic_timer *timer, uint64_t now);
/* The deadline as guest time; 0: none. Has an effect in TSC-deadline mode only. */
void lapic_timer_set_deadline(struct lapic_timer *timer, uint64_t when);
uint64_t lapic_timer_deadline_register(const struct lapic_timer *timer);

/* The guest time at which it reaches zero, or NO_DEADLINE. */
uint64_t lapic_timer_due(const struct lapic_timer *timer);
/* Whether it has reached zero by `now`; it then goes on as its mode says. Periods that were missed are left out: the
 * interrupt request would be the same one. */
bool lapic_timer_expired(struct lapic_timer *timer, uint64_t now);

#endif
