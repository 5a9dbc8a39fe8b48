/* What an arbiter of one kind can do; see arbiter.h. Called from the arbiter's own thread, or by the operator's
 * commands (arbiter_admin.h). */
#ifndef ENCORE_REPLICATION_ARBITER_BACKEND_H
#define ENCORE_REPLICATION_ARBITER_BACKEND_H

#include "replication/arbiter.h"
#include "replication/arbiter_admin.h"

/* Why an arbiter could not be asked: one sentence. */
#define ARBITER_REASON 256

struct arbiter_backend {
    void *context;
    /* Carries a request out, within `patience` ns where the host lets it. ARBITER_LATEST sets *epoch. */
    enum replica_answer (*carry_out)(void *context, const struct arbiter_question *question, uint64_t *epoch,
                                     uint64_t patience, char reason[ARBITER_REASON]);
    /* The latest records, latest first. */
    int (*list)(void *context, struct arbiter_list *list, struct error *error);
    /* Makes a record; ERROR_INPUT if there is one. */
    int (*put)(void *context, uint64_t epoch, uint64_t owner, struct error *error);
    /* Removes all records. */
    int (*clear)(void *context, struct error *error);
    void (*close)(void *context);
};

/* For `list`: keeps the latest. */
void arbiter_list_add(struct arbiter_list *list, uint64_t epoch, uint64_t owner);

int arbiter_backend_open(const char *specification, struct arbiter_backend *backend, struct error *error);

int arbiter_file_open(const char *path, struct arbiter_backend *backend, struct error *error);
/* "URL,KEY". */
int arbiter_etcd_open(const char *specification, struct arbiter_backend *backend, struct error *error);

#endif
