/* The machine's insides, shared between machine.c (running, inputs), machine_wiring.c (chips and wires) and
 * machine_pci.c (what is on the PCI bus). */
#ifndef ENCORE_VMM_MACHINE_INTERNAL_H
#define ENCORE_VMM_MACHINE_INTERNAL_H

#include "vmm/machine.h"

/* Puts all chips into their power-on state and connects them, as machine->config says. */
void machine_create_chips(struct machine *machine);

/* Guest memory, for devices. */
struct dma machine_dma(struct machine *machine);

/* Where devices send message-signalled interrupts: to the local APIC. */
struct msi_wire machine_messages(struct machine *machine);

/* Puts the devices of machine->config on the PCI bus, which must have been initialised, and places them. */
void machine_create_pci(struct machine *machine, struct byte_sink console, struct entropy_source entropy);
/* Their field lists. */
void machine_pci_state(struct machine *machine, struct state *state);

/* Fills in the address maps; once. */
void machine_wire_buses(struct machine *machine);

/* machine_firmware.c. Fills in machine->fw_cfg. */
void machine_describe_to_firmware(struct machine *machine);

#endif
