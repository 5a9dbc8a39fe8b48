/* The PCI bus; see pci_host.h. */
#include "vmm/devices/pci_host.h"

#include <string.h>

#include "base/check.h"

#define ADDRESS_BITS   0x80fffffcu /* the others are reserved and read 0 */
#define ADDRESS_ENABLE 0x80000000u
#define DATA_PORT      4 /* from PCI_HOST_PORT */
#define PAM_FIRST      0x59
#define PAM_LAST       0x5f
#define PAM_RAM        0x33 /* both halves of a register's range: reads and writes go to RAM */
#define PAM_FIRST_RAM  0x30 /* the first register has one half */

void pci_host_init(struct pci_host *host, struct irq_wire lines)
{
    static const struct pci_ids ids = {.vendor = 0x8086,
                                       .device = 0x1237,
                                       .subsystem_vendor = 0x1af4,
                                       .subsystem = 0x1100,
                                       .revision = 2,
                                       .class = 0x060000};

    *host = (struct pci_host){.lines = lines};
    pci_function_init(&host->bridge, &ids, (struct irq_wire){0}, 0);
    for (unsigned i = PAM_FIRST; i <= PAM_LAST; i++)
        host->bridge.writable[i] = 0xff;
    memset(host->bridge.config + PAM_FIRST, PAM_RAM, PAM_LAST - PAM_FIRST + 1);
    host->bridge.config[PAM_FIRST] = PAM_FIRST_RAM;
    host->devices[0] = &host->bridge;
}

uint8_t pci_host_line(unsigned device)
{
    return (device - 1) & 2 ? 11 : 10;
}

static void set_pin(void *context, unsigned device, bool level)
{
    struct pci_host *host = context;
    struct irq_wire line = host->lines;
    bool up = false;

    host->pins = (host->pins & ~(1u << device)) | (uint32_t)level << device;
    line.line = pci_host_line(device);
    for (unsigned i = 0; i < PCI_DEVICES; i++)
        up = up || ((host->pins >> i & 1) && pci_host_line(i) == line.line);
    irq_wire_set(&line, up);
}

struct irq_wire pci_host_pin(struct pci_host *host, unsigned device)
{
    CHECK(device < PCI_DEVICES);
    return (struct irq_wire){.set = set_pin, .context = host, .line = device};
}

void pci_host_add(struct pci_host *host, unsigned device, struct pci_function *function)
{
    CHECK(device < PCI_DEVICES && !host->devices[device]);
    host->devices[device] = function;
}

/* Places one BAR at the first fitting address from *next on. */
static void place_bar(struct pci_function *function, unsigned index, uint32_t *next, uint32_t end)
{
    uint32_t size = function->bars[index].size;
    uint32_t base = (*next + size - 1) & ~(size - 1);

    CHECK(base >= *next && base < end && size <= end - base);
    pci_config_write(function, PCI_BAR0 + 4 * index, 4, base);
    *next = base + size;
}

void pci_host_place_bars(struct pci_host *host)
{
    uint32_t memory = PCI_MEMORY_BASE, ports = PCI_PORTS_BASE;

    for (unsigned i = 0; i < PCI_DEVICES; i++) {
        struct pci_function *function = host->devices[i];
        for (unsigned bar = 0; function && bar < PCI_BARS; bar++) {
            if (function->bars[bar].size == 0)
                continue;
            bool is_ports = function->bars[bar].ports;
            place_bar(function, bar, is_ports ? &ports : &memory, is_ports ? PCI_PORTS_END : PCI_MEMORY_END);
            pci_config_write(function, PCI_COMMAND, 2,
                             pci_config_get(function, PCI_COMMAND, 2) |
                                 (is_ports ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
        }
    }
}

void pci_host_state(struct pci_host *host, struct state *state)
{
    state_section(state, "pci-host", 1);
    state_u32(state, "address", &host->address);
    state_u32(state, "pins", &host->pins);
    state_require(state, (host->address & ~ADDRESS_BITS) == 0, "address has unknown bits");
    for (unsigned i = 0; i < PCI_DEVICES; i++)
        state_require(state, !(host->pins >> i & 1) || host->devices[i], "pins names a device that is not there");
    pci_function_state(&host->bridge, state);
}

/* The function that CONFIG_ADDRESS names, or NULL. */
static struct pci_function *addressed(const struct pci_host *host)
{
    unsigned bus = host->address >> 16 & 0xff, device = host->address >> 11 & 31, number = host->address >> 8 & 7;

    return (host->address & ADDRESS_ENABLE) && bus == 0 && number == 0 ? host->devices[device] : NULL;
}

/* The data port, `lane` bytes into it; aligned. */
static uint32_t data_read(const struct pci_host *host, unsigned lane, unsigned size)
{
    struct pci_function *function = addressed(host);

    return function ? pci_config_read(function, (host->address & 0xfc) + lane, size) : UINT32_MAX;
}

static void data_write(const struct pci_host *host, unsigned lane, unsigned size, uint32_t value)
{
    struct pci_function *function = addressed(host);

    if (function)
        pci_config_write(function, (host->address & 0xfc) + lane, size, value);
}

/* Only a whole dword at CF8h is CONFIG_ADDRESS: 3.2.2.3.2. The bytes there are other chips' ports. */
uint64_t pci_host_config_read(void *device, const struct bus_access *access)
{
    const struct pci_host *host = device;
    uint64_t value = 0;

    if (access->offset == 0 && access->size == 4)
        return host->address;
    if (access->offset >= DATA_PORT && access->offset % access->size == 0)
        return data_read(host, (unsigned)access->offset - DATA_PORT, access->size);
    for (unsigned i = 0; i < access->size; i++) {
        uint64_t at = access->offset + i;
        uint32_t byte = at >= DATA_PORT ? data_read(host, (unsigned)at - DATA_PORT, 1) & 0xff : 0xff;
        value |= (uint64_t)byte << 8 * i;
    }
    return value;
}

void pci_host_config_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct pci_host *host = device;

    if (access->offset == 0 && access->size == 4) {
        host->address = (uint32_t)value & ADDRESS_BITS;
    } else if (access->offset >= DATA_PORT && access->offset % access->size == 0) {
        data_write(host, (unsigned)access->offset - DATA_PORT, access->size, (uint32_t)value);
    } else {
        for (unsigned i = 0; i < access->size; i++) {
            if (access->offset + i >= DATA_PORT)
                data_write(host, (unsigned)(access->offset + i) - DATA_PORT, 1, (uint8_t)(value >> 8 * i));
        }
    }
}

/* The BAR that decodes all of an access to `address`, and the access as its device sees it; NULL when there is none. */
static const struct pci_bar *decode(const struct pci_host *host, bool ports, uint64_t address,
                                    struct bus_access *access)
{
    for (unsigned i = 0; i < PCI_DEVICES; i++) {
        const struct pci_function *function = host->devices[i];
        for (unsigned n = 0; function && n < PCI_BARS; n++) {
            const struct pci_bar *bar = &function->bars[n];
            uint32_t base;
            if (bar->ports != ports || !pci_function_bar_base(function, n, &base) || address < base ||
                address - base >= bar->size || access->size > bar->size - (address - base))
                continue;
            access->offset = address - base;
            return bar;
        }
    }
    return NULL;
}

static uint64_t window_read(const struct pci_host *host, bool ports, uint64_t base, const struct bus_access *access)
{
    struct bus_access inner = *access;
    const struct pci_bar *bar = decode(host, ports, base + access->offset, &inner);

    return bar && bar->read ? bar->read(bar->device, &inner) : UINT64_MAX;
}

static void window_write(const struct pci_host *host, bool ports, uint64_t base, const struct bus_access *access,
                         uint64_t value)
{
    struct bus_access inner = *access;
    const struct pci_bar *bar = decode(host, ports, base + access->offset, &inner);

    if (bar && bar->write)
        bar->write(bar->device, &inner, value);
}

uint64_t pci_host_memory_read(void *device, const struct bus_access *access)
{
    return window_read(device, false, PCI_MEMORY_BASE, access);
}

void pci_host_memory_write(void *device, const struct bus_access *access, uint64_t value)
{
    window_write(device, false, PCI_MEMORY_BASE, access, value);
}

uint64_t pci_host_ports_read(void *device, const struct bus_access *access)
{
    return window_read(device, true, PCI_PORTS_BASE, access);
}

void pci_host_ports_write(void *device, const struct bus_access *access, uint64_t value)
{
    window_write(device, true, PCI_PORTS_BASE, access, value);
}
