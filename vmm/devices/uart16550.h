/*
 * A 16550A serial port, after the National Semiconductor PC16550D data sheet; COM1 of a PC at ports 3F8h-3FFh, IRQ 4.
 *
 * Sending takes no guest time: a byte written to THR goes to the sink before the write returns, and THR and the
 * transmitter are empty again at once. (The interrupt line still falls and rises around each byte, as the data sheet's
 * THRE interrupt demands.) Break and line settings change nothing in what is sent.
 *
 * Receiving: the host's bytes wait in a bounded backlog, which stands for the cable. A byte comes off the cable
 * whenever the receiver holds fewer than its trigger level (one without FIFOs), so none is ever lost to an overrun, and
 * the interrupt line falls and rises again between bytes as it would with a real sender. Resetting the FIFO drops only
 * what had come off the cable. In loopback mode the cable is cut: the backlog waits.
 *
 * The character timeout interrupt comes when the FIFO holds something, and four character times of guest time (by the
 * divisor and LCR in force then) have passed since a byte last came in or was read. A divisor of 0 counts as 65536.
 *
 * The modem inputs of the cable are constant: CTS, DSR and DCD on, RI off; in loopback they are MCR's outputs. The
 * interrupt line reaches the bus only while MCR's OUT2 is set, as on the PC's serial adapter. Power-on, as after the
 * chip's master reset: IER, FCR, LCR, MCR 0, no interrupt pending, and (undefined there) divisor 12 and scratch 0.
 */
#ifndef ENCORE_VMM_DEVICES_UART16550_H
#define ENCORE_VMM_DEVICES_UART16550_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define UART16550_COM1_PORT 0x3f8
#define UART16550_COM1_IRQ  4
#define UART16550_PORTS     8
#define UART16550_FIFO      16
#define UART16550_BACKLOG   4096

struct uart16550 {
    uint8_t ier;
    uint8_t fcr; /* bits 0 (FIFOs enabled), 3 (DMA mode) and 6-7 (trigger) */
    uint8_t lcr;
    uint8_t mcr;
    uint8_t msr;
    uint8_t scratch;
    uint16_t divisor;
    uint8_t errors;       /* LSR's OE, PE, FE and BI, as not yet read */
    bool thre_pending;    /* THR has become empty and nobody has heard */
    bool timeout_pending; /* the character timeout has passed */
    uint64_t timeout_at;  /* guest time, ns; meaningful while FIFOs are enabled and the receiver holds something */

    /* The receiver: RBR alone, or the FIFO; the oldest byte first, and the errors that came with each. */
    uint8_t received[UART16550_FIFO];
    uint8_t received_errors[UART16550_FIFO];
    uint8_t received_count;

    /* The cable: a ring. It is saved as its bytes in order, so where it begins is no part of the state. */
    uint8_t backlog[UART16550_BACKLOG];
    uint32_t backlog_first;
    uint32_t backlog_count;

    struct byte_sink sink;
    struct irq_wire irq;
};

void uart16550_init(struct uart16550 *uart, struct byte_sink sink, struct irq_wire irq);
void uart16550_state(struct uart16550 *uart, struct state *state);

/* How many bytes uart16550_receive may be given now. */
size_t uart16550_room(const struct uart16550 *uart);

/* Bytes from the host, at guest time `now`; `length` must not exceed uart16550_room. The bytes remain the caller's. */
void uart16550_receive(struct uart16550 *uart, const uint8_t *bytes, size_t length, uint64_t now);

/* The guest time of the character timeout; NO_DEADLINE when none is running or nobody waits for it. */
uint64_t uart16550_deadline(const struct uart16550 *uart);
void uart16550_advance(struct uart16550 *uart, uint64_t now);

/* Handlers for the eight ports; `device` is a struct uart16550. */
bus_read_fn uart16550_read;
bus_write_fn uart16550_write;

#endif
