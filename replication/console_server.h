/*
 * The machine's end of the console protocol, as a pure state machine: one client at a time, the last that said HELLO.
 *
 * Whose input stream it is belongs to the replicated state: a client that takes the console over is recorded in the
 * log (replay/inputs.h), so that after a takeover the new primary knows that a client which returns is the same, and
 * which of its bytes the machine already has.
 *
 * Input goes: INPUT message -> `pending` here -> taken by the machine's thread, which records it -> counted in
 * `recorded` -> confirmed when that record is committed. At most CONSOLE_PENDING_MAX bytes wait; what a client sends
 * beyond that is dropped, and it sends it again, for it was not confirmed.
 */
#ifndef ENCORE_REPLICATION_CONSOLE_SERVER_H
#define ENCORE_REPLICATION_CONSOLE_SERVER_H

#include "replication/console_protocol.h"
#include "replication/output_gate.h"

#define CONSOLE_PENDING_MAX (64u * 1024)

struct console_server {
    bool live; /* we are the one that speaks */
    uint64_t epoch;
    uint64_t owner;               /* the client whose input stream it is; 0: nobody's yet */
    bool owner_new;               /* ... and the machine has not recorded that yet */
    uint64_t asked, asked_output; /* a client said HELLO while we stood by; 0: none */
    bool linked;                  /* the owner said HELLO on the present link */
    uint64_t input;               /* number of the next byte of input that we accept */
    uint64_t confirmed;           /* told to the owner as confirmed */
    uint64_t sent;                /* output was sent on this link up to here */
    uint64_t received;            /* the owner has output up to here */
    bool ended;
    bool end_sent;
    uint8_t status;
    uint8_t pending[CONSOLE_PENDING_MAX];
    size_t pending_length;
};

/* Begins to speak (a new primary, or the first): the machine has recorded `input` bytes of input, the last owner was
 * `owner` (0: none). */
void console_server_live(struct console_server *server, uint64_t epoch, uint64_t owner, uint64_t input);
/* Not yet the one that speaks. A client that says HELLO meanwhile is welcomed as soon as we are. */
void console_server_standby(struct console_server *server, uint64_t epoch);
/* The link broke or was renewed: nothing is sent before the next HELLO. */
void console_server_unlinked(struct console_server *server);
/* A message arrived. An answer, if one is due at once, is appended to `reply` (at most one message); returns false for
 * a message that a sane client never sends, which is then ignored. */
bool console_server_receive(struct console_server *server, const struct console_message *message,
                            const struct output_gate *gate, struct bytes_writer *reply);
/* The machine takes up to `length` bytes of input; returns how many. *owner is set to the owner when it must be
 * recorded before them, else to 0. */
size_t console_server_take(struct console_server *server, uint8_t *bytes, size_t length, uint64_t *owner);
/* The guest ended with this exit code. */
void console_server_end(struct console_server *server, uint8_t status);
/* The next message to send, if there is one: output that the gate lets out, a confirmation (`confirmed` is the input
 * that is committed), the end. Appends it to `to` and returns true. To be called until it returns false or the link
 * takes no more. */
bool console_server_next(struct console_server *server, const struct output_gate *gate, uint64_t confirmed,
                         struct bytes_writer *to);
/* The owner's unread output has grown so far that the machine should wait (output_gate.h). */
bool console_server_congested(const struct console_server *server, const struct output_gate *gate);

#endif
