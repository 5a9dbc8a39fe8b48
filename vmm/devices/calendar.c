/*
 * The year is made to begin on 1 March, so that the leap day is its last and the lengths of the months before it follow
 * one rule: 31 and 30 days alternate in groups of five months that have 153 days. The calendar repeats every 400 years
 * (146097 days), 100 years within it have 36524 days and four years 1461, each group's last member having one day more
 * or less as the Gregorian leap rule says.
 */
#include "vmm/devices/calendar.h"

#define DAYS_400_YEARS 146097
#define MARCH_1_YEAR_0 (-719468) /* as days from 1 January 1970 */

static int64_t floor_divide(int64_t dividend, int64_t divisor)
{
    return dividend / divisor - (dividend % divisor < 0);
}

/* Days from 1 March to the first of the month that is `index` months after March. */
static unsigned days_before_month(unsigned index)
{
    return (153 * index + 2) / 5;
}

int64_t calendar_days(int64_t year, unsigned month, int64_t day)
{
    unsigned index = (month + 9) % 12;

    if (month <= 2)
        year--;
    return MARCH_1_YEAR_0 + 365 * year + floor_divide(year, 4) - floor_divide(year, 100) + floor_divide(year, 400) +
           days_before_month(index) + day - 1;
}

struct calendar_date calendar_date(int64_t days)
{
    days -= MARCH_1_YEAR_0;
    int64_t era = floor_divide(days, DAYS_400_YEARS);
    unsigned day = (unsigned)(days - era * DAYS_400_YEARS);

    /* The last day of an era is its leap day, the 29 February of its 400th year: no fifth century begins with it. */
    unsigned century = day / 36524 < 4 ? day / 36524 : 3;
    day -= century * 36524;
    unsigned group = day / 1461;
    day -= group * 1461;
    unsigned year = day / 365 < 4 ? day / 365 : 3;
    day -= year * 365;

    unsigned index = (5 * day + 2) / 153;
    struct calendar_date date = {
        .year = era * 400 + century * 100 + group * 4 + year + (index >= 10),
        .month = index < 10 ? index + 3 : index - 9,
        .day = day - days_before_month(index) + 1,
    };
    return date;
}
