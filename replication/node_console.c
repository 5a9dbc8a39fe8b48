/* The console link: between console_server.h, the gate and the port. */
#include "replication/node_internal.h"

static void answer(struct node *node, const uint8_t *bytes, size_t length)
{
    struct bytes_writer reply = bytes_writer(CONSOLE_MESSAGE_MAX);
    struct console_message message;
    struct error error;

    if (console_message_decode(bytes, length, &message, &error) < 0)
        node_say(node, "a console client sends nonsense: %s", error.text);
    else
        console_server_receive(&node->server, &message, &node->gate, &reply);
    /* An answer that the link does not take is asked for again. */
    if (reply.length)
        link_send(node->console, reply.data, reply.length);
    bytes_writer_free(&reply);
}

static void receive(struct node *node)
{
    const uint8_t *bytes;
    struct error error;
    size_t length;

    for (;;) {
        switch (link_receive(node->console, &bytes, &length, &error)) {
        case LINK_NOTHING:
            return;
        case LINK_UP:
        case LINK_DOWN:
            console_server_unlinked(&node->server);
            bytes_writer_clear(&node->console_out);
            break;
        case LINK_MESSAGE:
            answer(node, bytes, length);
            break;
        case LINK_REFUSED:
            node_say(node, "console: %s", error.text);
            break;
        }
    }
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

static void send_next(struct node *node)
{
    link_flush(node->console);
    for (;;) {
        if (node->console_out.length == 0 &&
            !console_server_next(&node->server, &node->gate, node->inputs.shown, &node->console_out))
            return;
        if (!link_send(node->console, node->console_out.data, node->console_out.length))
            return;
        bytes_writer_clear(&node->console_out);
    }
}

void node_serve_console(struct node *node)
{
    if (!node->console)
        return;
    receive(node);
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
           (server->end_sent && node->console_out.length == 0 && link_waiting_fd(node->console) < 0);
}
