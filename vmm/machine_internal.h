/* The machine's insides, shared between machine.c (running, inputs) and machine_wiring.c (chips and wires). */
#ifndef ENCORE_VMM_MACHINE_INTERNAL_H
#define ENCORE_VMM_MACHINE_INTERNAL_H

#include "vmm/machine.h"

/* Puts all chips into their power-on state and connects them, as machine->config says. */
void machine_create_chips(struct machine *machine);

/* Fills in the address maps; once. */
void machine_wire_buses(struct machine *machine);

/* machine_firmware.c. Fills in machine->fw_cfg. */
void machine_describe_to_firmware(struct machine *machine);

#endif
