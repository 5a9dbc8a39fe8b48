#include "vmm/devices/entropy_port.h"

#include "base/bytes.h"
#include "base/check.h"

void entropy_port_init(struct entropy_port *port, struct entropy_source source)
{
    CHECK(source.fill);
    *port = (struct entropy_port){.source = source};
}

void entropy_port_state(struct entropy_port *port, struct state *state)
{
    state_section(state, "entropy-port", 1);
    state_u64(state, "drawn", &port->drawn);
}

uint64_t entropy_port_read(void *device, const struct bus_access *access)
{
    struct entropy_port *port = device;
    uint8_t bytes[8] = {0};
    size_t random = 0;

    /* An unaligned read may begin in the data and end in the identity. */
    while (random < access->size && access->offset + random < ENTROPY_PORT_ID)
        random++;
    if (random > 0) {
        port->source.fill(port->source.context, bytes, random);
        port->drawn += random;
    }
    for (size_t i = random; i < access->size && i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(ENTROPY_PORT_MAGIC >> 8 * ((access->offset + i - ENTROPY_PORT_ID) & 3));
    return bytes_load(bytes, 8);
}

void entropy_port_write(void *device, const struct bus_access *access, uint64_t value)
{
    (void)device;
    (void)access;
    (void)value;
}
