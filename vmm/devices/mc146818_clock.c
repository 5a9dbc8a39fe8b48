#include "vmm/devices/mc146818_clock.h"

#include <stdbool.h>

#include "vmm/devices/calendar.h"
#include "vmm/devices/mc146818.h"

#define B_DM  0x04 /* binary rather than BCD */
#define B_24H 0x02
#define PM    0x80

#define DAY_SECONDS  86400
#define CYCLE_DAYS   3652425 /* 10000 years, after which century and year start again at 0 */
#define YEAR_0_DAYS  (-719528)
#define ANY          (-1) /* an alarm byte that does not care */
#define UNREACHABLE  (-2) /* an alarm byte that no time is equal to */
#define ALARM_IGNORE 0xc0 /* the two bits that make an alarm byte not care */

/* A time of the calendar: seconds within the day, days from 1 January 1970, and the day of the week (0 is Sunday). */
struct moment {
    unsigned second;
    int64_t day;
    unsigned weekday;
};

static unsigned decode(const uint8_t *bytes, uint8_t value)
{
    return bytes[MC146818_B] & B_DM ? value : (value >> 4) * 10u + (value & 15);
}

uint8_t mc146818_clock_encode(const uint8_t *bytes, unsigned value)
{
    return (uint8_t)(bytes[MC146818_B] & B_DM ? value : value / 10 << 4 | value % 10);
}

/* In 12-hour form the hours are 12, 1 ... 11, with bit 7 set in the afternoon. */
static unsigned decode_hour(const uint8_t *bytes, uint8_t value)
{
    if (bytes[MC146818_B] & B_24H)
        return decode(bytes, value);
    return decode(bytes, value & ~PM) % 12 + (value & PM ? 12 : 0);
}

static uint8_t encode_hour(const uint8_t *bytes, unsigned hour)
{
    if (bytes[MC146818_B] & B_24H)
        return mc146818_clock_encode(bytes, hour);
    unsigned half = hour % 12 ? hour % 12 : 12;
    return mc146818_clock_encode(bytes, half) | (hour >= 12 ? PM : 0);
}

static struct moment read_moment(const uint8_t *bytes)
{
    unsigned second = decode_hour(bytes, bytes[MC146818_HOURS]) * 3600 + decode(bytes, bytes[MC146818_MINUTES]) * 60 +
                      decode(bytes, bytes[MC146818_SECONDS]);
    unsigned month = decode(bytes, bytes[MC146818_MONTH]) + 11; /* months since December of the year before, + 12 */
    int64_t year = decode(bytes, bytes[MC146818_CENTURY]) * 100 + decode(bytes, bytes[MC146818_YEAR]);

    return (struct moment){
        .second = second % DAY_SECONDS,
        .day = calendar_days(year + month / 12 - 1, month % 12 + 1, decode(bytes, bytes[MC146818_DAY])) +
               second / DAY_SECONDS,
        .weekday = (decode(bytes, bytes[MC146818_WEEKDAY]) + 6 + second / DAY_SECONDS) % 7,
    };
}

static void write_moment(uint8_t *bytes, struct moment moment)
{
    int64_t day = (moment.day - YEAR_0_DAYS) % CYCLE_DAYS;
    struct calendar_date date = calendar_date(YEAR_0_DAYS + (day < 0 ? day + CYCLE_DAYS : day));

    bytes[MC146818_SECONDS] = mc146818_clock_encode(bytes, moment.second % 60);
    bytes[MC146818_MINUTES] = mc146818_clock_encode(bytes, moment.second / 60 % 60);
    bytes[MC146818_HOURS] = encode_hour(bytes, moment.second / 3600);
    bytes[MC146818_WEEKDAY] = mc146818_clock_encode(bytes, moment.weekday + 1);
    bytes[MC146818_DAY] = mc146818_clock_encode(bytes, date.day);
    bytes[MC146818_MONTH] = mc146818_clock_encode(bytes, date.month);
    bytes[MC146818_YEAR] = mc146818_clock_encode(bytes, (unsigned)(date.year % 100));
    bytes[MC146818_CENTURY] = mc146818_clock_encode(bytes, (unsigned)(date.year / 100));
}

void mc146818_clock_set(uint8_t *bytes, int64_t unix_seconds)
{
    int64_t second = unix_seconds % DAY_SECONDS;
    int64_t day = unix_seconds / DAY_SECONDS - (second < 0);
    int64_t weekday = (day % 7 + 4) % 7; /* 1 January 1970 was a Thursday */

    write_moment(bytes, (struct moment){
                            .second = (unsigned)(second < 0 ? second + DAY_SECONDS : second),
                            .day = day % CYCLE_DAYS, /* the calendar starts again after so many days */
                            .weekday = (unsigned)(weekday < 0 ? weekday + 7 : weekday),
                        });
}

void mc146818_clock_add(uint8_t *bytes, uint64_t seconds)
{
    if (seconds == 0)
        return;
    struct moment moment = read_moment(bytes);
    seconds += moment.second;
    moment.second = (unsigned)(seconds % DAY_SECONDS);
    moment.day += (int64_t)(seconds / DAY_SECONDS);
    moment.weekday = (unsigned)((moment.weekday + seconds / DAY_SECONDS) % 7);
    write_moment(bytes, moment);
}

/* What an alarm byte asks for: a value below `limit`, ANY, or UNREACHABLE. */
static int alarm_field(const uint8_t *bytes, uint8_t alarm, unsigned limit)
{
    if ((alarm & ALARM_IGNORE) == ALARM_IGNORE)
        return ANY;
    for (unsigned value = 0; value < limit; value++) {
        uint8_t image = limit == 24 ? encode_hour(bytes, value) : mc146818_clock_encode(bytes, value);
        if (image == alarm)
            return (int)value;
    }
    return UNREACHABLE;
}

/* The first time at or after `time` at which the digit of weight `unit` and base `base` is `wanted`. When the digit has
 * to move, everything below it starts again at `low`, the least that the alarm accepts there. */
static unsigned reach(unsigned time, unsigned unit, unsigned base, int wanted, unsigned low)
{
    unsigned digit = time / unit % base;

    if (wanted == ANY || digit == (unsigned)wanted)
        return time;
    unsigned forward = ((unsigned)wanted + base - digit) % base;
    return (time / unit + forward) * unit + low;
}

uint64_t mc146818_clock_alarm(const uint8_t *bytes)
{
    int second = alarm_field(bytes, bytes[MC146818_SECONDS_ALARM], 60);
    int minute = alarm_field(bytes, bytes[MC146818_MINUTES_ALARM], 60);
    int hour = alarm_field(bytes, bytes[MC146818_HOURS_ALARM], 24);

    if (second == UNREACHABLE || minute == UNREACHABLE || hour == UNREACHABLE)
        return MC146818_NO_ALARM;
    /* From the lowest digit up: reaching a higher one may carry, but puts the lower ones where they match. */
    unsigned now = read_moment(bytes).second;
    unsigned low_second = second == ANY ? 0 : (unsigned)second;
    unsigned low_minute = minute == ANY ? 0 : (unsigned)minute;
    unsigned time = reach(now + 1, 1, 60, second, 0);
    time = reach(time, 60, 60, minute, low_second);
    time = reach(time, 3600, 24, hour, low_minute * 60 + low_second);
    return time - now;
}
