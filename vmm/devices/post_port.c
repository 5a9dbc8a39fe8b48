#include "vmm/devices/post_port.h"

void post_port_init(struct post_port *port)
{
    port->last = 0;
}

void post_port_state(struct post_port *port, struct state *state)
{
    state_section(state, "post-port", 1);
    state_u8(state, "last", &port->last);
}

uint64_t post_port_read(void *device, const struct bus_access *access)
{
    const struct post_port *port = device;

    (void)access;
    return port->last;
}

void post_port_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct post_port *port = device;

    (void)access;
    port->last = (uint8_t)value;
}
