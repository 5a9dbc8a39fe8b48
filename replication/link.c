/* See link.h. */
#include "replication/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replication/address.h"
#include "replication/frames.h"
#include "replication/sockets.h"

#define MILLISECOND UINT64_C(1000000)
/* The longest message, sealed. */
#define MESSAGE_LIMIT (256u * 1024)
/* Something is sent at least so often. */
#define BEAT (1000 * MILLISECOND)
/* A connection that failed is tried again after this time, then after twice as long, and so on, up to the other; after
 * a refusal not before the last. */
#define AGAIN_FIRST (5 * MILLISECOND)
#define AGAIN_LAST  (40 * MILLISECOND)
#define AGAIN_NO    (1000 * MILLISECOND)
/* Who is not tended for longer than this stood still. */
#define STOOD_STILL (500 * MILLISECOND)
/* Read at a time, before there is a session and then, and how often between two calls of link_tend. */
#define READ_FIRST 512
#define READ_SIZE  (64u * 1024)
#define READS_MAX  32

struct link {
    bool client;
    const struct keys *keys; /* client; of the caller */
    enum session_purpose purpose;
    char name[ADDRESS_MAX];
    struct address found[ADDRESS_FOUND]; /* client */
    int found_count, found_next;

    /* ENDED: link_receive has still to tell. A client's link then goes to APART. */
    enum { APART, CONNECTING, SHAKING, READY, ENDED } state;
    bool was_up, refused; /* when it ENDED */
    struct error ending;
    int fd;
    struct session *session;
    struct frames frames;
    struct bytes_writer contents; /* what came last */
    struct bytes_writer queue;    /* sealed, framed */
    size_t queue_sent;
    bool deaf; /* nothing can be sent any more */
    unsigned reads;
    uint64_t now, since, heard_at, sent_at;
    uint64_t again_at, again_after; /* client: when the next connection is tried */
    char told[512];                 /* client: why it was refused, as told last */
    uint64_t sent;
};

static struct link *create(bool client, const struct keys *keys)
{
    struct link *link = calloc(1, sizeof *link);

    if (!link)
        return NULL;
    link->client = client;
    link->keys = keys;
    link->fd = -1;
    link->frames = frames(MESSAGE_LIMIT);
    link->contents = bytes_writer(MESSAGE_LIMIT);
    link->queue = bytes_writer(2 * LINK_QUEUE_MAX);
    link->again_after = AGAIN_FIRST;
    return link;
}

static void hang_up(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    session_free(link->session);
    link->session = NULL;
    bytes_writer_clear(&link->queue);
    link->queue_sent = 0;
    link->deaf = false;
}

/* A connection that is closed with something unread is reset, and what is still on its way to the peer may be lost. */
static void say_goodbye(struct link *link)
{
    uint8_t unread[1024];

    if (link->fd < 0)
        return;
    link_flush(link);
    (void)shutdown(link->fd, SHUT_WR);
    for (unsigned n = 0; n < READS_MAX && recv(link->fd, unread, sizeof unread, 0) > 0; n++)
        ;
}

void link_close(struct link *link)
{
    if (!link)
        return;
    say_goodbye(link);
    hang_up(link);
    frames_free(&link->frames);
    bytes_writer_free(&link->contents);
    bytes_writer_free(&link->queue);
    free(link);
}

/* A connection there is; now the handshake. */
static void begin_handshake(struct link *link)
{
    link->state = SHAKING;
    link->since = link->heard_at = link->sent_at = link->now;
    /* A stranger cannot have us keep more than this. */
    frames_clear(&link->frames, SESSION_HANDSHAKE_MAX);
}

struct link *link_accept(int fd, const struct keys *keys, uint64_t now)
{
    struct link *link = create(false, keys);

    if (link)
        link->session = session_server(keys);
    if (!link || !link->session) {
        close(fd);
        free(link);
        return NULL;
    }
    link->fd = fd;
    link->now = now;
    address_name_peer(fd, link->name, sizeof link->name);
    socket_prefer(fd, LINK_SILENCE);
    begin_handshake(link);
    return link;
}

struct link *link_connect(const char *address, enum session_purpose purpose, const struct keys *keys,
                          struct error *error)
{
    struct address found[ADDRESS_FOUND];
    int count = address_find(address, false, found, error);

    if (count < 0 || (!keys && address_is_private(address, error) < 0))
        return NULL;
    struct link *link = create(true, keys);
    if (!link) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    link->purpose = purpose;
    memcpy(link->found, found, sizeof found);
    link->found_count = count;
    strncpy(link->name, address, sizeof link->name - 1);
    return link;
}

/* The connection is over; link_receive will tell. */
static void end(struct link *link, bool refused, const struct error *why)
{
    link->was_up = link->state == READY;
    link->refused = refused;
    link->ending = *why;
    hang_up(link);
    link->state = ENDED;
}

static void end_with(struct link *link, const char *why)
{
    struct error error;

    error_set(&error, ERROR_HOST, "%s", why);
    end(link, false, &error);
}

/* Client: this attempt came to nothing; there will be another. */
static void go_apart(struct link *link, uint64_t again_after)
{
    hang_up(link);
    link->state = APART;
    link->again_at = link->now + again_after;
}

static void try_again(struct link *link)
{
    go_apart(link, link->again_after);
    link->again_after = link->again_after < AGAIN_LAST / 2 ? 2 * link->again_after : AGAIN_LAST;
}

static void put_frame(struct link *link, const uint8_t *bytes, size_t length)
{
    bytes_put_uint(&link->queue, FRAMES_PREFIX, length);
    bytes_put(&link->queue, bytes, length);
}

/* Client: the connection stands. */
static void say_begin(struct link *link)
{
    bytes_writer_clear(&link->contents);
    link->session = session_client(link->purpose, link->keys);
    if (!link->session)
        return try_again(link);
    socket_prefer(link->fd, LINK_SILENCE);
    session_begin(link->session, &link->contents);
    begin_handshake(link);
    put_frame(link, link->contents.data, link->contents.length);
    link_flush(link);
}

static void connect_now(struct link *link)
{
    const struct address *to = &link->found[link->found_next];

    link->found_next = (link->found_next + 1) % link->found_count;
    link->state = CONNECTING;
    link->since = link->now;
    link->fd = socket_dial(to);
    if (link->fd < 0)
        try_again(link);
}

static void finish_connecting(struct link *link)
{
    bool late = link->now - link->since > LINK_HANDSHAKE;

    switch (socket_dialled(link->fd)) {
    case SOCKET_CONNECTED:
        say_begin(link);
        break;
    case SOCKET_CONNECTING:
        if (late)
            try_again(link);
        break;
    case SOCKET_FAILED:
        try_again(link);
        break;
    }
}

static void beat_or_give_up(struct link *link)
{
    uint64_t silence = link->now - link->heard_at;

    if (link->state == READY && silence > LINK_SILENCE)
        return end_with(link, "nothing was heard for 3 s: the connection is given up");
    if (link->state == SHAKING && link->now - link->since > LINK_HANDSHAKE)
        return end_with(link, "no handshake within 1 s");
    if (link->state == READY && link->now - link->sent_at >= BEAT && link_waiting(link) == 0)
        link_send(link, (const uint8_t *)"", 0);
}

void link_tend(struct link *link, uint64_t now)
{
    if (link->now && now - link->now > STOOD_STILL) {
        link->heard_at += now - link->now;
        link->since += now - link->now;
    }
    link->now = now;
    link->reads = 0;
    switch (link->state) {
    case APART:
        if (link->client && now >= link->again_at)
            connect_now(link);
        if (link->state == CONNECTING)
            finish_connecting(link);
        break;
    case CONNECTING:
        finish_connecting(link);
        break;
    case SHAKING:
    case READY:
        link_flush(link);
        beat_or_give_up(link);
        break;
    case ENDED:
        break;
    }
}

bool link_poll(const struct link *link, struct pollfd *to)
{
    if (link->fd < 0)
        return false;
    bool writes = link->state == CONNECTING || (link_waiting(link) > 0 && !link->deaf);
    *to = (struct pollfd){.fd = link->fd, .events = (short)(POLLIN | (writes ? POLLOUT : 0))};
    return true;
}

size_t link_waiting(const struct link *link)
{
    return link->queue.length - link->queue_sent;
}

/* Takes out what was sent: a link that is never idle never empties its queue. */
static void compact(struct link *link)
{
    struct bytes_writer *queue = &link->queue;

    if (link->queue_sent < queue->length / 2)
        return;
    memmove(queue->data, queue->data + link->queue_sent, queue->length - link->queue_sent);
    queue->length -= link->queue_sent;
    link->queue_sent = 0;
}

void link_flush(struct link *link)
{
    while (!link->deaf && link->fd >= 0 && link_waiting(link) > 0) {
        ssize_t sent = send(link->fd, link->queue.data + link->queue_sent, link_waiting(link), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            /* What the peer said before it went is still to be read. */
            link->deaf = errno != EAGAIN && errno != EWOULDBLOCK;
            break;
        }
        link->queue_sent += (size_t)sent;
        link->sent += (uint64_t)sent;
        link->sent_at = link->now;
    }
    if (link->queue_sent > 0)
        compact(link);
}

bool link_is_up(const struct link *link)
{
    return link->state == READY;
}

bool link_has_begun(const struct link *link)
{
    return link->state == SHAKING && session_has_begun(link->session);
}

enum session_purpose link_purpose(const struct link *link)
{
    return link->client ? link->purpose : session_purpose(link->session);
}

bool link_send(struct link *link, const uint8_t *bytes, size_t length)
{
    if (link->state != READY || link->deaf || length > MESSAGE_LIMIT - SESSION_OVERHEAD ||
        link_waiting(link) + length > LINK_QUEUE_MAX)
        return false;
    size_t start = link->queue.length;
    bytes_put_uint(&link->queue, FRAMES_PREFIX, 0);
    session_seal(link->session, bytes, length, &link->queue);
    if (link->queue.failed) {
        /* The other side would miss it. */
        end_with(link, "memory is exhausted");
        return false;
    }
    bytes_store(link->queue.data + start, FRAMES_PREFIX, link->queue.length - start - FRAMES_PREFIX);
    link_flush(link);
    return true;
}

void link_renew(struct link *link)
{
    if (link->client && link->state != ENDED)
        go_apart(link, 0);
}

/* One message. LINK_NOTHING: it was of no interest outside. */
static enum link_input take(struct link *link, const uint8_t *bytes, size_t length)
{
    struct error error;

    switch (session_receive(link->session, bytes, length, &link->contents, &error)) {
    case SESSION_REPLY:
        put_frame(link, link->contents.data, link->contents.length);
        link_flush(link);
        return LINK_NOTHING;
    case SESSION_UP:
        if (link->contents.length)
            put_frame(link, link->contents.data, link->contents.length);
        link_flush(link);
        link->state = READY;
        link->frames.limit = MESSAGE_LIMIT;
        link->again_after = AGAIN_FIRST;
        link->told[0] = 0;
        return LINK_UP;
    case SESSION_CONTENTS:
        return link->contents.length ? LINK_MESSAGE : LINK_NOTHING; /* an empty one says that somebody is there */
    case SESSION_REFUSED:
        if (link->contents.length)
            put_frame(link, link->contents.data, link->contents.length);
        link_flush(link);
        end(link, true, &error);
        return LINK_NOTHING;
    case SESSION_BROKEN:
        end(link, false, &error);
        return LINK_NOTHING;
    }
    return LINK_NOTHING;
}

/* True: something came. */
static bool read_more(struct link *link)
{
    size_t size = link->state == READY ? READ_SIZE : READ_FIRST;

    if (link->reads++ >= READS_MAX)
        return false;
    uint8_t *room = frames_room(&link->frames, size);
    if (!room) {
        end_with(link, "memory is exhausted");
        return false;
    }
    ssize_t got = recv(link->fd, room, size, 0);
    frames_filled(&link->frames, size, got > 0 ? (size_t)got : 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (got <= 0) {
        end_with(link, link->state == READY ? "the connection was closed" : "it left before the handshake was done");
        return false;
    }
    link->heard_at = link->now;
    return true;
}

/* What ended, and then a client's link begins again. */
static enum link_input tell_end(struct link *link, struct error *error)
{
    bool refused = link->refused, was_up = link->was_up;

    *error = link->ending;
    if (!link->client) {
        link->state = APART;
        return was_up ? LINK_DOWN : LINK_REFUSED;
    }
    if (refused)
        go_apart(link, AGAIN_NO);
    else if (was_up)
        go_apart(link, 0);
    else
        try_again(link);
    if (was_up)
        return LINK_DOWN;
    /* That nobody answers is no news to one who tries again and again. */
    if (!refused || strcmp(link->told, error->text) == 0)
        return LINK_NOTHING;
    memcpy(link->told, error->text, sizeof link->told);
    return LINK_REFUSED;
}

enum link_input link_receive(struct link *link, const uint8_t **bytes, size_t *length, struct error *error)
{
    while (link->state == SHAKING || link->state == READY) {
        const uint8_t *frame;
        size_t size;
        switch (frames_next(&link->frames, &frame, &size)) {
        case FRAMES_WHOLE: {
            enum link_input input = take(link, frame, size);
            *bytes = link->contents.data;
            *length = link->contents.length;
            if (input != LINK_NOTHING)
                return input;
            break;
        }
        case FRAMES_NONE:
            if (!read_more(link) && link->state != ENDED)
                return LINK_NOTHING;
            break;
        case FRAMES_BAD:
            error_set(error, ERROR_INPUT, "%s",
                      link->state == READY ? "a message is longer than any may be"
                                           : "the other side does not speak Encore's protocol");
            end(link, link->state != READY, error);
            break;
        }
    }
    return link->state == ENDED ? tell_end(link, error) : LINK_NOTHING;
}

uint64_t link_heard_at(const struct link *link)
{
    return link->heard_at;
}

uint64_t link_sent_bytes(const struct link *link)
{
    return link->sent;
}

const char *link_peer_name(const struct link *link)
{
    return link->name;
}
