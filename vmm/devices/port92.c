#include "vmm/devices/port92.h"

#define CONTROL_RESET 0x01
#define CONTROL_A20   0x02
#define CONTROL_KEPT  (CONTROL_RESET | CONTROL_A20)

void port92_init(struct port92 *port, struct reset_wire reset)
{
    *port = (struct port92){.control = CONTROL_A20, .reset = reset};
}

void port92_state(struct port92 *port, struct state *state)
{
    state_section(state, "port92", 1);
    state_u8_max(state, "control", &port->control, CONTROL_KEPT);
}

uint64_t port92_read(void *device, const struct bus_access *access)
{
    const struct port92 *port = device;

    (void)access;
    return port->control;
}

void port92_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct port92 *port = device;
    bool rises = value & CONTROL_RESET && !(port->control & CONTROL_RESET);

    (void)access;
    port->control = value & CONTROL_KEPT;
    if (rises && port->reset.reset)
        port->reset.reset(port->reset.context);
}
