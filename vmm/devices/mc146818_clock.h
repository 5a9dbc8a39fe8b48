/*
 * The ten clock, calendar and alarm bytes of an MC146818, as numbers: reading and writing them in BCD or binary and in
 * 12- or 24-hour form as register B says, adding seconds, and finding the next alarm. No ports, no time, no interrupts.
 */
#ifndef ENCORE_VMM_DEVICES_MC146818_CLOCK_H
#define ENCORE_VMM_DEVICES_MC146818_CLOCK_H

#include <stdint.h>

/* All functions take the chip's 128 bytes. */

/* Sets the calendar to `unix_seconds`, taken modulo 10000 years. */
void mc146818_clock_set(uint8_t *bytes, int64_t unix_seconds);

/* Lets `seconds` updates pass, at most 2^36. Zero leaves even bytes that name no real time as they are. */
void mc146818_clock_add(uint8_t *bytes, uint64_t seconds);

#define MC146818_NO_ALARM UINT64_MAX

/* The number of updates (1 to 86400) until the alarm bytes match the time, or MC146818_NO_ALARM. */
uint64_t mc146818_clock_alarm(const uint8_t *bytes);

/* A number from 0 to 99 as the chip stores it. */
uint8_t mc146818_clock_encode(const uint8_t *bytes, unsigned value);

#endif
