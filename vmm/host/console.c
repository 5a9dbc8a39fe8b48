#include "vmm/host/console.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "vmm/host/console_internal.h"

void *console_new(size_t size, const struct console_ops *ops, struct error *error)
{
    struct console *console = calloc(1, size);

    if (!console) {
        error_errno(error, "cannot open the console");
        return NULL;
    }
    *console = (struct console){.ops = ops, .poll_fd = -1};
    console->hurry = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (console->hurry < 0) {
        error_errno(error, "cannot open the console");
        free(console);
        return NULL;
    }
    return console;
}

/* The path after "KIND:", or NULL when the specification is of another kind. */
static const char *path_of(const char *specification, const char *kind)
{
    size_t length = strlen(kind);

    return strncmp(specification, kind, length) == 0 ? specification + length : NULL;
}

struct console *console_open(struct files *files, const char *specification, struct error *error)
{
    const char *socket = path_of(specification, "unix:");
    const char *file = path_of(specification, "file:");

    if (strcmp(specification, "stdio") == 0)
        return console_open_stdio(error);
    if (strcmp(specification, "pty") == 0)
        return console_open_pty(error);
    if (socket && *socket)
        return console_open_unix(socket, error);
    if (file && *file)
        return console_open_file(files, file, error);
    if (socket || file)
        error_set(error, ERROR_INPUT, "console %s: the path is missing", specification);
    else
        error_set(error, ERROR_INPUT, "console %s: is none of stdio, pty, unix:PATH, file:PATH", specification);
    return NULL;
}

void console_close(struct console *console)
{
    if (!console)
        return;
    console->ops->close(console);
    close(console->hurry);
    free(console);
}

int console_poll_fd(const struct console *console)
{
    return console->poll_fd;
}

size_t console_read(struct console *console, uint8_t *bytes, size_t length)
{
    if (console->ended || console->quit || length == 0)
        return 0;
    return console->ops->read(console, bytes, length);
}

bool console_ended(const struct console *console)
{
    return console->ended;
}

bool console_quit(const struct console *console)
{
    return console->quit;
}

int console_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error)
{
    return length == 0 ? 0 : console->ops->write(console, bytes, length, error);
}

void console_hurry(struct console *console)
{
    int failed = eventfd_write(console->hurry, 1);

    CHECK(failed == 0);
}
