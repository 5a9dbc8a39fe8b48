/*
 * The console: the first serial port, a 16550 with its FIFOs on.
 *
 * Output waits for the transmitter once for every 16 bytes, the depth of its FIFO: a port access costs a monitor far
 * more than a byte does. Input comes by interrupt into a ring; when the ring is full, bytes stay in the FIFO, and
 * behind it in the monitor, until there is room again, so nothing is lost however fast they come.
 */
#ifndef GUEST_RUNTIME_CONSOLE_H
#define GUEST_RUNTIME_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_RING 1024 /* bytes; a power of two */

/* 115200 baud, 8N1, FIFOs on and empty, no interrupts. */
void console_start(void);

void console_write(const char *bytes, size_t length);
/* As text_format; at most 512 bytes. */
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Turns the receive interrupt on; interrupts_start came before. */
void console_start_input(void);

/* The next byte, or false when none has come. */
bool console_try_read(uint8_t *byte);

/* The next byte, sleeping until there is one. Interrupts must be on. */
uint8_t console_read(void);

#endif
