/* Writing to descriptors whose properties are not ours to choose. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "vmm/host/console_internal.h"

enum console_ready console_wait_writable(const struct console *console, int fd)
{
    struct pollfd polled[2] = {{.fd = fd, .events = POLLOUT}, {.fd = console->hurry, .events = POLLIN}};

    for (;;) {
        int count = poll(polled, 2, -1);
        CHECK(count > 0 || errno == EINTR || errno == ENOMEM);
        if (count <= 0)
            continue;
        if (polled[0].revents & POLLHUP)
            return CONSOLE_HUNG_UP;
        /* An error or a closed descriptor is told by the write itself. */
        if (polled[0].revents)
            return CONSOLE_WRITABLE;
        return CONSOLE_HURRY;
    }
}

int console_write_fd(struct console *console, int fd, const char *name, const uint8_t *bytes, size_t length,
                     struct error *error)
{
    while (length > 0) {
        if (console_wait_writable(console, fd) == CONSOLE_HURRY)
            return 0;
        /* A pipe that polls writable takes PIPE_BUF bytes without blocking (poll(2), pipe(7)). SIGPIPE is
         * ignored (vmm/host/signals.h). */
        ssize_t written = write(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return error_errno(error, "cannot write to %s", name);
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}
