/*
 * A listener: who comes to a machine's address, and becomes a link once it has shown its key.
 *
 * Until then a connection occupies nothing but one of LISTENER_PENDING_MAX places, for LINK_HANDSHAKE at most; when all
 * are taken, the oldest that has not shown its key makes room for a new one. So strangers keep nobody out.
 */
#ifndef ENCORE_REPLICATION_LISTENER_H
#define ENCORE_REPLICATION_LISTENER_H

#include "replication/link.h"

#define LISTENER_PENDING_MAX 16
#define LISTENER_FDS         (LISTENER_PENDING_MAX + 1)

struct listener;

/* `keys` NULL: without a key, which must be allowed at this address; else of a master key, and the caller's. NULL with
 * an ERROR_INPUT for a bad address or one that is in use, ERROR_HOST when the host fails. */
struct listener *listener_open(const char *address, const struct keys *keys, struct error *error);
/* NULL is allowed. */
void listener_close(struct listener *listener);

/* What to wait for, at most LISTENER_FDS; returns how many. */
size_t listener_poll(const struct listener *listener, uint64_t now, struct pollfd *to);

enum listener_news {
    LISTENER_NOTHING,
    LISTENER_LINK,    /* *link is up, and the caller's now */
    LISTENER_REFUSED, /* somebody was sent away; the error says who and why */
    LISTENER_FAILED,  /* nobody can be let in now; the error says why. It is tried again */
};

/* To be called until it says NOTHING. */
enum listener_news listener_next(struct listener *listener, uint64_t now, struct link **link, struct error *error);

#endif
