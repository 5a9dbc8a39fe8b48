/*
 * A link: messages over nanomsg, sealed.
 *
 * One link is one nanomsg PAIR socket with a session (session.h) on it. nanomsg renews broken connections by itself and
 * says nothing of it; the session notices. A link never blocks.
 *
 * An address is ipc://PATH or tcp://HOST:PORT. A machine that listens on ADDR serves three links: the backup's on
 * ADDR, the console's on ADDR with ".console" (ipc) or PORT + 1, control on ADDR with ".control" or PORT + 2.
 * Without a key only ipc:// in a directory of mode 0700 that is ours, and tcp:// on loopback, are allowed.
 */
#ifndef ENCORE_REPLICATION_LINK_H
#define ENCORE_REPLICATION_LINK_H

#include "replication/session.h"

struct link;

/* Opens the link of a purpose at ADDR: listening (the machine) or connecting. NULL with an ERROR_INPUT for an address
 * that is malformed or not allowed without a key, ERROR_HOST when the host fails (address in use). */
struct link *link_listen(const char *address, enum session_purpose purpose, const uint8_t *key, struct error *error);
struct link *link_connect(const char *address, enum session_purpose purpose, const uint8_t *key, struct error *error);
/* Waits a moment, so that what was sent can leave. NULL is allowed. */
void link_close(struct link *link);

/* Polls readable when link_receive has something to do. */
int link_poll_fd(const struct link *link);
/* A descriptor that polls readable when what waits to be sent can be (link_flush); -1 when nothing waits. */
int link_waiting_fd(const struct link *link);
/* Sends what waits, as far as possible. */
void link_flush(struct link *link);

enum link_input {
    LINK_NOTHING, /* nothing more now */
    LINK_UP,      /* a fresh session: whatever was under way before is lost */
    LINK_DOWN,    /* the session broke; the error says why */
    LINK_MESSAGE, /* bytes, length: the link's, good until the next call */
    LINK_REFUSED, /* the other side cannot be talked to; the error says why. Told once for each cause */
};

enum link_input link_receive(struct link *link, const uint8_t **bytes, size_t *length, struct error *error);
/* Client: begins a handshake if the session is not up and none was begun since `retry` ns before `now` (twice as long
 * after each that was not answered); to be called now and then. Nothing for the side that listens. */
void link_tend(struct link *link, uint64_t now, uint64_t retry);
/* Client: gives the session up, for the other side does not answer; link_tend begins another. */
void link_renew(struct link *link);
bool link_is_up(const struct link *link);
/* Sends a message, or lets it wait if nothing else waits. false: neither (not up, or no room). */
bool link_send(struct link *link, const uint8_t *bytes, size_t length);
/* Bytes given to nanomsg so far, sealed. */
uint64_t link_sent_bytes(const struct link *link);

#endif
