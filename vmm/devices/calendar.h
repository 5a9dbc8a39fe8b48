/*
 * Gregorian dates as day numbers: the arithmetic behind the real-time clock.
 */
#ifndef ENCORE_VMM_DEVICES_CALENDAR_H
#define ENCORE_VMM_DEVICES_CALENDAR_H

#include <stdint.h>

struct calendar_date {
    int64_t year;
    unsigned month; /* 1-12 */
    unsigned day;   /* 1-31 */
};

/* Days from 1 January 1970 to the given date of the (proleptic) Gregorian calendar. `month` must be 1-12; `day` may be
 * any number and counts on from the month's first day. Years within plus or minus 10^9. */
int64_t calendar_days(int64_t year, unsigned month, int64_t day);

/* The date that lies `days` after 1 January 1970; within plus or minus 10^11 days. */
struct calendar_date calendar_date(int64_t days);

#endif
