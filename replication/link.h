/*
 * A link: sealed messages over one connection, TCP or Unix.
 *
 * Why plain sockets: a machine must know who is at the other end of each connection, drop one without the others, and
 * hear at once that one closed. Messaging libraries (this was nanomsg's PAIR once) hide exactly that: a peer that
 * vanished kept its place for minutes, and a stranger who only connected took it.
 *
 * A client's link connects, shakes hands (session.h), and begins again, by itself, when that fails or the connection is
 * lost. A link that was accepted (listener.h) ends with its connection. Both sides send something at least once a
 * second; a link on which nothing is heard for LINK_SILENCE is given up. Time during which this side itself stood still
 * does not count. A link never blocks.
 */
#ifndef ENCORE_REPLICATION_LINK_H
#define ENCORE_REPLICATION_LINK_H

#include <poll.h>

#include "replication/session.h"

#define LINK_SILENCE   UINT64_C(3000000000) /* ns */
#define LINK_HANDSHAKE UINT64_C(1000000000) /* a connection that is no session after so long is given up */
#define LINK_QUEUE_MAX (8u << 20)           /* bytes that may wait to be sent */

struct link;

/* A client's link. NULL with an ERROR_INPUT for an address that is malformed or not allowed without a key (`keys`
 * NULL), ERROR_HOST when the host fails. A machine that is not there is none: there may be one later. */
struct link *link_connect(const char *address, enum session_purpose purpose, const struct keys *keys,
                          struct error *error);
/* A connection that somebody made to us; the link owns `fd` from now on. NULL, and `fd` closed, when memory is
 * exhausted. */
struct link *link_accept(int fd, const struct keys *keys, uint64_t now);
/* What waits goes as far as the host takes it at once. NULL is allowed. */
void link_close(struct link *link);

/* What to wait for; false: nothing now. */
bool link_poll(const struct link *link, struct pollfd *to);

enum link_input {
    LINK_NOTHING, /* nothing more now */
    LINK_UP,      /* the session is up: whatever was under way before is lost */
    LINK_DOWN,    /* it was up, and is lost; the error says why */
    LINK_MESSAGE, /* bytes, length: the link's, good until the next call */
    LINK_REFUSED, /* there was no session, and the error says why; a client's link tells each cause once */
};

/* To be called until it says NOTHING; a peer that never stops talking is stopped now and then. */
enum link_input link_receive(struct link *link, const uint8_t **bytes, size_t *length, struct error *error);
/* To be called often, at least some times a second (`now` in ns), and before link_receive. */
void link_tend(struct link *link, uint64_t now);
/* Client: gives the connection up, for the other side does not answer; another is begun. */
void link_renew(struct link *link);
bool link_is_up(const struct link *link);
/* Of a link that was accepted: it is not up yet, but more than a stranger's (session_has_begun). */
bool link_has_begun(const struct link *link);
/* What the client wants; of a link that was accepted, once it is up. */
enum session_purpose link_purpose(const struct link *link);
/* Sends a message (not an empty one), or lets it wait. false: neither (not up, or too much waits). */
bool link_send(struct link *link, const uint8_t *bytes, size_t length);
/* Bytes that wait. */
size_t link_waiting(const struct link *link);
/* Sends what waits, as far as possible. */
void link_flush(struct link *link);
/* When something came last. */
uint64_t link_heard_at(const struct link *link);
/* Bytes given to the host so far, sealed. */
uint64_t link_sent_bytes(const struct link *link);
/* Who is at the other end, for people: an address, or a process on this host. */
const char *link_peer_name(const struct link *link);

#endif
