/* A process: a replica with a machine, a gate and a console around it. Carries out what the replica says, in order. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

static uint64_t clock_of(const struct sim_world *world, const struct sim_node *node)
{
    return world->now + (uint64_t)node->clock;
}

struct replica_status node_status(const struct sim_world *world, const struct sim_node *node)
{
    return replica_status(node->replica, clock_of(world, node));
}

bool node_is_primary(const struct sim_world *world, const struct sim_node *node)
{
    enum replica_state state = node_status(world, node).state;

    return state == REPLICA_ALONE || state == REPLICA_PRIMARY || state == REPLICA_HANDING_OVER ||
           state == REPLICA_CONTENDING;
}

/* The pipe, and the direction on it, by which the other side is reached; -1: none. */
static int peer_pipe(const struct sim_world *world, const struct sim_node *node, unsigned *direction)
{
    int pipe = pipe_to(world, node->host);

    *direction = pipe >= 0 ? 1 : 0;
    if (pipe < 0 && world->pipes[node->host].up)
        pipe = node->host;
    return pipe;
}

void node_start(struct sim_world *world, int host, bool backup, int target)
{
    struct sim_node *node = &world->nodes[host];
    struct bytes_writer in = node->in, out = node->out;
    uint32_t incarnation = node->incarnation + 1;

    memset(node, 0, offsetof(struct sim_node, server));
    memset(&node->server, 0, offsetof(struct console_server, pending));
    node->server.pending_length = 0;
    node->in = in;
    node->out = out;
    bytes_writer_clear(&node->in);
    bytes_writer_clear(&node->out);
    node->host = host;
    node->alive = true;
    node->incarnation = incarnation;
    node->id = (sim_random(world) << 8 | (uint64_t)host) + 256;
    node->clock = (int64_t)sim_below(world, 1000000 * SIM_MS);
    node->crash_after = -1;
    node->target = target;
    node->follows = backup;
    node->replay_every = sim_between(world, 3 * SIM_MS, 10 * SIM_MS);
    node->replay_records = (unsigned)sim_between(world, 4, 30);
    node->config = world->config;
    node->config.node = node->id;
    node->config.backup = backup;
    node->replica = replica_create(&node->config);
    CHECK(node->replica && world->process_count < SIM_PROCESSES);
    world->processes[world->process_count++] = (struct sim_process){.id = node->id};
    console_server_standby(&node->server, 0);
    checker_process(&world->checker, (unsigned)host, node->id);
    sim_at(world, world->now + sim_below(world, 5 * SIM_MS), SIM_TICK, (unsigned)host, 0, incarnation);
    sim_at(world, world->now + sim_below(world, 5 * SIM_MS), SIM_MACHINE, (unsigned)host, 0, incarnation);
    sim_at(world, world->now + sim_below(world, 5 * SIM_MS), SIM_REPLAY, (unsigned)host, 0, incarnation);
    world->pipes[host].generation++;
    if (backup)
        sim_at(world, world->now + sim_below(world, 5 * SIM_MS), SIM_CONNECT, (unsigned)host, 0,
               world->pipes[host].generation);
    SIM_TRACE(world, "host %d: node %" PRIx64 " begins as %s%d", host, node->id,
              backup ? "a backup of host " : "a primary, host ", target);
}

void node_lost(struct sim_world *world, const struct sim_node *node)
{
    for (unsigned n = 0; n < world->process_count; n++)
        if (world->processes[n].id == node->id)
            world->processes[n].lost = true;
}

void node_kill(struct sim_world *world, struct sim_node *node, const char *why)
{
    if (!node->alive)
        return;
    SIM_TRACE(world, "host %d: node %" PRIx64 " %s", node->host, node->id, why);
    node->alive = node->live = false;
    for (unsigned n = 0; n < SIM_PIPES; n++)
        if (world->pipes[n].up && (world->pipes[n].server == node->host || (int)n == node->host))
            pipe_cut(world, n);
    replica_free(node->replica);
    node->replica = NULL;
    if (node->gate_made)
        output_gate_destroy(&node->gate);
    node->gate_made = false;
    checker_process(&world->checker, (unsigned)node->host, 0);
    sim_at(world, world->now + sim_between(world, 5 * SIM_MS, 200 * SIM_MS), SIM_OPERATOR, (unsigned)node->host, 0,
           node->incarnation);
}

static void keep_stale(struct sim_world *world, const struct message *message)
{
    struct sim_stale *stale = &world->stale[world->stale_next % SIM_STALE];

    /* What is said all the time would leave no place for the rest. */
    bool common = message->kind == MESSAGE_LOG || message->kind == MESSAGE_ACK || message->kind == MESSAGE_BEAT;
    if (world->letter.length > sizeof stale->bytes || (common && sim_below(world, 32) > 0))
        return;
    memcpy(stale->bytes, world->letter.data, world->letter.length);
    stale->length = world->letter.length;
    stale->epoch = message->epoch;
    stale->node = message->node;
    world->stale_next++;
}

static void send_message(struct sim_world *world, struct sim_node *node, const struct message *message)
{
    unsigned direction;
    int pipe = peer_pipe(world, node, &direction);
    bool sent = false;

    bytes_writer_clear(&world->letter);
    message_encode(message, &world->letter);
    CHECK(!world->letter.failed);
    if (message->kind == MESSAGE_WELCOME)
        node->peer_received = message->offset;
    if (message->kind == MESSAGE_LOG)
        checker_window(&world->checker, message->offset + message->length, node->peer_received, node->config.window);
    if (pipe >= 0)
        sent = pipe_send(world, (unsigned)pipe, direction, world->letter.data, world->letter.length);
    if (world->fault_every[SIM_FAULT_STALE])
        keep_stale(world, message);
    SIM_TRACE(world,
              "host %d: %s epoch %" PRIu64 " stream %" PRIx64 " offset %" PRIu64 " length %zu safe %" PRIu64
              " replayed %" PRIu64 "%s%s",
              node->host, message_name(message->kind), message->epoch, message->stream, message->offset,
              message->length, message->safe, message->replayed, message->ready ? " ready" : "",
              sent ? "" : " (not sent)");
}

static void boot(struct sim_world *world, struct sim_node *node, uint64_t epoch)
{
    struct error error;

    machine_boot(&node->machine);
    if (output_gate_create(&node->gate, 0, &error) != 0)
        CHECK(!"memory");
    node->gate_made = true;
    node->live = true;
    node->epoch = epoch;
    node->stepped_at = world->now;
    checker_live(&world->checker, (unsigned)node->host, epoch, epoch < SIM_EPOCHS ? world->given[epoch] : 0,
                 &node->machine);
    console_server_live(&node->server, epoch, 0, 0, world->now);
}

static void stop(struct sim_world *world, struct sim_node *node, const char *text)
{
    SIM_TRACE(world, "host %d: stops: %s", node->host, text);
    world->counts[SIM_LOSERS]++;
    node->stopped = true;
    node->live = node->going_live = false;
    console_server_standby(&node->server, node->server.epoch);
    checker_halted(&world->checker, (unsigned)node->host);
    sim_at(world, world->now + sim_below(world, 50 * SIM_MS), SIM_OPERATOR, (unsigned)node->host, 0, node->incarnation);
}

static void finish(struct sim_world *world, struct sim_node *node)
{
    SIM_TRACE(world, "host %d: the guest ended", node->host);
    node->finished = world->guest_ended = true;
    if (node->live)
        console_server_end(&node->server, 7);
    else
        sim_at(world, world->now + sim_below(world, 50 * SIM_MS), SIM_OPERATOR, (unsigned)node->host, 0,
               node->incarnation);
}

static void carry_out_live(struct sim_world *world, struct sim_node *node, const struct replica_action *action)
{
    switch (action->kind) {
    case REPLICA_COMMIT:
        SIM_TRACE(world, "host %d: COMMIT %" PRId64, node->host, (int64_t)action->offset);
        stream_commit(node, action->offset);
        break;
    case REPLICA_HOLD:
        SIM_TRACE(world, "host %d: HOLD %" PRIu64, node->host, action->offset);
        node->commit_all = false;
        break;
    case REPLICA_JOIN:
        stream_begin(world, node);
        break;
    case REPLICA_DROP:
        SIM_TRACE(world, "host %d: DROP", node->host);
        stream_drop(node);
        break;
    case REPLICA_QUIESCE:
        node->quiet_due = true;
        break;
    case REPLICA_RESUME:
        node->quiet_due = node->quiesced = false;
        break;
    case REPLICA_THROTTLE:
        node->throttle = action->permille;
        break;
    default:
        break;
    }
}

static void begin_going_live(struct sim_node *node, uint64_t epoch)
{
    node->going_live = true;
    node->going_live_epoch = epoch;
}

static bool is_for_live(enum replica_action_kind kind)
{
    return kind == REPLICA_COMMIT || kind == REPLICA_HOLD || kind == REPLICA_JOIN || kind == REPLICA_DROP ||
           kind == REPLICA_QUIESCE || kind == REPLICA_RESUME || kind == REPLICA_THROTTLE;
}

static void ask(struct sim_world *world, struct sim_node *node, enum arbiter_request request,
                const struct replica_action *action)
{
    arbiter_question(world, node,
                     &(struct arbiter_question){.request = request,
                                                .epoch = action->epoch,
                                                .node = action->node,
                                                .owner = action->owner,
                                                .rival = action->rival});
}

static void carry_out(struct sim_world *world, struct sim_node *node, const struct replica_action *action)
{
    if (is_for_live(action->kind)) {
        if (!node->live)
            return checker_fail(&world->checker, "contract", "action %d without a live machine", (int)action->kind);
        return carry_out_live(world, node, action);
    }
    switch (action->kind) {
    case REPLICA_SEND:
        send_message(world, node, &action->message);
        break;
    case REPLICA_CLAIM:
        ask(world, node, ARBITER_CLAIM, action);
        break;
    case REPLICA_VERIFY:
        ask(world, node, ARBITER_VERIFY, action);
        break;
    case REPLICA_DOUBT:
        ask(world, node, ARBITER_DOUBT, action);
        break;
    case REPLICA_START:
        boot(world, node, action->epoch);
        break;
    case REPLICA_DELIVER:
        stream_deliver(world, node, action->bytes, action->length);
        break;
    case REPLICA_RESET:
        SIM_TRACE(world, "host %d: RESET", node->host);
        stream_reset(world, node);
        break;
    case REPLICA_GO_LIVE:
        SIM_TRACE(world, "host %d: GO_LIVE in epoch %" PRIu64, node->host, action->epoch);
        begin_going_live(node, action->epoch);
        break;
    case REPLICA_FINISH:
        finish(world, node);
        break;
    case REPLICA_STOP:
        stop(world, node, action->text);
        break;
    default:
        SIM_TRACE(world, "host %d: says: %s", node->host, action->text);
        break;
    }
}

/* What changed, as an observer sees it. */
static void look(struct sim_world *world, struct sim_node *node, enum replica_state before)
{
    struct replica_status status = node_status(world, node);

    checker_status(&world->checker, (unsigned)node->host, &status, &node->config, clock_of(world, node));
    if (status.state != before) {
        SIM_TRACE(world, "host %d: %s -> %s, epoch %" PRIu64, node->host, replica_state_name(before),
                  replica_state_name(status.state), status.epoch);
        world->counts[SIM_MEMBERS] += status.state == REPLICA_BACKUP && before == REPLICA_JOINING;
        world->counts[SIM_WON_ALONE] += status.state == REPLICA_ALONE && before == REPLICA_CONTENDING;
        world->counts[SIM_HANDOVERS] += status.state == REPLICA_HANDING_OVER;
    }
}

/* A machine that goes on alone speaks for the next epoch; the console must know before it hears that the guest ended.
 */
static void enter_epoch(struct sim_world *world, struct sim_node *node)
{
    uint64_t epoch = node_status(world, node).epoch;

    if (!node->live || epoch == node->epoch)
        return;
    node->epoch = epoch;
    checker_live(&world->checker, (unsigned)node->host, epoch, epoch < SIM_EPOCHS ? world->given[epoch] : 0,
                 &node->machine);
}

void node_step(struct sim_world *world, struct sim_node *node, struct replica_event event)
{
    struct replica_actions *actions = &world->actions;
    enum replica_state before = node_status(world, node).state;

    CHECK(!world->stepping);
    world->stepping = true;
    world->counts[SIM_STEPS]++;
    event.now = clock_of(world, node);
    replica_step(node->replica, &event, actions);
    enter_epoch(world, node);
    if (actions->count > REPLICA_ACTIONS_MAX)
        checker_fail(&world->checker, "contract", "%zu actions in one step", actions->count);
    if (replica_due(node->replica) <= event.now)
        checker_fail(&world->checker, "contract", "what was due is due again at once");
    for (size_t n = 0; n < actions->count && node->alive && !world->checker.failed; n++) {
        if (node->crash_after == 0) {
            world->counts[SIM_CRASHES]++;
            node_lost(world, node);
            node_kill(world, node, "is killed between two actions");
            break;
        }
        node->crash_after -= node->crash_after > 0;
        carry_out(world, node, &actions->list[n]);
    }
    world->stepping = false;
    if (node->alive && !world->checker.failed)
        look(world, node, before);
}

void node_message(struct sim_world *world, struct sim_node *node, const uint8_t *bytes, size_t length)
{
    struct message message;
    struct error error;

    if (message_decode(bytes, length, &message, &error) != 0)
        CHECK(!"a message that we encoded");
    if (message.kind == MESSAGE_ACK && node->live) {
        if (message.stream == node->stream_id && message.offset > node->peer_received)
            node->peer_received = message.offset;
        checker_replayed(&world->checker, message.stream, message.replayed);
    }
    node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_MESSAGE, .message = &message});
    if (node->alive)
        node_speak(world, node);
}

/* A process that was stopped for longer than its member's patience, and woke up when the member had taken over already,
 * must find that out before it lets out anything that it could not have let out before. */
static void check_awakening(struct sim_world *world, const struct sim_node *node, const struct console_message *output)
{
    uint64_t next = node->epoch + 1, end = output->output + output->length;
    uint64_t taken = next < SIM_EPOCHS ? world->taken_over_at[next] : 0;

    if (node->paused_until - node->paused_at <= node->config.suspect_after || taken == 0 || taken > node->paused_until)
        return;
    if (end > node->open_at_pause)
        checker_fail(&world->checker, "awakening",
                     "node %" PRIx64 " wakes up when another is live in epoch %" PRIu64 ", and lets out byte %" PRIu64,
                     node->id, next, end - 1);
}

/* Sends what the console has to say; what is let out is shown to the checker. */
static void speak_to(struct sim_world *world, struct sim_node *node, unsigned seat)
{
    unsigned pipe = (seat ? SIM_WATCHER : SIM_CONSOLE) + (unsigned)node->host;
    struct bytes_writer *letter = &world->letter;
    struct console_message message;
    struct error error;

    while (node->gate_made && pipe_has_room(world, pipe, 1) && !world->checker.failed) {
        bytes_writer_clear(letter);
        if (!console_server_next(&node->server, seat, &node->gate, node->inputs.shown, letter))
            return;
        if (console_message_decode(letter->data, letter->length, &message, &error) != 0)
            CHECK(!"a console message that we encoded");
        if (message.kind == CONSOLE_OUTPUT) {
            check_awakening(world, node, &message);
            checker_released(&world->checker, (unsigned)node->host, message.output, message.bytes, message.length);
        }
        pipe_send(world, pipe, 1, letter->data, letter->length);
    }
}

void node_speak(struct sim_world *world, struct sim_node *node)
{
    console_server_tend(&node->server, world->now);
    for (unsigned seat = 0; seat < 2; seat++)
        speak_to(world, node, seat);
}

void node_console(struct sim_world *world, struct sim_node *node, unsigned seat, const uint8_t *bytes, size_t length)
{
    unsigned pipe = (seat ? SIM_WATCHER : SIM_CONSOLE) + (unsigned)node->host;
    struct console_message message;
    struct error error;

    if (console_message_decode(bytes, length, &message, &error) != 0)
        CHECK(!"a console message that we encoded");
    bytes_writer_clear(&world->letter);
    if (!console_server_receive(&node->server, seat, &message, world->now, &node->gate, &world->letter))
        checker_fail(&world->checker, "client", "a machine refuses its client's message of kind %d", (int)message.kind);
    if (world->letter.length > 0 && !pipe_send(world, pipe, 1, world->letter.data, world->letter.length))
        pipe_cut(world, pipe);
    node_speak(world, node);
}

uint64_t node_next_tick(struct sim_world *world, const struct sim_node *node)
{
    uint64_t turn = sim_between(world, SIM_MS, node->config.beat_every / 2);
    uint64_t due = replica_due(node->replica) - clock_of(world, node);

    return due < turn ? due : turn;
}

void node_tick(struct sim_world *world, struct sim_node *node)
{
    node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_TIME});
    if (node->alive)
        node_speak(world, node);
}
