/* The console link: between console_server.h, the gate and the port. */
#include "replication/node_internal.h"

void node_console_gone(struct node *node, const struct node_link *from)
{
    if (node->console != from)
        return;
    console_server_unlinked(&node->server);
    node->console = NULL;
}

void node_console_hear(struct node *node, struct node_link *from, const uint8_t *bytes, size_t length)
{
    struct console_message message;
    struct error error;

    if (console_message_decode(bytes, length, &message, &error) < 0)
        return node_say(node, "the console at %s sends nonsense: %s", link_peer_name(from->link), error.text);
    /* The last that says HELLO has the console. */
    if (message.kind == CONSOLE_HELLO && node->console != from) {
        if (node->console)
            node_console_gone(node, node->console);
        node->console = from;
    }
    if (node->console != from)
        return;
    bytes_writer_clear(&node->console_out);
    console_server_receive(&node->server, &message, &node->gate, &node->console_out);
    if (node->console_out.length)
        link_send(from->link, node->console_out.data, node->console_out.length);
}

/* Input for the machine, as far as there is room for it. */
static void feed(struct node *node)
{
    uint8_t bytes[PORT_INPUT_MAX];
    size_t room = port_input_room(node->port);
    uint64_t owner;

    /* A new owner's input begins when all of the old one's has been taken. */
    if (node->server.owner_new && room < PORT_INPUT_MAX)
        return;
    size_t length = console_server_take(&node->server, bytes, room, &owner);
    if (length)
        port_push_input(node->port, bytes, length, owner);
}

/* So much may wait in a link; the rest stays in the gate. */
#define AHEAD (64u * 1024)

static void send_next(struct node *node)
{
    struct bytes_writer *out = &node->console_out;

    while (node->console && link_waiting(node->console->link) < AHEAD) {
        bytes_writer_clear(out);
        if (!console_server_next(&node->server, &node->gate, node->inputs.shown, out))
            return;
        if (!link_send(node->console->link, out->data, out->length))
            return node_link_drop(node, node->console);
    }
}

void node_serve_console(struct node *node)
{
    if (node->live)
        feed(node);
    send_next(node);
    node->orders.wait = console_server_congested(&node->server, &node->gate);
}

bool node_output_done(const struct node *node)
{
    const struct console_server *server = &node->server;
    bool out = node->gate.marks.shown == node->gate.end;

    return out && (!node->console || !server->linked || server->received == node->gate.end);
}

bool node_console_done(const struct node *node)
{
    const struct console_server *server = &node->server;

    return !node->console || !server->live || !server->linked ||
           (server->end_sent && link_waiting(node->console->link) == 0);
}
