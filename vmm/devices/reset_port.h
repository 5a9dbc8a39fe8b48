/*
 * The reset control register of a PC chipset, port CF9h, after the Intel PIIX3 data sheet (order number 290550): a
 * write that sets bit 2 (where it was clear) resets the processor, and with bit 1 the whole machine. Here each resets
 * all.
 *
 * The port lies within the PCI configuration mechanism's CF8h to CFFh, of which single bytes other than CFCh-CFFh do
 * not belong to it: the machine's wiring hands them here.
 */
#ifndef ENCORE_VMM_DEVICES_RESET_PORT_H
#define ENCORE_VMM_DEVICES_RESET_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define RESET_PORT 0xcf9
/* What is written for a reset of everything. */
#define RESET_PORT_HARD 0x06

struct reset_port {
    uint8_t control;
    struct reset_wire reset;
};

void reset_port_init(struct reset_port *port, struct reset_wire reset);
void reset_port_state(struct reset_port *port, struct state *state);

bus_read_fn reset_port_read;
bus_write_fn reset_port_write;

#endif
