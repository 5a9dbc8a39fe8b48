/*
 * The console on a new pseudo-terminal (pty(7)): we hold the master, and any terminal program may open the slave.
 *
 * While nobody has the slave open, the master polls as hung up all the time, and that cannot be masked. So the
 * descriptor to poll is an epoll instance that holds the master edge-triggered: it becomes readable when bytes come or
 * the slave is closed, each read takes that off it, and a read that may have left bytes behind puts it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/host/console_internal.h"

struct pty_console {
    struct console console;
    int master;
};

static int watch(struct pty_console *pty, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    return epoll_ctl(pty->console.poll_fd, operation, pty->master, &event);
}

static size_t pty_read(struct console *console, uint8_t *bytes, size_t length)
{
    struct pty_console *pty = (struct pty_console *)console;
    struct epoll_event event;

    /* Before the read, so that bytes that come after it are an edge of their own. */
    epoll_wait(console->poll_fd, &event, 1, 0);
    ssize_t got = read(pty->master, bytes, length);
    if (got <= 0 && errno != EINTR)
        return 0; /* nothing there (EAGAIN), or the slave is not open (EIO) */
    watch(pty, EPOLL_CTL_MOD);
    return got > 0 ? (size_t)got : 0;
}

static int pty_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error)
{
    struct pty_console *pty = (struct pty_console *)console;

    while (length > 0 && console_wait_writable(console, pty->master) == CONSOLE_WRITABLE) {
        ssize_t written = write(pty->master, bytes, length);
        if (written < 0 && errno == EIO)
            return 0; /* the slave was closed this moment */
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            return error_errno(error, "cannot write to the console's pseudo-terminal");
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

static void pty_close(struct console *console)
{
    struct pty_console *pty = (struct pty_console *)console;

    if (pty->master >= 0)
        close(pty->master);
    if (console->poll_fd >= 0)
        close(console->poll_fd);
}

/* The settings are the terminal's, not the descriptor's, and stay as long as the master is open. Without raw mode the
 * line discipline would echo the guest's output back to it as input. Opening and closing the slave once also makes the
 * master poll as hung up, as it does after every later close but not at first. */
static int prepare_slave(const char *name)
{
    struct termios settings;
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (slave < 0)
        return -1;
    int failed = tcgetattr(slave, &settings);
    if (!failed) {
        cfmakeraw(&settings);
        failed = tcsetattr(slave, TCSANOW, &settings);
    }
    close(slave);
    return failed;
}

static int pty_open(struct pty_console *pty, struct error *error)
{
    char name[PATH_MAX];

    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    pty->console.poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (pty->master < 0 || pty->console.poll_fd < 0 || grantpt(pty->master) < 0 || unlockpt(pty->master) < 0 ||
        (errno = ptsname_r(pty->master, name, sizeof name)) != 0 || prepare_slave(name) < 0 ||
        watch(pty, EPOLL_CTL_ADD) < 0)
        return error_errno(error, "cannot make a pseudo-terminal for the console");
    fprintf(stderr, "encore: the console is %s\n", name);
    return 0;
}

struct console *console_open_pty(struct error *error)
{
    static const struct console_ops ops = {.read = pty_read, .write = pty_write, .close = pty_close};
    struct pty_console *pty = console_new(sizeof *pty, &ops, error);

    if (!pty)
        return NULL;
    pty->master = -1;
    if (pty_open(pty, error) < 0) {
        console_close(&pty->console);
        return NULL;
    }
    return &pty->console;
}
