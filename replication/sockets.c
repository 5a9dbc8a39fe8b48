/* See sockets.h. */
#include "replication/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void set_option(int fd, int option, int value)
{
    /* A socket that lacks it works without. */
    (void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

void socket_prefer(int fd, uint64_t silence)
{
    set_option(fd, TCP_NODELAY, 1);
    set_option(fd, TCP_USER_TIMEOUT, (int)(silence / 1000000));
}

int socket_dial(const struct address *to)
{
    int fd = socket(to->where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&to->where, to->length) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

/* A connection to a port of this host that nobody listens on may meet itself (RFC 9293, 3.5: simultaneous open). */
static bool is_own_echo(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_length = sizeof here, there_length = sizeof there;

    return getsockname(fd, (struct sockaddr *)&here, &here_length) == 0 && here.ss_family != AF_UNIX &&
           getpeername(fd, (struct sockaddr *)&there, &there_length) == 0 && here_length == there_length &&
           memcmp(&here, &there, here_length) == 0;
}

enum socket_state socket_dialled(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    socklen_t length = sizeof(int);
    int code = 0;

    if (poll(&polled, 1, 0) <= 0)
        return SOCKET_CONNECTING;
    bool failed = getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0 || code != 0 || is_own_echo(fd);
    return failed ? SOCKET_FAILED : SOCKET_CONNECTED;
}
