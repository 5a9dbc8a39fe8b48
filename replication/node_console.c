/* The consoles' links: between console_server.h, the gate and the port. */
#include <inttypes.h>

#include "replication/node_internal.h"

/* So much may wait in a link; the rest stays in the gate. */
#define AHEAD (64u * 1024)

static bool is_console(const struct node_link *link)
{
    return link->link && link->purpose == SESSION_CONSOLE;
}

static const struct console_seat *seat_of(const struct node *node, const struct node_link *link)
{
    return &node->server.seats[link->seat];
}

struct node_link *node_console_writer(struct node *node)
{
    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        if (is_console(&node->links[n]) && node->server.writer == node->links[n].seat + 1)
            return &node->links[n];
    }
    return NULL;
}

unsigned node_console_seat(const struct node *node)
{
    bool taken[CONSOLE_SEATS + 1] = {false};
    unsigned seat = 0;

    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        if (is_console(&node->links[n]))
            taken[node->links[n].seat] = true;
    }
    while (taken[seat])
        seat++;
    return seat;
}

void node_console_gone(struct node *node, const struct node_link *from)
{
    if (is_console(from))
        console_server_unlinked(&node->server, from->seat, link_heard_at(from->link));
}

void node_console_hear(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length)
{
    struct bytes_writer *reply = &node->console_out;
    struct console_message message;
    struct error error;

    if (console_message_decode(bytes, length, &message, &error) < 0)
        return node_say_some(node, SAY_NONSENSE, "the console at %s sends nonsense: %s", link_peer_name(from->link),
                             error.text);
    bytes_writer_clear(reply);
    console_server_receive(&node->server, from->seat, &message, node->now, &node->gate, reply);
    if (reply->length && !link_send(from->link, reply->data, reply->length))
        node_link_drop(node, from);
}

/* Input for the machine, as far as there is room for it. */
static void feed(struct node *node)
{
    uint8_t bytes[PORT_INPUT_MAX];
    size_t room = port_input_room(node->port);
    uint64_t owner;

    /* A new owner's input begins when all of the old one's has been taken. */
    if (console_server_owner_new(&node->server) && room < PORT_INPUT_MAX)
        return;
    size_t length = console_server_take(&node->server, bytes, room, &owner);
    if (length)
        port_push_input(node->port, bytes, length, owner);
}

static void send_next(struct node *node, struct node_link *to)
{
    struct bytes_writer *out = &node->console_out;

    while (link_waiting(to->link) < AHEAD) {
        bytes_writer_clear(out);
        if (!console_server_next(&node->server, to->seat, &node->gate, node->inputs.shown, out))
            break;
        if (!link_send(to->link, out->data, out->length))
            return node_link_drop(node, to);
    }
    uint64_t dropped = seat_of(node, to)->dropped;
    if (dropped < to->dropped_told)
        to->dropped_told = 0; /* it said HELLO again */
    if (dropped > to->dropped_told)
        node_say_some(node, SAY_CONSOLE,
                      "the console at %s does not keep up: %" PRIu64 " bytes of output were dropped for it",
                      link_peer_name(to->link), dropped - to->dropped_told);
    node->console_dropped += dropped > to->dropped_told ? dropped - to->dropped_told : 0;
    to->dropped_told = dropped;
}

void node_serve_console(struct node *node)
{
    console_server_tend(&node->server, node->now);
    if (node->live)
        feed(node);
    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        if (is_console(&node->links[n]))
            send_next(node, &node->links[n]);
    }
    node->orders.wait = console_server_congested(&node->server, &node->gate, node->now);
}

bool node_output_done(const struct node *node)
{
    bool done = node->gate.marks.shown == node->gate.end;

    for (size_t n = 0; n < NODE_LINKS_MAX; n++) {
        const struct node_link *link = &node->links[n];
        if (is_console(link) && seat_of(node, link)->placed)
            done &= seat_of(node, link)->received == node->gate.end;
    }
    return done;
}

bool node_console_done(const struct node *node)
{
    bool done = true;

    for (size_t n = 0; n < NODE_LINKS_MAX && node->server.live; n++) {
        const struct node_link *link = &node->links[n];
        if (is_console(link) && seat_of(node, link)->taken)
            done &= seat_of(node, link)->end_sent && link_waiting(link->link) == 0;
    }
    return done;
}
