/*
 * The console on a Unix-domain stream socket (unix(7)).
 *
 * The descriptor to poll is an epoll instance, which stays the same while clients come and go: it holds the listening
 * socket while nobody is connected, and the client while somebody is. A client that has only stopped sending (it shut
 * down its side) keeps getting output until it is gone.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/host/console_internal.h"

/* Clients that may wait for their turn. */
#define BACKLOG 8

struct unix_console {
    struct console console;
    int listener;
    int client; /* -1: nobody is connected */
    struct sockaddr_un where;
    bool bound; /* the socket file was made, as `device` and `inode` */
    dev_t device;
    ino_t inode;
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
    watch(at, EPOLL_CTL_ADD, at->listener, EPOLLIN);
}

/* Takes the next client, if one waits. */
static void accept_client(struct unix_console *at)
{
    at->client = accept4(at->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (at->client < 0)
        return;
    watch(at, EPOLL_CTL_DEL, at->listener, 0);
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
    struct stat now;

    if (at->client >= 0)
        close(at->client);
    if (at->listener >= 0)
        close(at->listener);
    if (console->poll_fd >= 0)
        close(console->poll_fd);
    /* Somebody may have put another file in its place. */
    if (at->bound && lstat(at->where.sun_path, &now) == 0 && now.st_dev == at->device && now.st_ino == at->inode)
        unlink(at->where.sun_path);
}

/* Removes what a run that was killed left behind: a socket on which nobody listens any more. */
static int remove_stale(const struct sockaddr_un *where, struct error *error)
{
    const char *path = where->sun_path;
    struct stat status;

    if (lstat(path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, ERROR_INPUT, "console socket %s: the file exists and is not a socket", path);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return error_errno(error, "console socket %s", path);
    int failed = connect(probe, (const struct sockaddr *)where, sizeof *where);
    int reason = errno;
    close(probe);
    if (failed == 0 || reason != ECONNREFUSED)
        return error_set(error, ERROR_INPUT, "console socket %s: is in use by somebody else", path);
    if (unlink(path) < 0)
        return error_set(error, ERROR_INPUT, "console socket %s: is left over and cannot be removed: %m", path);
    return 0;
}

/* The mode of the socket before bind becomes that of the file: nobody else may talk to the guest, not even between
 * bind and a later chmod. */
static int listen_at(struct unix_console *at, struct error *error)
{
    const char *path = at->where.sun_path;
    struct stat status;

    if (fchmod(at->listener, S_IRUSR | S_IWUSR) < 0 ||
        bind(at->listener, (struct sockaddr *)&at->where, sizeof at->where) < 0 || lstat(path, &status) < 0)
        return error_set(error, ERROR_INPUT, "console socket %s: %m", path);
    at->bound = true;
    at->device = status.st_dev;
    at->inode = status.st_ino;
    if (listen(at->listener, BACKLOG) < 0 || watch(at, EPOLL_CTL_ADD, at->listener, EPOLLIN) < 0)
        return error_errno(error, "console socket %s", path);
    return 0;
}

static int unix_open(struct unix_console *at, const char *path, struct error *error)
{
    at->listener = at->client = -1;
    if (strlen(path) >= sizeof at->where.sun_path)
        return error_set(error, ERROR_INPUT, "console socket %s: the path is longer than %zu bytes", path,
                         sizeof at->where.sun_path - 1);
    at->where.sun_family = AF_UNIX;
    strcpy(at->where.sun_path, path);
    at->console.poll_fd = epoll_create1(EPOLL_CLOEXEC);
    at->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (at->console.poll_fd < 0 || at->listener < 0)
        return error_errno(error, "console socket %s", path);
    return remove_stale(&at->where, error) < 0 ? -1 : listen_at(at, error);
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
