/* MSI-X of a PCI function (PCI Local Bus Specification 3.0, 6.8.2); see pci_function.h. */
#include "vmm/devices/pci_msix.h"

#include "base/bytes.h"
#include "base/check.h"

#define CAPABILITY_LENGTH 12
#define CONTROL           2 /* message control, from the capability's start */
#define CONTROL_ENABLE    0x8000u
#define CONTROL_MASK_ALL  0x4000u
#define TABLE             4
#define PENDING           8
#define ENTRY_SIZE        16
#define ENTRY_MASKED      1u

enum { ADDRESS_LOW, ADDRESS_HIGH, DATA, VECTOR_CONTROL };

void pci_function_add_msix(struct pci_function *function, unsigned bar, unsigned vectors, struct msi_wire msi)
{
    uint8_t bytes[CAPABILITY_LENGTH] = {0}, writable[CAPABILITY_LENGTH] = {0};

    CHECK(vectors >= 1 && vectors <= PCI_MSIX_VECTORS && !function->msix_capability);
    pci_function_add_bar(
        function, bar,
        (struct pci_bar){
            .size = PCI_MSIX_BAR_SIZE, .read = pci_msix_read, .write = pci_msix_write, .device = function});
    bytes_store(bytes + CONTROL, 2, vectors - 1);
    bytes_store(writable + CONTROL, 2, CONTROL_ENABLE | CONTROL_MASK_ALL);
    bytes_store(bytes + TABLE, 4, PCI_MSIX_TABLE | bar);
    bytes_store(bytes + PENDING, 4, PCI_MSIX_PENDING | bar);
    function->msix_capability =
        pci_function_add_capability(function, PCI_CAPABILITY_MSIX, bytes, writable, sizeof bytes);
    function->msix_vectors = (uint8_t)vectors;
    function->msi = msi;
    for (unsigned i = 0; i < vectors; i++)
        function->msix[i].masked = true; /* as after reset: 6.8.2.9 */
}

static uint32_t control(const struct pci_function *function)
{
    return function->msix_capability ? pci_config_get(function, function->msix_capability + CONTROL, 2) : 0;
}

bool pci_msix_enabled(const struct pci_function *function)
{
    return control(function) & CONTROL_ENABLE;
}

static bool masked(const struct pci_function *function, unsigned vector)
{
    return function->msix[vector].masked || (control(function) & CONTROL_MASK_ALL);
}

static void send(const struct pci_function *function, unsigned vector)
{
    const struct pci_msix_entry *entry = &function->msix[vector];

    if (function->msi.send)
        function->msi.send(function->msi.context, entry->address, entry->data);
}

void pci_msix_signal(struct pci_function *function, unsigned vector)
{
    if (!pci_msix_enabled(function) || vector >= function->msix_vectors)
        return;
    if (masked(function, vector))
        function->msix[vector].pending = true;
    else
        send(function, vector);
}

void pci_msix_control_written(struct pci_function *function)
{
    for (unsigned i = 0; i < function->msix_vectors; i++) {
        bool enabled = pci_msix_enabled(function);
        if (!function->msix[i].pending || (enabled && masked(function, i)))
            continue;
        function->msix[i].pending = false;
        if (enabled)
            send(function, i);
    }
}

/* Dword `index` of the BAR. */
static uint32_t get(const struct pci_function *function, uint64_t index)
{
    uint32_t pending = 0;

    if (index / 4 < function->msix_vectors) {
        const struct pci_msix_entry *entry = &function->msix[index / 4];
        switch (index % 4) {
        case ADDRESS_LOW:
            return (uint32_t)entry->address;
        case ADDRESS_HIGH:
            return (uint32_t)(entry->address >> 32);
        case DATA:
            return entry->data;
        default:
            return entry->masked ? ENTRY_MASKED : 0;
        }
    }
    if (index != PCI_MSIX_PENDING / 4)
        return 0;
    for (unsigned i = 0; i < function->msix_vectors; i++)
        pending |= (uint32_t)function->msix[i].pending << i;
    return pending;
}

static void set(struct pci_function *function, uint64_t index, uint32_t value)
{
    if (index / 4 >= function->msix_vectors)
        return;
    struct pci_msix_entry *entry = &function->msix[index / 4];
    switch (index % 4) {
    case ADDRESS_LOW: /* bits 1:0 are zero: 6.8.2.7 */
        entry->address = (entry->address & ~UINT64_C(0xffffffff)) | (value & ~3u);
        break;
    case ADDRESS_HIGH:
        entry->address = (entry->address & 0xffffffff) | (uint64_t)value << 32;
        break;
    case DATA:
        entry->data = value;
        break;
    default:
        entry->masked = value & ENTRY_MASKED;
        pci_msix_control_written(function);
        break;
    }
}

/* Software must use aligned accesses of 4 or 8 bytes (6.8.2); of what else it may do, only reads give anything. */
uint64_t pci_msix_read(void *device, const struct bus_access *access)
{
    const struct pci_function *function = device;
    uint64_t index = access->offset / 4;
    uint64_t value = get(function, index) | (uint64_t)get(function, index + 1) << 32;

    return value >> 8 * (access->offset % 4);
}

void pci_msix_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct pci_function *function = device;

    if (access->size < 4 || access->offset % access->size != 0)
        return;
    set(function, access->offset / 4, (uint32_t)value);
    if (access->size == 8)
        set(function, access->offset / 4 + 1, (uint32_t)(value >> 32));
}

void pci_msix_state(struct pci_function *function, struct state *state)
{
    for (unsigned i = 0; i < function->msix_vectors; i++) {
        struct pci_msix_entry *entry = &function->msix[i];
        state_u64(state, "msix_address", &entry->address);
        state_u32(state, "msix_data", &entry->data);
        state_bool(state, "msix_masked", &entry->masked);
        state_bool(state, "msix_pending", &entry->pending);
        state_require(state, (entry->address & 3) == 0, "an MSI-X address is not aligned");
        state_require(state, !entry->pending || (pci_msix_enabled(function) && masked(function, i)),
                      "an MSI-X vector is pending that nothing holds back");
    }
}
