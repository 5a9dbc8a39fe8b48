/*
 * The console on a Unix-domain stream socket (unix(7)).
 *
 * The descriptor to poll is an epoll instance, which stays the same while clients come and go: it holds the listening
 * socket while nobody is connected, and the client while somebody is. A client that has only stopped sending (it shut
 * down its side) keeps getting output until it is gone.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/console_internal.h"
#include "vmm/host/unix_listener.h"

struct unix_console {
    struct console console;
    struct unix_listener listener;
    int client; /* -1: nobody is connected */
};

static int watch(struct unix_console *at, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};

    return epoll_ctl(at->console.poll_fd, operation, fd, &event);
}

static void drop_client(struct unix_console *at)
{
    close(at->client);
    at->client = -1;
    watch(at, EPOLL_CTL_ADD, at->listener.fd, EPOLLIN);
}

/* Takes the next client, if one waits. */
static void accept_client(struct unix_console *at)
{
    at->client = unix_listener_accept(&at->listener);
    if (at->client < 0)
        return;
    watch(at, EPOLL_CTL_DEL, at->listener.fd, 0);
    if (watch(at, EPOLL_CTL_ADD, at->client, EPOLLIN) < 0)
        drop_client(at);
}

static bool is_gone(int client)
{
    struct pollfd polled = {.fd = client};

    return poll(&polled, 1, 0) > 0;
}

static size_t unix_read(struct console *console, uint8_t *bytes, size_t length)
{
    struct unix_console *at = (struct unix_console *)console;

    if (at->client < 0)
        accept_client(at);
    if (at->client < 0)
        return 0;
    ssize_t got = recv(at->client, bytes, length, MSG_DONTWAIT);
    if (got > 0)
        return (size_t)got;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0 || is_gone(at->client))
        drop_client(at);
    else
        /* It still reads. A hang-up is reported even when nothing is asked for (epoll_ctl(2)). */
        watch(at, EPOLL_CTL_MOD, at->client, 0);
    return 0;
}

/* A client to whom nothing can be sent is dropped, unless it left input behind: then unix_read drops it later. */
static void client_failed(struct unix_console *at)
{
    uint8_t byte;

    if (recv(at->client, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0)
        drop_client(at);
}

static int unix_write(struct console *console, const uint8_t *bytes, size_t length, struct error *error)
{
    struct unix_console *at = (struct unix_console *)console;

    (void)error;
    /* Input may come from elsewhere, so that nobody calls unix_read. */
    if (at->client < 0)
        accept_client(at);
    while (at->client >= 0 && length > 0) {
        ssize_t sent = send(at->client, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (sent < 0 && errno == EAGAIN) {
            if (console_wait_writable(console, at->client) == CONSOLE_HURRY)
                return 0;
        } else if (sent < 0 && errno != EINTR) {
            client_failed(at);
            return 0;
        }
    }
    return 0;
}

static void unix_close(struct console *console)
{
    struct unix_console *at = (struct unix_console *)console;

    if (at->client >= 0)
        close(at->client);
    unix_listener_close(&at->listener);
    if (console->poll_fd >= 0)
        close(console->poll_fd);
}

static int unix_open(struct unix_console *at, const char *path, struct error *error)
{
    at->client = -1;
    if (unix_listener_open(&at->listener, path, "console socket", error) < 0)
        return -1;
    at->console.poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (at->console.poll_fd < 0 || watch(at, EPOLL_CTL_ADD, at->listener.fd, EPOLLIN) < 0)
        return error_errno(error, "console socket %s", path);
    return 0;
}

struct console *console_open_unix(const char *path, struct error *error)
{
    static const struct console_ops ops = {.read = unix_read, .write = unix_write, .close = unix_close};
    struct unix_console *at = console_new(sizeof *at, &ops, error);

    if (!at)
        return NULL;
    if (unix_open(at, path, error) < 0) {
        console_close(&at->console);
        return NULL;
    }
    return &at->console;
}
