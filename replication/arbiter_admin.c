/* See arbiter_admin.h. */
#include "replication/arbiter_admin.h"

#include <inttypes.h>

#include "replication/arbiter_backend.h"

void arbiter_list_add(struct arbiter_list *list, uint64_t epoch, uint64_t owner)
{
    size_t at = list->count;

    list->total++;
    while (at > 0 && list->records[at - 1].epoch < epoch)
        at--;
    if (at == ARBITER_LISTED)
        return;
    if (list->count < ARBITER_LISTED)
        list->count++;
    for (size_t n = list->count - 1; n > at; n--)
        list->records[n] = list->records[n - 1];
    list->records[at].epoch = epoch;
    list->records[at].owner = owner;
}

int arbiter_list(const char *specification, struct arbiter_list *list, struct error *error)
{
    struct arbiter_backend backend;

    *list = (struct arbiter_list){0};
    if (arbiter_backend_open(specification, &backend, error) < 0)
        return -1;
    int result = backend.list(backend.context, list, error);
    backend.close(backend.context);
    return result;
}

static int reset(const struct arbiter_backend *backend, uint64_t epoch, uint64_t owner, struct error *error)
{
    struct arbiter_list list = {0};

    if (backend->list(backend->context, &list, error) < 0)
        return -1;
    if (list.count && list.records[0].epoch == epoch && list.records[0].owner == owner)
        return error_set(error, ERROR_INPUT, "the record of epoch %" PRIu64 " is there already, and names this owner",
                         epoch);
    if (list.count && list.records[0].epoch >= epoch)
        return error_set(error, ERROR_INPUT,
                         "the arbiter knows epoch %" PRIu64 ": a record before it, or in its place, would give that "
                         "machine's place away",
                         list.records[0].epoch);
    return backend->put(backend->context, epoch, owner, error);
}

int arbiter_reset(const char *specification, uint64_t epoch, uint64_t owner, struct error *error)
{
    struct arbiter_backend backend;

    if (arbiter_backend_open(specification, &backend, error) < 0)
        return -1;
    int result = reset(&backend, epoch, owner, error);
    backend.close(backend.context);
    return result;
}

static int forget(const struct arbiter_backend *backend, uint64_t latest, uint64_t *removed, struct error *error)
{
    struct arbiter_list list = {0};

    if (backend->list(backend->context, &list, error) < 0)
        return -1;
    if (list.count == 0)
        return error_set(error, ERROR_INPUT, "the arbiter has no records");
    if (list.records[0].epoch != latest)
        return error_set(error, ERROR_INPUT, "the arbiter's latest epoch is %" PRIu64 ", not %" PRIu64,
                         list.records[0].epoch, latest);
    *removed = list.total;
    return backend->clear(backend->context, error);
}

int arbiter_forget(const char *specification, uint64_t latest, uint64_t *removed, struct error *error)
{
    struct arbiter_backend backend;

    if (arbiter_backend_open(specification, &backend, error) < 0)
        return -1;
    int result = forget(&backend, latest, removed, error);
    backend.close(backend.context);
    return result;
}
