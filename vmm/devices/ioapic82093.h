/*
 * The 82093AA I/O APIC, after its Intel data sheet (order number 290566).
 *
 * 24 inputs, each with an entry of the redirection table that says which message an interrupt becomes. An
 * edge-triggered input sends when it rises; a level-triggered one when it is up and has not been sent yet (remote IRR),
 * and again after the processor's end of interrupt if it is still up. A masked edge is lost, as on the chip.
 *
 * Input n is interrupt line n of the PC, except that line 0 (the 8254) is on input 2, where PCs have it; the machine
 * does that. The polarity bit is kept and means nothing: lines here are up or down.
 */
#ifndef ENCORE_VMM_DEVICES_IOAPIC82093_H
#define ENCORE_VMM_DEVICES_IOAPIC82093_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define IOAPIC_BASE   0xfec00000u
#define IOAPIC_SIZE   0x1000u
#define IOAPIC_INPUTS 24

struct ioapic82093 {
    uint8_t select; /* IOREGSEL */
    uint8_t id;
    uint64_t redirection[IOAPIC_INPUTS];
    uint32_t lines; /* levels of the inputs */
    struct msi_wire wire;
};

void ioapic82093_init(struct ioapic82093 *ioapic, struct msi_wire wire);
void ioapic82093_state(struct ioapic82093 *ioapic, struct state *state);

/* Has the shape of irq_wire's function; `ioapic` is a struct ioapic82093, `input` less than IOAPIC_INPUTS. */
void ioapic82093_set_line(void *ioapic, unsigned input, bool level);

/* The processor is through with a level-triggered interrupt of this vector. */
void ioapic82093_end_of_interrupt(struct ioapic82093 *ioapic, uint8_t vector);

bus_read_fn ioapic82093_read;
bus_write_fn ioapic82093_write;

#endif
