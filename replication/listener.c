/* See listener.h. */
#include "replication/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replication/address.h"
#include "vmm/host/unix_listener.h"

#define BACKLOG 64
/* When no connection can be taken (no descriptor, no memory), not before so long after. */
#define ACCEPT_AGAIN UINT64_C(100000000)
/* So many are taken at a time. */
#define ACCEPTS_MAX 64

struct listener {
    const struct keys *keys;
    struct unix_listener at_path;
    int fd;                                     /* of at_path, or TCP's */
    struct link *pending[LISTENER_PENDING_MAX]; /* oldest first */
    size_t count;
    uint64_t turn; /* `now` of the last call */
    unsigned accepts;
    uint64_t accept_at; /* not before */
};

static int listen_on_path(struct listener *listener, const char *path, const char *address, struct error *error)
{
    if (unix_listener_open(&listener->at_path, path, "the socket", error) < 0)
        return error_wrap(error, "%s: cannot listen there", address);
    listener->fd = listener->at_path.fd;
    return 0;
}

static int listen_on_port(struct listener *listener, const char *address, const struct address *where,
                          struct error *error)
{
    int one = 1;

    listener->fd = socket(where->where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd >= 0)
        (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listener->fd >= 0 && bind(listener->fd, (const struct sockaddr *)&where->where, where->length) == 0 &&
        listen(listener->fd, BACKLOG) == 0)
        return 0;
    bool ours = errno == EADDRINUSE || errno == EACCES || errno == EADDRNOTAVAIL;
    error_errno(error, "%s: cannot listen there", address);
    if (ours)
        error->kind = ERROR_INPUT;
    return -1;
}

struct listener *listener_open(const char *address, const struct keys *keys, struct error *error)
{
    struct address found[ADDRESS_FOUND];

    if (address_find(address, true, found, error) < 0 || (!keys && address_is_private(address, error) < 0))
        return NULL;
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    listener->keys = keys;
    listener->fd = listener->at_path.fd = -1;
    const char *path = address_path(address);
    if ((path ? listen_on_path(listener, path, address, error) : listen_on_port(listener, address, found, error)) == 0)
        return listener;
    listener_close(listener);
    return NULL;
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    for (size_t n = 0; n < listener->count; n++)
        link_close(listener->pending[n]);
    if (listener->fd >= 0 && listener->fd != listener->at_path.fd)
        close(listener->fd);
    unix_listener_close(&listener->at_path);
    free(listener);
}

size_t listener_poll(const struct listener *listener, uint64_t now, struct pollfd *to)
{
    size_t count = 0;

    if (now >= listener->accept_at)
        to[count++] = (struct pollfd){.fd = listener->fd, .events = POLLIN};
    for (size_t n = 0; n < listener->count; n++)
        count += link_poll(listener->pending[n], &to[count]);
    return count;
}

static struct link *take_out(struct listener *listener, size_t n)
{
    struct link *link = listener->pending[n];

    listener->count--;
    memmove(&listener->pending[n], &listener->pending[n + 1], (listener->count - n) * sizeof(struct link *));
    return link;
}

static enum listener_news send_away(struct listener *listener, size_t n, struct error *error)
{
    struct link *link = take_out(listener, n);

    error_wrap(error, "%s", link_peer_name(link));
    link_close(link);
    return LISTENER_REFUSED;
}

/* Who makes room: the oldest of those who have not shown a key, for anybody can connect as often as he likes; or the
 * oldest. */
static size_t most_useless(const struct listener *listener)
{
    for (size_t n = 0; n < listener->count; n++) {
        if (!link_has_begun(listener->pending[n]))
            return n;
    }
    return 0;
}

/* Takes the next connection. NOTHING: there is none, or there is no more to say of it. */
static enum listener_news take_connection(struct listener *listener, uint64_t now, bool *took, struct error *error)
{
    *took = false;
    if (now < listener->accept_at || listener->accepts >= ACCEPTS_MAX)
        return LISTENER_NOTHING;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        listener->accept_at = now + ACCEPT_AGAIN;
        error_errno(error, "no connection can be taken");
        return LISTENER_FAILED;
    }
    if (fd < 0)
        return LISTENER_NOTHING; /* none waits, or it is gone already */
    *took = true;
    listener->accepts++;
    struct link *link = link_accept(fd, listener->keys, now);
    if (!link) {
        error_set(error, ERROR_HOST, "no connection can be taken: memory is exhausted");
        return LISTENER_FAILED;
    }
    enum listener_news news = LISTENER_NOTHING;
    if (listener->count == LISTENER_PENDING_MAX) {
        error_set(error, ERROR_INPUT, "it made room for others before its handshake was done");
        news = send_away(listener, most_useless(listener), error);
    }
    listener->pending[listener->count++] = link;
    return news;
}

static enum listener_news tend_pending(struct listener *listener, uint64_t now, struct link **up, struct error *error)
{
    for (size_t n = 0; n < listener->count; n++) {
        struct link *link = listener->pending[n];
        const uint8_t *bytes;
        size_t length;
        link_tend(link, now);
        switch (link_receive(link, &bytes, &length, error)) {
        case LINK_UP:
            *up = take_out(listener, n);
            return LISTENER_LINK;
        case LINK_REFUSED:
        case LINK_DOWN:
            return send_away(listener, n, error);
        case LINK_MESSAGE: /* not before it is up */
        case LINK_NOTHING:
            break;
        }
    }
    return LISTENER_NOTHING;
}

enum listener_news listener_next(struct listener *listener, uint64_t now, struct link **link, struct error *error)
{
    enum listener_news news;
    bool took = true;

    if (listener->turn != now)
        listener->accepts = 0;
    listener->turn = now;
    while (took) {
        /* Before anybody makes room, what they have said already is read. */
        news = listener->count == LISTENER_PENDING_MAX ? tend_pending(listener, now, link, error) : LISTENER_NOTHING;
        if (news == LISTENER_NOTHING)
            news = take_connection(listener, now, &took, error);
        if (news != LISTENER_NOTHING)
            return news;
    }
    return tend_pending(listener, now, link, error);
}
