/*
 * Port 80h, where a PC's firmware shows its progress (POST codes) and where older drivers write to pass a microsecond.
 *
 * The last byte written can be read back, as from the DMA page register that lies at this port; nothing else happens.
 */
#ifndef ENCORE_VMM_DEVICES_POST_PORT_H
#define ENCORE_VMM_DEVICES_POST_PORT_H

#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"

#define POST_PORT       0x80
#define POST_PORT_PORTS 1

struct post_port {
    uint8_t last;
};

void post_port_init(struct post_port *port);
void post_port_state(struct post_port *port, struct state *state);

bus_read_fn post_port_read;
bus_write_fn post_port_write;

#endif
