/*
 * A node's machine. Live, it takes input and time and writes a record of each into the stream that a backup follows; a
 * stream begins with a checkpoint, which is written while the machine runs on. Following, it is built from what was
 * delivered, and replays the records at its own pace.
 *
 * The checkpoint: u32 length of the filler, filler, u32 length of the machine's state, the state, u64 up to where the
 * client has the output. Output that the client may lack belongs to what a new backup must be given.
 */
#include <limits.h>

#include "base/check.h"
#include "tests/simulation/simulation.h"

#define UNSENT_MAX 2048

static bool same_process(const struct sim_node *node, uint32_t incarnation)
{
    return node->alive && node->incarnation == incarnation;
}

void stream_begin(struct sim_world *world, struct sim_node *node)
{
    node->stream_id = node_status(world, node).stream;
    node->stream_end = 0;
    node->phase = SIM_CHECKPOINT;
    node->filler = sim_below(world, 3000);
    node->checkpoint_begun = false;
    bytes_writer_clear(&node->out);
    checker_written(&world->checker, node->stream_id, NULL, 0, 0);
}

void stream_drop(struct sim_node *node)
{
    node->phase = SIM_NO_STREAM;
    bytes_writer_clear(&node->out);
}

/* Gives the replica what was written. False if the process did not live through it. */
static bool flush(struct sim_world *world, struct sim_node *node)
{
    uint32_t incarnation = node->incarnation;

    if (node->out.length == 0)
        return true;
    CHECK(!node->out.failed);
    node->stream_end += node->out.length;
    checker_written(&world->checker, node->stream_id, node->out.data, node->out.length,
                    world->now + (uint64_t)node->clock);
    node_step(
        world, node,
        (struct replica_event){.kind = REPLICA_EVENT_STREAM, .bytes = node->out.data, .length = node->out.length});
    bytes_writer_clear(&node->out);
    return same_process(node, incarnation);
}

static void record(struct sim_node *node, enum machine_record kind, const void *payload, size_t length)
{
    bool right = machine_apply(&node->machine, kind, payload, length);

    CHECK(right && length < 256);
    if (node->phase != SIM_RECORDS)
        return;
    bytes_put_uint(&node->out, 1, kind);
    bytes_put_uint(&node->out, 1, length);
    bytes_put_uint(&node->out, 4, node->machine.records);
    bytes_put(&node->out, payload, length);
}

static void record_number(struct sim_node *node, enum machine_record kind, uint64_t first, uint64_t second,
                          size_t length)
{
    uint8_t payload[16];

    bytes_store(payload, 8, first);
    bytes_store(payload + 8, 8, second);
    record(node, kind, payload, length);
}

/* Output leaves the machine when its record is in the stream and the replica knows of that. */
static void put_output(struct sim_node *node, uint32_t from)
{
    const struct sim_machine *machine = &node->machine;

    output_gate_put(&node->gate, machine->history + from, machine->announced - from);
    gate_marks_add(&node->gate.marks, node->stream_end, node->gate.end);
}

static void let_out(struct sim_node *node, uint32_t from)
{
    if (node->machine.announced > from)
        put_output(node, from);
    gate_marks_add(&node->inputs, node->stream_end, node->machine.inputs);
    if (node->commit_all)
        stream_commit(node, UINT64_MAX);
}

void stream_commit(struct sim_node *node, uint64_t offset)
{
    gate_marks_commit(&node->gate.marks, offset);
    gate_marks_commit(&node->inputs, offset);
    node->commit_all = offset == UINT64_MAX;
}

static void take_input(struct sim_world *world, struct sim_node *node)
{
    uint8_t bytes[24];
    uint64_t owner = 0, number = node->machine.inputs;
    size_t length = console_server_take(&node->server, bytes, sim_between(world, 1, sizeof bytes), &owner);

    if (owner)
        record_number(node, RECORD_OWNER, owner, 0, 8);
    if (length == 0)
        return;
    checker_input(&world->checker, number, bytes, length);
    record(node, RECORD_INPUT, bytes, length);
}

static void run(struct sim_world *world, struct sim_node *node, uint64_t elapsed)
{
    struct sim_machine *machine = &node->machine;
    uint32_t from = machine->announced, incarnation = node->incarnation;

    take_input(world, node);
    record_number(node, RECORD_TICK, machine->guest_time + elapsed, sim_random(world), 16);
    if (machine->printed > machine->announced)
        record_number(node, RECORD_OUTPUT, machine->printed, machine->hash, 16);
    else if (sim_chance(world, 100))
        record_number(node, RECORD_DIGEST, machine->hash, 0, 8);
    if (machine->wants_end)
        record_number(node, RECORD_END, machine->hash, 0, 8);
    if (!flush(world, node))
        return;
    let_out(node, from);
    node_speak(world, node);
    if (machine->ended && node->live)
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_ENDED});
    else if (node->live && same_process(node, incarnation))
        node_step(world, node,
                  (struct replica_event){.kind = REPLICA_EVENT_GUEST_TIME, .guest_time = machine->guest_time});
}

static void finish_checkpoint(struct sim_world *world, struct sim_node *node)
{
    const struct console_server *server = &node->server;
    uint64_t unread = server->writer ? console_server_unread(server) : 0;

    if (unread < node->gate.start)
        unread = node->gate.start;

    size_t at = node->out.length;
    bytes_put_uint(&node->out, 4, 0);
    machine_save(&node->machine, &node->out);
    bytes_store(node->out.data + at, 4, node->out.length - at - 4);
    bytes_put_uint(&node->out, 8, unread);
    if (!flush(world, node))
        return;
    if (node->phase != SIM_CHECKPOINT)
        return;
    node->phase = SIM_RECORDS;
    node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_JOINED});
}

/* A piece of the checkpoint, unless the link is behind. */
static void write_checkpoint(struct sim_world *world, struct sim_node *node)
{
    size_t piece = sim_between(world, 100, 1500);

    if (node_status(world, node).unsent > UNSENT_MAX)
        return;
    if (!node->checkpoint_begun) {
        node->checkpoint_begun = true;
        bytes_put_uint(&node->out, 4, node->filler);
    }
    if (node->filler == 0)
        return finish_checkpoint(world, node);
    if (piece > node->filler)
        piece = node->filler;
    node->filler -= piece;
    uint8_t *room = bytes_reserve(&node->out, piece);
    CHECK(room);
    uint64_t noise = sim_random(world);
    for (size_t n = 0; n < piece; n++)
        room[n] = (uint8_t)(noise >> n % 57);
    flush(world, node);
}

void stream_machine(struct sim_world *world, struct sim_node *node)
{
    uint32_t incarnation = node->incarnation;
    uint64_t elapsed = world->now - node->stepped_at;

    node->stepped_at = world->now;
    if (!node->live)
        return;
    if (node->quiet_due) {
        node->quiet_due = false;
        node->quiesced = true;
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_QUIET});
    } else if (!node->quiesced && !node->machine.ended && !sim_chance(world, node->throttle)) {
        run(world, node, elapsed);
    }
    if (same_process(node, incarnation) && node->live && node->phase == SIM_CHECKPOINT)
        write_checkpoint(world, node);
}

void stream_deliver(struct sim_world *world, struct sim_node *node, const uint8_t *bytes, size_t length)
{
    checker_delivered(&world->checker, (unsigned)node->host, node_status(world, node).stream, bytes, length);
    bytes_put(&node->in, bytes, length);
    CHECK(!node->in.failed);
    if (node->safe_due == 0)
        sim_at(world, world->now + sim_below(world, 2 * SIM_MS), SIM_SAFE, (unsigned)node->host, 0, node->incarnation);
    node->safe_due = node->in.length;
}

void stream_safe(struct sim_world *world, struct sim_node *node)
{
    uint64_t offset = node->safe_due;

    node->safe_due = 0;
    if (offset)
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_SAFE, .offset = offset});
}

void stream_reset(struct sim_world *world, struct sim_node *node)
{
    bytes_writer_clear(&node->in);
    node->replay_at = 0;
    node->safe_due = 0;
    node->restored = node->going_live = node->diverged = false;
    if (node->gate_made)
        output_gate_destroy(&node->gate);
    node->gate_made = false;
    checker_delivered(&world->checker, (unsigned)node->host, 0, NULL, 0);
}

/* Builds the machine, once the whole checkpoint is here. */
static void restore(struct sim_world *world, struct sim_node *node)
{
    const struct bytes_writer *in = &node->in;
    struct error error;

    size_t at = in->length < 4 ? 4 : 4 + bytes_load(in->data, 4);
    if (in->length < at + 4 || in->length < at + 4 + bytes_load(in->data + at, 4) + 8)
        return;
    size_t length = bytes_load(in->data + at, 4);
    if (!machine_restore(&node->machine, in->data + at + 4, length))
        return checker_fail(&world->checker, "stream", "a checkpoint is not whole");
    uint64_t unread = bytes_load(in->data + at + 4 + length, 8);
    node->replay_at = at + 4 + length + 8;
    node->restored = true;
    if (output_gate_create(&node->gate, unread, &error) != 0)
        CHECK(!"memory");
    node->gate_made = true;
    output_gate_put(&node->gate, node->machine.history + unread, node->machine.announced - unread);
    gate_marks_add(&node->gate.marks, node->replay_at, node->gate.end);
}

/* Replays the next record, if all of it is here. */
static bool replay_one(struct sim_world *world, struct sim_node *node)
{
    struct sim_machine *machine = &node->machine;
    size_t left = node->in.length - node->replay_at;
    const uint8_t *at = node->in.data + node->replay_at;
    uint32_t from = machine->announced;

    if (left < RECORD_HEADER || left < (size_t)RECORD_HEADER + at[1])
        return false;
    if (bytes_load(at + 2, 4) != machine->records + 1)
        checker_fail(&world->checker, "stream", "a record does not follow the one before");
    if (!machine_apply(machine, at[0], at + RECORD_HEADER, at[1])) {
        node->diverged = true;
        return false;
    }
    node->replay_at += RECORD_HEADER + at[1];
    if (machine->announced > from) {
        output_gate_put(&node->gate, machine->history + from, machine->announced - from);
        gate_marks_add(&node->gate.marks, node->replay_at, node->gate.end);
    }
    return true;
}

static void go_live(struct sim_world *world, struct sim_node *node)
{
    uint32_t incarnation = node->incarnation;

    node->going_live = false;
    node->live = true;
    node->epoch = node->going_live_epoch;
    node->follows = false;
    node->phase = SIM_NO_STREAM;
    node->commit_all = false;
    node->stepped_at = world->now;
    node->inputs = (struct gate_marks){0};
    gate_marks_add(&node->inputs, 0, node->machine.inputs);
    world->taken_over_at[node->going_live_epoch] = world->now;
    checker_live(&world->checker, (unsigned)node->host, node->going_live_epoch, world->given[node->going_live_epoch],
                 &node->machine);
    console_server_live(&node->server, node->going_live_epoch, node->machine.owner, node->machine.inputs, world->now);
    world->counts[SIM_TAKEOVERS]++;
    node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_LIVE});
    if (same_process(node, incarnation) && node->live && node->machine.ended)
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_ENDED});
}

void stream_replay(struct sim_world *world, struct sim_node *node)
{
    size_t before = node->replay_at;
    uint32_t incarnation = node->incarnation;

    if (node->live || node->diverged || (world->now < node->stuck_until && !node->going_live))
        return;
    if (!node->restored)
        restore(world, node);
    for (unsigned n = node->going_live ? UINT_MAX : node->replay_records; node->restored && n > 0; n--)
        if (!replay_one(world, node))
            break;
    if (node->diverged) {
        world->counts[SIM_DIVERGENCES]++;
        node_lost(world, node);
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_DIVERGED, .offset = node->replay_at});
        return;
    }
    if (node->replay_at > before)
        node_step(world, node,
                  (struct replica_event){.kind = REPLICA_EVENT_REPLAYED,
                                         .offset = node->replay_at,
                                         .guest_time = node->machine.guest_time});
    if (same_process(node, incarnation) && node->restored && node->machine.ended && !node->going_live &&
        node->replay_at > before)
        node_step(world, node, (struct replica_event){.kind = REPLICA_EVENT_ENDED});
    if (same_process(node, incarnation) && node->going_live && node->restored)
        go_live(world, node);
}
