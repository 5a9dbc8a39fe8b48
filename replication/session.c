/*
 * See session.h. The messages of a handshake, each beginning with u8 version, u8 type, u8 mode (0 open, 1 keyed), u8
 * purpose:
 *   BEGIN   client: 32 bytes X25519 public key, 16 random bytes, 32 bytes tag(psk, "begin", all before)
 *   ANSWER  server: the same two, 24 bytes secretstream header, 32 bytes tag(psk, "answer", BEGIN, all before)
 *   PROVE   client: 24 bytes secretstream header, 32 bytes tag(the client's key, "prove", all before)
 * tag is BLAKE2b with a key; psk is the pre-shared key, or zeros when open. The keys of the two directions are
 * BLAKE2b(psk, "keys", the X25519 secret or zeros, BEGIN, ANSWER up to its random bytes), the first half the client's.
 *   DATA    u8 version, u8 type, then a secretstream message; open: 8 bytes of the direction's key, u64 count, contents
 *   NO      u8 version, u8 type, u8 reason: there is no session. Not authentic, so it only ever leads to a handshake
 * PROVE shows that the client is there now, so only PROVE makes the server give up an older session.
 */
#include "replication/session.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

enum type { BEGIN = 1, ANSWER, PROVE, DATA, NO };
enum reason { NO_SESSION = 1, NO_OTHER_KEY, NO_MODE, NO_PURPOSE, NO_VERSION };

#define PREFIX      4
#define PUBLIC_KEY  crypto_scalarmult_BYTES
#define NONCE       16
#define TAG         32
#define HEADER      crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define OFFER       (PREFIX + PUBLIC_KEY + NONCE)
#define BEGIN_SIZE  (OFFER + TAG)
#define ANSWER_SIZE (OFFER + HEADER + TAG)
#define PROVE_SIZE  (PREFIX + HEADER + TAG)
#define OPEN_PREFIX 16

/* One direction, or both, of a session. */
struct keys {
    uint8_t client[32], server[32];
};

struct stream {
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t tag[8]; /* open */
    uint64_t count; /* open: of messages */
};

struct session {
    bool client;
    bool keyed;
    enum session_purpose purpose;
    uint8_t psk[SESSION_KEY]; /* zeros when open */
    bool up;
    struct stream out, in;
    /* A handshake under way. Client: it sent `begin`. Server: it sent an answer, and waits to have it proved. */
    bool shaking;
    uint8_t begin[BEGIN_SIZE];
    uint8_t secret[crypto_scalarmult_SCALARBYTES]; /* client */
    struct keys keys;                              /* server */
    struct stream next_out;                        /* server */
};

struct session *session_create(bool client, enum session_purpose purpose, const uint8_t *key)
{
    if (sodium_init() < 0)
        return NULL;
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->client = client;
    session->purpose = purpose;
    session->keyed = key != NULL;
    if (key)
        memcpy(session->psk, key, SESSION_KEY);
    return session;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    sodium_memzero(session, sizeof *session);
    free(session);
}

bool session_is_up(const struct session *session)
{
    return session->up;
}

static void make_tag(const uint8_t key[32], const char *what, const void *first, size_t first_length,
                     const void *second, size_t second_length, uint8_t tag[TAG])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, key, 32, TAG);
    crypto_generichash_update(&state, (const uint8_t *)what, strlen(what));
    crypto_generichash_update(&state, first, first_length);
    crypto_generichash_update(&state, second, second_length);
    crypto_generichash_final(&state, tag, TAG);
}

static bool tag_is(const uint8_t key[32], const char *what, const void *first, size_t first_length, const void *second,
                   size_t second_length, const uint8_t *tag)
{
    uint8_t expected[TAG];

    make_tag(key, what, first, first_length, second, second_length, expected);
    return sodium_memcmp(expected, tag, TAG) == 0;
}

static void put_prefix(const struct session *session, enum type type, uint8_t *to)
{
    to[0] = VERSION;
    to[1] = type;
    to[2] = session->keyed;
    to[3] = (uint8_t)session->purpose;
}

/* A fresh public key and random bytes, after the prefix. */
static void make_offer(const struct session *session, enum type type, uint8_t secret[32], uint8_t *to)
{
    put_prefix(session, type, to);
    randombytes_buf(secret, crypto_scalarmult_SCALARBYTES);
    crypto_scalarmult_base(to + PREFIX, secret);
    randombytes_buf(to + PREFIX + PUBLIC_KEY, NONCE);
}

/* The keys of both directions. False for a public key that gives no secret. */
static bool derive(const struct session *session, const uint8_t *secret, const uint8_t *their_public,
                   const uint8_t *begin, const uint8_t *answer, struct keys *keys)
{
    crypto_generichash_state state;
    uint8_t shared[crypto_scalarmult_BYTES] = {0};
    uint8_t both[64];

    if (session->keyed && crypto_scalarmult(shared, secret, their_public) != 0)
        return false;
    crypto_generichash_init(&state, session->psk, SESSION_KEY, sizeof both);
    crypto_generichash_update(&state, (const uint8_t *)"keys", 4);
    crypto_generichash_update(&state, shared, sizeof shared);
    crypto_generichash_update(&state, begin, BEGIN_SIZE);
    crypto_generichash_update(&state, answer, OFFER);
    crypto_generichash_final(&state, both, sizeof both);
    memcpy(keys->client, both, 32);
    memcpy(keys->server, both + 32, 32);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(both, sizeof both);
    return true;
}

static void open_out(struct stream *stream, const uint8_t key[32], uint8_t header[HEADER])
{
    crypto_secretstream_xchacha20poly1305_init_push(&stream->state, header, key);
    memcpy(stream->tag, key, sizeof stream->tag);
    stream->count = 0;
}

static void open_in(struct stream *stream, const uint8_t key[32], const uint8_t header[HEADER])
{
    crypto_secretstream_xchacha20poly1305_init_pull(&stream->state, header, key);
    memcpy(stream->tag, key, sizeof stream->tag);
    stream->count = 0;
}

void session_begin(struct session *session, struct bytes_writer *out)
{
    session->up = false;
    session->shaking = true;
    make_offer(session, BEGIN, session->secret, session->begin);
    make_tag(session->psk, "begin", session->begin, OFFER, NULL, 0, session->begin + OFFER);
    bytes_put(out, session->begin, BEGIN_SIZE);
}

static enum session_input refuse(enum reason reason, bool tell, struct bytes_writer *out, struct error *error)
{
    static const char *const texts[] = {
        [NO_SESSION] = "something was lost, repeated or altered on the way; the session begins anew",
        [NO_OTHER_KEY] = "the other side has another key",
        [NO_MODE] = "one side has a key (--key) and the other has none",
        [NO_PURPOSE] = "the other side speaks of something else: is this the right address?",
        [NO_VERSION] = "the other side speaks another version of the protocol",
    };
    uint8_t no[] = {VERSION, NO, (uint8_t)reason};

    if (tell)
        bytes_put(out, no, sizeof no);
    error_set(error, ERROR_INPUT, "%s", texts[reason]);
    return SESSION_REFUSED;
}

/* What belongs to no session or handshake that we know: late, or played back. It changes nothing; a client that thinks
 * it has a session is told otherwise. */
static enum session_input stale(const struct session *session, struct bytes_writer *out)
{
    uint8_t no[] = {VERSION, NO, NO_SESSION};

    if (session->client || session->up)
        return SESSION_IGNORED;
    bytes_put(out, no, sizeof no);
    return SESSION_REPLY;
}

static enum session_input noise(struct error *error)
{
    error_set(error, ERROR_INPUT, "the other side does not speak Encore's protocol");
    return SESSION_REFUSED;
}

/* Server: BEGIN. Nothing is given up before PROVE. */
static enum session_input take_begin(struct session *session, const uint8_t *bytes, struct bytes_writer *out,
                                     struct error *error)
{
    uint8_t secret[crypto_scalarmult_SCALARBYTES];
    uint8_t answer[ANSWER_SIZE];

    if (!tag_is(session->psk, "begin", bytes, OFFER, NULL, 0, bytes + OFFER))
        return refuse(NO_OTHER_KEY, true, out, error);
    make_offer(session, ANSWER, secret, answer);
    bool derived = derive(session, secret, bytes + PREFIX, bytes, answer, &session->keys);
    sodium_memzero(secret, sizeof secret);
    if (!derived)
        return noise(error);
    open_out(&session->next_out, session->keys.server, answer + OFFER);
    make_tag(session->psk, "answer", bytes, BEGIN_SIZE, answer, OFFER + HEADER, answer + OFFER + HEADER);
    bytes_put(out, answer, sizeof answer);
    session->shaking = true;
    return SESSION_REPLY;
}

/* Client: ANSWER. */
static enum session_input take_answer(struct session *session, const uint8_t *bytes, struct bytes_writer *out,
                                      struct error *error)
{
    struct keys keys;
    uint8_t prove[PROVE_SIZE];

    /* It cannot be told from a late answer to an earlier BEGIN. Who has another key does not answer, but says NO. */
    if (!session->shaking ||
        !tag_is(session->psk, "answer", session->begin, BEGIN_SIZE, bytes, OFFER + HEADER, bytes + OFFER + HEADER))
        return SESSION_IGNORED;
    if (!derive(session, session->secret, bytes + PREFIX, session->begin, bytes, &keys))
        return noise(error);
    put_prefix(session, PROVE, prove);
    open_out(&session->out, keys.client, prove + PREFIX);
    open_in(&session->in, keys.server, bytes + OFFER);
    make_tag(keys.client, "prove", prove, PREFIX + HEADER, NULL, 0, prove + PREFIX + HEADER);
    bytes_put(out, prove, sizeof prove);
    sodium_memzero(&keys, sizeof keys);
    sodium_memzero(session->secret, sizeof session->secret);
    session->shaking = false;
    session->up = true;
    return SESSION_UP;
}

/* Server: PROVE. */
static enum session_input take_prove(struct session *session, const uint8_t *bytes, struct bytes_writer *out)
{
    if (!session->shaking ||
        !tag_is(session->keys.client, "prove", bytes, PREFIX + HEADER, NULL, 0, bytes + PREFIX + HEADER))
        return stale(session, out);
    open_in(&session->in, session->keys.client, bytes + PREFIX);
    session->out = session->next_out;
    sodium_memzero(&session->keys, sizeof session->keys);
    session->shaking = false;
    session->up = true;
    return SESSION_UP;
}

void session_seal(struct session *session, const uint8_t *bytes, size_t length, struct bytes_writer *out)
{
    struct stream *stream = &session->out;

    bytes_put_uint(out, 1, VERSION);
    bytes_put_uint(out, 1, DATA);
    if (!session->keyed) {
        bytes_put(out, stream->tag, sizeof stream->tag);
        bytes_put_uint(out, 8, stream->count++);
        bytes_put(out, bytes, length);
        return;
    }
    uint8_t *to = bytes_reserve(out, length + crypto_secretstream_xchacha20poly1305_ABYTES);
    if (to)
        crypto_secretstream_xchacha20poly1305_push(&stream->state, to, NULL, bytes, length, NULL, 0, 0);
}

static bool unseal(struct session *session, const uint8_t *bytes, size_t length, struct bytes_writer *out)
{
    struct stream *stream = &session->in;

    if (!session->keyed) {
        if (length < OPEN_PREFIX || memcmp(bytes, stream->tag, sizeof stream->tag) != 0 ||
            bytes_load(bytes + sizeof stream->tag, 8) != stream->count)
            return false;
        stream->count++;
        bytes_put(out, bytes + OPEN_PREFIX, length - OPEN_PREFIX);
        return !out->failed;
    }
    if (length < crypto_secretstream_xchacha20poly1305_ABYTES)
        return false;
    uint8_t *to = bytes_reserve(out, length - crypto_secretstream_xchacha20poly1305_ABYTES);
    return to &&
           crypto_secretstream_xchacha20poly1305_pull(&stream->state, to, NULL, NULL, bytes, length, NULL, 0) == 0;
}

static enum session_input take_data(struct session *session, const uint8_t *bytes, size_t length,
                                    struct bytes_writer *out, struct error *error)
{
    if (!session->up)
        return stale(session, out);
    if (unseal(session, bytes, length, out))
        return SESSION_CONTENTS;
    bytes_writer_clear(out);
    session->up = false;
    refuse(NO_SESSION, !session->client, out, error);
    return SESSION_BROKEN;
}

static enum session_input take_no(struct session *session, uint8_t reason, struct bytes_writer *out,
                                  struct error *error)
{
    bool was_up = session->up;

    if (!session->client || reason < NO_SESSION || reason > NO_VERSION)
        return noise(error);
    /* To a handshake under way this is a late word about an earlier one. */
    if (!was_up && reason == NO_SESSION)
        return SESSION_IGNORED;
    session->up = false;
    refuse((enum reason)reason, false, out, error);
    return was_up ? SESSION_BROKEN : SESSION_REFUSED;
}

enum session_input session_receive(struct session *session, const uint8_t *bytes, size_t length,
                                   struct bytes_writer *out, struct error *error)
{
    bytes_writer_clear(out);
    if (length < 3)
        return noise(error);
    if (bytes[0] != VERSION)
        return refuse(NO_VERSION, !session->client && bytes[1] == BEGIN, out, error);
    if (bytes[1] == DATA)
        return take_data(session, bytes + 2, length - 2, out, error);
    if (bytes[1] == NO)
        return take_no(session, bytes[2], out, error);
    if (length < PREFIX)
        return noise(error);
    if (bytes[2] != session->keyed)
        return refuse(NO_MODE, !session->client, out, error);
    if (bytes[3] != session->purpose)
        return refuse(NO_PURPOSE, !session->client, out, error);
    if (bytes[1] == BEGIN && length == BEGIN_SIZE && !session->client)
        return take_begin(session, bytes, out, error);
    if (bytes[1] == ANSWER && length == ANSWER_SIZE && session->client)
        return take_answer(session, bytes, out, error);
    if (bytes[1] == PROVE && length == PROVE_SIZE && !session->client)
        return take_prove(session, bytes, out);
    return noise(error);
}
