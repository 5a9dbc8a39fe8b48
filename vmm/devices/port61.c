#include "vmm/devices/port61.h"

#include "vmm/devices/isa_bytes.h"

#define GATE2         0x01
#define READ_WRITE    0x0f
#define REFRESH       0x10
#define OUT2          0x20
#define REFRESH_PULSE 18 /* the count that the PC's firmware gave timer channel 1 for the refresh of memory */

void port61_init(struct port61 *port, struct pit8254 *pit)
{
    *port = (struct port61){.pit = pit};
}

void port61_state(struct port61 *port, struct state *state)
{
    state_section(state, "port61", 1);
    state_u8_max(state, "control", &port->control, READ_WRITE);
    state_require(state, port->pit->channels[2].gate == ((port->control & GATE2) != 0),
                  "bit 0 is not the gate of timer channel 2");
}

static uint8_t read_byte(void *device, uint64_t offset, uint64_t now)
{
    struct port61 *port = device;
    uint8_t value = port->control;

    (void)offset;
    if (pit8254_pulses(now) / REFRESH_PULSE % 2)
        value |= REFRESH;
    if (pit8254_out2(port->pit, now))
        value |= OUT2;
    return value;
}

static void write_byte(void *device, uint64_t offset, uint8_t value, uint64_t now)
{
    struct port61 *port = device;

    (void)offset;
    port->control = value & READ_WRITE;
    pit8254_set_gate2(port->pit, (value & GATE2) != 0, now);
}

uint64_t port61_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_byte);
}

void port61_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_byte);
}
