/* The MC146818 (Motorola data sheet); see rtc.h. */
#include "guests/runtime/rtc.h"

#include <stdbool.h>
#include <stdint.h>

#include "guests/runtime/cpu.h"

#define RTC_INDEX 0x70
#define RTC_DATA  0x71

#define RTC_SECOND 0
#define RTC_MINUTE 2
#define RTC_HOUR   4
#define RTC_DAY    7
#define RTC_MONTH  8
#define RTC_YEAR   9
#define RTC_A      10
#define RTC_B      11

#define RTC_A_UPDATING 0x80 /* UIP: the time will change within 244 us */
#define RTC_B_BINARY   0x04
#define RTC_B_24_HOUR  0x02
#define RTC_HOUR_PM    0x80

static uint8_t read_register(uint8_t index)
{
    port_out8(RTC_INDEX, index);
    return port_in8(RTC_DATA);
}

static unsigned number(uint8_t value, bool binary)
{
    return binary ? value : (value >> 4) * 10u + (value & 15u);
}

static unsigned hour(uint8_t value, uint8_t mode)
{
    bool binary = (mode & RTC_B_BINARY) != 0;
    if (mode & RTC_B_24_HOUR)
        return number(value, binary);
    unsigned twelve = number(value & (uint8_t)~RTC_HOUR_PM, binary) % 12;
    return value & RTC_HOUR_PM ? twelve + 12 : twelve;
}

struct rtc_time rtc_read(void)
{
    uint8_t mode = read_register(RTC_B);
    bool binary = (mode & RTC_B_BINARY) != 0;
    struct rtc_time time;
    uint8_t second;
    /* The update-in-progress bit promises 244 us of stable time, which six slow accesses may exceed: read again until
     * the seconds are still what they were. */
    do {
        while (read_register(RTC_A) & RTC_A_UPDATING)
            ;
        second = read_register(RTC_SECOND);
        time.year = 2000 + number(read_register(RTC_YEAR), binary);
        time.month = number(read_register(RTC_MONTH), binary);
        time.day = number(read_register(RTC_DAY), binary);
        time.hour = hour(read_register(RTC_HOUR), mode);
        time.minute = number(read_register(RTC_MINUTE), binary);
    } while (read_register(RTC_SECOND) != second);
    time.second = number(second, binary);
    return time;
}
