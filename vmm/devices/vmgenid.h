/*
 * The generation of the virtual machine, after Microsoft's specification "Virtual Machine Generation ID" (2012): a
 * number of 128 bits in memory that the firmware's tables call reserved, and a notification when it changes. The guest
 * finds the place through the device VM_Gen_Counter of the ACPI tables, whose ADDR names it; the notification is a
 * general purpose event.
 *
 * It changes when the guest's past is no longer the only one: when a machine goes on from a state from which another
 * has gone on, or may. A guest then gets new random seeds and new identities. A replay is no such thing, nor is a
 * takeover: what went on before is gone on with.
 */
#ifndef ENCORE_VMM_DEVICES_VMGENID_H
#define ENCORE_VMM_DEVICES_VMGENID_H

#include "vmm/devices/acpi_pm.h"
#include "vmm/dma.h"
#include "vmm/state.h"

#define VMGENID_BYTES 16

struct vmgenid {
    uint8_t id[VMGENID_BYTES];
    uint64_t address; /* wiring: where it is in memory; a multiple of 8 */
    struct dma dma;
    struct acpi_pm *pm;
};

void vmgenid_init(struct vmgenid *vmgenid, const uint8_t id[VMGENID_BYTES], uint64_t address, const struct dma *dma,
                  struct acpi_pm *pm);
void vmgenid_state(struct vmgenid *vmgenid, struct state *state);

/* Puts the number where the guest looks, as firmware does before the guest starts. */
void vmgenid_install(const struct vmgenid *vmgenid);

/* Operator input: the machine has a new generation. */
void vmgenid_change(struct vmgenid *vmgenid, const uint8_t id[VMGENID_BYTES]);

#endif
