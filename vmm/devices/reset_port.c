#include "vmm/devices/reset_port.h"

#define CONTROL_MODE  0x02
#define CONTROL_RESET 0x04

void reset_port_init(struct reset_port *port, struct reset_wire reset)
{
    *port = (struct reset_port){.reset = reset};
}

void reset_port_state(struct reset_port *port, struct state *state)
{
    state_section(state, "reset-port", 1);
    state_u8_max(state, "control", &port->control, CONTROL_MODE | CONTROL_RESET);
    state_require(state, (port->control & ~(CONTROL_MODE | CONTROL_RESET)) == 0, "a bit that does not exist");
}

uint64_t reset_port_read(void *device, const struct bus_access *access)
{
    const struct reset_port *port = device;

    (void)access;
    return port->control;
}

void reset_port_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct reset_port *port = device;
    bool rises = value & CONTROL_RESET && !(port->control & CONTROL_RESET);

    (void)access;
    port->control = value & (CONTROL_MODE | CONTROL_RESET);
    if (rises && port->reset.reset)
        port->reset.reset(port->reset.context);
}
