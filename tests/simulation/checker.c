/* See checker.h. */
#include "tests/simulation/checker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* A replica measures lag in samples and is stepped in intervals; so far may what it knows be from the truth. */
#define LAG_SLACK UINT64_C(80000000)

void checker_reset(struct checker *checker)
{
    checker->failed = NULL;
    memset(checker->live_node, 0, sizeof checker->live_node);
    memset(checker->live_base, 0, sizeof checker->live_base);
    checker->highest = checker->released = checker->seen = checker->confirmed = checker->typed = 0;
    checker->stream_count = 0;
    memset(checker->nodes, 0, sizeof checker->nodes);
}

void checker_free(struct checker *checker)
{
    for (unsigned n = 0; n < CHECKER_STREAMS; n++) {
        free(checker->streams[n].bytes);
        free(checker->streams[n].chunks);
    }
}

void checker_fail(struct checker *checker, const char *check, const char *format, ...)
{
    va_list arguments;

    if (checker->failed)
        return;
    checker->failed = check;
    va_start(arguments, format);
    vsnprintf(checker->text, sizeof checker->text, format, arguments);
    va_end(arguments);
}

void checker_process(struct checker *checker, unsigned place, uint64_t id)
{
    checker->nodes[place] = (struct checker_node){.id = id};
}

void checker_halted(struct checker *checker, unsigned place)
{
    checker->nodes[place].live = false;
}

static void check_survivor(struct checker *checker, uint64_t epoch, const struct sim_machine *machine)
{
    if (machine->announced < checker->released)
        checker_fail(checker, "history",
                     "the machine of epoch %" PRIu64 " has printed %u bytes, but %" PRIu64 " were let out", epoch,
                     machine->announced, checker->released);
    else if (memcmp(machine->history, checker->released_byte, checker->released) != 0)
        checker_fail(checker, "history", "output that was let out is not what the machine of epoch %" PRIu64 " printed",
                     epoch);
    if (machine->inputs < checker->confirmed)
        checker_fail(checker, "input-lost",
                     "the machine of epoch %" PRIu64 " has taken %" PRIu64 " bytes of input, but %" PRIu64
                     " were confirmed",
                     epoch, machine->inputs, checker->confirmed);
}

void checker_live(struct checker *checker, unsigned place, uint64_t epoch, uint64_t owner,
                  const struct sim_machine *machine)
{
    struct checker_node *node = &checker->nodes[place];

    if (epoch == 0 || epoch >= CHECKER_EPOCHS)
        return checker_fail(checker, "contract", "a machine goes live in epoch %" PRIu64, epoch);
    if (owner != node->id)
        checker_fail(checker, "one-live", "node %" PRIx64 " is live in epoch %" PRIu64 ", which is node %" PRIx64 "'s",
                     node->id, epoch, owner);
    if (checker->live_node[epoch] && checker->live_node[epoch] != node->id)
        checker_fail(checker, "one-live", "nodes %" PRIx64 " and %" PRIx64 " are live in epoch %" PRIu64,
                     checker->live_node[epoch], node->id, epoch);
    node->live = true;
    node->epoch = epoch;
    if (checker->live_node[epoch] == node->id)
        return;
    checker->live_node[epoch] = node->id;
    checker->live_base[epoch] = machine->announced;
    check_survivor(checker, epoch, machine);
    if (epoch > checker->highest)
        checker->highest = epoch;
}

static bool may_take_over(const struct checker_node *node)
{
    return node->id && (node->status.state == REPLICA_BACKUP || node->status.state == REPLICA_CLAIMING);
}

static void check_members(struct checker *checker, const struct checker_node *node)
{
    for (unsigned n = 0; n < CHECKER_NODES && may_take_over(node); n++) {
        const struct checker_node *other = &checker->nodes[n];
        if (other != node && may_take_over(other) && other->status.epoch == node->status.epoch)
            checker_fail(checker, "one-member", "nodes %" PRIx64 " and %" PRIx64 " may take over in epoch %" PRIu64,
                         other->id, node->id, node->status.epoch);
    }
}

static struct checker_stream *find_stream(struct checker *checker, uint64_t id)
{
    for (unsigned n = checker->stream_count; n-- > 0;)
        if (checker->streams[n].id == id)
            return &checker->streams[n];
    return NULL;
}

/* How long ago that was written which the backup, as the primary was told, is to replay next. */
static uint64_t true_lag(struct checker *checker, uint64_t id, uint64_t now)
{
    struct checker_stream *stream = find_stream(checker, id);

    if (!stream)
        return 0;
    while (stream->chunk_done < stream->chunk_count && stream->chunks[stream->chunk_done].end <= stream->replayed)
        stream->chunk_done++;
    return stream->chunk_done < stream->chunk_count ? now - stream->chunks[stream->chunk_done].time : 0;
}

static void check_lag(struct checker *checker, struct checker_node *node, const struct replica_config *config,
                      uint64_t now)
{
    uint64_t lag = node->status.state == REPLICA_PRIMARY ? true_lag(checker, node->status.stream, now) : 0;

    if (lag < config->lag_max + LAG_SLACK) {
        node->lag_since = 0;
        return;
    }
    if (node->status.throttle != 1000)
        checker_fail(checker, "lag",
                     "the member is %" PRIu64 " ms behind, but the machine is slowed by %u permille only",
                     lag / 1000000, node->status.throttle);
    if (node->lag_since == 0)
        node->lag_since = now;
    else if (now - node->lag_since > config->lag_patience + 2 * config->beat_every)
        checker_fail(checker, "lag", "a member that is too far behind is kept for %" PRIu64 " ms",
                     (now - node->lag_since) / 1000000);
}

void checker_status(struct checker *checker, unsigned place, const struct replica_status *status,
                    const struct replica_config *config, uint64_t now)
{
    struct checker_node *node = &checker->nodes[place];

    if (status->epoch < node->status.epoch)
        checker_fail(checker, "contract", "node %" PRIx64 " goes back from epoch %" PRIu64 " to %" PRIu64, node->id,
                     node->status.epoch, status->epoch);
    node->status = *status;
    check_members(checker, node);
    bool primary = status->state == REPLICA_ALONE || status->state == REPLICA_PRIMARY ||
                   status->state == REPLICA_CONTENDING || status->state == REPLICA_HANDING_OVER;
    if (primary && status->stream_end - status->safe > config->backlog_max)
        checker_fail(checker, "bounds", "%" PRIu64 " bytes are kept for a backup, of at most %" PRIu64,
                     status->stream_end - status->safe, config->backlog_max);
    check_lag(checker, node, config, now);
}

void checker_released(struct checker *checker, unsigned place, uint64_t number, const uint8_t *bytes, size_t length)
{
    const struct checker_node *node = &checker->nodes[place];
    uint64_t epoch = node->epoch;

    if (number > checker->released || number + length > MACHINE_HISTORY)
        return checker_fail(checker, "history", "output %" PRIu64 " is let out before output %" PRIu64, number,
                            checker->released);
    for (uint64_t e = epoch + 1; e <= checker->highest; e++)
        if (checker->live_node[e] && number + length > checker->live_base[e])
            checker_fail(checker, "history",
                         "node %" PRIx64 " lets out byte %" PRIu64 " in epoch %" PRIu64 ", but epoch %" PRIu64
                         " began with %" PRIu64,
                         node->id, number + length - 1, epoch, e, checker->live_base[e]);
    for (size_t n = 0; n < length; n++, number++) {
        if (number == checker->released)
            checker->released_byte[checker->released++] = bytes[n];
        else if (checker->released_byte[number] != bytes[n])
            checker_fail(checker, "history", "byte %" PRIu64 " of output was let out twice, and differs", number);
    }
}

void checker_typed(struct checker *checker, const uint8_t *bytes, size_t length)
{
    CHECK(checker->typed + length <= CHECKER_INPUT);
    memcpy(checker->typed_byte + checker->typed, bytes, length);
    checker->typed += length;
}

void checker_confirmed(struct checker *checker, uint64_t number)
{
    if (number > checker->typed)
        checker_fail(checker, "client", "input is confirmed that was never typed");
    if (number > checker->confirmed)
        checker->confirmed = number;
}

void checker_input(struct checker *checker, uint64_t number, const uint8_t *bytes, size_t length)
{
    if (number + length > checker->typed || memcmp(checker->typed_byte + number, bytes, length) != 0)
        checker_fail(checker, "input-order", "bytes %" PRIu64 " to %" PRIu64 " of input are not what was typed", number,
                     number + length - 1);
}

void checker_user(struct checker *checker, const uint8_t *bytes, size_t length)
{
    if (checker->seen + length > checker->released ||
        memcmp(checker->released_byte + checker->seen, bytes, length) != 0)
        checker_fail(checker, "client", "the user got something else than bytes %" PRIu64 " to %" PRIu64 " of output",
                     checker->seen, checker->seen + length - 1);
    checker->seen += length;
}

static struct checker_stream *new_stream(struct checker *checker, uint64_t id)
{
    CHECK(checker->stream_count < CHECKER_STREAMS);
    struct checker_stream *stream = &checker->streams[checker->stream_count++];
    if (!stream->chunks)
        stream->chunks = malloc(CHECKER_CHUNKS * sizeof *stream->chunks);
    CHECK(stream->chunks);
    stream->id = id;
    stream->length = 0;
    stream->chunk_count = stream->chunk_done = 0;
    stream->replayed = 0;
    return stream;
}

void checker_written(struct checker *checker, uint64_t id, const uint8_t *bytes, size_t length, uint64_t now)
{
    struct checker_stream *stream = find_stream(checker, id);

    if (length == 0) {
        if (stream || id == 0)
            checker_fail(checker, "contract", "two streams have the id %" PRIx64, id);
        else
            new_stream(checker, id);
        return;
    }
    CHECK(stream);
    while (stream->length + length > stream->capacity) {
        stream->capacity = stream->capacity ? stream->capacity * 2 : 65536;
        stream->bytes = realloc(stream->bytes, stream->capacity);
        CHECK(stream->bytes);
    }
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
    if (stream->chunk_count < CHECKER_CHUNKS)
        stream->chunks[stream->chunk_count++] = (struct checker_chunk){stream->length, now};
}

void checker_delivered(struct checker *checker, unsigned place, uint64_t id, const uint8_t *bytes, size_t length)
{
    struct checker_node *node = &checker->nodes[place];
    const struct checker_stream *stream = find_stream(checker, id);

    if (length == 0) {
        node->delivered = 0;
        return;
    }
    if (!stream || node->delivered + length > stream->length ||
        memcmp(stream->bytes + node->delivered, bytes, length) != 0)
        checker_fail(checker, "stream",
                     "node %" PRIx64 " was given other bytes at offset %" PRIu64 " than were written", node->id,
                     node->delivered);
    node->delivered += length;
}

void checker_replayed(struct checker *checker, uint64_t id, uint64_t replayed)
{
    struct checker_stream *stream = find_stream(checker, id);

    if (stream && replayed > stream->replayed)
        stream->replayed = replayed;
}

void checker_window(struct checker *checker, uint64_t end, uint64_t received, uint64_t window)
{
    if (end > received && end - received > window)
        checker_fail(checker, "bounds", "%" PRIu64 " bytes of the stream are under way, of at most %" PRIu64,
                     end - received, window);
}
