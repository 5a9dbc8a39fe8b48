/*
 * What an operator does with an arbiter's records (encore arbiter): looks at them, writes the latest one again for an
 * arbiter that has lost its memory, removes those of a machine that is dead for good. What is plainly dangerous is
 * refused (ERROR_INPUT); what each of them risks is told in docs/replication.md.
 */
#ifndef ENCORE_REPLICATION_ARBITER_ADMIN_H
#define ENCORE_REPLICATION_ARBITER_ADMIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A record that is there, but that no arbiter wrote. */
#define ARBITER_NONSENSE UINT64_MAX
#define ARBITER_LISTED   64

/* The latest records, latest first. */
struct arbiter_list {
    size_t count;
    struct {
        uint64_t epoch, owner; /* owner ARBITER_NONSENSE: what is there is no record */
    } records[ARBITER_LISTED];
    uint64_t total; /* how many there are */
};

int arbiter_list(const char *specification, struct arbiter_list *list, struct error *error);
/* Writes the record of `epoch`, which must be later than all that there are. */
int arbiter_reset(const char *specification, uint64_t epoch, uint64_t owner, struct error *error);
/* Removes all records, of which that of `latest` must be the latest. */
int arbiter_forget(const char *specification, uint64_t latest, uint64_t *removed, struct error *error);

#endif
