/*
 * The person at the console: types numbered commands and expects each answer once and in order. And somebody who
 * watches, and must see the same.
 */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

/* At one time; a console client that never falls silent is a bug, but must not hang the simulation. */
#define MESSAGES_A_TICK 64

void client_start(struct sim_world *world)
{
    struct sim_client *client = &world->client;

    console_client_init(&client->console, SIM_CLIENT_ID, (unsigned)world->hosts, true, CONSOLE_WRITE);
    console_client_init(&world->watcher, SIM_CLIENT_ID + 1, (unsigned)world->hosts, true, CONSOLE_WATCH);
    client->commands = (unsigned)sim_between(world, 5, 120);
    client->ahead = sim_chance(world, 500) ? 1 : (unsigned)sim_between(world, 2, 10);
    client->quits = !world->lasting && sim_chance(world, 600);
    client->typed = client->replied = client->frame_length = 0;
    sim_at(world, world->now, SIM_CLIENT, 0, 0, 0);
    for (unsigned n = 0; n < 2 * SIM_HOSTS; n++) {
        unsigned pipe = SIM_CONSOLE + n, host = n % SIM_HOSTS;
        if (host >= (unsigned)world->hosts)
            continue;
        world->pipes[pipe].server = (int)host;
        sim_at(world, world->now + sim_below(world, 10 * SIM_MS), SIM_CONNECT, pipe, 0, world->pipes[pipe].generation);
    }
}

static void type(struct sim_world *world)
{
    struct sim_client *client = &world->client;

    while (client->typed < client->commands && client->typed < client->replied + client->ahead) {
        bool last = client->typed + 1 == client->commands;
        uint8_t command[MACHINE_COMMAND] = {'C', (uint8_t)client->typed, (uint8_t)(client->typed >> 8),
                                            last && client->quits ? 'q' : 'c'};
        size_t taken = console_client_type(&client->console, command, sizeof command);
        CHECK(taken == sizeof command);
        checker_typed(&world->checker, command, sizeof command);
        client->typed++;
    }
}

/* A whole answer, or a byte that the machine printed by itself. */
static void take_frame(struct sim_world *world)
{
    struct sim_client *client = &world->client;
    const uint8_t *frame = client->frame;

    client->frame_length = 0;
    if (frame[0] != 'R')
        return;
    unsigned number = frame[1] | (unsigned)frame[2] << 8;
    if (number != client->replied)
        checker_fail(&world->checker, "client", "the answer to command %u came, but that to %u is due", number,
                     client->replied);
    client->replied++;
}

static void read_output(struct sim_world *world, const uint8_t *bytes, size_t length)
{
    struct sim_client *client = &world->client;

    checker_user(&world->checker, bytes, length);
    for (size_t n = 0; n < length; n++) {
        client->frame[client->frame_length++] = bytes[n];
        if (client->frame[0] != 'R' && client->frame[0] != 'S')
            return checker_fail(&world->checker, "client", "output that is no answer");
        if (client->frame_length == (client->frame[0] == 'R' ? MACHINE_REPLY : 2))
            take_frame(world);
    }
}

static void send(struct sim_world *world, struct console_client *console)
{
    unsigned first = console == &world->watcher ? SIM_WATCHER : SIM_CONSOLE, link;

    for (unsigned n = 0; n < MESSAGES_A_TICK; n++) {
        bytes_writer_clear(&world->letter);
        if (!console_client_next(console, world->now, &link, &world->letter))
            return;
        CHECK(link < (unsigned)world->hosts);
        SIM_TRACE(world, "%s: to host %u: kind %d", first == SIM_CONSOLE ? "client" : "watcher", link,
                  world->letter.data[1]);
        if (!pipe_send(world, first + link, 0, world->letter.data, world->letter.length))
            console_client_unlinked(console, link, world->now);
    }
}

/* The watcher may lack something: nobody waits for it, and a machine that takes over need not have what only it lacks.
 * But what it sees is the output, in order, and it knows of each gap. */
static void watch_output(struct sim_world *world, const uint8_t *bytes, size_t length)
{
    const struct checker *checker = &world->checker;
    uint64_t number = world->watcher.output - length;

    if (world->watcher.output > checker->released || memcmp(bytes, checker->released_byte + number, length) != 0)
        checker_fail(&world->checker, "client", "the watcher sees something else from byte %" PRIu64 " on", number);
}

static struct console_client *client_at(struct sim_world *world, unsigned pipe)
{
    return pipe >= SIM_WATCHER ? &world->watcher : &world->client.console;
}

void client_unlinked(struct sim_world *world, unsigned pipe)
{
    console_client_unlinked(client_at(world, pipe), (pipe - SIM_CONSOLE) % SIM_HOSTS, world->now);
}

void client_receive(struct sim_world *world, unsigned pipe, const uint8_t *bytes, size_t length)
{
    struct console_client *console = client_at(world, pipe);
    unsigned link = (pipe - SIM_CONSOLE) % SIM_HOSTS;
    bool watches = console == &world->watcher;
    struct console_message message;
    struct error error;
    const uint8_t *output = NULL;
    size_t output_length = 0;

    if (console_message_decode(bytes, length, &message, &error) != 0)
        CHECK(!"a console message that we encoded");
    SIM_TRACE(world, "%s: from host %u: kind %d epoch %" PRIu64 " input %" PRIu64 " output %" PRIu64 " length %zu",
              watches ? "watcher" : "client", link, (int)message.kind, message.epoch, message.input, message.output,
              message.length);
    if (!console_client_receive(console, link, &message, world->now, &output, &output_length))
        return checker_fail(&world->checker, "client", "the client refuses a message of kind %d", (int)message.kind);
    if (watches && output_length > 0)
        watch_output(world, output, output_length);
    if (watches)
        return send(world, console);
    if (output_length > 0)
        read_output(world, output, output_length);
    if (console->numbered)
        checker_confirmed(&world->checker, console->input);
    if (console->lost > 0)
        checker_fail(&world->checker, "client", "%" PRIu64 " bytes of output are lost to the client", console->lost);
    if (console->taken)
        checker_fail(&world->checker, "client", "the console was taken by nobody");
    type(world);
    send(world, console);
}

void client_tick(struct sim_world *world)
{
    type(world);
    send(world, &world->client.console);
    send(world, &world->watcher);
}

bool client_done(const struct sim_world *world)
{
    const struct sim_client *client = &world->client;

    if (client->replied < client->commands || !console_client_settled(&client->console))
        return false;
    return !client->quits || client->console.ended;
}
