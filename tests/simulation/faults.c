/* What goes wrong, by one random plan for each seed, and the operator who starts processes again. */
#include <string.h>

#include "tests/simulation/simulation.h"

static void plan_config(struct sim_world *world)
{
    uint64_t beat = sim_between(world, 10, 25) * SIM_MS;

    world->config = (struct replica_config){
        .first_epoch = 1,
        .beat_every = beat,
        .suspect_after = beat * sim_between(world, 3, 5),
        .suspect_max = beat * sim_between(world, 3, 12),
        .arbiter_retry = sim_between(world, 15, 60) * SIM_MS,
        .arbiter_watch = sim_between(world, 50, 400) * SIM_MS,
        .window = sim_between(world, 600, 6000),
        .backlog_max = sim_between(world, 6000, 60000),
        .lag_slow = sim_between(world, 50, 150) * SIM_MS,
        .lag_patience = sim_between(world, 100, 400) * SIM_MS,
        .join_retry = beat,
        .handover_patience = sim_between(world, 50, 300) * SIM_MS,
    };
    world->config.lag_max = world->config.lag_slow + sim_between(world, 50, 300) * SIM_MS;
}

void faults_plan(struct sim_world *world)
{
    static const unsigned rarest[SIM_FAULTS] = {
        [SIM_FAULT_CRASH] = 1500,  [SIM_FAULT_PAUSE] = 900,      [SIM_FAULT_CUT] = 700,
        [SIM_FAULT_STALL] = 600,   [SIM_FAULT_PARTITION] = 1200, [SIM_FAULT_ARBITER] = 1000,
        [SIM_FAULT_FORGET] = 1000, [SIM_FAULT_SLOW] = 1500,      [SIM_FAULT_STUCK] = 1500,
        [SIM_FAULT_DIVERGE] = 400, [SIM_FAULT_HANDOVER] = 900,   [SIM_FAULT_RETARGET] = 100,
        [SIM_FAULT_STALE] = 200,
    };

    plan_config(world);
    world->hosts = (int)sim_between(world, 3, SIM_HOSTS);
    world->delay = sim_chance(world, 500) ? SIM_MS : sim_between(world, 1, 15) * SIM_MS;
    world->loss = sim_chance(world, 250) ? (unsigned)sim_between(world, 1, 100) : 0;
    world->heal_at = sim_between(world, 100, 2000) * SIM_MS;
    world->lasting = sim_chance(world, 100);
    world->end_at = world->heal_at + 10000 * SIM_MS;
    for (unsigned fault = 0; fault < SIM_FAULTS; fault++) {
        bool plays = fault == SIM_FAULT_RETARGET || sim_chance(world, fault == SIM_FAULT_CRASH ? 700 : 350);
        world->fault_every[fault] = plays ? sim_between(world, 50, rarest[fault] + 50) * SIM_MS : 0;
        if (plays)
            sim_at(world, sim_below(world, 2 * world->fault_every[fault]), SIM_FAULT, fault, 0, 0);
    }
}

static struct sim_node *any_node(struct sim_world *world)
{
    struct sim_node *node = &world->nodes[sim_below(world, (uint64_t)world->hosts)];

    return node->alive ? node : NULL;
}

/* How many machines would go on, or could. */
static unsigned survivors(const struct sim_world *world)
{
    unsigned count = 0;

    for (int host = 0; host < world->hosts; host++) {
        const struct sim_node *node = &world->nodes[host];
        enum replica_state state = node->alive ? node_status(world, node).state : REPLICA_STOPPED;
        count += state != REPLICA_STOPPED && state != REPLICA_JOINING;
    }
    return count;
}

static void crash(struct sim_world *world, struct sim_node *node)
{
    /* Most runs should have a chance to go on. */
    if (survivors(world) < 2 && sim_chance(world, 850))
        return;
    if (sim_chance(world, 500)) {
        node->crash_after = (int)sim_below(world, 12);
        return;
    }
    world->counts[SIM_CRASHES]++;
    node_lost(world, node);
    node_kill(world, node, "is killed");
}

/* How long a fault lasts: none outlives heal_at. */
static uint64_t until(struct sim_world *world, uint64_t low, uint64_t high)
{
    uint64_t end = world->now + sim_between(world, low * SIM_MS, high * SIM_MS);

    return end < world->heal_at ? end : world->heal_at;
}

static void stall(struct sim_world *world, unsigned pipe, unsigned direction, uint64_t end)
{
    struct sim_lane *lane = &world->pipes[pipe].lanes[direction];

    if (world->pipes[pipe].up && lane->stalled_until < end)
        lane->stalled_until = end;
}

static void partition(struct sim_world *world)
{
    unsigned host = (unsigned)sim_below(world, (uint64_t)world->hosts + 1);
    uint64_t end = until(world, 20, 500);

    if (host == (unsigned)world->hosts)
        host = SIM_HOSTS;
    world->cut_off[host] = end;
    SIM_TRACE(world, "host %u is cut off for %llu ms", host, (unsigned long long)((end - world->now) / SIM_MS));
    bool breaks = sim_chance(world, 500);
    for (unsigned pipe = 0; pipe < SIM_PIPES; pipe++) {
        unsigned client = pipe < SIM_CONSOLE ? pipe : SIM_HOSTS;
        if (!world->pipes[pipe].up || (client != host && world->pipes[pipe].server != (int)host))
            continue;
        stall(world, pipe, 0, end);
        stall(world, pipe, 1, end);
        if (breaks)
            pipe_cut(world, pipe);
    }
}

/* Says something again that was said in an earlier epoch, by another than the present peer: pipes do not repeat. */
static void say_stale(struct sim_world *world, struct sim_node *node)
{
    const struct sim_stale *stale = &world->stale[sim_below(world, SIM_STALE)];
    struct replica_status status = node_status(world, node);

    if (stale->length == 0 || stale->epoch >= status.epoch || stale->node == status.peer)
        return;
    SIM_TRACE(world, "host %d: hears something from epoch %llu", node->host, (unsigned long long)stale->epoch);
    node_message(world, node, stale->bytes, stale->length);
}

static void strike_node(struct sim_world *world, enum sim_fault fault, struct sim_node *node)
{
    switch (fault) {
    case SIM_FAULT_CRASH:
        crash(world, node);
        break;
    case SIM_FAULT_PAUSE:
        node->paused_at = world->now;
        node->paused_until = until(world, 5, 500);
        /* Then it wakes up to an arbiter that cannot tell it what happened meanwhile. */
        if (world->fault_every[SIM_FAULT_FORGET] && sim_chance(world, 300))
            sim_at(world, world->now + sim_below(world, node->paused_until - world->now), SIM_ARBITER_FORGETS, 0, 0, 0);
        node->open_at_pause = node->gate_made ? node->gate.marks.shown : 0;
        SIM_TRACE(world, "host %d stands still for %llu ms", node->host,
                  (unsigned long long)((node->paused_until - world->now) / SIM_MS));
        break;
    case SIM_FAULT_SLOW:
        node->replay_records = (unsigned)sim_between(world, 1, 3);
        node->replay_every = sim_between(world, 5, 30) * SIM_MS;
        break;
    case SIM_FAULT_STUCK:
        node->stuck_until = until(world, 20, 1200);
        SIM_TRACE(world, "host %d: its replay is stuck", node->host);
        break;
    case SIM_FAULT_DIVERGE:
        if (node->restored && !node->live) {
            node->machine.hash ^= 1;
            SIM_TRACE(world, "host %d: its machine goes wrong", node->host);
        }
        break;
    case SIM_FAULT_HANDOVER:
        if (node->live)
            node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_HANDOVER});
        break;
    case SIM_FAULT_RETARGET:
        if (node_status(world, node).state == REPLICA_JOINING && !world->pipes[node->host].up)
            node_kill(world, node, "is ended by the operator, for it finds nobody to follow");
        break;
    case SIM_FAULT_STALE:
        say_stale(world, node);
        break;
    default:
        break;
    }
}

static void strike_network(struct sim_world *world, enum sim_fault fault)
{
    unsigned pipe = (unsigned)sim_below(world, SIM_PIPES);

    if (fault == SIM_FAULT_CUT) {
        pipe_cut(world, pipe);
    } else if (fault == SIM_FAULT_STALL) {
        SIM_TRACE(world, "pipe %u stalls one way", pipe);
        stall(world, pipe, (unsigned)sim_below(world, 2), until(world, 5, 400));
    } else if (fault == SIM_FAULT_PARTITION) {
        partition(world);
    } else if (fault == SIM_FAULT_FORGET) {
        arbiter_lose_memory(world);
    } else {
        world->arbiter_away_until = until(world, 10, 600);
        SIM_TRACE(world, "the arbiter is away for %llu ms",
                  (unsigned long long)((world->arbiter_away_until - world->now) / SIM_MS));
    }
}

void faults_strike(struct sim_world *world, enum sim_fault fault)
{
    if (world->now >= world->heal_at)
        return;
    sim_at(world, world->now + 1 + sim_below(world, 2 * world->fault_every[fault]), SIM_FAULT, fault, 0, 0);
    if (fault >= SIM_FAULT_CUT && fault <= SIM_FAULT_FORGET)
        return strike_network(world, fault);
    struct sim_node *node = any_node(world);
    if (node && world->now >= node->paused_until)
        strike_node(world, fault, node);
}

/* Where the operator sees the newest machine; else somewhere. */
static int best_target(struct sim_world *world, int host)
{
    int best = (host + 1 + (int)sim_below(world, (uint64_t)world->hosts - 1)) % world->hosts;
    uint64_t epoch = 0;

    if (sim_chance(world, 150))
        return best;
    for (int n = 0; n < world->hosts; n++) {
        const struct sim_node *node = &world->nodes[n];
        if (n == host || !node->alive || (!node->live && !node->going_live))
            continue;
        struct replica_status status = node_status(world, node);
        if (status.epoch > epoch) {
            epoch = status.epoch;
            best = n;
        }
    }
    return best;
}

void faults_operator(struct sim_world *world, int host)
{
    struct sim_node *node = &world->nodes[host];

    if (node->alive && !node->stopped && !(node->finished && !node->live))
        return;
    if (node->alive)
        return node_kill(world, node, "exits");
    if (world->now < world->heal_at && !world->guest_ended)
        node_start(world, host, true, best_target(world, host));
}
