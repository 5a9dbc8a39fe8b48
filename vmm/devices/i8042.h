/*
 * The 8042 keyboard controller of a PC, with a keyboard at its first port; after the IBM PS/2 Hardware Interface
 * Technical Reference (keyboard and auxiliary device controller).
 *
 * Ports 60h (data) and 64h (status, command). The keyboard answers the commands that operating systems send and sends
 * scan codes of set 1 or 2 (the controller translates set 2 to set 1 unless told otherwise; here keys come in as set 1,
 * so translation is what is on, and off gives set 1 all the same). There is no auxiliary device: commands for it are
 * answered by silence. Pulsing output line 0 (FEh), or clearing it in the output port, resets the machine. The A20 gate
 * can be set, and is always open.
 *
 * Answers take no time. A byte from the keyboard raises IRQ 1 when the command byte lets it.
 */
#ifndef ENCORE_VMM_DEVICES_I8042_H
#define ENCORE_VMM_DEVICES_I8042_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define I8042_DATA_PORT   0x60
#define I8042_STATUS_PORT 0x64
#define I8042_IRQ         1
/* Scan codes and answers that wait. */
#define I8042_QUEUE 64

struct i8042 {
    uint8_t command_byte;
    uint8_t output_port;
    uint8_t expects;          /* the controller's command whose data byte comes next at port 60h; 0: none */
    uint8_t keyboard_expects; /* the same for the keyboard */
    bool last_was_command;    /* status bit 3 */
    bool scanning;
    uint8_t scan_set;
    /* Answers of the controller go before the keyboard's bytes. */
    uint8_t answer;
    bool answered;
    uint8_t sent;               /* the keyboard's last byte that was read: what it sends again */
    uint8_t queue[I8042_QUEUE]; /* the oldest first */
    uint8_t queued;
    struct irq_wire irq;
    struct reset_wire reset;
};

void i8042_init(struct i8042 *controller, struct irq_wire irq, struct reset_wire reset);
void i8042_state(struct i8042 *controller, struct state *state);

/* Keys: how many bytes of scan code can be taken, and bytes of set 1. */
size_t i8042_room(const struct i8042 *controller);
void i8042_press(struct i8042 *controller, const uint8_t *codes, size_t length);

bus_read_fn i8042_data_read;
bus_write_fn i8042_data_write;
bus_read_fn i8042_status_read;
bus_write_fn i8042_command_write;

#endif
