/*
 * What a PCI function asks of its MSI-X half; everybody else uses pci_function.h.
 */
#ifndef ENCORE_VMM_DEVICES_PCI_MSIX_H
#define ENCORE_VMM_DEVICES_PCI_MSIX_H

#include "vmm/devices/pci_function.h"

/* The guest may have changed message control: sends what is no longer masked, and forgets what is pending when MSI-X is
 * off. */
void pci_msix_control_written(struct pci_function *function);

/* The table's part of the function's field list. */
void pci_msix_state(struct pci_function *function, struct state *state);

#endif
