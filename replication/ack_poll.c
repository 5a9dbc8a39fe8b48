/* See ack_poll.h. */
#include "replication/ack_poll.h"

void ack_poll_begin(struct ack_poll *poll, uint64_t offset, uint64_t committed, bool guest_halted, uint64_t now)
{
    poll->waits = guest_halted && offset > committed;
    poll->offset = offset;
    poll->since = now;
}

void ack_poll_commit(struct ack_poll *poll, uint64_t committed, uint64_t now)
{
    if (!poll->waits || poll->offset > committed)
        return;
    poll->waits = false;
    poll->took = now - poll->since;
}

uint64_t ack_poll_until(const struct ack_poll *poll)
{
    return poll->waits && poll->took <= ACK_POLL_MAX ? poll->since + ACK_POLL_MAX : 0;
}
