/*
 * The arbiter: an atomic register for each epoch, behind a network that may lose the question or the answer, or carry
 * the question out after the asker has given up on it. A node asks one thing at a time (replication/arbiter.h).
 */
#include "tests/simulation/simulation.h"

static void ask(struct sim_world *world, struct sim_node *node, struct sim_request request)
{
    unsigned slot = world->next_request++ % SIM_REQUESTS;
    bool away = world->now < world->arbiter_away_until;
    uint64_t patience = sim_between(world, 10 * SIM_MS, 40 * SIM_MS);
    bool lost = sim_chance(world, away ? 700 : 10), late = sim_chance(world, away ? 300 : 10);

    request.host = node->host;
    request.incarnation = node->incarnation;
    request.unheard = away || lost || late || sim_chance(world, 10);
    uint64_t answered = request.unheard ? patience : sim_between(world, SIM_MS / 10, 8 * SIM_MS);
    node->requesting = true;
    world->requests[slot] = request;
    if (!lost)
        sim_at(world, world->now + (late ? sim_between(world, 0, 10 * patience) : sim_below(world, answered)),
               SIM_ARBITER_EFFECT, slot, 0, world->next_request);
    sim_at(world, world->now + answered, SIM_ARBITER_ANSWER, slot, 0, world->next_request);
    SIM_TRACE(world, "host %d asks %s of epoch %llu for node %llx%s", node->host, request.verify ? "VERIFY" : "CLAIM",
              (unsigned long long)request.epoch, (unsigned long long)request.node,
              lost              ? " (lost)"
              : late            ? " (late)"
              : request.unheard ? " (answer lost)"
                                : "");
}

void arbiter_question(struct sim_world *world, struct sim_node *node, bool verify, uint64_t epoch, uint64_t id)
{
    struct sim_request request = {.verify = verify, .epoch = epoch, .node = id};

    if (epoch == 0 || epoch >= SIM_EPOCHS)
        return checker_fail(&world->checker, "contract", "the arbiter is asked for epoch %llu",
                            (unsigned long long)epoch);
    if (node->requesting)
        return checker_fail(&world->checker, "contract", "the arbiter is asked although it has not answered yet");
    ask(world, node, request);
}

void arbiter_effect(struct sim_world *world, unsigned slot)
{
    struct sim_request *request = &world->requests[slot];
    uint64_t *owner = &world->owners[request->epoch];

    if (!request->verify && *owner == 0) {
        *owner = request->node;
        SIM_TRACE(world, "epoch %llu is node %llx's", (unsigned long long)request->epoch,
                  (unsigned long long)request->node);
    }
    request->answer = *owner == request->node ? REPLICA_WON : REPLICA_LOST;
}

void arbiter_tell(struct sim_world *world, unsigned slot)
{
    const struct sim_request *request = &world->requests[slot];
    struct sim_node *node = &world->nodes[request->host];

    if (!node->alive || node->incarnation != request->incarnation)
        return;
    if (world->now < node->paused_until)
        return sim_at(world, node->paused_until + sim_below(world, SIM_MS), SIM_ARBITER_ANSWER, slot, 0, 0);
    node->requesting = false;
    enum replica_answer answer = request->unheard ? REPLICA_UNREACHABLE : request->answer;
    node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_ARBITER, .answer = answer});
}
