/*
 * What an arbiter's records say: the rule by which each kind of arbiter, and the simulated one, answers. Pure.
 *
 * A claim of an epoch rests on the record of the epoch before. If that is not there, or names another than the owner
 * that the two sides know, the arbiter has lost its memory (or is another's): then the epoch being free means nothing,
 * for it may have been given away before.
 */
#ifndef ENCORE_REPLICATION_ARBITER_RECORDS_H
#define ENCORE_REPLICATION_ARBITER_RECORDS_H

#include "replication/arbiter_admin.h"
#include "replication/replica.h"

enum arbiter_request {
    ARBITER_CLAIM,  /* epoch becomes node's if it is nobody's: WON if it is node's now */
    ARBITER_VERIFY, /* WON if epoch is node's */
    ARBITER_DOUBT,  /* WON if epoch is node's; LOST only if that is certain */
    ARBITER_LATEST, /* the highest epoch that is anybody's; WON, and the epoch (0: none) */
};

struct arbiter_question {
    enum arbiter_request request;
    uint64_t epoch, node;
    uint64_t owner; /* CLAIM, DOUBT: of the epoch before; 0: it need have none */
    uint64_t rival; /* CLAIM: who else may have won the epoch; 0: nobody */
};

/* Whether a claim may make the record. `before` and `here` are the owners of the epoch before, and of the epoch itself;
 * 0: there is no record. */
bool arbiter_may_give(const struct arbiter_question *claim, uint64_t before, uint64_t here);
/* The answer to CLAIM (after what arbiter_may_give allows is done), VERIFY or DOUBT. */
enum replica_answer arbiter_judge(const struct arbiter_question *question, uint64_t before, uint64_t here);

/* A record's contents, and back; ARBITER_NONSENSE for what is none. `text` holds ARBITER_RECORD + 1 bytes. */
#define ARBITER_RECORD 16
void arbiter_write_record(uint64_t owner, char *text);
uint64_t arbiter_read_record(const char *text, size_t length);

#endif
