/* One PCI function's configuration space; see pci_function.h. Its MSI-X is in pci_msix.c. */
#include "vmm/devices/pci_function.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/devices/pci_msix.h"

#define COMMAND_WRITABLE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)
#define BAR_PORTS        1u /* 6.2.5.1: bit 0 says that it decodes ports */

static unsigned bar_register(unsigned index)
{
    return PCI_BAR0 + 4 * index;
}

void pci_function_init(struct pci_function *function, const struct pci_ids *ids, struct irq_wire pin, uint8_t line)
{
    *function = (struct pci_function){.capability_end = PCI_HEADER_SIZE, .pin = pin};
    bytes_store(function->config + PCI_VENDOR_ID, 2, ids->vendor);
    bytes_store(function->config + PCI_DEVICE_ID, 2, ids->device);
    function->config[PCI_REVISION] = ids->revision;
    function->config[PCI_CLASS] = (uint8_t)ids->class;
    bytes_store(function->config + PCI_CLASS + 1, 2, ids->class >> 8);
    bytes_store(function->config + PCI_SUBSYSTEM_VENDOR, 2, ids->subsystem_vendor);
    bytes_store(function->config + PCI_SUBSYSTEM_ID, 2, ids->subsystem);
    bytes_store(function->writable + PCI_COMMAND, 2, COMMAND_WRITABLE);
    if (pin.set) {
        function->config[PCI_INTERRUPT_PIN] = 1; /* INTA# */
        function->config[PCI_INTERRUPT_LINE] = line;
        function->writable[PCI_INTERRUPT_LINE] = 0xff;
    }
}

void pci_function_add_bar(struct pci_function *function, unsigned index, struct pci_bar bar)
{
    CHECK(index < PCI_BARS && function->bars[index].size == 0);
    CHECK(bar.size >= (bar.ports ? 4u : 16u) && (bar.size & (bar.size - 1)) == 0 && (!bar.ports || bar.size <= 256));
    function->bars[index] = bar;
    bytes_store(function->config + bar_register(index), 4, bar.ports ? BAR_PORTS : 0);
    bytes_store(function->writable + bar_register(index), 4, ~(bar.size - 1));
}

uint8_t pci_function_add_capability(struct pci_function *function, uint8_t id, const uint8_t *bytes,
                                    const uint8_t *writable, unsigned length)
{
    unsigned at = function->capability_end;
    unsigned last = PCI_CAPABILITIES; /* the byte that shall point here */

    CHECK(length >= 2 && length < PCI_CONFIG_SIZE - 4u - at);
    while (function->config[last])
        last = function->config[last] + 1u;
    memcpy(function->config + at, bytes, length);
    if (writable)
        memcpy(function->writable + at, writable, length);
    function->config[at] = id;
    function->config[at + 1] = 0;
    function->writable[at] = function->writable[at + 1] = 0;
    function->config[last] = (uint8_t)at;
    function->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    function->capability_end = (uint8_t)((at + length + 3) & ~3u); /* each begins at a dword */
    return (uint8_t)at;
}

uint32_t pci_config_get(const struct pci_function *function, unsigned offset, unsigned size)
{
    CHECK(size <= PCI_CONFIG_SIZE && offset <= PCI_CONFIG_SIZE - size);
    return (uint32_t)bytes_load(function->config + offset, size);
}

static bool hook_touched(const struct pci_function *function, unsigned offset, unsigned size)
{
    return function->hook.length && offset < function->hook.offset + function->hook.length &&
           function->hook.offset < offset + size;
}

uint32_t pci_config_read(struct pci_function *function, unsigned offset, unsigned size)
{
    if (function->hook.refresh && hook_touched(function, offset, size))
        function->hook.refresh(function->hook.device, offset, size);
    uint32_t value = pci_config_get(function, offset, size);
    /* 6.2.3: this bit is the device's wish, even where the command register keeps it from the pin. */
    if (offset <= PCI_STATUS && offset + size > PCI_STATUS && function->pin_wanted && !pci_msix_enabled(function))
        value |= PCI_STATUS_INTERRUPT << 8 * (PCI_STATUS - offset);
    return value;
}

static void drive_pin(struct pci_function *function)
{
    bool disabled = pci_config_get(function, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;

    irq_wire_set(&function->pin, function->pin_wanted && !disabled && !pci_msix_enabled(function));
}

void pci_config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
    CHECK(size <= PCI_CONFIG_SIZE && offset <= PCI_CONFIG_SIZE - size);
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = function->writable[offset + i];
        uint8_t byte = (uint8_t)(value >> 8 * i);
        function->config[offset + i] = (function->config[offset + i] & ~mask) | (byte & mask);
    }
    pci_msix_control_written(function);
    drive_pin(function);
    if (function->hook.written && hook_touched(function, offset, size))
        function->hook.written(function->hook.device, offset, size);
}

bool pci_function_bar_base(const struct pci_function *function, unsigned index, uint32_t *base)
{
    const struct pci_bar *bar = &function->bars[index];
    uint32_t enable = bar->ports ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

    if (bar->size == 0 || !(pci_config_get(function, PCI_COMMAND, 2) & enable))
        return false;
    *base = pci_config_get(function, bar_register(index), 4) & ~(bar->size - 1);
    return *base != 0;
}

void pci_function_set_pin(struct pci_function *function, bool level)
{
    function->pin_wanted = level;
    drive_pin(function);
}

void pci_function_state(struct pci_function *function, struct state *state)
{
    uint8_t config[PCI_CONFIG_SIZE];
    bool fits = true;

    memcpy(config, function->config, sizeof config);
    state_section(state, "pci", 1);
    state_bytes(state, "config", config, sizeof config);
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        fits = fits && ((config[i] ^ function->config[i]) & ~function->writable[i]) == 0;
    state_require(state, fits, "config is another device's");
    if (fits)
        memcpy(function->config, config, sizeof config);
    state_bool(state, "pin_wanted", &function->pin_wanted);
    state_require(state, !function->pin_wanted || function->pin.set, "pin_wanted without a pin");
    pci_msix_state(function, state);
}
