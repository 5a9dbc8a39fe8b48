/* The date and time of the MC146818. */
#ifndef GUEST_RUNTIME_RTC_H
#define GUEST_RUNTIME_RTC_H

struct rtc_time {
    unsigned year, month, day, hour, minute, second;
};

/* A consistent reading, whatever format the chip is set to; the century is the 21st. */
struct rtc_time rtc_read(void);

#endif
