/*
 * What the console's backends share. A backend is a structure that begins with a struct console, and a set of
 * operations; console.c finds it by its specification.
 */
#ifndef ENCORE_VMM_HOST_CONSOLE_INTERNAL_H
#define ENCORE_VMM_HOST_CONSOLE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "vmm/host/console.h"

struct console_ops {
    /* As console_read; NULL for output only. */
    size_t (*read)(struct console *console, uint8_t *bytes, size_t length);
    /* As console_write. */
    int (*write)(struct console *console, const uint8_t *bytes, size_t length, struct error *error);
    /* Gives back everything the backend holds but its memory, however far its opening came. */
    void (*close)(struct console *console);
};

struct console {
    const struct console_ops *ops;
    int poll_fd; /* -1: no input */
    int hurry;   /* an eventfd, readable once console_hurry was called */
    bool ended;
    bool quit;
};

/* Make a console by allocating it with console_new and opening what the backend needs. NULL with the error. */
struct console *console_open_stdio(struct error *error);
struct console *console_open_pty(struct error *error);
struct console *console_open_unix(const char *path, struct error *error);
struct console *console_open_file(struct files *files, const char *path, struct error *error);

/* Allocates a backend's structure of `size` bytes, which begins with a struct console; zeros but for the console. */
void *console_new(size_t size, const struct console_ops *ops, struct error *error);

enum console_ready {
    CONSOLE_WRITABLE, /* a write will do something: take bytes or fail */
    CONSOLE_HUNG_UP,  /* the other end is closed */
    CONSOLE_HURRY,    /* nothing can be written now, and waiting is over */
};

/* Waits until a descriptor can be written. */
enum console_ready console_wait_writable(const struct console *console, int fd);

/* Writes all bytes to a descriptor that may be blocking or not, a pipe, a terminal or a file, and of which others may
 * hold copies. `name` is for messages. */
int console_write_fd(struct console *console, int fd, const char *name, const uint8_t *bytes, size_t length,
                     struct error *error);

#endif
