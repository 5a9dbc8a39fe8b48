#include "vmm/devices/vmgenid.h"

#include <string.h>

#include "base/check.h"

void vmgenid_init(struct vmgenid *vmgenid, const uint8_t id[VMGENID_BYTES], uint64_t address, const struct dma *dma,
                  struct acpi_pm *pm)
{
    *vmgenid = (struct vmgenid){.address = address, .dma = *dma, .pm = pm};
    memcpy(vmgenid->id, id, VMGENID_BYTES);
}

void vmgenid_state(struct vmgenid *vmgenid, struct state *state)
{
    state_section(state, "vmgenid", 1);
    state_bytes(state, "id", vmgenid->id, VMGENID_BYTES);
}

void vmgenid_install(const struct vmgenid *vmgenid)
{
    bool there = dma_write(&vmgenid->dma, vmgenid->address, vmgenid->id, VMGENID_BYTES);

    CHECK(there);
}

void vmgenid_change(struct vmgenid *vmgenid, const uint8_t id[VMGENID_BYTES])
{
    memcpy(vmgenid->id, id, VMGENID_BYTES);
    vmgenid_install(vmgenid);
    acpi_pm_raise_event(vmgenid->pm, ACPI_PM_GENERATION_EVENT);
}
