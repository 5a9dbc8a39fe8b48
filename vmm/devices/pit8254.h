/*
 * The 8254 programmable interval timer of a PC at ports 40h-43h, after the Intel 8254 data sheet (order number 231164).
 *
 * Channel 0's OUT is IRQ 0; channel 1 once paced the memory refresh and drives nothing here; channel 2's GATE and OUT
 * belong to port 61h. The gates of channels 0 and 1 are tied high.
 *
 * The CLK input runs at 1193182 Hz. Pulse n falls at the first nanosecond not before n / 1193182 s, computed from n
 * each time, so that nothing is ever rounded twice and the timer does not drift. Each channel is the data sheet's state
 * machine, stepped pulse by pulse in meaning, and by arithmetic over quiet stretches and over whole periods in fact;
 * advancing by any number of pulses takes bounded work.
 *
 * Coalescing: when channel 0's OUT has risen k times between two advances, IRQ 0 sees one rising edge and then the
 * level that OUT has at the end, as the interrupt controller would have kept one of the edges. All else is as if each
 * pulse had been taken singly.
 *
 * Where the data sheet is silent: a count of 1, which it forbids in modes 2 and 3, keeps OUT high. A BCD count with
 * digits above 9 counts as the sum of its digits' weights, modulo 10000. Both bytes of a two-byte count take effect
 * when the second is written. Power-on: all channels as after the control word for mode 0, two bytes, binary, with no
 * count written; OUT low, nothing counting.
 */
#ifndef ENCORE_VMM_DEVICES_PIT8254_H
#define ENCORE_VMM_DEVICES_PIT8254_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define PIT8254_PORT     0x40
#define PIT8254_PORTS    4
#define PIT8254_HZ       1193182
#define PIT8254_CHANNELS 3

struct pit8254_channel {
    uint8_t control;     /* the control word's low six bits: RW, mode, BCD */
    uint16_t count;      /* CR, the count register, as written (binary or BCD) */
    uint32_t counter;    /* CE, the counting element; a count of 0 stands as 65536, or 10000 in BCD */
    bool gate;           /* level of GATE */
    bool out;            /* level of OUT */
    bool counted;        /* CR has been written since the control word */
    bool loaded;         /* CE has been loaded since the control word */
    bool load_next;      /* CE takes CR at the next pulse */
    bool triggered;      /* GATE has risen since the last pulse (the edge-sensitive flip-flop) */
    bool armed;          /* modes 0, 1, 4, 5: the terminal count is still to come */
    bool odd;            /* mode 3: the count last loaded was odd */
    bool null_count;     /* CR holds a count that CE has not taken */
    bool write_high;     /* two-byte access: the next write is the high byte */
    bool read_high;      /* two-byte access: the next read is the high byte */
    uint8_t write_low;   /* the low byte, waiting for the high one */
    bool latched;        /* OL holds a count for the reader */
    uint16_t latch;      /* OL */
    bool status_latched; /* a status byte waits to be read first */
    uint8_t status;      /* that byte */
};

struct pit8254 {
    struct pit8254_channel channels[PIT8254_CHANNELS];
    uint64_t pulse; /* CLK pulses since the machine started, up to which the channels have been brought */
    struct irq_wire irq;
};

/* Puts the timer into the power-on state at guest time 0; `irq` (IRQ 0) is taken to be low. */
void pit8254_init(struct pit8254 *pit, struct irq_wire irq);
void pit8254_state(struct pit8254 *pit, struct state *state);

/* The guest time at which channel 0's OUT next rises, or NO_DEADLINE. Falls need no deadline. */
uint64_t pit8254_deadline(const struct pit8254 *pit);

/* Brings all channels up to guest time `now` and drives IRQ 0. A time before the last one given does nothing. */
void pit8254_advance(struct pit8254 *pit, uint64_t now);

/* For port 61h: drives channel 2's GATE, and gives the level of its OUT, at guest time `now`. */
void pit8254_set_gate2(struct pit8254 *pit, bool level, uint64_t now);
bool pit8254_out2(struct pit8254 *pit, uint64_t now);

/* The number of CLK pulses up to and including guest time `now`. */
uint64_t pit8254_pulses(uint64_t now);
/* The guest time of a CLK pulse; NO_DEADLINE when it lies beyond 64 bits of nanoseconds. */
uint64_t pit8254_pulse_time(uint64_t pulse);

/* Handlers for ports 40h-43h; `device` is a struct pit8254. Reads observe time (bus_range.watches_clock), and a write
 * starts its count from access->now: time that is stale then shows as a count that begins in the past. */
bus_read_fn pit8254_read;
bus_write_fn pit8254_write;

#endif
