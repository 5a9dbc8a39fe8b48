/*
 * The two 8259A interrupt controllers of a PC, after the Intel 8259A data sheet (order number 231468).
 *
 * The master sits at ports 20h-21h, the slave at A0h-A1h with its INT output on the master's IR2. The edge/level
 * control registers (ELCR) that EISA added sit at 4D0h-4D1h. An input is level triggered when its chip's ICW1 said so
 * (LTIM) or when its ELCR bit is set, else edge triggered.
 *
 * A request lives only as long as its line: in both trigger modes the data sheet requires an input to stay high until
 * the first INTA, and a request whose line has fallen before is gone ("default IR7"). So the IRR that a guest reads is
 * the inputs that are high now and, when edge triggered, have risen since they were last acknowledged.
 *
 * Power-on (the data sheet leaves it undefined): everything zero and every input masked, so INTR is low until a guest
 * has initialised the pair. The vectoring is always that of the 8086; a guest that leaves ICW4 out, and so asks for the
 * CALL sequence of the 8080, gets vectors all the same. While an initialisation sequence is unfinished, INT stays low.
 */
#ifndef ENCORE_VMM_DEVICES_I8259_H
#define ENCORE_VMM_DEVICES_I8259_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"

#define I8259_MASTER_PORT 0x20
#define I8259_SLAVE_PORT  0xa0
#define I8259_PORTS       2
#define I8259_ELCR_PORT   0x4d0
#define I8259_ELCR_PORTS  2

/* The master's input that the slave's INT drives. */
#define I8259_CASCADE 2

/* Where an initialisation sequence stands: which word the chip expects next at its odd port. */
enum i8259_step { I8259_READY, I8259_ICW2, I8259_ICW3, I8259_ICW4 };

struct i8259 {
    uint8_t lines;           /* levels of IR0-IR7 */
    uint8_t edges;           /* the edge sense latches: inputs that have risen since last acknowledged */
    uint8_t imr;             /* interrupt mask register */
    uint8_t isr;             /* in-service register */
    uint8_t elcr;            /* inputs that are level triggered whatever LTIM says */
    uint8_t step;            /* enum i8259_step */
    uint8_t icw1;            /* IC4, SNGL and LTIM as last written */
    uint8_t vector_base;     /* ICW2, low three bits clear */
    uint8_t icw3;            /* master: inputs with slaves; slave: its identity */
    uint8_t icw4;            /* SFNM and AEOI as last written */
    uint8_t lowest_priority; /* the input of lowest priority, 0-7 */
    bool rotate_on_aeoi;
    bool special_mask;
    bool read_isr; /* the even port reads ISR rather than IRR */
    bool poll;     /* the next read is a poll */
};

struct i8259_pair {
    struct i8259 master;
    struct i8259 slave;
};

/* Puts both chips into the power-on state. */
void i8259_init(struct i8259_pair *pair);
void i8259_state(struct i8259_pair *pair, struct state *state);

/* Drives interrupt request `irq` (0-15, not 2) to `level`. Has the shape of irq_wire's function; `pair` is a struct
 * i8259_pair. Setting a line to the level that it already has does nothing. */
void i8259_set_line(void *pair, unsigned irq, bool level);

/* The level of INTR, the line to the processor. */
bool i8259_output(const struct i8259_pair *pair);

/* The processor's interrupt acknowledge cycle: takes the request of highest priority and returns its vector. When none
 * is left, returns the vector of IR7 (or of the slave's IR7) and marks nothing as in service: a spurious interrupt. */
uint8_t i8259_acknowledge(struct i8259_pair *pair);

/* Handlers for the three port ranges; `device` is a struct i8259_pair. None observes time. */
bus_read_fn i8259_master_read;
bus_write_fn i8259_master_write;
bus_read_fn i8259_slave_read;
bus_write_fn i8259_slave_write;
bus_read_fn i8259_elcr_read;
bus_write_fn i8259_elcr_write;

#endif
