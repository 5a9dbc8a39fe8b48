/*
 * The real-time clock and CMOS RAM of a PC at ports 70h-71h, after the Motorola MC146818A data sheet.
 *
 * Port 70h (write only) selects one of 128 bytes, port 71h reads and writes it; bit 7 of port 70h, the NMI mask of the
 * PC, is accepted and has no effect. Bytes 0-9 are the clock, calendar and alarm, Ah-Dh the control registers, the
 * other 114 general memory, of which the PC gives some a meaning: 32h is the century (in BCD or binary like the
 * calendar; the clock carries into it), 15h-18h, 30h-31h and 34h-35h the sizes of memory.
 *
 * The clock's divider chain counts at 32768 Hz of guest time. Each 32768 counts are an update of the calendar; periodic
 * interrupts are taps of the same chain. It runs while register A's DV bits are 010 and is held in reset by every other
 * value (the PC has only the 32768 Hz crystal); when it is let go, the first update comes half a second later, as the
 * data sheet says. UIP is set during the eight counts (244 us) before an update, and the update itself takes no time.
 *
 * The calendar bytes are what the guest wrote until an update adds a second to them. A date that does not exist is then
 * read as the days it would be with carries (February 30 is March 1 or 2; hour 25 is 1 o'clock on the next day). The
 * day of the week is counted on its own, modulo 7. Years are Gregorian with century * 100 + year; after 9999 comes 0.
 * Changing DM or 24/12 does not convert the bytes. DSE and SQWE are remembered and have no effect.
 *
 * Coalescing: PF, AF and UF each say only that it happened at least once since register C was read.
 */
#ifndef ENCORE_VMM_DEVICES_MC146818_H
#define ENCORE_VMM_DEVICES_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define MC146818_PORT  0x70
#define MC146818_PORTS 2
#define MC146818_BYTES 128

/* Addresses. */
enum {
    MC146818_SECONDS = 0x00,
    MC146818_SECONDS_ALARM = 0x01,
    MC146818_MINUTES = 0x02,
    MC146818_MINUTES_ALARM = 0x03,
    MC146818_HOURS = 0x04,
    MC146818_HOURS_ALARM = 0x05,
    MC146818_WEEKDAY = 0x06, /* 1 is Sunday */
    MC146818_DAY = 0x07,
    MC146818_MONTH = 0x08,
    MC146818_YEAR = 0x09,
    MC146818_A = 0x0a,
    MC146818_B = 0x0b,
    MC146818_C = 0x0c,
    MC146818_D = 0x0d,
    MC146818_CENTURY = 0x32,
};

struct mc146818 {
    uint8_t bytes[MC146818_BYTES]; /* all but UIP and IRQF, which are worked out on reading */
    uint8_t index;                 /* 0-127 */
    uint64_t epoch;                /* guest time, ns, at which the divider chain was let go */
    uint32_t preset;               /* the chain's count at that moment: 0, or 16384 after a reset */
    uint64_t count;                /* the chain's count up to which the clock has been brought */
    struct irq_wire irq;
};

/*
 * Sets the clock, in BCD and 24-hour form (register B = 02h, register A = 26h), to `unix_seconds` at guest time 0;
 * the wall clock enters the machine here and in mc146818_set. A time outside the years 0-9999 is taken modulo 10000
 * years. `low_memory` is the number of bytes of RAM below 4 GiB, told to the guest in the CMOS memory size bytes. `irq`
 * is IRQ 8.
 */
void mc146818_init(struct mc146818 *rtc, int64_t unix_seconds, uint64_t low_memory, struct irq_wire irq);
/* Operator input: sets the clock to `unix_seconds`, in the form that the guest has chosen. Its next second comes when
 * it would have come; no alarm goes off for times that were passed over. */
void mc146818_set(struct mc146818 *rtc, int64_t unix_seconds);
void mc146818_state(struct mc146818 *rtc, struct state *state);

/* The guest time of the next interrupt; NO_DEADLINE when none is enabled, or when each that is enabled is already
 * pending (then the line stays high until the guest reads register C). */
uint64_t mc146818_deadline(const struct mc146818 *rtc);

/* Brings the clock up to guest time `now` and drives IRQ 8. A time before the last one given does nothing. */
void mc146818_advance(struct mc146818 *rtc, uint64_t now);

/* Handlers for ports 70h-71h; `device` is a struct mc146818. Reads observe time (bus_range.watches_clock). */
bus_read_fn mc146818_read;
bus_write_fn mc146818_write;

#endif
