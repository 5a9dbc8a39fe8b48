/*
 * The arbiter: the one test-and-set that decides which of two machines goes on (replica.h tells why).
 *
 * An arbiter keeps, for each epoch, who was the first to ask for it; that never changes. Epochs are entries of their
 * own: file:PATH      files PATH.1, PATH.2, ... on storage that both machines share, each made whole by link(2), which
 * is atomic on local file systems and on NFS (a link that was made although its answer was lost is recognised by the
 * temporary file's link count, as open(2) advises) etcd:URL,KEY   keys KEY/1, KEY/2, ... in etcd, each made by one
 * transaction of etcd's JSON gateway (compare create_revision = 0, then put; else get) An entry's contents are the
 * owner's node id, in hexadecimal, and the machine's id.
 *
 * Requests can take long, so they are carried out by a thread of the arbiter's own, one at a time; the answer comes
 * through a descriptor that polls readable.
 */
#ifndef ENCORE_REPLICATION_ARBITER_H
#define ENCORE_REPLICATION_ARBITER_H

#include "base/error.h"
#include "replication/replica.h"

struct arbiter;

/* Opens an arbiter by its specification. NULL with an ERROR_INPUT when it is malformed. Does not need it to be
 * reachable. */
struct arbiter *arbiter_open(const char *specification, struct error *error);
/* Gives up what is under way. NULL is allowed. */
void arbiter_close(struct arbiter *arbiter);

enum arbiter_request {
    ARBITER_CLAIM,  /* epoch becomes node's if it is nobody's: WON if it is node's now */
    ARBITER_VERIFY, /* WON if epoch is node's */
    ARBITER_LATEST, /* the highest epoch that is anybody's; WON, and the epoch (0: none) */
};

/* Begins a request; false if one is under way, whose answer comes first. A request ends within `patience` ns
 * (UNREACHABLE). */
bool arbiter_ask(struct arbiter *arbiter, enum arbiter_request request, uint64_t epoch, uint64_t node,
                 uint64_t patience);
int arbiter_poll_fd(const struct arbiter *arbiter);
/* Takes the answer, if there is one: true. *reason says in words why it is UNREACHABLE; it stays the arbiter's. */
bool arbiter_answer(struct arbiter *arbiter, enum replica_answer *answer, uint64_t *epoch, const char **reason);

#endif
