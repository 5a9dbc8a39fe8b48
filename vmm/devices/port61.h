/*
 * System control port B of the PC/AT, port 61h.
 *
 *   bit 0  read/write  GATE of timer channel 2
 *   bit 1  read/write  speaker data enable; there is no speaker, so it is only remembered
 *   bit 2  read/write  parity check disable, remembered          bit 3  read/write  I/O channel check disable,
 * remembered bit 4  read        toggles with each memory refresh, every 18 timer pulses (about 15.09 us) bit 5  read
 * OUT of timer channel 2 bits 6, 7  read    I/O channel check and parity error: always 0
 *
 * The refresh bit is a pure function of guest time. Power-on: all read/write bits 0.
 */
#ifndef ENCORE_VMM_DEVICES_PORT61_H
#define ENCORE_VMM_DEVICES_PORT61_H

#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/devices/pit8254.h"
#include "vmm/state.h"

#define PORT61_PORT  0x61
#define PORT61_PORTS 1

struct port61 {
    uint8_t control; /* bits 0-3 as last written */
    struct pit8254 *pit;
};

/* `pit` must be initialised before, and outlive the port. */
void port61_init(struct port61 *port, struct pit8254 *pit);
void port61_state(struct port61 *port, struct state *state);

/* Handlers for port 61h; `device` is a struct port61. Reads observe time (bus_range.watches_clock). */
bus_read_fn port61_read;
bus_write_fn port61_write;

#endif
