/* Writing to descriptors whose properties are not ours to choose. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
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

/* write(2), but a pipe or socket whose reader is gone gives EPIPE only, and no SIGPIPE. The signal's disposition
 * belongs to the whole process, so it is blocked in this thread instead, and one that came is taken off. (If it was
 * blocked before, the thread does not care about it.) */
static ssize_t write_quietly(int fd, const uint8_t *bytes, size_t length)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe, before;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ssize_t written = write(fd, bytes, length);
    int failure = errno;
    if (!sigismember(&before, SIGPIPE)) {
        if (written < 0 && failure == EPIPE)
            sigtimedwait(&pipe, NULL, &at_once);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    errno = failure;
    return written;
}

int console_write_fd(struct console *console, int fd, const char *name, const uint8_t *bytes, size_t length,
                     struct error *error)
{
    while (length > 0) {
        if (console_wait_writable(console, fd) == CONSOLE_HURRY)
            return 0;
        /* A pipe that polls writable takes PIPE_BUF bytes without blocking (poll(2), pipe(7)). */
        ssize_t written = write_quietly(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return error_errno(error, "cannot write to %s", name);
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}
