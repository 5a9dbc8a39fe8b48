/*
 * The arbiter: an atomic register for each epoch, behind a network that may lose the question or the answer, or carry
 * the question out after the asker has given up on it, and which may lose its memory. A node asks one thing at a time
 * (replication/arbiter.h).
 */
#include <string.h>

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
    request.forgotten = world->counts[SIM_FORGOTTEN];
    node->requesting = true;
    world->requests[slot] = request;
    if (!lost)
        sim_at(world, world->now + (late ? sim_between(world, 0, 10 * patience) : sim_below(world, answered)),
               SIM_ARBITER_EFFECT, slot, 0, world->next_request);
    sim_at(world, world->now + answered, SIM_ARBITER_ANSWER, slot, 0, world->next_request);
    static const char *const names[] = {
        [ARBITER_CLAIM] = "CLAIM", [ARBITER_VERIFY] = "VERIFY", [ARBITER_DOUBT] = "DOUBT"};
    SIM_TRACE(world, "host %d asks %s of epoch %llu for node %llx%s", node->host, names[request.question.request],
              (unsigned long long)request.question.epoch, (unsigned long long)request.question.node,
              lost              ? " (lost)"
              : late            ? " (late)"
              : request.unheard ? " (answer lost)"
                                : "");
}

void arbiter_question(struct sim_world *world, struct sim_node *node, const struct arbiter_question *question)
{
    if (question->epoch == 0 || question->epoch >= SIM_EPOCHS)
        return checker_fail(&world->checker, "contract", "the arbiter is asked for epoch %llu",
                            (unsigned long long)question->epoch);
    if (node->requesting)
        return checker_fail(&world->checker, "contract", "the arbiter is asked although it has not answered yet");
    ask(world, node, (struct sim_request){.question = *question});
}

void arbiter_effect(struct sim_world *world, unsigned slot)
{
    struct sim_request *request = &world->requests[slot];
    const struct arbiter_question *question = &request->question;
    uint64_t *owner = &world->owners[question->epoch], before = world->owners[question->epoch - 1];

    /* What was under way when the arbiter's memory went is lost with it where it rests on no record: it would be a
     * memory of the first epoch alone, which is what arbiter_lose_memory spares the protocol. */
    bool gone = question->owner == 0 && request->forgotten != world->counts[SIM_FORGOTTEN];
    if (question->request == ARBITER_CLAIM && !gone && arbiter_may_give(question, before, *owner)) {
        *owner = world->given[question->epoch] = question->node;
        SIM_TRACE(world, "epoch %llu is node %llx's", (unsigned long long)question->epoch,
                  (unsigned long long)question->node);
    }
    request->answer = arbiter_judge(question, before, *owner);
}

/* Whether somebody lives in an epoch, or could come to take over in it. */
static bool inhabited(const struct sim_world *world, uint64_t epoch)
{
    for (int host = 0; host < world->hosts; host++) {
        const struct sim_node *node = &world->nodes[host];
        if (node->alive && !node->stopped && node_status(world, node).epoch == epoch)
            return true;
    }
    return false;
}

/* A first epoch needs none before it. Two that would have it, and an arbiter that forgets in between: who begins a
 * machine has to know that there is none. */
static bool somebody_begins(const struct sim_world *world)
{
    for (int host = 0; host < world->hosts; host++)
        if (world->nodes[host].alive && node_status(world, &world->nodes[host]).state == REPLICA_STARTING)
            return true;
    return false;
}

/* Everything, or what is later than some epoch: an older state. One thing is spared the protocol, for nobody could
 * survive it: that the arbiter forgets that it gave an epoch away, still has the one before, and somebody lives there
 * who was never told (docs/replication.md). */
void arbiter_lose_memory(struct sim_world *world)
{
    uint64_t latest = SIM_EPOCHS, kept = 0;

    while (--latest > 0 && world->owners[latest] == 0)
        ;
    if (latest == 0 || somebody_begins(world))
        return;
    if (sim_chance(world, 500))
        kept = sim_chance(world, 500) ? latest - 1 : sim_below(world, latest);
    if (kept && inhabited(world, kept))
        kept = 0;
    SIM_TRACE(world, "the arbiter forgets all but the first %llu epochs", (unsigned long long)kept);
    /* Or one that is not the latest: then nothing is lost. */
    if (kept == 0 && latest > 2 && sim_chance(world, 200))
        world->owners[1 + sim_below(world, latest - 2)] = 0;
    else
        memset(world->owners + kept + 1, 0, (SIM_EPOCHS - kept - 1) * sizeof world->owners[0]);
    world->counts[SIM_FORGOTTEN]++;
    if (!world->forgetful)
        sim_at(world, world->now + sim_between(world, 10, 600) * SIM_MS, SIM_ARBITER_OPERATOR, 0, 0, 0);
    world->forgetful = true;
}

/* Whether he may judge by what this one says: it answers him, and no answer from before is on its way to it. */
static bool tells_the_truth(const struct sim_world *world, const struct sim_node *node)
{
    struct replica_status status = node_status(world, node);
    bool asks = status.state == REPLICA_CLAIMING || status.state == REPLICA_CONTENDING;

    return world->now >= node->paused_until && status.state != REPLICA_STARTING &&
           (asks ? status.arbiter == REPLICA_ARBITER_FORGETFUL : !status.asking);
}

void arbiter_operator(struct sim_world *world, unsigned looked)
{
    const struct sim_node *newest = NULL;
    uint64_t lived = world->checker.highest;

    for (int host = 0; host < world->hosts; host++) {
        struct sim_node *node = &world->nodes[host];
        if (!node->alive || node->stopped)
            continue;
        if (!tells_the_truth(world, node))
            return sim_at(world, world->now + sim_between(world, 10, 50) * SIM_MS, SIM_ARBITER_OPERATOR, looked + 1, 0,
                          0);
        struct replica_status status = node_status(world, node);
        bool holds = status.state != REPLICA_JOINING && status.state != REPLICA_ENDED;
        /* Its messages said that a later epoch was won: its machine is of no use. */
        if (holds && status.epoch < lived)
            node_kill(world, node, "is ended by the operator, for a later epoch was won");
        else if (holds && (!newest || status.epoch > node_status(world, newest).epoch))
            newest = node;
    }
    world->forgetful = false;
    if (!newest)
        return;
    struct replica_status status = node_status(world, newest);
    bool follows = status.state == REPLICA_BACKUP || status.state == REPLICA_CLAIMING;
    world->counts[SIM_HELD] += status.state == REPLICA_CLAIMING || status.state == REPLICA_CONTENDING;
    world->counts[SIM_RESETS]++;
    world->owners[status.epoch] = follows ? status.peer : newest->id;
    SIM_TRACE(world, "the operator writes that epoch %llu is node %llx's", (unsigned long long)status.epoch,
              (unsigned long long)world->owners[status.epoch]);
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
