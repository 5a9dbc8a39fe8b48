/* Channel 0 of the 8254 as a periodic interrupt. */
#ifndef GUEST_RUNTIME_TIMER_H
#define GUEST_RUNTIME_TIMER_H

#include <stdint.h>

#include "guests/runtime/interrupts.h"

#define TIMER_HZ_MIN 19 /* a divisor of 16 bits goes no slower */
#define TIMER_HZ_MAX 100000

/* Starts the timer at `hz` (the nearest that a divisor gives); counts ticks, then calls `handler` where it is not NULL.
 */
void timer_start(unsigned hz, interrupt_fn *handler, void *context);

/* Interrupts since timer_start. */
uint64_t timer_ticks(void);

#endif
