/*
 * Links and listeners over real sockets, with a clock of our own: who gets in, who is given up when, and that nobody
 * keeps a place whom nothing is heard from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "replication/address.h"
#include "replication/listener.h"

#define MS UINT64_C(1000000)

struct world {
    char directory[64], address[96];
    struct keys keys;
    struct listener *listener;
    uint64_t now;
    struct link *accepted;
    unsigned refused, failed;
    struct error error; /* of the last that was sent away */
};

static int begin(void **state)
{
    static const uint8_t master[KEY_SIZE] = "the master key";
    struct world *world = calloc(1, sizeof *world);
    struct error error;

    snprintf(world->directory, sizeof world->directory, "/tmp/test_link.%d", getpid());
    assert_int_equal(mkdir(world->directory, 0700), 0);
    snprintf(world->address, sizeof world->address, "ipc://%s/socket", world->directory);
    assert_int_equal(keys_derive(master, &world->keys, &error), 0);
    world->listener = listener_open(world->address, &world->keys, &error);
    assert_non_null(world->listener);
    world->now = 1000 * MS;
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;

    link_close(world->accepted);
    listener_close(world->listener);
    assert_int_equal(rmdir(world->directory), 0); /* the socket is gone too */
    free(world);
    return 0;
}

/* The listener's turn. */
static void serve(struct world *world)
{
    enum listener_news news;
    struct link *link;

    while ((news = listener_next(world->listener, world->now, &link, &world->error)) != LISTENER_NOTHING) {
        if (news == LISTENER_LINK) {
            link_close(world->accepted);
            world->accepted = link;
        }
        world->refused += news == LISTENER_REFUSED;
        world->failed += news == LISTENER_FAILED;
    }
}

static enum link_input turn(struct world *world, struct link *link, struct error *error)
{
    const uint8_t *bytes;
    size_t length;

    link_tend(link, world->now);
    return link_receive(link, &bytes, &length, error);
}

/* Time passes, and the listener and a client have their turns, until the client hears something. */
static enum link_input run(struct world *world, struct link *client, uint64_t time, struct error *error)
{
    uint64_t until = world->now + time;
    enum link_input input = LINK_NOTHING;

    while (input == LINK_NOTHING && world->now < until) {
        world->now += 5 * MS;
        serve(world);
        input = turn(world, client, error);
        serve(world);
    }
    return input;
}

static struct link *connect_as(struct world *world, const struct keys *keys)
{
    struct error error;
    struct link *client = link_connect(world->address, SESSION_CONSOLE, keys, &error);

    assert_non_null(client);
    return client;
}

static struct link *connected(struct world *world)
{
    struct link *client = connect_as(world, &world->keys);
    struct error error;

    assert_int_equal(run(world, client, 1000 * MS, &error), LINK_UP);
    assert_non_null(world->accepted);
    assert_true(link_is_up(world->accepted));
    assert_int_equal(link_purpose(world->accepted), SESSION_CONSOLE);
    return client;
}

static int stranger(const struct world *world)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(where.sun_path, world->address + strlen("ipc://"));
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    return fd;
}

static void messages_pass(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    uint8_t *sent = malloc(100000);
    const uint8_t *bytes;
    struct error error;
    size_t length;

    for (size_t n = 0; n < 100000; n++)
        sent[n] = (uint8_t)(n * 7);
    for (size_t size = 1; size <= 100000; size = size * 3 + 1) {
        assert_true(link_send(client, sent, size));
        enum link_input input = LINK_NOTHING;
        for (unsigned n = 0; n < 100 && input == LINK_NOTHING; n++) {
            link_tend(client, world->now);
            link_tend(world->accepted, world->now);
            input = link_receive(world->accepted, &bytes, &length, &error);
        }
        assert_int_equal(input, LINK_MESSAGE);
        assert_int_equal(length, size);
        assert_memory_equal(bytes, sent, size);
    }
    free(sent);
    link_close(client);
}

/* What waits is bounded. */
static void a_peer_that_reads_nothing_costs_so_much(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    static const uint8_t message[60000];
    unsigned count = 0;

    while (count < 1000 && link_send(client, message, sizeof message))
        count++;
    assert_true(count < 1000 && link_waiting(client) <= LINK_QUEUE_MAX + 60000);
    link_close(client);
}

static void the_end_of_a_connection_is_news(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    struct error error;

    link_close(client);
    assert_int_equal(turn(world, world->accepted, &error), LINK_DOWN);
    assert_non_null(strstr(error.text, "closed"));
    client = connected(world);
    link_close(world->accepted);
    world->accepted = NULL;
    assert_int_equal(turn(world, client, &error), LINK_DOWN);
    /* ... and a client's link begins again by itself. */
    assert_int_equal(run(world, client, 1000 * MS, &error), LINK_UP);
    link_close(client);
}

/* What was said before the end is still heard. */
static void last_words_arrive(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    struct error error;

    assert_true(link_send(world->accepted, (const uint8_t *)"unread", 6));
    assert_true(link_send(client, (const uint8_t *)"farewell", 8));
    link_close(client);
    assert_true(link_send(world->accepted, (const uint8_t *)"too late", 8) || true);
    assert_int_equal(turn(world, world->accepted, &error), LINK_MESSAGE);
    assert_int_equal(turn(world, world->accepted, &error), LINK_DOWN);
}

static void silence_ends_a_link(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    uint64_t heard = world->now;
    struct error error;

    while (turn(world, world->accepted, &error) == LINK_NOTHING && world->now < heard + 2 * LINK_SILENCE)
        world->now += 50 * MS;
    assert_non_null(strstr(error.text, "nothing was heard"));
    assert_true(world->now - heard > LINK_SILENCE && world->now - heard < LINK_SILENCE + 200 * MS);
    link_close(client);
}

/* Two that live and have nothing to say keep their link. */
static void idle_links_stay(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    struct error error;

    for (unsigned n = 0; n < 1000; n++) {
        world->now += 50 * MS;
        assert_int_equal(turn(world, client, &error), LINK_NOTHING);
        assert_int_equal(turn(world, world->accepted, &error), LINK_NOTHING);
    }
    assert_true(link_is_up(client) && link_is_up(world->accepted));
    link_close(client);
}

/* Time in which we stood still is not the other side's silence. */
static void our_own_standstill_does_not_count(void **state)
{
    struct world *world = *state;
    struct link *client = connected(world);
    struct error error;

    turn(world, world->accepted, &error);
    world->now += 100 * LINK_SILENCE;
    assert_int_equal(turn(world, world->accepted, &error), LINK_NOTHING);
    assert_true(link_is_up(world->accepted));
    link_close(client);
}

static void a_silent_stranger_is_dropped(void **state)
{
    struct world *world = *state;
    int fd = stranger(world);
    uint8_t byte;

    serve(world);
    for (unsigned n = 0; n < 10; n++) {
        world->now += 120 * MS;
        serve(world);
    }
    assert_int_equal(world->refused, 1);
    assert_non_null(strstr(world->error.text, "no handshake within 1 s"));
    assert_non_null(strstr(world->error.text, "process "));
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    close(fd);
}

/* Noise, and half a handshake. */
static void strangers_who_talk_are_dropped(void **state)
{
    struct world *world = *state;
    int noise = stranger(world), half = stranger(world);
    static const uint8_t beginning[] = {116, 0, 0, 0, 2, 1, 1};

    assert_int_equal(send(noise, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_int_equal(send(half, beginning, sizeof beginning, 0), sizeof beginning);
    serve(world);
    assert_int_equal(world->refused, 1);
    assert_non_null(strstr(world->error.text, "does not speak"));
    for (unsigned n = 0; n < 11; n++) {
        world->now += 100 * MS;
        serve(world);
    }
    assert_int_equal(world->refused, 2);
    close(noise);
    close(half);
}

/* Many who say nothing, and one who has the key: that one gets in, and nobody's descriptors run out. */
static void a_crowd_keeps_nobody_out(void **state)
{
    struct world *world = *state;
    struct pollfd fds[LISTENER_FDS];
    int crowd[200];

    for (unsigned n = 0; n < 200; n++) {
        world->now += 1;
        crowd[n] = stranger(world);
        serve(world);
    }
    assert_int_equal(world->refused, 200 - LISTENER_PENDING_MAX);
    assert_int_equal(listener_poll(world->listener, world->now, fds), LISTENER_FDS);
    link_close(connected(world));
    for (unsigned n = 0; n < 200; n++)
        close(crowd[n]);
}

/* ... also when the crowd comes between the two halves of its handshake. */
static void a_crowd_interrupts_nobody(void **state)
{
    struct world *world = *state;
    struct link *client = connect_as(world, &world->keys);
    struct error error;
    int crowd[50];

    world->now += 5 * MS;
    assert_int_equal(turn(world, client, &error), LINK_NOTHING);
    serve(world);
    for (unsigned n = 0; n < 50; n++) {
        world->now += 1;
        crowd[n] = stranger(world);
        serve(world);
    }
    assert_int_equal(world->refused, 51 - LISTENER_PENDING_MAX);
    assert_int_equal(turn(world, client, &error), LINK_UP);
    serve(world);
    assert_non_null(world->accepted);
    link_close(client);
    for (unsigned n = 0; n < 50; n++)
        close(crowd[n]);
}

static void wrong_keys_are_told_once(void **state)
{
    static const uint8_t master[KEY_SIZE] = "another master key";
    struct world *world = *state;
    struct error error;
    struct keys other;

    assert_int_equal(keys_derive(master, &other, &error), 0);
    struct link *client = connect_as(world, &other);
    assert_int_equal(run(world, client, 1000 * MS, &error), LINK_REFUSED);
    assert_non_null(strstr(error.text, "another key"));
    assert_int_equal(world->refused, 1);
    assert_int_equal(run(world, client, 5000 * MS, &error), LINK_NOTHING);
    assert_true(world->refused >= 4 && world->refused <= 6); /* it tries again, but not at once */
    link_close(client);
}

/* Without descriptors nobody can be let in; it is said, nothing spins, and later it works. */
static void no_descriptor_is_no_reason_to_spin(void **state)
{
    struct world *world = *state;
    struct rlimit before, none;
    struct pollfd fds[LISTENER_FDS];
    int fd = stranger(world), last = dup(fd);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)last, .rlim_max = before.rlim_max};
    close(last);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    serve(world);
    assert_int_equal(world->failed, 1);
    assert_int_equal(listener_poll(world->listener, world->now, fds), 0);
    serve(world);
    assert_int_equal(world->failed, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    world->now += 200 * MS;
    assert_int_equal(listener_poll(world->listener, world->now, fds), 1);
    close(fd);
    link_close(connected(world));
}

static void an_address_in_use_is_refused(void **state)
{
    struct world *world = *state;
    struct error error;

    assert_null(listener_open(world->address, &world->keys, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_null(listener_open("tcp://nowhere", &world->keys, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_null(link_connect("tcp://*:4000", SESSION_LINK, &world->keys, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_null(link_connect("tcp://192.0.2.1:4000", SESSION_LINK, NULL, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
}

static void without_a_key_only_loopback_is_allowed(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(address_is_private("tcp://127.0.0.1:4000", &error), 0);
    assert_int_equal(address_is_private("tcp://127.1:4000", &error), 0);
    assert_int_equal(address_is_private("tcp://localhost:4000", &error), 0);
    assert_int_equal(address_is_private("tcp://127.example.org:4000", &error), -1);
    assert_int_equal(address_is_private("tcp://localhost.example.org:4000", &error), -1);
    assert_int_equal(address_is_private("tcp://*:4000", &error), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_pass, begin, end),
        cmocka_unit_test_setup_teardown(a_peer_that_reads_nothing_costs_so_much, begin, end),
        cmocka_unit_test_setup_teardown(the_end_of_a_connection_is_news, begin, end),
        cmocka_unit_test_setup_teardown(last_words_arrive, begin, end),
        cmocka_unit_test_setup_teardown(silence_ends_a_link, begin, end),
        cmocka_unit_test_setup_teardown(idle_links_stay, begin, end),
        cmocka_unit_test_setup_teardown(our_own_standstill_does_not_count, begin, end),
        cmocka_unit_test_setup_teardown(a_silent_stranger_is_dropped, begin, end),
        cmocka_unit_test_setup_teardown(strangers_who_talk_are_dropped, begin, end),
        cmocka_unit_test_setup_teardown(a_crowd_keeps_nobody_out, begin, end),
        cmocka_unit_test_setup_teardown(a_crowd_interrupts_nobody, begin, end),
        cmocka_unit_test_setup_teardown(wrong_keys_are_told_once, begin, end),
        cmocka_unit_test_setup_teardown(no_descriptor_is_no_reason_to_spin, begin, end),
        cmocka_unit_test_setup_teardown(an_address_in_use_is_refused, begin, end),
        cmocka_unit_test(without_a_key_only_loopback_is_allowed),
    };

    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
