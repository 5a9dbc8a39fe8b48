/*
 * A session: what makes the messages of one connection trustworthy.
 *
 * Keyed. Who connects holds the key of a role, and the machine that listens holds all of them and an X25519 key pair of
 * its own (keys.h). A session begins with a handshake: both send a fresh X25519 public key and random bytes. The
 * client's are authenticated under the role's key, and say protocol version and purpose. The secrets of both fresh
 * keys, and of the client's fresh key with the machine's own, and the role's key together give one key for each
 * direction; the server's answer is authenticated under its own, which only a machine can know, and the client proves
 * that it knows the other. Then every message is one of libsodium's crypto_secretstream. A message that was lost,
 * repeated, reordered or altered does not decrypt, and the session is over. (So who holds a role's key can be a client
 * in that role, but can neither pass for the machine nor read what others say.)
 *
 * Open (no key; for ipc:// below a directory of mode 0700, and loopback). The same handshake with random session
 * numbers in place of keys, and a counter in each message: nothing is secret and nobody is refused, but what was lost
 * or belongs to another connection is noticed all the same.
 *
 * A session belongs to one connection, and ends with it. The client (backup, console, operator) begins the handshake.
 * Pure: no socket, no clock; random bytes come from libsodium.
 */
#ifndef ENCORE_REPLICATION_SESSION_H
#define ENCORE_REPLICATION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "replication/keys.h"

#define SESSION_OVERHEAD      64  /* a sealed message is longer than its contents by at most so many bytes */
#define SESSION_HANDSHAKE_MAX 128 /* no message of a handshake is longer */

struct session;

/* What a client wants. Each needs the key of its role. */
enum session_purpose {
    SESSION_LINK = KEY_BACKUP,
    SESSION_CONSOLE = KEY_CONSOLE,
    SESSION_CONTROL = KEY_OPERATOR,
};

/* `keys` NULL: open; else they are copied: the client's must have the role of the purpose, the server's be of a master
 * key. NULL when memory is exhausted or libsodium cannot start. */
struct session *session_client(enum session_purpose purpose, const struct keys *keys);
struct session *session_server(const struct keys *keys);
void session_free(struct session *session);

/* Client: appends the first message of the handshake to `out`. */
void session_begin(struct session *session, struct bytes_writer *out);

enum session_input {
    SESSION_REPLY,    /* `out` holds an answer to be sent (handshake); the session is not up yet */
    SESSION_UP,       /* the handshake is done: the session is up. `out` may hold an answer to be sent first */
    SESSION_CONTENTS, /* `out` holds a message's contents */
    SESSION_BROKEN,   /* the session was up and something was lost or altered: it is over. The error says so */
    SESSION_REFUSED,  /* no session, now or later: wrong key, other version, or noise. The error says which; `out` may
                       * hold an answer to be sent */
};

/* Takes what arrived. `out` is emptied first; at most `limit` of its own. After BROKEN and REFUSED there is nothing
 * more to be had from this session. */
enum session_input session_receive(struct session *session, const uint8_t *bytes, size_t length,
                                   struct bytes_writer *out, struct error *error);
/* Whether messages can be sealed. */
bool session_is_up(const struct session *session);
/* A server's: the client has shown the key of what it wants (when open: it speaks as it should), and is to prove that
 * it is there. */
bool session_has_begun(const struct session *session);
/* What the client wants; for a server once the session is up. */
enum session_purpose session_purpose(const struct session *session);
/* Appends the sealed message. The session must be up. */
void session_seal(struct session *session, const uint8_t *bytes, size_t length, struct bytes_writer *out);

#endif
