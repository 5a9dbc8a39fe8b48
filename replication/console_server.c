/* See console_server.h. */
#include "replication/console_server.h"

#include <string.h>

#include "base/check.h"

void console_server_live(struct console_server *server, uint64_t epoch, uint64_t owner, uint64_t input)
{
    *server = (struct console_server){.live = true,
                                      .epoch = epoch,
                                      .owner = owner,
                                      .input = input,
                                      .confirmed = input,
                                      .asked = server->asked,
                                      .asked_output = server->asked_output};
}

void console_server_standby(struct console_server *server, uint64_t epoch)
{
    *server = (struct console_server){.epoch = epoch};
}

void console_server_unlinked(struct console_server *server)
{
    server->linked = false;
    server->asked = 0;
}

static void reply_simple(const struct console_server *server, enum console_kind kind, struct bytes_writer *reply)
{
    console_message_encode(&(struct console_message){.kind = kind, .epoch = server->epoch, .client = server->owner},
                           reply);
}

/* The console has a new owner: what the old one sent and the machine has not taken will never be confirmed to it. */
static void change_owner(struct console_server *server, uint64_t client)
{
    server->owner = client;
    server->owner_new = true;
    server->input -= server->pending_length;
    server->pending_length = 0;
}

static void greet(struct console_server *server, uint64_t client, uint64_t output, const struct output_gate *gate,
                  struct bytes_writer *reply)
{
    uint64_t from = output == CONSOLE_FROM_NOW ? gate->marks.shown : output;
    uint64_t before = server->owner;

    server->asked = 0;
    if (client != server->owner)
        change_owner(server, client);
    if (from < gate->start)
        from = gate->start;
    if (from > gate->marks.shown)
        from = gate->marks.shown;
    server->linked = true;
    server->end_sent = false;
    server->sent = server->received = from;
    /* What is committed is told by itself, again. */
    server->confirmed = 0;
    console_message_encode(
        &(struct console_message){
            .kind = CONSOLE_WELCOME, .client = before, .epoch = server->epoch, .input = server->input, .output = from},
        reply);
}

static bool take_input(struct console_server *server, const struct console_message *message)
{
    if (!server->linked)
        return true;
    /* A piece that we have already, or one that comes after a piece that we lack: it will be sent again. */
    if (message->input > server->input || message->input + message->length <= server->input)
        return true;
    size_t known = server->input - message->input;
    size_t length = message->length - known;
    size_t room = CONSOLE_PENDING_MAX - server->pending_length;
    if (length > room)
        length = room;
    memcpy(server->pending + server->pending_length, message->bytes + known, length);
    server->pending_length += length;
    server->input += length;
    return true;
}

bool console_server_receive(struct console_server *server, const struct console_message *message,
                            const struct output_gate *gate, struct bytes_writer *reply)
{
    if (!server->live) {
        if (message->kind == CONSOLE_HELLO) {
            server->asked = message->client;
            server->asked_output = message->output;
        }
        reply_simple(server, CONSOLE_STANDBY, reply);
        return true;
    }
    /* Who has heard of a later epoch knows more than we do. */
    if (message->epoch > server->epoch) {
        reply_simple(server, CONSOLE_STANDBY, reply);
        return true;
    }
    switch (message->kind) {
    case CONSOLE_HELLO:
        greet(server, message->client, message->output, gate, reply);
        return true;
    case CONSOLE_RECEIVED:
        if (!server->linked || message->output > server->sent)
            return !server->linked;
        if (message->output > server->received)
            server->received = message->output;
        return true;
    case CONSOLE_INPUT:
        return take_input(server, message);
    default:
        return false;
    }
}

size_t console_server_take(struct console_server *server, uint8_t *bytes, size_t length, uint64_t *owner)
{
    *owner = 0;
    if (server->pending_length == 0)
        return 0;
    if (server->owner_new)
        *owner = server->owner;
    server->owner_new = false;
    size_t taken = length < server->pending_length ? length : server->pending_length;
    memcpy(bytes, server->pending, taken);
    server->pending_length -= taken;
    memmove(server->pending, server->pending + taken, server->pending_length);
    return taken;
}

void console_server_end(struct console_server *server, uint8_t status)
{
    server->ended = true;
    server->status = status;
}

bool console_server_next(struct console_server *server, const struct output_gate *gate, uint64_t confirmed,
                         struct bytes_writer *to)
{
    struct console_message message = {.epoch = server->epoch};

    if (!server->live)
        return false;
    if (server->asked) {
        greet(server, server->asked, server->asked_output, gate, to);
        return true;
    }
    if (!server->linked)
        return false;
    if (server->sent < gate->start)
        server->sent = gate->start; /* the client sees the gap by the number */
    message.length = output_gate_peek(gate, server->sent, &message.bytes);
    if (message.length > CONSOLE_BYTES_MAX)
        message.length = CONSOLE_BYTES_MAX;
    if (message.length > 0) {
        message.kind = CONSOLE_OUTPUT;
        message.output = server->sent;
        server->sent += message.length;
    } else if (confirmed > server->confirmed) {
        message.kind = CONSOLE_CONFIRM;
        message.input = server->confirmed = confirmed;
    } else if (server->ended && !server->end_sent && server->sent == gate->end) {
        message.kind = CONSOLE_ENDED;
        message.output = gate->end;
        message.status = server->status;
        server->end_sent = true;
    } else {
        return false;
    }
    console_message_encode(&message, to);
    return true;
}

bool console_server_congested(const struct console_server *server, const struct output_gate *gate)
{
    return server->live && server->linked && gate->marks.shown - server->received > GATE_KEEP / 2;
}
