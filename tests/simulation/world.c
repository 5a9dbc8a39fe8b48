/* One run: events in the order of their times, until the client has what it wants or nobody is left. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

#define WATCH_EVERY (10 * SIM_MS)

/* splitmix64 */
uint64_t sim_random(struct sim_world *world)
{
    uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t sim_below(struct sim_world *world, uint64_t limit)
{
    return limit ? sim_random(world) % limit : 0;
}

uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high)
{
    return low + sim_below(world, high - low + 1);
}

bool sim_chance(struct sim_world *world, unsigned permille)
{
    return permille && sim_below(world, 1000) < permille;
}

void sim_trace(struct sim_world *world, const char *format, ...)
{
    va_list arguments;

    printf("%10.3f ms  ", (double)world->now / 1e6);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

void sim_at(struct sim_world *world, uint64_t time, enum sim_event_kind kind, unsigned a, unsigned b,
            uint32_t generation)
{
    struct sim_event *heap = world->heap;
    struct sim_event event = {
        time < world->now ? world->now : time, world->order++, generation, (uint16_t)a, (uint16_t)b, kind};
    unsigned at = world->events++;

    CHECK(world->events < SIM_EVENTS);
    while (at > 0 && earlier(&event, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = event;
}

static struct sim_event next_event(struct sim_world *world)
{
    struct sim_event *heap = world->heap, first = heap[0], last = heap[--world->events];
    unsigned at = 0;

    for (unsigned child; (child = 2 * at + 1) < world->events; at = child) {
        if (child + 1 < world->events && earlier(&heap[child + 1], &heap[child]))
            child++;
        if (!earlier(&heap[child], &last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

/* What a process does again and again. */
static void node_event(struct sim_world *world, const struct sim_event *event)
{
    struct sim_node *node = &world->nodes[event->a];
    uint64_t again = 0;

    if (!node->alive || node->incarnation != event->generation)
        return;
    if (world->now < node->paused_until)
        return sim_at(world, node->paused_until + sim_below(world, SIM_MS), event->kind, event->a, 0,
                      event->generation);
    switch (event->kind) {
    case SIM_TICK:
        node_tick(world, node);
        if (!node->alive || node->incarnation != event->generation)
            return;
        again = node_next_tick(world, node);
        break;
    case SIM_MACHINE:
        again = sim_between(world, 2 * SIM_MS, 8 * SIM_MS);
        break;
    case SIM_REPLAY:
        again = node->going_live ? SIM_MS : node->replay_every;
        break;
    default:
        break;
    }
    if (again)
        sim_at(world, world->now + again, event->kind, event->a, 0, event->generation);
    if (event->kind == SIM_MACHINE)
        stream_machine(world, node);
    else if (event->kind == SIM_REPLAY)
        stream_replay(world, node);
    else if (event->kind == SIM_SAFE)
        stream_safe(world, node);
}

static const struct sim_process *process(const struct sim_world *world, uint64_t id)
{
    for (unsigned n = 0; n < world->process_count; n++)
        if (world->processes[n].id == id)
            return &world->processes[n];
    return NULL;
}

/* Whether anybody runs the machine, or may come to. */
static bool anybody(const struct sim_world *world)
{
    for (int host = 0; host < world->hosts; host++) {
        const struct sim_node *node = &world->nodes[host];
        enum replica_state state = node->alive ? node_status(world, node).state : REPLICA_STOPPED;
        if (state == REPLICA_ENDED ? node->live : state != REPLICA_STOPPED && state != REPLICA_JOINING)
            return true;
    }
    return false;
}

/* All stopped: that may only be if the one that the arbiter chose last was killed, or had nothing to do any more. */
static void judge_death(struct sim_world *world)
{
    uint64_t epoch = SIM_EPOCHS;

    world->dead = true;
    while (--epoch > 0 && world->given[epoch] == 0)
        ;
    /* No epoch at all: he that would have been the first was killed. */
    const struct sim_process *owner = epoch ? process(world, world->given[epoch]) : &world->processes[0];
    /* What an arbiter without its memory says is nobody's fault. */
    if (!world->forgetful && !world->guest_ended && !(owner && owner->lost))
        checker_fail(&world->checker, "liveness",
                     "all stopped, but node %" PRIx64 ", which has epoch %" PRIu64 ", was not killed",
                     world->given[epoch], epoch);
    SIM_TRACE(world, "nobody is left");
}

/* Whether each machine that a backup is linked to has a member. */
static bool redundant(const struct sim_world *world)
{
    for (int host = 0; host < world->hosts; host++) {
        const struct sim_node *node = &world->nodes[host];
        if (!node->alive || !node->live || pipe_to(world, host) < 0)
            continue;
        const struct sim_node *backup = &world->nodes[pipe_to(world, host)];
        if (node_status(world, node).state != REPLICA_PRIMARY || node_status(world, backup).state != REPLICA_BACKUP)
            return false;
    }
    return true;
}

/* Whether the run has come to its end. */
static bool complete(const struct sim_world *world)
{
    return client_done(world) && (!world->lasting || (world->now > world->heal_at + 200 * SIM_MS && redundant(world)));
}

static void watch(struct sim_world *world)
{
    sim_at(world, world->now + WATCH_EVERY, SIM_WATCH, 0, 0, 0);
    if (world->now >= world->heal_at && world->loss) {
        world->loss = 0;
        SIM_TRACE(world, "the faults stop");
    }
    if (!anybody(world))
        judge_death(world);
    else if (world->now >= world->end_at && client_done(world))
        checker_fail(&world->checker, "redundancy", "%" PRIu64 " ms after the last fault there is no member",
                     (world->now - world->heal_at) / SIM_MS);
    else if (world->now >= world->end_at)
        checker_fail(&world->checker, "liveness",
                     "%" PRIu64 " ms after the last fault %u of %u commands are answered, and the guest has %s",
                     (world->now - world->heal_at) / SIM_MS, world->client.replied, world->client.commands,
                     world->guest_ended ? "ended" : "not ended");
}

static void pipe_event(struct sim_world *world, const struct sim_event *event)
{
    if (event->generation != world->pipes[event->a].generation)
        return;
    if (event->kind == SIM_MESSAGE)
        pipe_arrive(world, event->a, event->b);
    else if (event->kind == SIM_CONNECT)
        pipe_connect(world, event->a);
    else if (event->kind == SIM_UNLINKED)
        pipe_unlinked(world, event->a, event->b);
    else
        pipe_linked(world, event->a);
}

static void happen(struct sim_world *world, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_TICK:
    case SIM_MACHINE:
    case SIM_REPLAY:
    case SIM_SAFE:
        return node_event(world, event);
    case SIM_MESSAGE:
    case SIM_CONNECT:
    case SIM_LINKED:
    case SIM_UNLINKED:
        return pipe_event(world, event);
    case SIM_ARBITER_EFFECT:
        return arbiter_effect(world, event->a);
    case SIM_ARBITER_ANSWER:
        return arbiter_tell(world, event->a);
    case SIM_CLIENT:
        sim_at(world, world->now + sim_between(world, 2 * SIM_MS, 8 * SIM_MS), SIM_CLIENT, 0, 0, 0);
        return client_tick(world);
    case SIM_FAULT:
        return faults_strike(world, (enum sim_fault)event->a);
    case SIM_OPERATOR:
        if (event->generation == world->nodes[event->a].incarnation)
            faults_operator(world, event->a);
        return;
    case SIM_WATCH:
        return watch(world);
    case SIM_ARBITER_FORGETS:
        return arbiter_lose_memory(world);
    case SIM_ARBITER_OPERATOR:
        return arbiter_operator(world, event->a);
    }
}

struct sim_world *sim_new(void)
{
    struct sim_world *world = calloc(1, sizeof *world);

    CHECK(world);
    world->letter = bytes_writer(MESSAGE_MAX);
    for (int host = 0; host < SIM_HOSTS; host++) {
        world->nodes[host].in = bytes_writer(SIM_STREAM_MAX);
        world->nodes[host].out = bytes_writer(SIM_STREAM_MAX);
    }
    return world;
}

static void clear(struct sim_world *world)
{
    for (int host = 0; host < SIM_HOSTS; host++) {
        struct sim_node *node = &world->nodes[host];
        replica_free(node->replica);
        node->replica = NULL;
        if (node->gate_made)
            output_gate_destroy(&node->gate);
        node->gate_made = node->alive = node->live = false;
        node->incarnation = 0;
    }
    pipes_forget(world);
    for (unsigned pipe = 0; pipe < SIM_PIPES; pipe++) {
        world->pipes[pipe].up = false;
        world->pipes[pipe].generation = 0;
        world->pipes[pipe].server = 0;
    }
    for (unsigned n = 0; n < SIM_STALE; n++)
        world->stale[n].length = 0;
    memset(world->cut_off, 0, sizeof world->cut_off);
    memset(world->owners, 0, sizeof world->owners);
    memset(world->given, 0, sizeof world->given);
    memset(world->taken_over_at, 0, sizeof world->taken_over_at);
    world->now = world->order = world->arbiter_away_until = 0;
    world->events = world->next_request = world->process_count = world->stale_next = 0;
    world->guest_ended = world->dead = world->stepping = world->forgetful = false;
    checker_reset(&world->checker);
}

void sim_free(struct sim_world *world)
{
    clear(world);
    for (int host = 0; host < SIM_HOSTS; host++) {
        bytes_writer_free(&world->nodes[host].in);
        bytes_writer_free(&world->nodes[host].out);
    }
    bytes_writer_free(&world->letter);
    checker_free(&world->checker);
    free(world);
}

const char *sim_run(struct sim_world *world, uint64_t seed, bool trace)
{
    clear(world);
    world->random = seed * UINT64_C(0xd1342543de82ef95) + 1;
    world->seed = seed;
    world->trace = trace;
    faults_plan(world);
    node_start(world, 0, false, 0);
    /* Two that would be the first: one of them loses. */
    bool rival = sim_chance(world, 50);
    for (int host = 1; host < world->hosts; host++)
        node_start(world, host, !(rival && host == 1), rival ? (int)sim_below(world, 2) : 0);
    client_start(world);
    sim_at(world, WATCH_EVERY, SIM_WATCH, 0, 0, 0);
    while (!world->checker.failed && !world->dead && !complete(world)) {
        struct sim_event event = next_event(world);
        world->now = event.time;
        happen(world, &event);
    }
    if (!world->checker.failed)
        world->counts[world->dead ? world->guest_ended ? SIM_RUNS_ENDED : SIM_RUNS_DEAD : SIM_RUNS_DONE]++;
    return world->checker.failed;
}
