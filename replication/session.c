/*
 * See session.h. The messages of a handshake, each beginning with u8 version, u8 type, u8 mode (0 open, 1 keyed), u8
 * purpose:
 *   BEGIN   client: 32 bytes X25519 public key, 16 random bytes, 32 bytes tag(role's key, "begin", all before)
 *   ANSWER  server: the same two, 24 bytes secretstream header, 32 bytes tag(server's key, "answer", BEGIN, all before)
 *   PROVE   client: 24 bytes secretstream header, 32 bytes tag(client's key, "prove", all before)
 * tag is BLAKE2b with a key. The keys of the two directions are BLAKE2b(role's key, "keys", X25519 of the two fresh
 * keys, X25519 of the client's fresh key and the machine's own, BEGIN, ANSWER up to its random bytes), the first half
 * the client's. When open, the role's key and both secrets are zeros.
 *   DATA    u8 version, u8 type, then a secretstream message; open: 8 bytes of the direction's key, u64 count, contents
 *   NO      u8 version, u8 type, u8 reason: the answer to a BEGIN that is refused. Not authentic; it is only told
 */
#include "replication/session.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 2

enum type { BEGIN = 1, ANSWER, PROVE, DATA, NO };
enum reason { NO_OTHER_KEY = 1, NO_MODE, NO_PURPOSE, NO_VERSION, NO_MACHINE };

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

/* One direction of a session. */
struct stream {
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t tag[8]; /* open */
    uint64_t count; /* open: of messages */
};

struct session {
    bool client;
    bool keyed;
    enum session_purpose purpose;
    struct keys keys; /* zeros when open */
    enum { FRESH, SHAKING, UP, OVER } state;
    struct stream out, in;
    uint8_t secret[crypto_scalarmult_SCALARBYTES]; /* client: of its fresh key */
    uint8_t begin[BEGIN_SIZE];                     /* client: as sent */
    uint8_t client_key[32], server_key[32];        /* while shaking */
};

static struct session *create(bool client, const struct keys *keys)
{
    struct session *session = sodium_init() < 0 ? NULL : calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->client = client;
    session->keyed = keys != NULL;
    if (keys)
        session->keys = *keys;
    return session;
}

struct session *session_client(enum session_purpose purpose, const struct keys *keys)
{
    struct session *session = create(true, keys);

    if (session)
        session->purpose = purpose;
    return session;
}

struct session *session_server(const struct keys *keys)
{
    return create(false, keys);
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
    return session->state == UP;
}

bool session_has_begun(const struct session *session)
{
    return !session->client && session->state == SHAKING;
}

enum session_purpose session_purpose(const struct session *session)
{
    return session->purpose;
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

static const uint8_t *role_key(const struct session *session)
{
    return session->keys.of_role[session->purpose];
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

/* The keys of both directions, from our fresh secret and what both sent. False for a public key that gives no secret.
 */
static bool derive(struct session *session, const uint8_t *secret, const uint8_t *begin, const uint8_t *answer)
{
    crypto_generichash_state state;
    uint8_t fresh[crypto_scalarmult_BYTES] = {0}, own[crypto_scalarmult_BYTES] = {0}, both[64];
    const uint8_t *theirs = (session->client ? answer : begin) + PREFIX;

    if (session->keyed && (crypto_scalarmult(fresh, secret, theirs) != 0 ||
                           crypto_scalarmult(own, session->client ? secret : session->keys.machine_secret,
                                             session->client ? session->keys.machine : theirs) != 0))
        return false;
    crypto_generichash_init(&state, role_key(session), KEY_SIZE, sizeof both);
    crypto_generichash_update(&state, (const uint8_t *)"keys", 4);
    crypto_generichash_update(&state, fresh, sizeof fresh);
    crypto_generichash_update(&state, own, sizeof own);
    crypto_generichash_update(&state, begin, BEGIN_SIZE);
    crypto_generichash_update(&state, answer, OFFER);
    crypto_generichash_final(&state, both, sizeof both);
    memcpy(session->client_key, both, 32);
    memcpy(session->server_key, both + 32, 32);
    sodium_memzero(fresh, sizeof fresh);
    sodium_memzero(own, sizeof own);
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

static enum session_input come_up(struct session *session)
{
    sodium_memzero(session->secret, sizeof session->secret);
    sodium_memzero(session->client_key, sizeof session->client_key);
    sodium_memzero(session->server_key, sizeof session->server_key);
    session->state = UP;
    return SESSION_UP;
}

void session_begin(struct session *session, struct bytes_writer *out)
{
    session->state = SHAKING;
    make_offer(session, BEGIN, session->secret, session->begin);
    make_tag(role_key(session), "begin", session->begin, OFFER, NULL, 0, session->begin + OFFER);
    bytes_put(out, session->begin, BEGIN_SIZE);
}

/* The server tells a client that has just begun. */
static enum session_input refuse(struct session *session, enum reason reason, struct bytes_writer *out,
                                 struct error *error)
{
    static const char *const texts[] = {
        [NO_OTHER_KEY] = "the other side has another key, or a key for something else",
        [NO_MODE] = "one side has a key (--key) and the other has none",
        [NO_PURPOSE] = "the other side wants something unknown: is it of another version?",
        [NO_VERSION] = "the other side speaks another version of the protocol",
        [NO_MACHINE] = "the other side has not the machine's key: it is not the machine that it claims to be",
    };
    uint8_t no[] = {VERSION, NO, (uint8_t)reason};

    if (!session->client && session->state == FRESH)
        bytes_put(out, no, sizeof no);
    session->state = OVER;
    error_set(error, ERROR_INPUT, "%s", texts[reason]);
    return SESSION_REFUSED;
}

static enum session_input noise(struct session *session, struct error *error)
{
    bool was_up = session->state == UP;

    session->state = OVER;
    if (was_up)
        error_set(error, ERROR_INPUT, "something was lost, repeated or altered on the way; the session begins anew");
    else
        error_set(error, ERROR_INPUT, "the other side does not speak Encore's protocol");
    return was_up ? SESSION_BROKEN : SESSION_REFUSED;
}

/* Server: BEGIN. */
static enum session_input take_begin(struct session *session, const uint8_t *bytes, struct bytes_writer *out,
                                     struct error *error)
{
    uint8_t secret[crypto_scalarmult_SCALARBYTES];
    uint8_t answer[ANSWER_SIZE];

    if (bytes[3] < SESSION_LINK || bytes[3] > SESSION_CONTROL)
        return refuse(session, NO_PURPOSE, out, error);
    session->purpose = (enum session_purpose)bytes[3];
    if (!tag_is(role_key(session), "begin", bytes, OFFER, NULL, 0, bytes + OFFER))
        return refuse(session, NO_OTHER_KEY, out, error);
    make_offer(session, ANSWER, secret, answer);
    bool derived = derive(session, secret, bytes, answer);
    sodium_memzero(secret, sizeof secret);
    if (!derived)
        return noise(session, error);
    open_out(&session->out, session->server_key, answer + OFFER);
    make_tag(session->server_key, "answer", bytes, BEGIN_SIZE, answer, OFFER + HEADER, answer + OFFER + HEADER);
    bytes_put(out, answer, sizeof answer);
    session->state = SHAKING;
    return SESSION_REPLY;
}

/* Client: ANSWER. */
static enum session_input take_answer(struct session *session, const uint8_t *bytes, struct bytes_writer *out,
                                      struct error *error)
{
    uint8_t prove[PROVE_SIZE];

    if (bytes[3] != session->purpose || !derive(session, session->secret, session->begin, bytes))
        return noise(session, error);
    if (!tag_is(session->server_key, "answer", session->begin, BEGIN_SIZE, bytes, OFFER + HEADER,
                bytes + OFFER + HEADER))
        return refuse(session, NO_MACHINE, out, error);
    put_prefix(session, PROVE, prove);
    open_out(&session->out, session->client_key, prove + PREFIX);
    open_in(&session->in, session->server_key, bytes + OFFER);
    make_tag(session->client_key, "prove", prove, PREFIX + HEADER, NULL, 0, prove + PREFIX + HEADER);
    bytes_put(out, prove, sizeof prove);
    return come_up(session);
}

/* Server: PROVE. */
static enum session_input take_prove(struct session *session, const uint8_t *bytes, struct error *error)
{
    if (!tag_is(session->client_key, "prove", bytes, PREFIX + HEADER, NULL, 0, bytes + PREFIX + HEADER))
        return noise(session, error);
    open_in(&session->in, session->client_key, bytes + PREFIX);
    return come_up(session);
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
    size_t contents = length - crypto_secretstream_xchacha20poly1305_ABYTES;
    uint8_t nothing[1];
    uint8_t *to = contents ? bytes_reserve(out, contents) : nothing;
    return to &&
           crypto_secretstream_xchacha20poly1305_pull(&stream->state, to, NULL, NULL, bytes, length, NULL, 0) == 0;
}

static enum session_input take_data(struct session *session, const uint8_t *bytes, size_t length,
                                    struct bytes_writer *out, struct error *error)
{
    if (session->state == UP && unseal(session, bytes, length, out))
        return SESSION_CONTENTS;
    bytes_writer_clear(out);
    return noise(session, error);
}

static enum session_input take_no(struct session *session, uint8_t reason, struct bytes_writer *out,
                                  struct error *error)
{
    if (!session->client || session->state != SHAKING || reason < NO_OTHER_KEY || reason >= NO_MACHINE)
        return noise(session, error);
    return refuse(session, (enum reason)reason, out, error);
}

enum session_input session_receive(struct session *session, const uint8_t *bytes, size_t length,
                                   struct bytes_writer *out, struct error *error)
{
    bool server = !session->client;

    bytes_writer_clear(out);
    if (length < 3 || session->state == OVER)
        return noise(session, error);
    if (bytes[0] != VERSION && session->state != UP && (bytes[1] == BEGIN || bytes[1] == NO))
        return refuse(session, NO_VERSION, out, error);
    if (bytes[0] != VERSION)
        return noise(session, error);
    if (bytes[1] == DATA)
        return take_data(session, bytes + 2, length - 2, out, error);
    if (bytes[1] == NO)
        return take_no(session, bytes[2], out, error);
    if (length < PREFIX)
        return noise(session, error);
    if (bytes[2] != session->keyed && session->state == FRESH)
        return refuse(session, NO_MODE, out, error);
    if (bytes[1] == BEGIN && length == BEGIN_SIZE && server && session->state == FRESH)
        return take_begin(session, bytes, out, error);
    if (bytes[1] == ANSWER && length == ANSWER_SIZE && !server && session->state == SHAKING)
        return take_answer(session, bytes, out, error);
    if (bytes[1] == PROVE && length == PROVE_SIZE && server && session->state == SHAKING)
        return take_prove(session, bytes, error);
    return noise(session, error);
}
