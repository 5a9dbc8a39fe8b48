/*
 * The network on a Unix-domain stream socket, with the framing of net_stream.h.
 *
 * Connecting, there must be somebody at the path, and when that peer goes away the cable is out for good. Listening,
 * one peer at a time is connected, and the next one takes its turn when it goes. A peer that sends nonsense is dropped.
 *
 * The descriptor to poll is an epoll instance, which stays the same while peers come and go. A frame of which the
 * socket took a part only is finished later, when the peer reads; what is sent before that is dropped. One thread may
 * read and another write, so all of it is under a lock, which nobody holds while waiting for anything.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/host/net_internal.h"
#include "vmm/host/net_stream.h"
#include "vmm/host/unix_listener.h"

#define LISTEN_SUFFIX ",listen"
#define SEND_FLAGS    (MSG_DONTWAIT | MSG_NOSIGNAL)
/* What comes in and gives no frame is looked at for so long in one net_read. */
#define READ_TRIES 16

struct unix_net {
    struct net net;
    pthread_mutex_t lock;
    struct unix_listener listener; /* closed when this side connects */
    int peer;                      /* -1: none */
    struct net_stream stream;
    uint8_t rest[NET_STREAM_HEADER + FRAME_MAX]; /* of the frame that the socket took a part of */
    size_t rest_first, rest_end;
};

static int watch(struct unix_net *at, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};

    return epoll_ctl(at->net.poll_fd, operation, fd, &event);
}

static void drop_peer(struct unix_net *at)
{
    close(at->peer);
    at->peer = -1;
    if (at->listener.fd >= 0)
        watch(at, EPOLL_CTL_ADD, at->listener.fd, EPOLLIN);
    net_stream_reset(&at->stream);
    at->rest_first = at->rest_end = 0;
}

static void accept_peer(struct unix_net *at)
{
    if (at->listener.fd < 0)
        return;
    at->peer = unix_listener_accept(&at->listener);
    if (at->peer < 0)
        return;
    watch(at, EPOLL_CTL_DEL, at->listener.fd, 0);
    if (watch(at, EPOLL_CTL_ADD, at->peer, EPOLLIN) < 0)
        drop_peer(at);
}

/* Goes on with the frame that was begun. False: the peer takes no more now. */
static bool send_rest(struct unix_net *at)
{
    while (at->peer >= 0 && at->rest_first < at->rest_end) {
        ssize_t sent = send(at->peer, at->rest + at->rest_first, at->rest_end - at->rest_first, SEND_FLAGS);
        if (sent > 0)
            at->rest_first += (size_t)sent;
        else if (errno == EAGAIN)
            return false;
        else if (errno != EINTR)
            drop_peer(at);
    }
    if (at->rest_end > 0 && at->peer >= 0)
        watch(at, EPOLL_CTL_MOD, at->peer, EPOLLIN);
    at->rest_first = at->rest_end = 0;
    return at->peer >= 0;
}

/* Takes what the peer has sent. False: there is nothing. */
static bool receive(struct unix_net *at)
{
    size_t room;
    uint8_t *to = net_stream_room(&at->stream, &room);
    ssize_t got = recv(at->peer, to, room, MSG_DONTWAIT);

    if (got > 0)
        net_stream_received(&at->stream, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        drop_peer(at);
    return got > 0;
}

static size_t read_locked(struct unix_net *at, uint8_t *frame)
{
    for (unsigned n = 0; n < READ_TRIES; n++) {
        size_t length = net_stream_next(&at->stream, frame);
        if (length)
            return length;
        if (at->stream.bad)
            drop_peer(at);
        if (at->peer < 0)
            accept_peer(at);
        if (at->peer < 0)
            return 0;
        if (at->rest_end > 0)
            send_rest(at);
        if (at->peer >= 0 && !receive(at))
            return 0;
    }
    return 0;
}

static size_t unix_read(struct net *net, uint8_t *frame)
{
    struct unix_net *at = (struct unix_net *)net;

    pthread_mutex_lock(&at->lock);
    size_t length = read_locked(at, frame);
    pthread_mutex_unlock(&at->lock);
    return length;
}

static void write_locked(struct unix_net *at, const uint8_t *frame, size_t length)
{
    size_t whole = NET_STREAM_HEADER + length;

    if (at->peer < 0)
        accept_peer(at);
    if (at->peer < 0 || (at->rest_end > 0 && !send_rest(at)))
        return;
    net_stream_header(at->rest, length);
    memcpy(at->rest + NET_STREAM_HEADER, frame, length);
    ssize_t sent = send(at->peer, at->rest, whole, SEND_FLAGS);
    if (sent == (ssize_t)whole)
        return;
    if (sent <= 0) {
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            drop_peer(at);
        return;
    }
    at->rest_first = (size_t)sent;
    at->rest_end = whole;
    watch(at, EPOLL_CTL_MOD, at->peer, EPOLLIN | EPOLLOUT);
}

static void unix_write(struct net *net, const uint8_t *frame, size_t length)
{
    struct unix_net *at = (struct unix_net *)net;

    pthread_mutex_lock(&at->lock);
    write_locked(at, frame, length);
    pthread_mutex_unlock(&at->lock);
}

static void unix_close(struct net *net)
{
    struct unix_net *at = (struct unix_net *)net;

    if (at->peer >= 0)
        close(at->peer);
    unix_listener_close(&at->listener);
    if (net->poll_fd >= 0)
        close(net->poll_fd);
    pthread_mutex_destroy(&at->lock);
}

/* The path, and whether to listen there. */
static bool parse(const char *argument, char *path, size_t size)
{
    size_t length = strlen(argument);
    size_t suffix = strlen(LISTEN_SUFFIX);
    bool listens = length >= suffix && strcmp(argument + length - suffix, LISTEN_SUFFIX) == 0;

    if (listens)
        length -= suffix;
    if (length >= size)
        length = size - 1;
    memcpy(path, argument, length);
    path[length] = 0;
    return listens;
}

int net_check_unix(const char *argument, struct error *error)
{
    struct sockaddr_un where;
    char path[sizeof where.sun_path + 1];

    parse(argument, path, sizeof path);
    if (path[0] == 0)
        return error_set(error, ERROR_INPUT, "network unix:%s: the path is missing", argument);
    return unix_address(&where, path, "network socket", error);
}

static int connect_to(struct unix_net *at, const char *path, struct error *error)
{
    struct sockaddr_un where;

    if (unix_address(&where, path, "network socket", error) < 0)
        return -1;
    at->peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (at->peer < 0 || connect(at->peer, (struct sockaddr *)&where, sizeof where) < 0)
        return error_errno(error, "network socket %s", path);
    return 0;
}

static int unix_open(struct unix_net *at, const char *argument, struct error *error)
{
    char path[sizeof at->listener.where.sun_path + 1];
    bool listens = parse(argument, path, sizeof path);

    at->net.poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (at->net.poll_fd < 0)
        return error_errno(error, "network socket %s", path);
    if (listens ? unix_listener_open(&at->listener, path, "network socket", error) < 0
                : connect_to(at, path, error) < 0)
        return -1;
    if (watch(at, EPOLL_CTL_ADD, listens ? at->listener.fd : at->peer, EPOLLIN) < 0)
        return error_errno(error, "network socket %s", path);
    return 0;
}

struct net *net_open_unix(const char *argument, struct error *error)
{
    static const struct net_ops ops = {.read = unix_read, .write = unix_write, .close = unix_close};
    struct unix_net *at = net_new(sizeof *at, &ops, error);

    if (!at)
        return NULL;
    at->peer = at->listener.fd = -1;
    pthread_mutex_init(&at->lock, NULL);
    if (unix_open(at, argument, error) < 0) {
        net_close(&at->net);
        return NULL;
    }
    return &at->net;
}
