/* The console into a file: output only. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/host/console_internal.h"

struct file_console {
    struct console console;
    int fd;
    char *path;
};

static int file_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error)
{
    struct file_console *file = (struct file_console *)console;

    return console_write_fd(console, file->fd, file->path, bytes, length, error);
}

static void file_close(struct console *console)
{
    struct file_console *file = (struct file_console *)console;

    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
}

struct console *console_open_file(const char *path, struct error *error)
{
    static const struct console_ops ops = {.write = file_write, .close = file_close};
    struct file_console *file = console_new(sizeof *file, &ops, error);

    if (!file)
        return NULL;
    file->console.ended = true;
    file->path = strdup(path);
    file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (file->fd >= 0 && file->path)
        return &file->console;
    error_set(error, ERROR_INPUT, "console file %s: %m", path);
    console_close(&file->console);
    return NULL;
}
