/* The host's clocks: one of the few places that may read them. */
#ifndef ENCORE_VMM_HOST_CLOCK_H
#define ENCORE_VMM_HOST_CLOCK_H

#include <stdint.h>

/* Nanoseconds on CLOCK_MONOTONIC. */
uint64_t host_clock_now(void);

/* Seconds since 1970 UTC. */
int64_t host_clock_wall(void);

#endif
