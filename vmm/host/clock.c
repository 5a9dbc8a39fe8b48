#include "vmm/host/clock.h"

#include <time.h>

#include "base/check.h"

#define NANOSECONDS UINT64_C(1000000000)

/* clock_gettime fails only for a clock that does not exist or a bad address, and both of these clocks always exist. */
static struct timespec read_clock(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);

    CHECK(failed == 0);
    return now;
}

uint64_t host_clock_now(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);

    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

int64_t host_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME).tv_sec;
}
