/*
 * The host's end of a console: where the guest's serial bytes go to, and where they come from.
 *
 *   stdio        standard input and output; a terminal is put into raw mode, and Ctrl-A x ends the run, Ctrl-A Ctrl-A
 *                sends one Ctrl-A
 *   pty          a new pseudo-terminal, whose name is printed on standard error
 *   unix:PATH    a stream socket that only its owner may connect to; one client at a time, others wait their turn
 *   file:PATH    output only, to a new or truncated file, a character device or a FIFO (base/output.h: a live stream)
 * Output while nobody is connected to a pty or unix console is dropped.
 * A script (vmm/host/script.h) may supply the input instead of the backend.
 */
#ifndef ENCORE_VMM_HOST_CONSOLE_H
#define ENCORE_VMM_HOST_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/files.h"

struct console;

/* Opens a backend by its specification as above; a file is an output of the run `files`. NULL with an error
 * (ERROR_INPUT for a bad specification). */
struct console *console_open(struct files *files, const char *specification, struct error *error);

/* Restores the terminal, removes the socket, frees. NULL is allowed. */
void console_close(struct console *console);

/* A descriptor that polls readable when console_read has something to do; the same for the console's whole life; -1
 * when there is no input. */
int console_poll_fd(const struct console *console);

/* Reads up to `length` bytes without blocking. Returns how many; 0 when there is nothing now. */
size_t console_read(struct console *console, uint8_t *bytes, size_t length);

/* No more input will ever come. */
bool console_ended(const struct console *console);

/* The user asked for the end of the run with Ctrl-A x. */
bool console_quit(const struct console *console);

/* Writes all bytes, waiting where needed. A failure is an ERROR_HOST (a full disk, a closed pipe); a client that went
 * away is none. */
int console_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error);

/* From now on, and in a console_write that is waiting now, what cannot be written at once is dropped: so that the end
 * of the run need not wait for a reader who has stopped. May be called from any thread. */
void console_hurry(struct console *console);

#endif
