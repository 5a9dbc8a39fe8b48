/*
 * The arbiter: the one test-and-set that decides which of two machines goes on (replica.h tells why).
 *
 * An arbiter keeps a record for each epoch: who was the first to ask for it. That never changes. Records are entries of
 * their own, whose contents are the owner's node id, in hexadecimal:
 *     file:PATH      files PATH.1, PATH.2, ... on storage that both machines share, each made whole by link(2), which
 * is atomic on local file systems and on NFS (a link that was made although its answer was lost is recognised by the
 * temporary file's link count, as open(2) advises) etcd:URL,KEY   keys KEY/1, KEY/2, ... in etcd, each made by one
 * transaction of etcd's JSON gateway
 *
 * A claim counts only where the record of the epoch before is there and names its owner: an arbiter that has lost its
 * memory might give away what another has already (arbiter_records.c).
 *
 * Requests can take long, so they are carried out by a thread of the arbiter's own, one at a time; the answer comes
 * through a descriptor that polls readable.
 */
#ifndef ENCORE_REPLICATION_ARBITER_H
#define ENCORE_REPLICATION_ARBITER_H

#include "base/error.h"
#include "replication/arbiter_records.h"
#include "replication/replica.h"

struct arbiter;

/* Opens an arbiter by its specification. NULL with an ERROR_INPUT when it is malformed. Does not need it to be
 * reachable. */
struct arbiter *arbiter_open(const char *specification, struct error *error);
/* Gives up what is under way. NULL is allowed. */
void arbiter_close(struct arbiter *arbiter);

/* Begins a request; false if one is under way, whose answer comes first. A request ends within `patience` ns
 * (UNREACHABLE). */
bool arbiter_ask(struct arbiter *arbiter, const struct arbiter_question *question, uint64_t patience);
int arbiter_poll_fd(const struct arbiter *arbiter);
/* Takes the answer, if there is one: true. *epoch is that of LATEST; *reason says in words why it is UNREACHABLE, and
 * stays the arbiter's. */
bool arbiter_answer(struct arbiter *arbiter, enum replica_answer *answer, uint64_t *epoch, const char **reason);

#endif
