/* See unix_listener.h. */
#include "vmm/host/unix_listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/output.h"

/* Clients that may wait for their turn. */
#define BACKLOG 8

int unix_address(struct sockaddr_un *where, const char *path, const char *what, struct error *error)
{
    *where = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof where->sun_path)
        return error_set(error, ERROR_INPUT, "%s %s: the path is longer than %zu bytes", what, path,
                         sizeof where->sun_path - 1);
    strcpy(where->sun_path, path);
    return 0;
}

/* Of two that find a socket left over, the second may come when the first has put its own there. So it is renamed, then
 * looked at, and put back if it is another. Returns 0 if that path is free, or may be in a moment: bind(2) will tell.
 */
static int remove_if_same(const char *path, const struct stat *looked_at)
{
    char aside[sizeof((struct sockaddr_un *)NULL)->sun_path + 32];
    struct stat now;

    snprintf(aside, sizeof aside, "%s.%d.tmp", path, (int)getpid());
    if (output_rename_new(path, aside) < 0)
        return errno == ENOENT ? 0 : -1;
    if (lstat(aside, &now) == 0 && now.st_dev == looked_at->st_dev && now.st_ino == looked_at->st_ino)
        return unlink(aside);
    (void)output_rename_new(aside, path);
    errno = EADDRINUSE;
    return -1;
}

/* Removes what a run that was killed left behind: a socket on which nobody listens any more. */
static int remove_stale(const struct sockaddr_un *where, const char *what, struct error *error)
{
    const char *path = where->sun_path;
    struct stat status;

    if (lstat(path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, ERROR_INPUT, "%s %s: the file exists and is not a socket", what, path);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return error_errno(error, "%s %s", what, path);
    int failed = connect(probe, (const struct sockaddr *)where, sizeof *where);
    int reason = errno;
    close(probe);
    if (failed == 0 || reason != ECONNREFUSED)
        return error_set(error, ERROR_INPUT, "%s %s: is in use by somebody else", what, path);
    if (remove_if_same(path, &status) < 0)
        return error_set(error, ERROR_INPUT, "%s %s: is left over and cannot be removed: %m", what, path);
    return 0;
}

/* The mode of the socket before bind becomes that of the file: nobody else may talk to us, not even between bind and a
 * later chmod. */
static int listen_at(struct unix_listener *listener, const char *what, struct error *error)
{
    const char *path = listener->where.sun_path;
    struct stat status;

    if (fchmod(listener->fd, S_IRUSR | S_IWUSR) < 0 ||
        bind(listener->fd, (struct sockaddr *)&listener->where, sizeof listener->where) < 0 || lstat(path, &status) < 0)
        return error_set(error, ERROR_INPUT, "%s %s: %m", what, path);
    listener->bound = true;
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    return listen(listener->fd, BACKLOG) < 0 ? error_errno(error, "%s %s", what, path) : 0;
}

int unix_listener_open(struct unix_listener *listener, const char *path, const char *what, struct error *error)
{
    *listener = (struct unix_listener){.fd = -1};
    if (unix_address(&listener->where, path, what, error) < 0)
        return -1;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return error_errno(error, "%s %s", what, path);
    return remove_stale(&listener->where, what, error) < 0 ? -1 : listen_at(listener, what, error);
}

int unix_listener_accept(const struct unix_listener *listener)
{
    return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void unix_listener_close(struct unix_listener *listener)
{
    struct stat now;

    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    /* Somebody may have put another file in its place. */
    if (listener->bound && lstat(listener->where.sun_path, &now) == 0 && now.st_dev == listener->device &&
        now.st_ino == listener->inode)
        unlink(listener->where.sun_path);
    listener->bound = false;
}
