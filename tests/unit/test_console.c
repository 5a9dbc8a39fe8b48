/* Several consoles at one machine: who writes, who watches, who follows whom, and what is lost when somebody does not
 * read (console_server.h, console_client.h). What befalls one console across takeovers is simulated (tests/simulation).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replication/console_client.h"
#include "replication/console_server.h"

#define MS      UINT64_C(1000000)
#define CLIENTS 3

struct world {
    struct console_server *server;
    struct output_gate gate;
    struct console_client *clients[CLIENTS]; /* each on the seat of its number */
    bool linked[CLIENTS];
    uint8_t seen[CLIENTS][CONSOLE_BYTES_MAX]; /* output */
    size_t seen_length[CLIENTS];
    uint8_t taken[256]; /* input, by the machine */
    size_t taken_length;
    uint64_t owners; /* recorded so far, a digit each */
    uint64_t now;
};

static int begin(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct error error;

    world->server = calloc(1, sizeof *world->server);
    assert_int_equal(output_gate_create(&world->gate, 0, &error), 0);
    world->now = 1000 * MS;
    console_server_live(world->server, 1, 0, 0, world->now);
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;

    for (unsigned n = 0; n < CLIENTS; n++)
        free(world->clients[n]);
    output_gate_destroy(&world->gate);
    free(world->server);
    free(world);
    return 0;
}

static void come(struct world *world, unsigned n, enum console_wish wish)
{
    if (!world->clients[n])
        world->clients[n] = malloc(sizeof(struct console_client));
    console_client_init(world->clients[n], n + 1, 1, true, wish);
    world->linked[n] = true;
}

static void deliver(struct world *world, unsigned n, const struct bytes_writer *letter)
{
    struct console_message message;
    struct error error;
    const uint8_t *output;
    size_t length;

    assert_int_equal(console_message_decode(letter->data, letter->length, &message, &error), 0);
    assert_true(console_client_receive(world->clients[n], 0, &message, world->now, &output, &length));
    assert_true(world->seen_length[n] + length <= sizeof world->seen[n]);
    if (length > 0)
        memcpy(world->seen[n] + world->seen_length[n], output, length);
    world->seen_length[n] += length;
}

/* What a client says, and what the machine answers. */
static bool speak(struct world *world, unsigned n)
{
    struct bytes_writer letter = bytes_writer(CONSOLE_MESSAGE_MAX), reply = bytes_writer(CONSOLE_MESSAGE_MAX);
    struct console_message message;
    struct error error;
    unsigned link;
    bool spoke = console_client_next(world->clients[n], world->now, &link, &letter);

    if (spoke) {
        assert_int_equal(console_message_decode(letter.data, letter.length, &message, &error), 0);
        assert_true(console_server_receive(world->server, n, &message, world->now, &world->gate, &reply));
        if (reply.length)
            deliver(world, n, &reply);
    }
    bytes_writer_free(&letter);
    bytes_writer_free(&reply);
    return spoke;
}

static void take_input(struct world *world)
{
    uint64_t owner;
    size_t length = console_server_take(world->server, world->taken + world->taken_length,
                                        sizeof world->taken - world->taken_length, &owner);

    if (owner)
        world->owners = world->owners * 10 + owner;
    world->taken_length += length;
}

static void run(struct world *world, uint64_t time)
{
    struct bytes_writer letter = bytes_writer(CONSOLE_MESSAGE_MAX);

    for (uint64_t until = world->now + time; world->now < until; world->now += 5 * MS) {
        console_server_tend(world->server, world->now);
        for (unsigned n = 0; n < CLIENTS; n++) {
            if (!world->linked[n])
                continue;
            while (speak(world, n))
                ;
            take_input(world);
            while (bytes_writer_clear(&letter),
                   console_server_next(world->server, n, &world->gate, world->server->input, &letter))
                deliver(world, n, &letter);
        }
    }
    bytes_writer_free(&letter);
}

static void vanish(struct world *world, unsigned n)
{
    world->linked[n] = false;
    console_server_unlinked(world->server, n, world->now);
    console_client_unlinked(world->clients[n], 0, world->now);
}

static void leave(struct world *world, unsigned n)
{
    struct bytes_writer letter = bytes_writer(CONSOLE_MESSAGE_MAX), reply = bytes_writer(CONSOLE_MESSAGE_MAX);
    struct console_message message;
    struct error error;
    unsigned link;

    assert_true(console_client_leave(world->clients[n], &link, &letter));
    assert_int_equal(console_message_decode(letter.data, letter.length, &message, &error), 0);
    assert_true(console_server_receive(world->server, n, &message, world->now, &world->gate, &reply));
    assert_int_equal(reply.length, 0);
    bytes_writer_free(&letter);
    bytes_writer_free(&reply);
    vanish(world, n);
}

static void type(struct world *world, unsigned n, const char *text)
{
    assert_int_equal(console_client_type(world->clients[n], (const uint8_t *)text, strlen(text)), strlen(text));
}

static void print(struct world *world, const char *text)
{
    output_gate_put(&world->gate, (const uint8_t *)text, strlen(text));
    world->gate.marks.shown = world->gate.end;
}

/* "wv-": for each client whether it writes, watches, or is not there. */
static void expect_roles(struct world *world, const char *roles)
{
    for (unsigned n = 0; n < CLIENTS; n++) {
        const struct console_client *client = world->clients[n];
        bool there = client && world->linked[n] && client->link == 0;
        assert_int_equal(roles[n], there ? client->watches ? 'v' : 'w' : '-');
    }
}

static void expect_taken(struct world *world, const char *text)
{
    assert_int_equal(world->taken_length, strlen(text));
    assert_memory_equal(world->taken, text, strlen(text));
}

static void the_first_writes_and_all_see(void **state)
{
    struct world *world = *state;

    print(world, "one ");
    for (unsigned n = 0; n < CLIENTS; n++) {
        come(world, n, CONSOLE_WRITE);
        run(world, 20 * MS);
    }
    expect_roles(world, "wvv");
    type(world, 0, "typed");
    assert_int_equal(console_client_type(world->clients[1], (const uint8_t *)"no", 2), 0);
    print(world, "two");
    run(world, 50 * MS);
    expect_taken(world, "typed");
    assert_true(console_client_settled(world->clients[0]));
    for (unsigned n = 0; n < CLIENTS; n++) {
        assert_int_equal(world->seen_length[n], 7);
        assert_memory_equal(world->seen[n], "one two", 7);
    }
}

static void who_leaves_makes_room_at_once(void **state)
{
    struct world *world = *state;

    come(world, 0, CONSOLE_WRITE);
    run(world, 20 * MS);
    come(world, 1, CONSOLE_WATCH);
    run(world, 20 * MS);
    come(world, 2, CONSOLE_WRITE);
    type(world, 2, "before any welcome");
    run(world, 20 * MS);
    expect_roles(world, "wvv");
    type(world, 0, "first ");
    run(world, 20 * MS);
    leave(world, 0);
    run(world, 20 * MS);
    expect_roles(world, "-vw");
    expect_taken(world, "first before any welcome");
    assert_int_equal(world->owners, 13);
    leave(world, 2);
    run(world, 2 * CONSOLE_RETURN);
    expect_roles(world, "-v-"); /* who only watches never writes */
}

static void who_vanishes_may_come_back_for_a_while(void **state)
{
    struct world *world = *state;

    come(world, 0, CONSOLE_WRITE);
    run(world, 20 * MS);
    come(world, 1, CONSOLE_WRITE);
    run(world, 20 * MS);
    vanish(world, 0);
    run(world, CONSOLE_RETURN - 100 * MS);
    expect_roles(world, "-v-");
    world->linked[0] = true; /* the same client, on a fresh link */
    run(world, 200 * MS);
    expect_roles(world, "wv-");
    vanish(world, 0);
    run(world, CONSOLE_RETURN + 50 * MS);
    expect_roles(world, "-w-");
    /* It comes back too late, but the other has typed nothing yet: nothing is lost, and it goes on. */
    world->server->recorded_owner = 1;
    world->linked[0] = true;
    run(world, 50 * MS);
    expect_roles(world, "wv-");
    assert_false(world->clients[0]->taken || world->clients[1]->taken);
}

static void a_fresh_link_of_the_one_that_writes_replaces_the_old(void **state)
{
    struct world *world = *state;

    come(world, 0, CONSOLE_WRITE);
    run(world, 20 * MS);
    come(world, 1, CONSOLE_WRITE);
    world->clients[1]->id = 1; /* the same client, whose first link nobody has given up yet */
    world->linked[0] = false;
    run(world, 20 * MS);
    expect_roles(world, "-w-");
    assert_false(world->server->seats[0].taken);
}

static void take_takes(void **state)
{
    struct world *world = *state;

    come(world, 0, CONSOLE_WRITE);
    run(world, 20 * MS);
    type(world, 0, "a");
    run(world, 20 * MS);
    come(world, 1, CONSOLE_TAKE);
    run(world, 20 * MS);
    expect_roles(world, "vw-");
    type(world, 1, "b");
    run(world, 100 * MS);
    expect_roles(world, "vw-"); /* the first does not take it back */
    expect_taken(world, "ab");
    assert_false(world->clients[0]->taken);
    /* What is typed and not confirmed when another takes over is lost, and its client knows. */
    type(world, 1, "c");
    come(world, 2, CONSOLE_TAKE);
    speak(world, 2);
    run(world, 20 * MS);
    assert_true(world->clients[1]->taken);
    expect_taken(world, "ab");
}

/* After a takeover the new machine waits for who wrote, though another is there first. */
static void a_takeover_keeps_the_pen(void **state)
{
    struct world *world = *state;

    come(world, 0, CONSOLE_WRITE);
    run(world, 20 * MS);
    come(world, 1, CONSOLE_WRITE);
    type(world, 0, "x");
    run(world, 20 * MS);
    vanish(world, 0);
    vanish(world, 1);
    console_server_standby(world->server, 1);
    world->linked[1] = true;
    run(world, 100 * MS);
    console_server_live(world->server, 2, 1, 1, world->now);
    run(world, 100 * MS);
    expect_roles(world, "-v-");
    world->linked[0] = true;
    type(world, 0, "y");
    run(world, 100 * MS);
    expect_roles(world, "wv-");
    expect_taken(world, "xy");
}

/* One that has stopped reading: the machine waits a little, and then goes on without it. */
static void who_does_not_read_is_not_waited_for(void **state)
{
    static char much[64 * 1024];
    struct world *world = *state;
    uint64_t held = 0, from;

    come(world, 0, CONSOLE_WRITE);
    run(world, 20 * MS);
    world->linked[0] = false; /* it says nothing; that its link is given up comes later */
    memset(much, 'm', sizeof much - 1);
    for (unsigned n = 0; n < 100; n++)
        print(world, much);
    for (from = world->now; world->now < from + 5000 * MS; world->now += MS)
        held += console_server_congested(world->server, &world->gate, world->now) ? MS : 0;
    assert_in_range(held, 100 * MS, 505 * MS);
    struct bytes_writer letter = bytes_writer(CONSOLE_MESSAGE_MAX);
    assert_true(console_server_next(world->server, 0, &world->gate, 0, &letter));
    assert_int_equal(world->server->seats[0].dropped, world->gate.start);
    world->seen_length[0] = 0;
    deliver(world, 0, &letter);
    assert_int_equal(world->clients[0]->lost, world->gate.start);
    bytes_writer_free(&letter);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_writes_and_all_see, begin, end),
        cmocka_unit_test_setup_teardown(who_leaves_makes_room_at_once, begin, end),
        cmocka_unit_test_setup_teardown(who_vanishes_may_come_back_for_a_while, begin, end),
        cmocka_unit_test_setup_teardown(a_fresh_link_of_the_one_that_writes_replaces_the_old, begin, end),
        cmocka_unit_test_setup_teardown(take_takes, begin, end),
        cmocka_unit_test_setup_teardown(a_takeover_keeps_the_pen, begin, end),
        cmocka_unit_test_setup_teardown(who_does_not_read_is_not_waited_for, begin, end),
    };

    return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
