/* See arbiter_records.h. */
#include "replication/arbiter_records.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool rests(const struct arbiter_question *question, uint64_t before)
{
    return question->owner == 0 || before == question->owner;
}

bool arbiter_may_give(const struct arbiter_question *claim, uint64_t before, uint64_t here)
{
    return here == 0 && rests(claim, before);
}

enum replica_answer arbiter_judge(const struct arbiter_question *question, uint64_t before, uint64_t here)
{
    if (here == question->node)
        return REPLICA_WON;
    if (question->request == ARBITER_VERIFY)
        return here ? REPLICA_LOST : REPLICA_FORGOTTEN;
    /* The other side could only get it while the record before was there. */
    if (question->request == ARBITER_CLAIM && here && here == question->rival)
        return REPLICA_LOST;
    return rests(question, before) ? REPLICA_LOST : REPLICA_FORGOTTEN;
}

void arbiter_write_record(uint64_t owner, char *text)
{
    snprintf(text, ARBITER_RECORD + 1, "%016" PRIx64, owner);
}

uint64_t arbiter_read_record(const char *text, size_t length)
{
    uint64_t owner = 0;

    if (length != ARBITER_RECORD)
        return ARBITER_NONSENSE;
    for (size_t n = 0; n < length; n++) {
        const char *digits = "0123456789abcdef", *digit = memchr(digits, text[n], 16);
        if (!digit)
            return ARBITER_NONSENSE;
        owner = owner << 4 | (uint64_t)(digit - digits);
    }
    return owner ? owner : ARBITER_NONSENSE;
}
