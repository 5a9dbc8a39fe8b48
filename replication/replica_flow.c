/*
 * How much of the stream is under way to the backup. See replica.h.
 *
 * What is under way cannot be overtaken: on a link that takes a second for it, the next heartbeat, or what the next
 * output waits for, arrives a second later. So the window is as wide as the link needs it, and no wider: it begins
 * narrow, is doubled as long as its acknowledgement comes as quickly as ever, and halved when that takes noticeably
 * longer, for then the bytes wait in a queue (as TCP Vegas has it: Brakmo and Peterson, 1995).
 */
#include "replication/replica_internal.h"

#define LOGS_PER_STEP 24
/* The window is never narrower than this. */
#define WINDOW_MIN 8192u
/* So many messages share the window, so that a slow link is heard of often. */
#define MESSAGES_IN_WINDOW 4
#define MESSAGE_MIN        2048u

struct message *primary_send(struct replica *replica, enum message_kind kind, uint64_t offset)
{
    struct message *message = replica_send(replica, kind);

    message->offset = offset;
    message->guest_time = replica->guest_time;
    return message;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void flow_begin(struct replica *replica)
{
    replica->flow = (struct replica_flow){.window = least(WINDOW_MIN, replica->config.window)};
}

void flow_rewind(struct replica *replica, uint64_t offset)
{
    replica->sent = replica->peer_received = offset;
    replica->flow.probed = false;
}

/* The acknowledgement of what was sent at a certain moment has come. */
static void take_sample(struct replica *replica, uint64_t took)
{
    struct replica_flow *flow = &replica->flow;
    uint64_t most = replica->config.window, tolerance = replica->config.suspect_after / 4;

    /* The quickest counts; but a way may become longer for good, which is believed after some time. */
    if (flow->quickest == 0 || took < flow->quickest)
        flow->quickest = took;
    else
        flow->quickest += (took - flow->quickest) / 64;
    if (took > flow->quickest + 2 * tolerance)
        flow->window = flow->window / 2 > least(WINDOW_MIN, most) ? flow->window / 2 : least(WINDOW_MIN, most);
    else if (took <= flow->quickest + tolerance && flow->was_full)
        flow->window = least(2 * flow->window, most);
    flow->was_full = false;
}

void flow_acknowledged(struct replica *replica)
{
    struct replica_flow *flow = &replica->flow;

    if (!flow->probed || replica->peer_received < flow->probe)
        return;
    flow->probed = false;
    take_sample(replica, replica->now - flow->probed_at);
}

/* The next message's length; 0: nothing may be sent now. */
static uint64_t next_length(struct replica *replica)
{
    struct replica_flow *flow = &replica->flow;
    /* What is not safe yet may wait at the backup for a machine that is busy; that must not grow either. */
    uint64_t under_way = replica->sent - replica->peer_safe;
    uint64_t most = flow->window / MESSAGES_IN_WINDOW;

    if (under_way >= flow->window) {
        flow->was_full = true;
        return 0;
    }
    if (most < MESSAGE_MIN)
        most = MESSAGE_MIN;
    uint64_t length = least(replica->end - replica->sent, least(most, MESSAGE_BYTES_MAX));
    return least(length, flow->window - under_way);
}

void primary_pump(struct replica *replica)
{
    struct replica_flow *flow = &replica->flow;
    uint64_t length;

    if (!replica->stream || replica->stream_broken)
        return;
    for (unsigned n = 0; n < LOGS_PER_STEP && (length = next_length(replica)) > 0; n++) {
        struct message *message = primary_send(replica, MESSAGE_LOG, replica->sent);
        message->bytes = replica->backlog.held.data + (replica->sent - replica->backlog.start);
        message->length = length;
        replica->sent += length;
        if (flow->probed)
            continue;
        flow->probed = true;
        flow->probe = replica->sent;
        flow->probed_at = replica->now;
    }
}
