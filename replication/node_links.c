/* The node's links: to the primary that it follows, and from whoever comes to its own address. See node_internal.h. */
#include <inttypes.h>
#include <stdio.h>

#include "replication/node_internal.h"

/* So many of each purpose; the longest idle of one makes room for a new one. */
static const unsigned limits[] = {[SESSION_LINK] = 8, [SESSION_CONSOLE] = CONSOLE_SEATS, [SESSION_CONTROL] = 16};

_Static_assert(NODE_LINKS_MAX == 8 + CONSOLE_SEATS + 16, "a place for each link that the limits allow");

int node_links_open(struct node *node, struct error *error)
{
    const struct node_options *options = &node->options;

    node->letter = bytes_writer(MESSAGE_MAX);
    if (options->listen) {
        node->listener = listener_open(options->listen, options->keys, error);
        if (!node->listener)
            return -1;
    }
    if (!options->connect)
        return 0;
    node->upstream = link_connect(options->connect, SESSION_LINK, options->keys, error);
    return node->upstream ? 0 : -1;
}

void node_links_close(struct node *node)
{
    link_close(node->upstream);
    listener_close(node->listener);
    for (size_t n = 0; n < NODE_LINKS_MAX; n++)
        link_close(node->links[n].link);
    bytes_writer_free(&node->letter);
}

size_t node_links_poll(const struct node *node, struct pollfd *to)
{
    size_t count = 0;

    if (node->upstream)
        count += link_poll(node->upstream, &to[count]);
    if (node->listener)
        count += listener_poll(node->listener, node->now, &to[count]);
    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        if (node->links[n].link)
            count += link_poll(node->links[n].link, &to[count]);
    }
    return count;
}

/* The backup that speaks as this node. */
static struct node_link *link_of(struct node *node, uint64_t id)
{
    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        if (node->links[n].link && node->links[n].purpose == SESSION_LINK && id && node->links[n].node == id)
            return &node->links[n];
    }
    return NULL;
}

static struct node_link *follower(struct node *node)
{
    return node->replica ? link_of(node, replica_status(node->replica, node->now).peer) : NULL;
}

void node_name_peer(struct node *node, char *name, size_t size)
{
    uint64_t peer = node->replica ? replica_status(node->replica, node->now).peer : 0;
    struct node_link *from = node->replying ? node->replying : follower(node);
    const char *at = node->upstream ? link_peer_name(node->upstream) : from ? link_peer_name(from->link) : NULL;

    if (node->replying)
        peer = node->replying->node;
    name[0] = 0;
    if (peer && at)
        snprintf(name, size, " [node %016" PRIx64 " at %s]", peer, at);
    else if (peer)
        snprintf(name, size, " [node %016" PRIx64 "]", peer);
}

struct link *node_peer_link(struct node *node)
{
    if (node->upstream)
        return node->upstream;
    struct node_link *from = follower(node);
    return from ? from->link : NULL;
}

uint64_t node_link_bytes(const struct node *node)
{
    uint64_t bytes = node->gone_bytes + (node->upstream ? link_sent_bytes(node->upstream) : 0);

    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        if (node->links[n].link && node->links[n].purpose == SESSION_LINK)
            bytes += link_sent_bytes(node->links[n].link);
    }
    return bytes;
}

void node_link_drop(struct node *node, struct node_link *from)
{
    if (!from->link)
        return;
    if (from->purpose == SESSION_LINK)
        node->gone_bytes += link_sent_bytes(from->link);
    if (node->replying == from)
        node->replying = NULL;
    node_console_gone(node, from);
    node_control_gone(node, from);
    link_close(from->link);
    *from = (struct node_link){0};
}

void node_upstream_end(struct node *node)
{
    if (!node->upstream)
        return;
    node->gone_bytes += link_sent_bytes(node->upstream);
    link_close(node->upstream);
    node->upstream = NULL;
}

static void send_encoded(struct node *node, struct link *link, const struct message *message)
{
    bytes_writer_clear(&node->letter);
    message_encode(message, &node->letter);
    if (node->letter.failed)
        return node_end(node, NODE_FAILED, "out of memory");
    /* A peer that takes nothing for so long is heard of no more; what is lost now it will ask for again. */
    link_send(link, node->letter.data, node->letter.length);
}

/* A backup's gate begins with its checkpoint. What came before, and the client may lack, must be there too before it
 * may take over: after a takeover nobody else has it. */
static void send_kept(struct node *node, struct node_link *to, const struct message *member)
{
    const struct output_gate *gate = &node->gate;
    uint64_t unread = console_server_unread(&node->server);
    uint64_t from = unread > gate->start ? unread : gate->start;
    uint64_t end = gate->end;

    to->kept_sent = true;
    while (end > from) {
        uint64_t piece = end - from < MESSAGE_BYTES_MAX ? end - from : MESSAGE_BYTES_MAX;
        uint64_t in_ring = (end - 1) % GATE_KEEP + 1; /* a piece does not go over the ring's end */
        if (piece > in_ring)
            piece = in_ring;
        end -= piece;
        struct message kept = *member;
        kept.kind = MESSAGE_KEPT;
        kept.offset = end;
        kept.bytes = gate->kept + end % GATE_KEEP;
        kept.length = piece;
        send_encoded(node, to->link, &kept);
    }
}

void node_send(struct node *node, const struct message *message)
{
    if (node->upstream)
        return send_encoded(node, node->upstream, message);
    struct node_link *to = message->kind == MESSAGE_REFUSE && node->replying ? node->replying : follower(node);
    if (!to)
        return;
    if (message->kind == MESSAGE_MEMBER && !to->kept_sent)
        send_kept(node, to, message);
    send_encoded(node, to->link, message);
}

void node_begin_join(struct node *node)
{
    struct node_link *to = follower(node);

    if (to)
        to->kept_sent = false;
}

/* Output from before our checkpoint. */
static void take_kept(struct node *node, const struct message *kept)
{
    if (node->live || !node->replica)
        return;
    struct replica_status status = replica_status(node->replica, node->now);
    if (kept->node == status.peer && kept->stream == status.stream)
        output_gate_put_before(&node->gate, kept->offset, kept->bytes, kept->length);
}

static void take_message(struct node *node, struct link *link, const struct message *message)
{
    if (message->kind == MESSAGE_KEPT && link == node->upstream)
        return take_kept(node, message);
    node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_MESSAGE, .message = message});
}

/* Those who come to a backup as if it were a primary. */
static void turn_away(struct node *node, struct link *link)
{
    static const char text[] = "this is a backup itself, and no primary yet";

    send_encoded(node, link,
                 &(struct message){.kind = MESSAGE_REFUSE,
                                   .node = node->options.replica.node,
                                   .bytes = (const uint8_t *)text,
                                   .length = sizeof text - 1});
}

/* A backup is known by the node that its messages name. One that comes again has a fresh link, and the older one, whose
 * end was not heard of, makes room. */
static bool know(struct node *node, struct node_link *from, const struct message *message)
{
    if (from->node == message->node)
        return true;
    if (from->node)
        return false;
    struct node_link *older = link_of(node, message->node);
    if (older)
        node_link_drop(node, older);
    from->node = message->node;
    return true;
}

/* What a backup says. */
static void hear_backup(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length)
{
    struct message message;
    struct error error;

    if (message_decode(bytes, length, &message, &error) < 0)
        return node_say_some(node, SAY_NONSENSE, "%s sends nonsense: %s", link_peer_name(from->link), error.text);
    if (!know(node, from, &message))
        return node_say_some(node, SAY_NONSENSE, "%s speaks for two nodes", link_peer_name(from->link));
    if (node->upstream)
        return turn_away(node, from->link);
    node->replying = from;
    take_message(node, from->link, &message);
    node->replying = NULL;
}

static void hear(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length)
{
    switch (from->purpose) {
    case SESSION_LINK:
        hear_backup(node, from, bytes, length);
        break;
    case SESSION_CONSOLE:
        node_console_hear(node, from, bytes, length);
        break;
    case SESSION_CONTROL:
        node_control_hear(node, from, bytes, length);
        break;
    }
}

static void lose(struct node *node, struct node_link *from, const char *why)
{
    uint64_t id = from->node;

    if (id)
        node_say_some(node, SAY_LINK, "node %016" PRIx64 " at %s: %s", id, link_peer_name(from->link), why);
    else if (from->purpose != SESSION_CONTROL) /* an operator asks and goes */
        node_say_some(node, SAY_LINK, "%s, %s: %s", link_peer_name(from->link),
                      key_role_name((enum key_role)from->purpose), why);
    node_link_drop(node, from);
    if (id)
        node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_LINK_DOWN, .node = id});
}

static void receive(struct node *node, struct node_link *from)
{
    const struct link *link = from->link;
    const uint8_t *bytes;
    struct error error;
    size_t length;

    link_tend(from->link, node->now);
    while (from->link == link && !node->over) {
        switch (link_receive(from->link, &bytes, &length, &error)) {
        case LINK_MESSAGE:
            hear(node, from, bytes, length);
            break;
        case LINK_DOWN:
        case LINK_REFUSED:
            lose(node, from, error.text);
            return;
        case LINK_UP: /* it was before it came to us */
        case LINK_NOTHING:
            return;
        }
    }
}

static void hear_primary(struct node *node, const uint8_t *bytes, size_t length)
{
    struct message message;
    struct error error;

    if (message_decode(bytes, length, &message, &error) < 0)
        node_say_some(node, SAY_NONSENSE, "the primary at %s sends nonsense: %s", node->options.connect, error.text);
    else
        take_message(node, node->upstream, &message);
}

static void receive_upstream(struct node *node)
{
    const uint8_t *bytes;
    struct error error;
    size_t length;

    link_tend(node->upstream, node->now);
    while (node->upstream && !node->over) {
        switch (link_receive(node->upstream, &bytes, &length, &error)) {
        case LINK_NOTHING:
            return;
        case LINK_UP:
            node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_LINK_UP});
            break;
        case LINK_MESSAGE:
            hear_primary(node, bytes, length);
            break;
        case LINK_DOWN:
            node_say_some(node, SAY_LINK, "%s: %s", node->options.connect, error.text);
            node_step(node, &(struct replica_event){.kind = REPLICA_EVENT_LINK_DOWN});
            break;
        case LINK_REFUSED:
            node_say_some(node, SAY_REFUSED, "%s: %s", node->options.connect, error.text);
            break;
        }
    }
}

/* A place for a link of this purpose: a free one, or that of the oldest which nobody needs. */
static struct node_link *make_room(struct node *node, enum session_purpose purpose)
{
    struct node_link *free_place = NULL, *oldest = NULL;
    const struct node_link *needed[] = {follower(node), node_console_writer(node), node->handover_by};
    unsigned count = 0;

    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        struct node_link *at = &node->links[n];
        if (!at->link)
            free_place = at;
        if (!at->link || at->purpose != purpose)
            continue;
        count++;
        bool is_needed = at == needed[0] || at == needed[1] || at == needed[2];
        if (!is_needed && (!oldest || at->since < oldest->since))
            oldest = at;
    }
    if (count < limits[purpose])
        return free_place;
    node_link_drop(node, oldest);
    return oldest;
}

static void seat(struct node *node, struct link *link)
{
    struct node_link *place = make_room(node, link_purpose(link));
    struct node_link taken = {.link = link, .purpose = link_purpose(link), .since = ++node->links_taken};

    /* Before it takes its place: it would be asked which seat it has. */
    if (taken.purpose == SESSION_CONSOLE)
        taken.seat = node_console_seat(node);
    *place = taken;
}

static void let_in(struct node *node)
{
    enum listener_news news;
    struct link *link = NULL;
    struct error error;

    while ((news = listener_next(node->listener, node->now, &link, &error)) != LISTENER_NOTHING) {
        if (news == LISTENER_LINK)
            seat(node, link);
        else
            node_say_some(node, SAY_REFUSED, "%s", error.text);
    }
}

void node_links_serve(struct node *node)
{
    if (node->upstream)
        receive_upstream(node);
    if (node->listener)
        let_in(node);
    for (size_t n = 0; n < NODE_LINKS_MAX && !node->over; n++) {
        if (node->links[n].link)
            receive(node, &node->links[n]);
    }
}
