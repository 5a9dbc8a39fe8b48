/*
 * The client's end of the console protocol, as a pure state machine over several links.
 *
 * Link n is the n-th address that the user gave. The client says HELLO on each, listens to whichever machine speaks for
 * the highest epoch, passes each byte of output on exactly once, and, if it may write, keeps what it sent until it is
 * confirmed, to send it again to a new primary.
 */
#ifndef ENCORE_REPLICATION_CONSOLE_CLIENT_H
#define ENCORE_REPLICATION_CONSOLE_CLIENT_H

#include "replication/console_protocol.h"

#define CLIENT_LINKS_MAX 8
#define CLIENT_KEEP      (64u * 1024) /* bytes of input that may be unconfirmed */

struct console_client {
    uint64_t id;
    unsigned links;
    enum console_wish wish;
    bool watches;     /* the machine says that somebody else writes, or we do not want to */
    uint64_t epoch;   /* the highest heard of in a WELCOME */
    int link;         /* whose machine has welcomed us in it; -1: none */
    uint64_t output;  /* number of the next byte of output; CONSOLE_FROM_NOW before the first WELCOME */
    uint64_t told;    /* output that we have told RECEIVED for */
    uint64_t tell_at; /* when the next RECEIVED is due */
    uint64_t input;   /* number of the first byte in `kept`; it is not confirmed */
    bool numbered;    /* `input` is known: a WELCOME came */
    uint8_t kept[CLIENT_KEEP];
    size_t kept_length;
    size_t sent;                         /* of the kept bytes, sent to the present machine */
    uint64_t hello_at[CLIENT_LINKS_MAX]; /* when the next HELLO is due on each link */
    uint64_t lost;                       /* bytes of output that no machine had any more */
    bool taken; /* another client writes now: what the machine has of our input cannot be told any more */
    bool ended;
    uint8_t status;
};

/* `all`: wants all output that is kept, not only what comes from now on. */
void console_client_init(struct console_client *client, uint64_t id, unsigned links, bool all, enum console_wish wish);
/* The user typed. Takes as many bytes as fit, and none while it watches; returns how many. */
size_t console_client_type(struct console_client *client, const uint8_t *bytes, size_t length);
/* A message arrived on a link. Output that is new to us is handed over by *output, *length (pointing into the
 * message). Returns false for a message that no sane machine sends. */
bool console_client_receive(struct console_client *client, unsigned link, const struct console_message *message,
                            uint64_t now, const uint8_t **output, size_t *length);
/* The next message to send on some link, if there is one; `now` in ns. To be called until it returns false. */
bool console_client_next(struct console_client *client, uint64_t now, unsigned *link, struct bytes_writer *to);
/* A link broke or was renewed, or could not take a message: say HELLO on it again, and send again. */
void console_client_unlinked(struct console_client *client, unsigned link, uint64_t now);
/* The user leaves: says LEAVE to the machine that has welcomed us, if there is one. True: there is a message for *link.
 */
bool console_client_leave(struct console_client *client, unsigned *link, struct bytes_writer *to);
/* Everything typed is confirmed. */
bool console_client_settled(const struct console_client *client);

#endif
