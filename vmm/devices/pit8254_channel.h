/*
 * One counter of an 8254, in CLK pulses: the data sheet's state machine without ports or time.
 */
#ifndef ENCORE_VMM_DEVICES_PIT8254_CHANNEL_H
#define ENCORE_VMM_DEVICES_PIT8254_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/pit8254.h"

/* The state after power-on; GATE at the given level. */
void pit8254_channel_init(struct pit8254_channel *channel, bool gate);
void pit8254_channel_state(struct pit8254_channel *channel, struct state *state);

/* Lets `pulses` CLK pulses pass; returns whether OUT has risen at least once. Bounded work for any number. */
bool pit8254_channel_run(struct pit8254_channel *channel, uint64_t pulses);

/* The number of pulses until OUT next rises, at least 1; UINT64_MAX if it never will by itself. */
uint64_t pit8254_channel_pulses_to_rise(const struct pit8254_channel *channel);

/* A control word's low six bits (not a latch command); a byte for CR; a byte read. All act at once, between pulses. */
void pit8254_channel_control(struct pit8254_channel *channel, uint8_t control);
void pit8254_channel_write(struct pit8254_channel *channel, uint8_t value);
uint8_t pit8254_channel_read(struct pit8254_channel *channel);

/* Latches the count, or the status, for the reads to come; a latch that is full keeps what it has. */
void pit8254_channel_latch_count(struct pit8254_channel *channel);
void pit8254_channel_latch_status(struct pit8254_channel *channel);

void pit8254_channel_set_gate(struct pit8254_channel *channel, bool level);

#endif
