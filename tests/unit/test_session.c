/*
 * Sessions, from memory to memory: what is refused, in one line and without a change of state, and what a pipe may do
 * to one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replication/session.h"

#define MESSAGE 4096

static const uint8_t key[SESSION_KEY] = "one key, which both sides have";
static const uint8_t other_key[SESSION_KEY] = "another one";

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

static struct pair make_pair(const uint8_t *client_key, const uint8_t *server_key)
{
    return (struct pair){
        .client = session_create(true, SESSION_LINK, client_key),
        .server = session_create(false, SESSION_LINK, server_key),
        .out = bytes_writer(2 * MESSAGE),
    };
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
}

/* Gives a packet to a session. A refusal must say why, in one line. */
static enum session_input give(struct pair *pair, struct session *to, const struct packet *packet)
{
    pair->error.text[0] = 0;
    enum session_input input = session_receive(to, packet->bytes, packet->length, &pair->out, &pair->error);
    if (input == SESSION_REFUSED || input == SESSION_BROKEN) {
        assert_true(pair->error.text[0]);
        assert_null(strchr(pair->error.text, '\n'));
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

/* That a session goes on as if nothing had been. */
static void expect_undisturbed(struct pair *pair)
{
    struct packet there = seal(pair->client, "there"), back = seal(pair->server, "and back");

    expect_contents(pair, pair->server, &there, "there");
    expect_contents(pair, pair->client, &back, "and back");
}

static const uint8_t *const modes[] = {NULL, key};

static void messages_arrive(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct pair pair = make_pair(modes[mode], modes[mode]);
        shake(&pair);
        for (unsigned n = 0; n < 100; n++)
            expect_undisturbed(&pair);
        shake(&pair); /* again, on a renewed pipe */
        expect_undisturbed(&pair);
        free_pair(&pair);
    }
}

static void contents_are_secret(void **state)
{
    struct pair pair = make_pair(key, key);

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
    } cases[] = {{other_key, key, "another key"}, {NULL, key, "has none"}, {key, NULL, "has none"}};

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
        assert_false(session_is_up(pair.client) || session_is_up(pair.server));
        free_pair(&pair);
    }
}

static void strangers_do_not_disturb(void **state)
{
    struct pair pair = make_pair(key, key), stranger = make_pair(other_key, other_key);
    struct packet noise = {.bytes = "GET / HTTP/1.1\r\n\r\n", .length = 18};

    (void)state;
    shake(&pair);
    shake(&stranger);
    assert_int_equal(give(&pair, pair.server, &stranger.begin), SESSION_REFUSED);
    assert_int_equal(give(&pair, pair.server, &stranger.prove), SESSION_IGNORED);
    assert_int_equal(give(&pair, pair.client, &stranger.answer), SESSION_IGNORED);
    assert_int_equal(give(&pair, pair.server, &noise), SESSION_REFUSED);
    for (noise.length = 0; noise.length < 3; noise.length++)
        assert_int_equal(give(&pair, pair.server, &noise), SESSION_REFUSED);
    expect_undisturbed(&pair);
    free_pair(&stranger);
    free_pair(&pair);
}

static void another_version_is_refused(void **state)
{
    struct pair pair = make_pair(key, key);

    (void)state;
    shake(&pair);
    struct packet newer = pair.begin, no;
    newer.bytes[0]++;
    assert_int_equal(give(&pair, pair.server, &newer), SESSION_REFUSED);
    assert_non_null(strstr(pair.error.text, "version"));
    expect_undisturbed(&pair);
    assert_int_equal(give(&pair, pair.server, &newer), SESSION_REFUSED);
    keep(&no, &pair.out);
    begin(&pair);
    assert_int_equal(give(&pair, pair.client, &no), SESSION_REFUSED);
    assert_non_null(strstr(pair.error.text, "version"));
    free_pair(&pair);
}

static void another_purpose_is_refused(void **state)
{
    struct pair pair = make_pair(key, key);
    struct session *console = session_create(true, SESSION_CONSOLE, key);
    struct packet packet;

    (void)state;
    shake(&pair);
    bytes_writer_clear(&pair.out);
    session_begin(console, &pair.out);
    keep(&packet, &pair.out);
    assert_int_equal(give(&pair, pair.server, &packet), SESSION_REFUSED);
    expect_undisturbed(&pair);
    session_free(console);
    free_pair(&pair);
}

/* A whole handshake that somebody recorded, and plays back: to the session it was, and to a fresh server. */
static void old_handshakes_are_worthless(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct pair pair = make_pair(modes[mode], modes[mode]);
        shake(&pair);
        struct packet begun = pair.begin, answered = pair.answer, proved = pair.prove;
        assert_int_equal(give(&pair, pair.server, &begun), SESSION_REPLY);
        assert_int_equal(give(&pair, pair.server, &proved), SESSION_IGNORED);
        assert_int_equal(give(&pair, pair.client, &answered), SESSION_IGNORED);
        expect_undisturbed(&pair);
        session_free(pair.server);
        pair.server = session_create(false, SESSION_LINK, modes[mode]);
        assert_int_equal(give(&pair, pair.server, &begun), SESSION_REPLY);
        assert_int_equal(give(&pair, pair.server, &proved), SESSION_REPLY); /* NO */
        assert_false(session_is_up(pair.server));
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
        assert_false(session_is_up(pair.server));
        if (fault % 3 == 2)
            assert_int_equal(give(&pair, pair.server, &first), SESSION_REPLY); /* NO */
        shake(&pair);
        expect_undisturbed(&pair);
        free_pair(&pair);
    }
}

/* Any bit of any message. */
static void altered_messages_are_refused(void **state)
{
    struct pair pair = make_pair(key, key);

    (void)state;
    for (unsigned bit = 0;; bit++) {
        shake(&pair);
        struct packet packet = seal(pair.client, "some contents");
        if (bit == 8 * packet.length)
            break;
        packet.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum session_input input = give(&pair, pair.server, &packet);
        assert_true(input == SESSION_BROKEN || input == SESSION_REFUSED || input == SESSION_IGNORED);
    }
    free_pair(&pair);
}

/* ... and of the handshake: it does not complete, and the session before it goes on. */
static void altered_handshakes_are_refused(void **state)
{
    struct pair pair = make_pair(key, key);
    struct session *before;

    (void)state;
    shake(&pair);
    before = pair.client;
    for (unsigned bit = 0; bit < 8 * pair.prove.length; bit++) {
        pair.client = session_create(true, SESSION_LINK, key);
        begin(&pair);
        assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REPLY);
        keep(&pair.answer, &pair.out);
        struct packet altered = pair.answer;
        altered.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(give(&pair, pair.client, &altered), SESSION_UP);
        assert_false(session_is_up(pair.client));
        begin(&pair);
        altered = pair.begin;
        altered.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(give(&pair, pair.server, &altered), SESSION_REPLY);
        assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REPLY);
        keep(&pair.answer, &pair.out);
        assert_int_equal(give(&pair, pair.client, &pair.answer), SESSION_UP);
        keep(&altered, &pair.out);
        altered.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(give(&pair, pair.server, &altered), SESSION_UP);
        session_free(pair.client);
        pair.client = before;
        expect_undisturbed(&pair);
    }
    free_pair(&pair);
}

/* On a slow link the answer to an earlier attempt arrives after the next one began. */
static void late_answers_do_no_harm(void **state)
{
    struct pair pair = make_pair(key, key);

    (void)state;
    begin(&pair);
    assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REPLY);
    keep(&pair.answer, &pair.out);
    begin(&pair);
    assert_int_equal(give(&pair, pair.client, &pair.answer), SESSION_IGNORED);
    assert_int_equal(give(&pair, pair.server, &pair.begin), SESSION_REPLY);
    keep(&pair.answer, &pair.out);
    assert_int_equal(give(&pair, pair.client, &pair.answer), SESSION_UP);
    keep(&pair.prove, &pair.out);
    assert_int_equal(give(&pair, pair.server, &pair.prove), SESSION_UP);
    expect_undisturbed(&pair);
    free_pair(&pair);
}

/* A client that comes right after another gets what was meant for that one. */
static void messages_for_a_client_before_are_passed_over(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct pair pair = make_pair(modes[mode], modes[mode]);
        shake(&pair);
        struct packet late = seal(pair.server, "for the client before");
        session_free(pair.client);
        pair.client = session_create(true, SESSION_LINK, modes[mode]);
        assert_int_equal(give(&pair, pair.client, &late), SESSION_IGNORED);
        begin(&pair);
        assert_int_equal(give(&pair, pair.client, &late), SESSION_IGNORED);
        shake(&pair);
        expect_undisturbed(&pair);
        free_pair(&pair);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(contents_are_secret),
        cmocka_unit_test(wrong_keys_are_refused),
        cmocka_unit_test(strangers_do_not_disturb),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(another_purpose_is_refused),
        cmocka_unit_test(old_handshakes_are_worthless),
        cmocka_unit_test(a_message_cannot_be_played_back_to_its_sender),
        cmocka_unit_test(a_bad_pipe_is_noticed),
        cmocka_unit_test(altered_messages_are_refused),
        cmocka_unit_test(altered_handshakes_are_refused),
        cmocka_unit_test(late_answers_do_no_harm),
        cmocka_unit_test(messages_for_a_client_before_are_passed_over),
    };

    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
