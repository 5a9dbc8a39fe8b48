/* The console into a file: output only. */
#include "base/output.h"
#include "vmm/host/console_internal.h"

struct file_console {
    struct console console;
    struct output *output;
};

static int file_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error)
{
    struct file_console *file = (struct file_console *)console;

    return console_write_fd(console, output_fd(file->output), output_path(file->output), bytes, length, error);
}

static void file_close(struct console *console)
{
    struct file_console *file = (struct file_console *)console;
    struct error ignored;

    output_close(file->output, &ignored);
}

struct console *console_open_file(struct files *files, const char *path, struct error *error)
{
    static const struct console_ops ops = {.write = file_write, .close = file_close};
    static const struct output_options options = {.replace = true, .stream = true, .live = true, .mode = 0666};
    struct file_console *file = console_new(sizeof *file, &ops, error);

    if (!file)
        return NULL;
    file->console.ended = true;
    file->output = output_open(files, path, &options, error);
    if (file->output)
        return &file->console;
    error_wrap(error, "--console");
    console_close(&file->console);
    return NULL;
}
