/* See console_server.h. */
#include "replication/console_server.h"

#include <string.h>

#include "base/check.h"

void console_server_live(struct console_server *server, uint64_t epoch, uint64_t owner, uint64_t input, uint64_t now)
{
    struct console_seat seats[CONSOLE_SEATS];
    uint64_t came = server->came;

    memcpy(seats, server->seats, sizeof seats);
    *server = (struct console_server){.live = true,
                                      .epoch = epoch,
                                      .came = came,
                                      .return_until = owner ? now + CONSOLE_RETURN : 0,
                                      .owner = owner,
                                      .recorded_owner = owner,
                                      .input = input,
                                      .confirmed = input};
    memcpy(server->seats, seats, sizeof seats);
    for (unsigned n = 0; n < CONSOLE_SEATS; n++)
        server->seats[n].greet = server->seats[n].taken;
    console_server_tend(server, now);
}

void console_server_standby(struct console_server *server, uint64_t epoch)
{
    *server = (struct console_server){.epoch = epoch};
}

/* The seat is empty; who wrote from it may come back for a while. */
static void vacate(struct console_server *server, unsigned seat, uint64_t return_until)
{
    server->seats[seat] = (struct console_seat){0};
    if (server->writer != seat + 1)
        return;
    server->writer = 0;
    server->return_until = return_until;
}

void console_server_unlinked(struct console_server *server, unsigned seat, uint64_t heard)
{
    vacate(server, seat, heard + CONSOLE_RETURN);
}

static bool writes(const struct console_server *server, unsigned seat)
{
    return server->writer == seat + 1;
}

/* The input stream has a new owner: what the old one sent and the machine has not taken will never be confirmed to it.
 */
static void change_owner(struct console_server *server, uint64_t client)
{
    server->owner = client;
    server->input -= server->pending_length;
    server->pending_length = 0;
}

static void let_write(struct console_server *server, unsigned seat)
{
    struct console_seat *of = &server->seats[seat];

    if (server->writer && !writes(server, seat))
        server->seats[server->writer - 1].greet = true; /* that it does not write any more */
    server->writer = seat + 1;
    of->before = server->owner;
    of->greet = true;
    if (of->client != server->owner)
        change_owner(server, of->client);
    /* What is committed is told by itself, again. */
    server->confirmed = 0;
}

/* Whether a client that has just said HELLO may write. */
static bool may_write(const struct console_server *server, unsigned seat, uint64_t now)
{
    const struct console_seat *of = &server->seats[seat];
    /* Who wrote last comes back, and the other has typed nothing yet. */
    bool returns =
        of->client == server->recorded_owner && server->owner != server->recorded_owner && server->pending_length == 0;

    if (of->wish == CONSOLE_WATCH)
        return false;
    if (of->wish == CONSOLE_TAKE || writes(server, seat) || returns)
        return true;
    return server->writer == 0 && (now >= server->return_until || of->client == server->owner);
}

void console_server_tend(struct console_server *server, uint64_t now)
{
    const struct console_seat *first = NULL;

    if (!server->live || server->writer)
        return;
    for (unsigned n = 0; n < CONSOLE_SEATS; n++) {
        const struct console_seat *seat = &server->seats[n];
        if (seat->taken && may_write(server, n, now) && (!first || seat->since < first->since))
            first = seat;
    }
    if (first)
        let_write(server, (unsigned)(first - server->seats));
}

/* Where the output begins that the client gets. */
static void place(struct console_seat *seat, const struct output_gate *gate)
{
    uint64_t from = seat->asked == CONSOLE_FROM_NOW ? gate->marks.shown : seat->asked;

    if (from < gate->start) {
        seat->dropped += from ? gate->start - from : 0; /* from 0 on: all that is kept */
        from = gate->start;
    }
    if (from > gate->marks.shown)
        from = gate->marks.shown;
    seat->sent = seat->received = from;
    seat->placed = true;
}

static void welcome(struct console_server *server, unsigned seat, const struct output_gate *gate,
                    struct bytes_writer *to)
{
    struct console_seat *of = &server->seats[seat];

    if (!of->placed)
        place(of, gate);
    of->greet = false;
    if (writes(server, seat))
        server->received = of->received;
    console_message_encode(&(struct console_message){.kind = CONSOLE_WELCOME,
                                                     .epoch = server->epoch,
                                                     .client = writes(server, seat) ? of->before : server->owner,
                                                     .writes = writes(server, seat),
                                                     .input = server->input,
                                                     .output = of->sent},
                           to);
}

/* A client that comes again has a fresh link, and its older one makes room. */
static void take_seat(struct console_server *server, unsigned seat, const struct console_message *hello, uint64_t now)
{
    bool wrote = false;

    for (unsigned n = 0; n < CONSOLE_SEATS; n++) {
        if (n == seat || !server->seats[n].taken || server->seats[n].client != hello->client)
            continue;
        wrote |= writes(server, n);
        vacate(server, n, now + CONSOLE_RETURN);
    }
    if (server->seats[seat].taken && server->seats[seat].client != hello->client)
        vacate(server, seat, now + CONSOLE_RETURN);
    uint64_t since = server->seats[seat].taken ? server->seats[seat].since : ++server->came;
    server->seats[seat] = (struct console_seat){
        .taken = true, .client = hello->client, .wish = hello->wish, .since = since, .asked = hello->output};
    if (writes(server, seat) && hello->wish == CONSOLE_WATCH) {
        server->writer = 0;
        server->return_until = now;
    }
    if (server->live && (may_write(server, seat, now) || (wrote && hello->wish != CONSOLE_WATCH)))
        let_write(server, seat);
}

static void answer_standby(const struct console_server *server, struct bytes_writer *reply)
{
    console_message_encode(&(struct console_message){.kind = CONSOLE_STANDBY, .epoch = server->epoch}, reply);
}

static void take_input(struct console_server *server, const struct console_message *message)
{
    /* A piece that we have already, or one that comes after a piece that we lack: it will be sent again. */
    if (message->input > server->input || message->input + message->length <= server->input)
        return;
    size_t known = server->input - message->input;
    size_t length = message->length - known;
    size_t room = CONSOLE_PENDING_MAX - server->pending_length;
    if (length > room)
        length = room;
    memcpy(server->pending + server->pending_length, message->bytes + known, length);
    server->pending_length += length;
    server->input += length;
}

static bool take_received(struct console_server *server, unsigned seat, uint64_t output)
{
    struct console_seat *of = &server->seats[seat];

    if (output > of->sent)
        return false;
    if (output > of->received)
        of->received = output;
    if (writes(server, seat))
        server->received = of->received;
    return true;
}

bool console_server_receive(struct console_server *server, unsigned seat, const struct console_message *message,
                            uint64_t now, const struct output_gate *gate, struct bytes_writer *reply)
{
    CHECK(seat < CONSOLE_SEATS);
    bool hello = message->kind == CONSOLE_HELLO, taken = server->seats[seat].taken;

    if (message->kind == CONSOLE_LEAVE) {
        vacate(server, seat, now);
        return true;
    }
    /* Who has heard of a later epoch knows more than we do. */
    if (!server->live || message->epoch > server->epoch) {
        if (hello && !server->live)
            take_seat(server, seat, message, now);
        answer_standby(server, reply);
        return true;
    }
    if (hello) {
        take_seat(server, seat, message, now);
        welcome(server, seat, gate, reply);
        return true;
    }
    /* Before it said HELLO on this link, or before its WELCOME, it speaks of something else. */
    bool ready = taken && server->seats[seat].placed;
    switch (message->kind) {
    case CONSOLE_RECEIVED:
        return !ready || take_received(server, seat, message->output);
    case CONSOLE_INPUT:
        if (ready && writes(server, seat) && !server->seats[seat].greet)
            take_input(server, message);
        return true;
    default:
        return false;
    }
}

bool console_server_owner_new(const struct console_server *server)
{
    return server->owner != server->recorded_owner;
}

size_t console_server_take(struct console_server *server, uint8_t *bytes, size_t length, uint64_t *owner)
{
    *owner = 0;
    if (server->pending_length == 0 || length == 0)
        return 0;
    if (console_server_owner_new(server))
        *owner = server->owner;
    server->recorded_owner = server->owner;
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

bool console_server_next(struct console_server *server, unsigned seat, const struct output_gate *gate,
                         uint64_t confirmed, struct bytes_writer *to)
{
    struct console_seat *of = &server->seats[seat];
    struct console_message message = {.epoch = server->epoch};

    if (!server->live || !of->taken)
        return false;
    if (of->greet || !of->placed) {
        welcome(server, seat, gate, to);
        return true;
    }
    if (of->sent < gate->start) {
        of->dropped += gate->start - of->sent;
        of->sent = gate->start; /* the client sees the gap by the number */
    }
    message.length = output_gate_peek(gate, of->sent, &message.bytes);
    if (message.length > CONSOLE_BYTES_MAX)
        message.length = CONSOLE_BYTES_MAX;
    if (message.length > 0) {
        message.kind = CONSOLE_OUTPUT;
        message.output = of->sent;
        of->sent += message.length;
    } else if (writes(server, seat) && confirmed > server->confirmed) {
        message.kind = CONSOLE_CONFIRM;
        message.input = server->confirmed = confirmed;
    } else if (server->ended && !of->end_sent && of->sent == gate->end) {
        message.kind = CONSOLE_ENDED;
        message.output = gate->end;
        message.status = server->status;
        of->end_sent = true;
    } else {
        return false;
    }
    console_message_encode(&message, to);
    return true;
}

uint64_t console_server_unread(const struct console_server *server)
{
    uint64_t lowest = server->received;

    for (unsigned n = 0; n < CONSOLE_SEATS; n++) {
        const struct console_seat *seat = &server->seats[n];
        uint64_t from = seat->placed ? seat->received : seat->asked;
        if (seat->taken && from < lowest)
            lowest = from;
    }
    return lowest;
}

unsigned console_server_clients(const struct console_server *server)
{
    unsigned count = 0;

    for (unsigned n = 0; n < CONSOLE_SEATS; n++)
        count += server->seats[n].taken;
    return count;
}

bool console_server_congested(struct console_server *server, const struct output_gate *gate, uint64_t now)
{
    const struct console_seat *writer = server->writer ? &server->seats[server->writer - 1] : NULL;

    if (!server->live || !writer || !writer->placed || gate->marks.shown - writer->received <= GATE_KEEP / 2)
        return false;
    if (server->hold_since == 0 || now - server->hold_since >= CONSOLE_HOLD_EVERY)
        server->hold_since = now;
    return now - server->hold_since < CONSOLE_HOLD;
}
