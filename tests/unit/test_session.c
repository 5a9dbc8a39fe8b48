/*
 * Sessions, from memory to memory: what is refused, in one line; what each role's key is good for; what a connection
 * may do to a session.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replication/session.h"

#define MESSAGE 4096

static const uint8_t one_master[KEY_SIZE] = "one master key";
static const uint8_t other_master[KEY_SIZE] = "another one";

struct packet {
    uint8_t bytes[MESSAGE];
    size_t length;
};

struct pair {
    struct session *client, *server;
    struct packet begin, answer, prove;
    struct bytes_writer out;
    struct error error;
};

static void keep(struct packet *packet, const struct bytes_writer *out)
{
    assert_true(out->length <= MESSAGE);
    memcpy(packet->bytes, out->data, out->length);
    packet->length = out->length;
}

static struct keys keys_of(const uint8_t master[KEY_SIZE])
{
    struct error error;
    struct keys keys;

    assert_int_equal(keys_derive(master, &keys, &error), 0);
    return keys;
}

/* What is in the key file of a role. */
static struct keys role_keys(const struct keys *master, enum key_role role)
{
    struct keys keys = {.role = role};

    memcpy(keys.of_role[role], master->of_role[role], KEY_SIZE);
    memcpy(keys.machine, master->machine, KEY_SIZE);
    return keys;
}

static struct pair pair_of(enum session_purpose purpose, const struct keys *client, const struct keys *server)
{
    struct pair pair = {
        .client = session_client(purpose, client), .server = session_server(server), .out = bytes_writer(2 * MESSAGE)};

    assert_non_null(pair.client);
    assert_non_null(pair.server);
    return pair;
}

/* NULL: open. */
static struct pair make_pair(const uint8_t *client_master, const uint8_t *server_master)
{
    struct keys client, server;

    if (client_master)
        client = keys_of(client_master);
    if (server_master)
        server = keys_of(server_master);
    return pair_of(SESSION_LINK, client_master ? &client : NULL, server_master ? &server : NULL);
}

static void free_pair(struct pair *pair)
{
    session_free(pair->client);
    session_free(pair->server);
    bytes_writer_free(&pair->out);
}

static void begin(struct pair *pair)
{
    bytes_writer_clear(&pair->out);
    session_begin(pair->client, &pair->out);
    keep(&pair->begin, &pair->out);
    assert_true(pair->begin.length <= SESSION_HANDSHAKE_MAX);
}

/* Gives a packet to a session. A refusal must say why, in one line. */
static enum session_input give(struct pair *pair, struct session *to, const struct packet *packet)
{
    pair->error.text[0] = 0;
    enum session_input input = session_receive(to, packet->bytes, packet->length, &pair->out, &pair->error);
    if (input == SESSION_REFUSED || input == SESSION_BROKEN) {
        assert_true(pair->error.text[0]);
        assert_null(strchr(pair->error.text, '\n'));
        assert_false(session_is_up(to));
    }
    assert_false(pair->out.failed);
    return input;
}

static void shake(struct pair *pair)
{
    begin(pair);
    assert_int_equal(give(pair, pair->server, &pair->begin), SESSION_REPLY);
    keep(&pair->answer, &pair->out);
    assert_int_equal(give(pair, pair->client, &pair->answer), SESSION_UP);
    keep(&pair->prove, &pair->out);
    assert_int_equal(give(pair, pair->server, &pair->prove), SESSION_UP);
    assert_true(session_is_up(pair->client) && session_is_up(pair->server));
    assert_true(pair->answer.length <= SESSION_HANDSHAKE_MAX && pair->prove.length <= SESSION_HANDSHAKE_MAX);
}

static struct packet seal(struct session *from, const char *text)
{
    struct bytes_writer out = bytes_writer(MESSAGE);
    struct packet packet;

    session_seal(from, (const uint8_t *)text, strlen(text), &out);
    keep(&packet, &out);
    assert_true(packet.length <= strlen(text) + SESSION_OVERHEAD);
    bytes_writer_free(&out);
    return packet;
}

static void expect_contents(struct pair *pair, struct session *to, const struct packet *packet, const char *text)
{
    assert_int_equal(give(pair, to, packet), SESSION_CONTENTS);
    assert_int_equal(pair->out.length, strlen(text));
    assert_memory_equal(pair->out.data, text, strlen(text));
}

static const uint8_t *const modes[] = {NULL, one_master};

static void messages_arrive(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct pair pair = make_pair(modes[mode], modes[mode]);
        shake(&pair);
        for (unsigned n = 0; n < 100; n++) {
            struct packet there = seal(pair.client, "there"), back = seal(pair.server, n % 2 ? "and back" : "");
            expect_contents(&pair, pair.server, &there, "there");
            expect_contents(&pair, pair.client, &back, n % 2 ? "and back" : "");
        }
        free_pair(&pair);
    }
}

static void contents_are_secret(void **state)
{
    struct pair pair = make_pair(one_master, one_master);

    (void)state;
    shake(&pair);
    struct packet packet = seal(pair.client, "a guest's secret");
    for (size_t n = 0; n + 8 <= packet.length; n++)
        assert_memory_not_equal(packet.bytes + n, "a guest's", 8);
    free_pair(&pair);
}

static void wrong_keys_are_refused(void **state)
{
    static const struct {
        const uint8_t *client, *server;
        const char *text;
    } cases[] = {
        {other_master, one_master, "another key"}, {NULL, one_master, "has none"}, {one_master, NULL, "has none"}};

    (void)state;
    for (unsigned n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        struct pair pair = make_pair(cases[n].client, cases[n].server);
        struct packet no;
        begin(&pair);
        assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REFUSED);
        assert_non_null(strstr(pair.error.text, cases[n].text));
        keep(&no, &pair.out);
        assert_int_equal(give(&pair, pair.client, &no), SESSION_REFUSED);
        assert_non_null(strstr(pair.error.text, cases[n].text));
        free_pair(&pair);
    }
}

/* Each role's key against each purpose, by a client that cheats about which key it has. */
static void each_role_is_good_for_its_purpose_alone(void **state)
{
    struct keys master = keys_of(one_master);

    (void)state;
    for (unsigned role = KEY_BACKUP; role < KEY_ROLES; role++) {
        for (unsigned purpose = SESSION_LINK; purpose <= SESSION_CONTROL; purpose++) {
            struct keys held = role_keys(&master, role);
            memcpy(held.of_role[purpose], master.of_role[role], KEY_SIZE);
            struct pair pair = pair_of(purpose, &held, &master);
            if (purpose == role) {
                shake(&pair);
                assert_int_equal(session_purpose(pair.server), purpose);
            } else {
                begin(&pair);
                assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REFUSED);
            }
            free_pair(&pair);
        }
    }
    for (unsigned purpose = SESSION_LINK; purpose <= SESSION_CONTROL; purpose++) {
        struct pair pair = pair_of(purpose, &master, &master);
        shake(&pair);
        free_pair(&pair);
    }
}

/* Who holds a role's key and listens where the machine did cannot pass for it, to others who hold the same. */
static void a_role_cannot_pose_as_the_machine(void **state)
{
    struct keys master = keys_of(one_master), imposter_master = keys_of(other_master);

    (void)state;
    for (unsigned role = KEY_BACKUP; role < KEY_ROLES; role++) {
        struct keys held = role_keys(&master, role), imposter = role_keys(&master, role);
        memcpy(imposter.machine_secret, imposter_master.machine_secret, KEY_SIZE);
        struct pair pair = pair_of((enum session_purpose)role, &held, &imposter);
        begin(&pair);
        assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REPLY);
        keep(&pair.answer, &pair.out);
        assert_int_equal(give(&pair, pair.client, &pair.answer), SESSION_REFUSED);
        assert_non_null(strstr(pair.error.text, "not the machine"));
        free_pair(&pair);
    }
}

static void noise_is_refused(void **state)
{
    struct packet noise = {.bytes = "GET / HTTP/1.1\r\n\r\n", .length = 18};

    (void)state;
    for (noise.length = 0; noise.length <= 18; noise.length++) {
        struct pair pair = make_pair(one_master, one_master);
        assert_int_equal(give(&pair, pair.server, &noise), SESSION_REFUSED);
        begin(&pair);
        assert_int_equal(give(&pair, pair.client, &noise), SESSION_REFUSED);
        free_pair(&pair);
    }
}

/* Once a session is over it stays so, and a message that comes when it should not ends it. */
static void messages_out_of_turn_end_it(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        for (unsigned which = 0; which < 3; which++) {
            struct pair pair = make_pair(modes[mode], modes[mode]);
            shake(&pair);
            const struct packet *packets[] = {&pair.begin, &pair.answer, &pair.prove};
            assert_int_equal(give(&pair, pair.server, packets[which]), SESSION_BROKEN);
            assert_int_equal(give(&pair, pair.client, packets[which]), SESSION_BROKEN);
            assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REFUSED);
            assert_int_equal(pair.out.length, 0);
            free_pair(&pair);
        }
    }
}

static void another_version_is_refused(void **state)
{
    struct pair pair = make_pair(one_master, one_master);
    struct packet no;

    (void)state;
    begin(&pair);
    struct packet newer = pair.begin;
    newer.bytes[0]++;
    assert_int_equal(give(&pair, pair.server, &newer), SESSION_REFUSED);
    assert_non_null(strstr(pair.error.text, "version"));
    keep(&no, &pair.out);
    no.bytes[0]++;
    assert_int_equal(give(&pair, pair.client, &no), SESSION_REFUSED);
    assert_non_null(strstr(pair.error.text, "version"));
    free_pair(&pair);
}

static void an_unknown_purpose_is_refused(void **state)
{
    static const uint8_t unknown[] = {0, KEY_ROLES, 255};

    (void)state;
    for (unsigned n = 0; n < sizeof unknown; n++) {
        struct pair pair = make_pair(NULL, NULL);
        begin(&pair);
        pair.begin.bytes[3] = unknown[n];
        assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REFUSED);
        free_pair(&pair);
    }
}

/* A whole handshake that somebody recorded, and plays back. */
static void old_handshakes_are_worthless(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct pair pair = make_pair(modes[mode], modes[mode]), again = make_pair(modes[mode], modes[mode]);
        shake(&pair);
        assert_int_equal(give(&again, again.server, &pair.begin), SESSION_REPLY);
        assert_int_equal(give(&again, again.server, &pair.prove), SESSION_REFUSED);
        begin(&again);
        if (mode == 1) { /* without a key there is nobody to be told from another */
            assert_int_equal(give(&again, again.client, &pair.answer), SESSION_REFUSED);
        }
        free_pair(&again);
        free_pair(&pair);
    }
}

static void a_message_cannot_be_played_back_to_its_sender(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct pair pair = make_pair(modes[mode], modes[mode]);
        shake(&pair);
        struct packet packet = seal(pair.client, "to the server");
        assert_int_equal(give(&pair, pair.client, &packet), SESSION_BROKEN);
        free_pair(&pair);
    }
}

/* Lost, repeated, reordered: noticed with a key and without. */
static void a_bad_pipe_is_noticed(void **state)
{
    (void)state;
    for (unsigned fault = 0; fault < 6; fault++) {
        const uint8_t *mode = modes[fault / 3];
        struct pair pair = make_pair(mode, mode);
        shake(&pair);
        struct packet first = seal(pair.client, "first"), second = seal(pair.client, "second");
        if (fault % 3 == 0) { /* repeated */
            expect_contents(&pair, pair.server, &first, "first");
            second = first;
        } /* else lost; or reordered: the second comes before the first */
        assert_int_equal(give(&pair, pair.server, &second), SESSION_BROKEN);
        assert_non_null(strstr(pair.error.text, "lost, repeated or altered"));
        assert_int_equal(give(&pair, pair.server, &first), SESSION_REFUSED);
        free_pair(&pair);
    }
}

/* Any bit of any message. */
static void altered_messages_are_refused(void **state)
{
    (void)state;
    for (unsigned bit = 0;; bit++) {
        struct pair pair = make_pair(one_master, one_master);
        shake(&pair);
        struct packet packet = seal(pair.client, "some contents");
        bool done = bit == 8 * packet.length;
        if (!done) {
            packet.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(give(&pair, pair.server, &packet), SESSION_BROKEN);
        }
        free_pair(&pair);
        if (done)
            break;
    }
}

/* ... and of the handshake: it does not complete. */
static void altered_handshakes_are_refused(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 3; which++) {
        for (unsigned bit = 0;; bit++) {
            struct pair pair = make_pair(one_master, one_master);
            shake(&pair);
            struct packet *packets[] = {&pair.begin, &pair.answer, &pair.prove};
            bool done = bit == 8 * packets[which]->length;
            session_free(pair.client);
            session_free(pair.server);
            struct keys keys = keys_of(one_master);
            pair.client = session_client(SESSION_LINK, &keys);
            pair.server = session_server(&keys);
            begin(&pair);
            for (unsigned step = 0; !done && step <= which; step++) {
                packets[step]->bytes[bit / 8] ^= (uint8_t)(step == which ? 1 << bit % 8 : 0);
                enum session_input input = give(&pair, step == 1 ? pair.client : pair.server, packets[step]);
                if (step < which && step == 0)
                    keep(&pair.answer, &pair.out);
                if (step < which && step == 1)
                    keep(&pair.prove, &pair.out);
                assert_true(step < which || input == SESSION_REFUSED);
            }
            free_pair(&pair);
            if (done)
                break;
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(contents_are_secret),
        cmocka_unit_test(wrong_keys_are_refused),
        cmocka_unit_test(each_role_is_good_for_its_purpose_alone),
        cmocka_unit_test(a_role_cannot_pose_as_the_machine),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(messages_out_of_turn_end_it),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(an_unknown_purpose_is_refused),
        cmocka_unit_test(old_handshakes_are_worthless),
        cmocka_unit_test(a_message_cannot_be_played_back_to_its_sender),
        cmocka_unit_test(a_bad_pipe_is_noticed),
        cmocka_unit_test(altered_messages_are_refused),
        cmocka_unit_test(altered_handshakes_are_refused),
    };

    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
