/* The person at the console: types numbered commands and expects each answer once and in order. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

/* At one time; a console client that never falls silent is a bug, but must not hang the simulation. */
#define MESSAGES_A_TICK 64

void client_start(struct sim_world *world)
{
    struct sim_client *client = &world->client;

    console_client_init(&client->console, SIM_CLIENT_ID, (unsigned)world->hosts, true);
    client->commands = (unsigned)sim_between(world, 5, 120);
    client->ahead = sim_chance(world, 500) ? 1 : (unsigned)sim_between(world, 2, 10);
    client->quits = !world->lasting && sim_chance(world, 600);
    client->typed = client->replied = client->frame_length = 0;
    sim_at(world, world->now, SIM_CLIENT, 0, 0, 0);
    for (unsigned n = 0; n < (unsigned)world->hosts; n++) {
        world->pipes[SIM_CONSOLE + n].server = (int)n;
        sim_at(world, world->now + sim_below(world, 10 * SIM_MS), SIM_CONNECT, SIM_CONSOLE + n, 0,
               world->pipes[SIM_CONSOLE + n].generation);
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

static void send(struct sim_world *world)
{
    struct console_client *console = &world->client.console;
    unsigned link;

    for (unsigned n = 0; n < MESSAGES_A_TICK; n++) {
        bytes_writer_clear(&world->letter);
        if (!console_client_next(console, world->now, &link, &world->letter))
            return;
        CHECK(link < (unsigned)world->hosts);
        SIM_TRACE(world, "client: to host %u: kind %d", link, world->letter.data[1]);
        if (!pipe_send(world, SIM_CONSOLE + link, 0, world->letter.data, world->letter.length))
            console_client_unlinked(console, link, world->now);
    }
}

void client_receive(struct sim_world *world, unsigned link, const uint8_t *bytes, size_t length)
{
    struct console_client *console = &world->client.console;
    struct console_message message;
    struct error error;
    const uint8_t *output = NULL;
    size_t output_length = 0;

    if (console_message_decode(bytes, length, &message, &error) != 0)
        CHECK(!"a console message that we encoded");
    SIM_TRACE(world, "client: from host %u: kind %d epoch %" PRIu64 " input %" PRIu64 " output %" PRIu64 " length %zu",
              link, (int)message.kind, message.epoch, message.input, message.output, message.length);
    if (!console_client_receive(console, link, &message, world->now, &output, &output_length))
        return checker_fail(&world->checker, "client", "the client refuses a message of kind %d", (int)message.kind);
    if (output_length > 0)
        read_output(world, output, output_length);
    if (console->numbered)
        checker_confirmed(&world->checker, console->input);
    if (console->lost > 0)
        checker_fail(&world->checker, "client", "%" PRIu64 " bytes of output are lost to the client", console->lost);
    if (console->taken)
        checker_fail(&world->checker, "client", "the console was taken by nobody");
    type(world);
    send(world);
}

void client_tick(struct sim_world *world)
{
    type(world);
    send(world);
}

bool client_done(const struct sim_world *world)
{
    const struct sim_client *client = &world->client;

    if (client->replied < client->commands || !console_client_settled(&client->console))
        return false;
    return !client->quits || client->console.ended;
}
