#include "vmm/devices/debug_exit.h"

void debug_exit_init(struct debug_exit *port, struct debug_exit_wire wire)
{
    *port = (struct debug_exit){.wire = wire};
}

void debug_exit_state(struct debug_exit *port, struct state *state)
{
    state_section(state, "debug-exit", 1);
    state_bool(state, "written", &port->written);
    state_u32(state, "value", &port->value);
}

uint64_t debug_exit_read(void *device, const struct bus_access *access)
{
    (void)device;
    (void)access;
    return 0;
}

void debug_exit_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct debug_exit *port = device;

    (void)access;
    port->written = true;
    port->value = (uint32_t)value;
    if (port->wire.exited)
        port->wire.exited(port->wire.context, port->value);
}
