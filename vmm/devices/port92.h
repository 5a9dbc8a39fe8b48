/*
 * Port 92h, system control port A of the PS/2 and of PCs since: the fast way to the A20 gate and to a reset.
 *
 * Bit 1 is the A20 gate: kept as written, and without effect, because A20 is always on here. Bit 0, when it rises,
 * resets the machine. The other bits (disk lights, CMOS lock) read 0.
 */
#ifndef ENCORE_VMM_DEVICES_PORT92_H
#define ENCORE_VMM_DEVICES_PORT92_H

#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define PORT92_PORT  0x92
#define PORT92_PORTS 1

struct port92 {
    uint8_t control;
    struct reset_wire reset;
};

void port92_init(struct port92 *port, struct reset_wire reset);
void port92_state(struct port92 *port, struct state *state);

bus_read_fn port92_read;
bus_write_fn port92_write;

#endif
