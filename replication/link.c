/*
 * See link.h. nanomsg's PAIR takes one message at a time from us and says EAGAIN until it has given it to the kernel.
 * A message that is sealed must go out, or the session is over; so one that nanomsg does not take yet waits here.
 */
#include "replication/link.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replication/address.h"

/* The longest message, sealed: longer ones are not let in. */
#define MESSAGE_LIMIT (256 * 1024)
/* A handshake that is not answered is begun again, each time after twice as long, at most so often. A round trip that
 * takes longer than the last of these times can never be answered in time. */
#define TRIES_MAX 6
/* A broken connection is tried again after this time, ms. */
#define RECONNECT 5

struct link {
    int socket;
    int readable_fd, sendable_fd; /* nanomsg's own */
    bool client;
    struct session *session;
    struct bytes_writer contents; /* what came last */
    struct bytes_writer waiting;  /* sealed, not taken by nanomsg yet; empty: nothing */
    uint64_t begun_at;            /* when the last handshake was begun; 0: never */
    unsigned tries;               /* handshakes begun since something was heard */
    char refused[512];            /* why, as told last */
    uint64_t sent;
};

static int fail(const char *address, const char *what, struct error *error)
{
    int code = nn_errno();

    return error_set(error, code == EADDRINUSE || code == EACCES ? ERROR_INPUT : ERROR_HOST, "%s: cannot %s: %s",
                     address, what, nn_strerror(code));
}

static void set_option(int socket, int level, int option, int value)
{
    /* These are preferences: a transport that lacks one works without. */
    (void)nn_setsockopt(socket, level, option, &value, sizeof value);
}

static int get_fd(int socket, int option)
{
    int fd = -1;
    size_t size = sizeof fd;

    (void)nn_getsockopt(socket, NN_SOL_SOCKET, option, &fd, &size);
    return fd;
}

static int open_socket(struct link *link, const char *address, const char *endpoint, struct error *error)
{
    link->socket = nn_socket(AF_SP, NN_PAIR);
    if (link->socket < 0)
        return fail(address, "open a nanomsg socket", error);
    link->readable_fd = get_fd(link->socket, NN_RCVFD);
    link->sendable_fd = get_fd(link->socket, NN_SNDFD);
    set_option(link->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, MESSAGE_LIMIT);
    set_option(link->socket, NN_SOL_SOCKET, NN_RECONNECT_IVL, RECONNECT);
    set_option(link->socket, NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX, 4 * RECONNECT);
    set_option(link->socket, NN_TCP, NN_TCP_NODELAY, 1);
    if (!link->client && nn_bind(link->socket, endpoint) < 0)
        return fail(address, "listen there", error);
    if (link->client && nn_connect(link->socket, endpoint) < 0)
        return fail(address, "connect there", error);
    return 0;
}

static struct link *open_link(bool client, const char *address, enum session_purpose purpose, const uint8_t *key,
                              struct error *error)
{
    char endpoint[ADDRESS_MAX];

    if (address_of_link(address, purpose, endpoint, error) < 0 || (!key && address_is_private(address, error) < 0))
        return NULL;
    struct link *link = calloc(1, sizeof *link);
    if (!link) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    link->socket = -1;
    link->client = client;
    link->contents = bytes_writer(MESSAGE_LIMIT);
    link->waiting = bytes_writer(MESSAGE_LIMIT + SESSION_OVERHEAD);
    link->session = session_create(client, purpose, key);
    if (!link->session) {
        error_set(error, ERROR_HOST, "cannot begin a session: out of memory, or libsodium does not start");
    } else if (open_socket(link, address, endpoint, error) == 0) {
        return link;
    }
    link_close(link);
    return NULL;
}

struct link *link_listen(const char *address, enum session_purpose purpose, const uint8_t *key, struct error *error)
{
    return open_link(false, address, purpose, key, error);
}

struct link *link_connect(const char *address, enum session_purpose purpose, const uint8_t *key, struct error *error)
{
    return open_link(true, address, purpose, key, error);
}

void link_close(struct link *link)
{
    if (!link)
        return;
    /* nn_close throws away what its own thread has not written yet, and there is no way to ask. */
    if (link->sent)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    if (link->socket >= 0)
        (void)nn_close(link->socket);
    session_free(link->session);
    bytes_writer_free(&link->contents);
    bytes_writer_free(&link->waiting);
    free(link);
}

int link_poll_fd(const struct link *link)
{
    return link->readable_fd;
}

int link_waiting_fd(const struct link *link)
{
    return link->waiting.length ? link->sendable_fd : -1;
}

void link_flush(struct link *link)
{
    if (link->waiting.length == 0)
        return;
    if (nn_send(link->socket, link->waiting.data, link->waiting.length, NN_DONTWAIT) < 0)
        return;
    link->sent += link->waiting.length;
    bytes_writer_clear(&link->waiting);
}

/* A message of the handshake. It may be lost: the client begins again. False: nobody is there to take it. */
static bool send_plain(struct link *link, const struct bytes_writer *out)
{
    if (out->length == 0 || nn_send(link->socket, out->data, out->length, NN_DONTWAIT) < 0)
        return false;
    link->sent += out->length;
    return true;
}

bool link_is_up(const struct link *link)
{
    return session_is_up(link->session);
}

bool link_send(struct link *link, const uint8_t *bytes, size_t length)
{
    link_flush(link);
    if (!session_is_up(link->session) || link->waiting.length)
        return false;
    session_seal(link->session, bytes, length, &link->waiting);
    if (link->waiting.failed) {
        bytes_writer_clear(&link->waiting);
        return false;
    }
    link_flush(link);
    return true;
}

void link_renew(struct link *link)
{
    struct bytes_writer out = bytes_writer(SESSION_OVERHEAD * 4);

    if (!link->client)
        return;
    bytes_writer_clear(&link->waiting);
    session_begin(link->session, &out);
    if (send_plain(link, &out) && link->tries < TRIES_MAX)
        link->tries++;
    bytes_writer_free(&out);
}

void link_tend(struct link *link, uint64_t now, uint64_t retry)
{
    uint64_t patience = link->tries > 1 ? retry << (link->tries - 1) : retry;

    if (!link->client || session_is_up(link->session) || (link->begun_at && now - link->begun_at < patience))
        return;
    link->begun_at = now;
    link_renew(link);
}

/* Whether this refusal is news. */
static bool is_news(struct link *link, const struct error *error)
{
    if (strcmp(link->refused, error->text) == 0)
        return false;
    memcpy(link->refused, error->text, sizeof link->refused);
    return true;
}

/* One message. LINK_NOTHING: it was of no interest outside. */
static enum link_input take(struct link *link, const uint8_t *bytes, size_t length, struct error *error)
{
    switch (session_receive(link->session, bytes, length, &link->contents, error)) {
    case SESSION_REPLY:
        send_plain(link, &link->contents);
        return LINK_NOTHING;
    case SESSION_UP:
        bytes_writer_clear(&link->waiting);
        link->refused[0] = 0;
        link->tries = 0;
        /* The proof must go out before anything sealed. */
        if (link->contents.length)
            bytes_put(&link->waiting, link->contents.data, link->contents.length);
        link_flush(link);
        return LINK_UP;
    case SESSION_CONTENTS:
        return LINK_MESSAGE;
    case SESSION_BROKEN:
        bytes_writer_clear(&link->waiting);
        send_plain(link, &link->contents);
        link->begun_at = 0;
        link->tries = 0;
        return LINK_DOWN;
    case SESSION_IGNORED:
        return LINK_NOTHING;
    case SESSION_REFUSED:
        send_plain(link, &link->contents);
        return is_news(link, error) ? LINK_REFUSED : LINK_NOTHING;
    }
    return LINK_NOTHING;
}

enum link_input link_receive(struct link *link, const uint8_t **bytes, size_t *length, struct error *error)
{
    for (;;) {
        void *message = NULL;
        int got = nn_recv(link->socket, &message, NN_MSG, NN_DONTWAIT);
        if (got < 0)
            return LINK_NOTHING;
        enum link_input input = take(link, message, (size_t)got, error);
        (void)nn_freemsg(message);
        *bytes = link->contents.data;
        *length = link->contents.length;
        if (input != LINK_NOTHING)
            return input;
    }
}

uint64_t link_sent_bytes(const struct link *link)
{
    return link->sent;
}
