/* See console_client.h. */
#include "replication/console_client.h"

#include <string.h>

/* A HELLO that is not answered is said again after this time; so is one to a machine that stands by. */
#define HELLO_AGAIN UINT64_C(20000000)
/* After a link broke, was renewed, or took nothing: soon, but not in the same round, which would never end. */
#define HELLO_SOON UINT64_C(1000000)
/* Once welcomed, links to other machines are asked more rarely. */
#define HELLO_OTHERS UINT64_C(50000000)
/* Output is acknowledged at the latest after so many bytes. */
#define TELL_EVERY (16u * 1024)
/* ... or this time. */
#define TELL_AFTER UINT64_C(20000000)

void console_client_init(struct console_client *client, uint64_t id, unsigned links, bool all, enum console_wish wish)
{
    *client = (struct console_client){.id = id,
                                      .links = links,
                                      .wish = wish,
                                      .watches = wish == CONSOLE_WATCH,
                                      .link = -1,
                                      .output = all ? 0 : CONSOLE_FROM_NOW};
}

size_t console_client_type(struct console_client *client, const uint8_t *bytes, size_t length)
{
    size_t room = client->watches ? 0 : CLIENT_KEEP - client->kept_length;
    size_t taken = length < room ? length : room;

    memcpy(client->kept + client->kept_length, bytes, taken);
    client->kept_length += taken;
    return taken;
}

/* The machine has our input before number `input` for good. */
static bool forget_input(struct console_client *client, uint64_t input)
{
    if (input <= client->input)
        return true;
    uint64_t count = input - client->input;
    if (count > client->kept_length)
        return false;
    memmove(client->kept, client->kept + count, client->kept_length - count);
    client->kept_length -= count;
    client->sent = client->sent > count ? client->sent - count : 0;
    client->input = input;
    return true;
}

/* The machine at this link speaks to us. */
static void listen_to(struct console_client *client, unsigned link, const struct console_message *welcome)
{
    client->epoch = welcome->epoch;
    client->link = (int)link;
    client->watches = !welcome->writes;
    if (client->output == CONSOLE_FROM_NOW)
        client->output = client->told = welcome->output;
    client->told = client->output < client->told ? client->output : client->told;
}

/* Somebody else writes. */
static void take_watching(struct console_client *client, unsigned link, const struct console_message *welcome)
{
    /* What was typed before anybody welcomed us has not been sent, and can wait. */
    if (client->numbered && client->kept_length > 0) {
        client->taken = true;
        return;
    }
    client->numbered = false;
    client->input = client->sent = 0;
    listen_to(client, link, welcome);
}

static bool take_welcome(struct console_client *client, unsigned link, const struct console_message *welcome)
{
    if (welcome->epoch < client->epoch || welcome->epoch == 0)
        return true; /* a machine of the past */
    if (!welcome->writes) {
        take_watching(client, link, welcome);
        return true;
    }
    if (client->wish == CONSOLE_WATCH)
        return false;
    client->wish = CONSOLE_WRITE; /* what was to be taken is taken */
    if (!client->numbered) {
        client->numbered = true;
        client->input = welcome->input;
    }
    if (client->kept_length == 0 && welcome->input > client->input)
        client->input = welcome->input; /* somebody else's; we have nothing at stake */
    if (welcome->client != client->id && welcome->input != client->input) {
        client->taken = true;
        return true;
    }
    /* What it has of ours lies between what is confirmed and what we ever sent. */
    if (welcome->input < client->input || welcome->input - client->input > client->kept_length)
        return false;
    client->sent = welcome->input - client->input;
    listen_to(client, link, welcome);
    return true;
}

static bool take_output(struct console_client *client, const struct console_message *message, const uint8_t **output,
                        size_t *length)
{
    if (message->output + message->length <= client->output)
        return true;
    if (message->output > client->output) {
        client->lost += message->output - client->output;
        client->output = message->output;
    }
    size_t known = client->output - message->output;
    *output = message->bytes + known;
    *length = message->length - known;
    client->output += *length;
    return true;
}

bool console_client_receive(struct console_client *client, unsigned link, const struct console_message *message,
                            uint64_t now, const uint8_t **output, size_t *length)
{
    *length = 0;
    client->hello_at[link] = now + HELLO_OTHERS;
    if (message->kind == CONSOLE_WELCOME)
        return take_welcome(client, link, message);
    if (message->kind == CONSOLE_STANDBY) {
        if (client->link == (int)link)
            client->link = -1;
        client->hello_at[link] = now + HELLO_AGAIN;
        return true;
    }
    if (client->link != (int)link || message->epoch != client->epoch)
        return true; /* a machine that we have not greeted, or not any more */
    switch (message->kind) {
    case CONSOLE_OUTPUT:
        return take_output(client, message, output, length);
    case CONSOLE_CONFIRM:
        return forget_input(client, message->input);
    case CONSOLE_ENDED:
        if (message->output != client->output)
            return true; /* some output was lost on the way; a renewed HELLO gets it */
        client->ended = true;
        client->status = message->status;
        return true;
    default:
        return false;
    }
}

static bool say_hello(struct console_client *client, uint64_t now, unsigned *link, struct bytes_writer *to)
{
    for (unsigned n = 0; n < client->links; n++) {
        if (client->link == (int)n || now < client->hello_at[n])
            continue;
        client->hello_at[n] = now + HELLO_AGAIN;
        *link = n;
        console_message_encode(&(struct console_message){.kind = CONSOLE_HELLO,
                                                         .epoch = client->epoch,
                                                         .client = client->id,
                                                         .wish = client->wish,
                                                         .output = client->output},
                               to);
        return true;
    }
    return false;
}

/* Not for each piece of output; but a machine whose guest has ended waits to hear it. */
static bool received_is_due(const struct console_client *client, uint64_t now)
{
    uint64_t untold = client->output - client->told;

    return untold >= TELL_EVERY || (untold > 0 && now >= client->tell_at);
}

bool console_client_next(struct console_client *client, uint64_t now, unsigned *link, struct bytes_writer *to)
{
    struct console_message message = {.epoch = client->epoch};

    if (client->taken || client->ended)
        return false;
    if (say_hello(client, now, link, to))
        return true;
    if (client->link < 0)
        return false;
    *link = (unsigned)client->link;
    if (!client->watches && client->sent < client->kept_length) {
        message.kind = CONSOLE_INPUT;
        message.input = client->input + client->sent;
        message.bytes = client->kept + client->sent;
        message.length = client->kept_length - client->sent;
        if (message.length > CONSOLE_BYTES_MAX)
            message.length = CONSOLE_BYTES_MAX;
        client->sent += message.length;
    } else if (received_is_due(client, now)) {
        message.kind = CONSOLE_RECEIVED;
        message.output = client->told = client->output;
        client->tell_at = now + TELL_AFTER;
    } else {
        return false;
    }
    console_message_encode(&message, to);
    return true;
}

void console_client_unlinked(struct console_client *client, unsigned link, uint64_t now)
{
    client->hello_at[link] = now + HELLO_SOON;
    if (client->link == (int)link)
        client->link = -1;
}

bool console_client_leave(struct console_client *client, unsigned *link, struct bytes_writer *to)
{
    if (client->link < 0)
        return false;
    *link = (unsigned)client->link;
    console_message_encode(&(struct console_message){.kind = CONSOLE_LEAVE, .epoch = client->epoch}, to);
    return true;
}

bool console_client_settled(const struct console_client *client)
{
    return client->kept_length == 0;
}
