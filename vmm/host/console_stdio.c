/*
 * The console on standard input and output.
 *
 * Both are shared with whoever started us, so their open file descriptions are left as they are: O_NONBLOCK would stay
 * set for a shell after us. Reading polls first instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "vmm/host/console_internal.h"
#include "vmm/host/terminal.h"

#define CONTROL_A 0x01

struct stdio_console {
    struct console console;
    bool terminal; /* standard input is one */
    bool prefixed; /* the last byte was a Ctrl-A */
};

/* Acts on Ctrl-A sequences and takes them out, in place. Returns how many bytes are left. A key that has no meaning
 * after Ctrl-A is dropped with it. */
static size_t take_commands(struct stdio_console *stdio, uint8_t *bytes, size_t length)
{
    size_t kept = 0;

    for (size_t i = 0; i < length && !stdio->console.quit; i++) {
        if (stdio->prefixed) {
            stdio->prefixed = false;
            if (bytes[i] == CONTROL_A)
                bytes[kept++] = CONTROL_A;
            else if (bytes[i] == 'x')
                stdio->console.quit = true;
        } else if (bytes[i] == CONTROL_A) {
            stdio->prefixed = true;
        } else {
            bytes[kept++] = bytes[i];
        }
    }
    return kept;
}

static size_t stdio_read(struct console *console, uint8_t *bytes, size_t length)
{
    struct stdio_console *stdio = (struct stdio_console *)console;
    struct pollfd polled = {.fd = STDIN_FILENO, .events = POLLIN};

    if (poll(&polled, 1, 0) <= 0)
        return 0;
    ssize_t got = read(STDIN_FILENO, bytes, length);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    /* The end of a file or pipe, a terminal that hung up (EIO), a directory, or a closed descriptor. */
    if (got <= 0) {
        console->ended = true;
        return 0;
    }
    return stdio->terminal ? take_commands(stdio, bytes, (size_t)got) : (size_t)got;
}

static int stdio_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error)
{
    return console_write_fd(console, STDOUT_FILENO, "standard output", bytes, length, error);
}

static void stdio_close(struct console *console)
{
    (void)console;
    terminal_restore();
}

struct console *console_open_stdio(struct error *error)
{
    static const struct console_ops ops = {.read = stdio_read, .write = stdio_write, .close = stdio_close};
    /* Asked first: the next descriptor that is opened would take a closed one's number. */
    bool closed = fcntl(STDIN_FILENO, F_GETFD) < 0;
    struct stdio_console *stdio = console_new(sizeof *stdio, &ops, error);

    if (!stdio)
        return NULL;
    if (closed) {
        stdio->console.ended = true;
        return &stdio->console;
    }
    stdio->console.poll_fd = STDIN_FILENO;
    stdio->terminal = isatty(STDIN_FILENO);
    if (stdio->terminal && terminal_make_raw(error) < 0) {
        console_close(&stdio->console);
        return NULL;
    }
    return &stdio->console;
}
