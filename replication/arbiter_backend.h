/* What an arbiter of one kind can do; see arbiter.h. Called from the arbiter's own thread. */
#ifndef ENCORE_REPLICATION_ARBITER_BACKEND_H
#define ENCORE_REPLICATION_ARBITER_BACKEND_H

#include "replication/arbiter.h"

/* Why an arbiter could not be asked: one sentence. */
#define ARBITER_REASON 256

struct arbiter_backend {
    void *context;
    /* Carries a request out, within `patience` ns where the host lets it. ARBITER_LATEST sets *epoch. */
    enum replica_answer (*carry_out)(void *context, enum arbiter_request request, uint64_t *epoch, uint64_t node,
                                     uint64_t patience, char reason[ARBITER_REASON]);
    void (*close)(void *context);
};

int arbiter_file_open(const char *path, struct arbiter_backend *backend, struct error *error);
/* "URL,KEY". */
int arbiter_etcd_open(const char *specification, struct arbiter_backend *backend, struct error *error);

#endif
