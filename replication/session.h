/*
 * A session: what makes messages from a pipe trustworthy, or at least tells when the pipe broke.
 *
 * Keyed. Both sides hold the same 32-byte key (encore keygen). Each link begins with a handshake: both send a fresh
 * X25519 public key and random bytes, authenticated under the pre-shared key (and saying protocol version and role, so
 * that no message can be played back to its sender or from an older link); the shared secrets and the pre-shared key
 * together give one key for each direction; then every message is one of libsodium's crypto_secretstream. A message
 * that was lost, repeated, reordered or altered does not decrypt, and the session is over: a new handshake follows.
 *
 * Open (no key; for ipc:// below a directory of mode 0700, and loopback). The same handshake with random session
 * numbers in place of keys, and a counter in each message: nothing is secret, but a pipe that was renewed or lost
 * something is noticed all the same.
 *
 * The client (backup, console, control) begins each handshake. Pure: no socket, no clock; random bytes come from
 * libsodium.
 */
#ifndef ENCORE_REPLICATION_SESSION_H
#define ENCORE_REPLICATION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/files.h"

#define SESSION_KEY      32
#define SESSION_OVERHEAD 64 /* a sealed message is longer than its contents by at most so many bytes */

struct session;

enum session_purpose { SESSION_LINK = 1, SESSION_CONSOLE = 2, SESSION_CONTROL = 3 };

/* `key` NULL: open. NULL when memory is exhausted or libsodium cannot start. */
struct session *session_create(bool client, enum session_purpose purpose, const uint8_t *key);
void session_free(struct session *session);

/* Client: forgets what was, and appends the first handshake message to `out`. */
void session_begin(struct session *session, struct bytes_writer *out);

enum session_input {
    SESSION_REPLY,    /* `out` holds an answer to be sent (handshake); the session is not up yet */
    SESSION_UP,       /* the handshake is done: the session is up, afresh. `out` may hold an answer to be sent first */
    SESSION_CONTENTS, /* `out` holds a message's contents */
    SESSION_BROKEN,   /* the session was up and something was lost or altered: it is over, and the client begins anew.
                       * The error says so, in one line; `out` may hold an answer to be sent */
    SESSION_IGNORED, /* it belongs to an earlier session or handshake: late, or played back. Nothing is changed by it */
    SESSION_REFUSED, /* no session: wrong key, other version, or noise. The error says which, in one line; `out` may
                      * hold an answer to be sent */
};

/* Takes what arrived. `out` is emptied first; at most `limit` of its own. State changes only for what is authentic (in
 * an open session: well-formed); a handshake from a client is always answered, also while a session is up, but replaces
 * it only when it completes. */
enum session_input session_receive(struct session *session, const uint8_t *bytes, size_t length,
                                   struct bytes_writer *out, struct error *error);
/* Whether messages can be sealed. */
bool session_is_up(const struct session *session);
/* Appends the sealed message. The session must be up. */
void session_seal(struct session *session, const uint8_t *bytes, size_t length, struct bytes_writer *out);

/* Reads a key file, an input of the run `files` (one line of 64 hexadecimal digits, as encore keygen writes it; refused
 * when others may read it). */
int session_read_key(struct files *files, const char *path, uint8_t key[SESSION_KEY], struct error *error);
/* Writes a fresh key to a new file of mode 0600; an existing one is never overwritten. */
int session_write_key(const char *path, struct error *error);

#endif
