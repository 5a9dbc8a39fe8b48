/*
 * Pipes. Messages of one direction arrive in order, after a delay, and not while the direction is stalled or its
 * receiver is stopped. A pipe breaks with all that is under way, and is renewed: its client is told, its server is not
 * (replica.h, LINK_UP). Mostly both are told that it broke (LINK_DOWN); a
 * host that vanishes tells nobody. A server is followed through one pipe at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

static int client_host(unsigned pipe)
{
    return pipe < SIM_CONSOLE ? (int)pipe : SIM_HOSTS;
}

/* The node that gets what goes this way; NULL for the console's client. */
static struct sim_node *receiver(struct sim_world *world, unsigned pipe, unsigned direction)
{
    if (direction == 0)
        return &world->nodes[world->pipes[pipe].server];
    return pipe < SIM_CONSOLE ? &world->nodes[pipe] : NULL;
}

static void lane_clear(struct sim_lane *lane)
{
    while (lane->count > 0) {
        free(lane->letters[lane->first].bytes);
        lane->first = (lane->first + 1) % SIM_QUEUE;
        lane->count--;
    }
    lane->stalled_until = lane->last = 0;
}

static bool partitioned(const struct sim_world *world, unsigned pipe)
{
    return world->now < world->cut_off[client_host(pipe)] || world->now < world->cut_off[world->pipes[pipe].server];
}

int pipe_to(const struct sim_world *world, int host)
{
    for (unsigned n = 0; n < SIM_CONSOLE; n++)
        if (world->pipes[n].up && world->pipes[n].server == host)
            return (int)n;
    return -1;
}

bool pipe_has_room(const struct sim_world *world, unsigned pipe, unsigned direction)
{
    return world->pipes[pipe].up && world->pipes[pipe].lanes[direction].count < SIM_QUEUE;
}

static void schedule(struct sim_world *world, unsigned pipe, unsigned direction)
{
    struct sim_lane *lane = &world->pipes[pipe].lanes[direction];
    uint64_t time = lane->letters[lane->first].time;

    if (time < lane->stalled_until)
        time = lane->stalled_until;
    sim_at(world, time, SIM_MESSAGE, pipe, direction, world->pipes[pipe].generation);
}

bool pipe_send(struct sim_world *world, unsigned pipe, unsigned direction, const uint8_t *bytes, size_t length)
{
    struct sim_lane *lane = &world->pipes[pipe].lanes[direction];

    if (!pipe_has_room(world, pipe, direction))
        return false;
    /* Only between machines: the console's protocol is told of losses (console_client_unlinked). */
    if (pipe < SIM_CONSOLE && sim_chance(world, world->loss))
        return true;
    uint64_t time = world->now + SIM_MS / 20 + sim_below(world, world->delay);
    if (time < lane->last)
        time = lane->last;
    lane->last = time;
    struct sim_letter *letter = &lane->letters[(lane->first + lane->count) % SIM_QUEUE];
    *letter = (struct sim_letter){time, malloc(length), length};
    CHECK(letter->bytes);
    memcpy(letter->bytes, bytes, length);
    if (lane->count++ == 0)
        schedule(world, pipe, direction);
    return true;
}

static void hand_over(struct sim_world *world, unsigned pipe, unsigned direction, const struct sim_letter *letter)
{
    struct sim_node *node = receiver(world, pipe, direction);

    if (pipe < SIM_CONSOLE)
        node_message(world, node, letter->bytes, letter->length);
    else if (node)
        node_console(world, node, pipe >= SIM_WATCHER, letter->bytes, letter->length);
    else
        client_receive(world, pipe, letter->bytes, letter->length);
}

void pipe_arrive(struct sim_world *world, unsigned pipe, unsigned direction)
{
    struct sim_lane *lane = &world->pipes[pipe].lanes[direction];
    const struct sim_node *node = receiver(world, pipe, direction);
    uint32_t generation = world->pipes[pipe].generation;

    CHECK(lane->count > 0);
    if (node && world->now < node->paused_until)
        lane->stalled_until = node->paused_until + sim_below(world, SIM_MS);
    if (world->now < lane->stalled_until)
        return schedule(world, pipe, direction);
    struct sim_letter letter = lane->letters[lane->first];
    lane->first = (lane->first + 1) % SIM_QUEUE;
    lane->count--;
    hand_over(world, pipe, direction, &letter);
    free(letter.bytes);
    if (world->pipes[pipe].generation == generation && world->pipes[pipe].up && lane->count > 0)
        schedule(world, pipe, direction);
}

void pipe_cut(struct sim_world *world, unsigned number)
{
    struct sim_pipe *pipe = &world->pipes[number];

    if (!pipe->up)
        return;
    SIM_TRACE(world, "pipe %u breaks", number);
    pipe->up = false;
    pipe->generation++;
    lane_clear(&pipe->lanes[0]);
    lane_clear(&pipe->lanes[1]);
    if (number >= SIM_CONSOLE) {
        client_unlinked(world, number);
        console_server_unlinked(&world->nodes[pipe->server].server, number >= SIM_WATCHER, world->now);
    }
    for (unsigned direction = 0; direction < 2 && number < SIM_CONSOLE; direction++)
        if (sim_chance(world, 750))
            sim_at(world, world->now + sim_below(world, 2 * SIM_MS), SIM_UNLINKED, number, direction, pipe->generation);
    sim_at(world, world->now + sim_between(world, SIM_MS, 25 * SIM_MS), SIM_CONNECT, number, 0, pipe->generation);
}

void pipe_unlinked(struct sim_world *world, unsigned number, unsigned direction)
{
    struct sim_node *node = receiver(world, number, direction);

    if (!node->alive)
        return;
    if (world->now < node->paused_until)
        return sim_at(world, node->paused_until, SIM_UNLINKED, number, direction, world->pipes[number].generation);
    SIM_TRACE(world, "host %d: pipe %u is down", node->host, number);
    node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_LINK_DOWN, .node = world->nodes[number].id});
}

static bool answers(const struct sim_world *world, unsigned pipe, const struct sim_node *server)
{
    if (!server->alive || world->now < server->paused_until || partitioned(world, pipe))
        return false;
    if (pipe >= SIM_CONSOLE)
        return true;
    return pipe_to(world, server->host) < 0 && node_is_primary(world, server);
}

void pipe_connect(struct sim_world *world, unsigned number)
{
    struct sim_pipe *pipe = &world->pipes[number];
    const struct sim_node *client = number < SIM_CONSOLE ? &world->nodes[number] : NULL;

    if (pipe->up)
        return;
    if (client)
        pipe->server = client->target;
    if (client && (!client->alive || client->target == client->host || !client->follows))
        return;
    if ((client && world->now < client->paused_until) || !answers(world, number, &world->nodes[pipe->server])) {
        sim_at(world, world->now + sim_between(world, 5 * SIM_MS, 25 * SIM_MS), SIM_CONNECT, number, 0,
               pipe->generation);
        return;
    }
    SIM_TRACE(world, "pipe %u to host %d is up", number, pipe->server);
    pipe->up = true;
    pipe->generation++;
    /* A primary that was a backup once listens to its old primary until it has a backup of its own. */
    if (client)
        pipe_cut(world, (unsigned)pipe->server);
    sim_at(world, world->now + sim_below(world, SIM_MS), SIM_LINKED, number, 0, pipe->generation);
}

void pipe_linked(struct sim_world *world, unsigned pipe)
{
    struct sim_node *node = pipe < SIM_CONSOLE ? &world->nodes[pipe] : NULL;

    if (!node) {
        client_unlinked(world, pipe);
    } else if (world->now < node->paused_until) {
        sim_at(world, node->paused_until, SIM_LINKED, pipe, 0, world->pipes[pipe].generation);
        /* What arrives on a renewed pipe is seen after the news that it is renewed. */
        world->pipes[pipe].lanes[1].stalled_until = node->paused_until + SIM_MS;
    } else {
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_LINK_UP});
    }
}

void pipes_forget(struct sim_world *world)
{
    for (unsigned n = 0; n < SIM_PIPES; n++) {
        lane_clear(&world->pipes[n].lanes[0]);
        lane_clear(&world->pipes[n].lanes[1]);
    }
}
