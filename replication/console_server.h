/*
 * The machine's end of the console protocol, as a pure state machine. Each client that is linked has a *seat*; one of
 * them writes, the others watch.
 *
 * Whose input stream it is belongs to the replicated state: a client that begins to write is recorded in the log
 * (replay/inputs.h), so that after a takeover the new primary knows that a client which returns is the same, and which
 * of its bytes the machine already has. So who wrote last has a while to come back (CONSOLE_RETURN), after a takeover
 * and when its link broke; then, or at once when it said LEAVE, the one that wants to write and came first may.
 *
 * Input goes: INPUT message -> `pending` here -> taken by the machine's thread, which records it -> counted in
 * `recorded` -> confirmed when that record is committed. At most CONSOLE_PENDING_MAX bytes wait; what a client sends
 * beyond that is dropped, and it sends it again, for it was not confirmed.
 *
 * Output that a client has not read is kept in the gate as long as there is room for it. The machine waits for the
 * client that writes, but only for a short time now and then (CONSOLE_HOLD in each CONSOLE_HOLD_EVERY); what a client
 * could not be given is counted in `dropped`, and the client sees the gap by the numbers.
 */
#ifndef ENCORE_REPLICATION_CONSOLE_SERVER_H
#define ENCORE_REPLICATION_CONSOLE_SERVER_H

#include "replication/console_protocol.h"
#include "replication/output_gate.h"

#define CONSOLE_SEATS       16
#define CONSOLE_PENDING_MAX (64u * 1024)
#define CONSOLE_RETURN      UINT64_C(3000000000) /* ns */
#define CONSOLE_HOLD        UINT64_C(100000000)
#define CONSOLE_HOLD_EVERY  UINT64_C(1000000000)

struct console_seat {
    bool taken; /* a client said HELLO */
    uint64_t client;
    enum console_wish wish;
    uint64_t since; /* counts: who came first */
    bool greet;     /* a WELCOME is due */
    bool placed;    /* `sent` is known; else the client asked for output from `asked` on */
    uint64_t asked;
    uint64_t before;   /* for WELCOME: whose input it was */
    uint64_t sent;     /* output was sent up to here */
    uint64_t received; /* the client has output up to here */
    uint64_t dropped;  /* bytes of output that were not kept until it could be given them */
    bool end_sent;
};

struct console_server {
    bool live; /* we are the one that speaks */
    uint64_t epoch;
    struct console_seat seats[CONSOLE_SEATS];
    uint64_t came;           /* clients so far */
    unsigned writer;         /* 1 + the seat of the one that writes; 0: nobody */
    uint64_t return_until;   /* until then only `owner` may begin to write */
    uint64_t owner;          /* the client whose input stream it is; 0: nobody's yet */
    uint64_t recorded_owner; /* ... as far as the machine has recorded it */
    uint64_t input;          /* number of the next byte of input that we accept */
    uint64_t confirmed;      /* told to the one that writes as confirmed */
    uint64_t received;       /* who writes, or did, has output up to here */
    uint64_t hold_since;     /* the machine waits, or waited last, from then on; 0: it never did */
    bool ended;
    uint8_t status;
    uint8_t pending[CONSOLE_PENDING_MAX];
    size_t pending_length;
};

/* Begins to speak (a new primary, or the first): the machine has recorded `input` bytes of input, the last owner was
 * `owner` (0: none). Who said HELLO before is welcomed now. */
void console_server_live(struct console_server *server, uint64_t epoch, uint64_t owner, uint64_t input, uint64_t now);
/* Not yet the one that speaks, or not any more. A client that says HELLO meanwhile is welcomed as soon as we are. */
void console_server_standby(struct console_server *server, uint64_t epoch);
/* The link of this seat broke, or was renewed: nothing is sent there before the next HELLO. Its client was heard last
 * at `heard`. */
void console_server_unlinked(struct console_server *server, unsigned seat, uint64_t heard);
/* A message arrived. An answer, if one is due at once, is appended to `reply` (at most one message); returns false for
 * a message that a sane client never sends, which is then ignored. */
bool console_server_receive(struct console_server *server, unsigned seat, const struct console_message *message,
                            uint64_t now, const struct output_gate *gate, struct bytes_writer *reply);
/* Time has passed: somebody may write now who could not before. */
void console_server_tend(struct console_server *server, uint64_t now);
/* The machine takes up to `length` bytes of input; returns how many. *owner is set to the owner when it must be
 * recorded before them, else to 0. */
size_t console_server_take(struct console_server *server, uint8_t *bytes, size_t length, uint64_t *owner);
/* The input that waits is a new owner's, of whom the machine does not know yet. */
bool console_server_owner_new(const struct console_server *server);
/* The guest ended with this exit code. */
void console_server_end(struct console_server *server, uint8_t status);
/* The next message for a seat, if there is one: output that the gate lets out, a confirmation (`confirmed` is the input
 * that is committed), the end. Appends it to `to` and returns true. To be called until it returns false or the link
 * takes no more. */
bool console_server_next(struct console_server *server, unsigned seat, const struct output_gate *gate,
                         uint64_t confirmed, struct bytes_writer *to);
/* All output from here on may be asked for by a client of ours. */
uint64_t console_server_unread(const struct console_server *server);
/* Clients at the console. */
unsigned console_server_clients(const struct console_server *server);
/* The output that who writes has not read has grown so far that the machine should wait (output_gate.h). */
bool console_server_congested(struct console_server *server, const struct output_gate *gate, uint64_t now);

#endif
