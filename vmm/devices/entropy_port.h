/*
 * Encore's own random device: the least that a guest needs to seed its generator. This is its guest-visible interface.
 *
 *   E08h-E0Bh  data       each byte read, in reads of one, two or four bytes, is a fresh random byte
 *   E0Ch-E0Fh  identity   reads 'E', 'N', 'T', 'R' in ascending ports (52544E45h as one 32-bit read)
 *
 * Writes do nothing. Random bytes are inputs of the machine: they come through `entropy_source`, are logged, and are
 * the same in a replay. One read draws all its bytes in one call of the source.
 */
#ifndef ENCORE_VMM_DEVICES_ENTROPY_PORT_H
#define ENCORE_VMM_DEVICES_ENTROPY_PORT_H

#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define ENTROPY_PORT       0xe08
#define ENTROPY_PORT_PORTS 8
#define ENTROPY_PORT_DATA  0
#define ENTROPY_PORT_ID    4
#define ENTROPY_PORT_MAGIC 0x52544e45u

struct entropy_port {
    uint64_t drawn; /* random bytes given to the guest so far */
    struct entropy_source source;
};

/* `source` must have a fill function. */
void entropy_port_init(struct entropy_port *port, struct entropy_source source);
void entropy_port_state(struct entropy_port *port, struct state *state);

bus_read_fn entropy_port_read;
bus_write_fn entropy_port_write;

#endif
