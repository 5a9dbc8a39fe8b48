/* See follower.h. */
#include "replication/follower.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

#define MILLISECOND UINT64_C(1000000)
/* Between two slices of pre-copy the machine runs for so long; a slice sends at most so many pages. */
#define SLICE_EVERY (5 * MILLISECOND)
#define SLICE_PAGES 512
/* With no more pages than this the last step is taken. */
#define FEW_PAGES  256
#define ROUNDS_MAX 12
/* The machine's thread leaves so much for the link to send before it copies more. */
#define UNSENT_MAX (8u << 20)
/* A record goes to the backup at the latest after this time: input, whose sender waits to have it confirmed; others.
 * The latter is a little less than two heartbeats, so that it takes the place of the second. */
#define FLUSH_INPUT  (MILLISECOND / 2)
#define FLUSH_OTHERS (58 * MILLISECOND)
/* Speed counts more than size here. */
#define STREAM_LEVEL 1

struct follower follower_none(struct port *port, struct machine *machine, const char *description)
{
    return (struct follower){.port = port, .machine = machine, .description = description};
}

static int send_bytes(void *context, const void *bytes, size_t length, struct error *error)
{
    struct follower *follower = context;
    struct port_item item = {.news = NEWS_STREAM, .stream = follower->stream, .bytes = bytes, .length = length};

    (void)error;
    port_tell(follower->port, &item);
    return 0;
}

static int write_piece(void *context, const void *bytes, size_t length, struct error *error)
{
    struct follower *follower = context;

    return log_writer_checkpoint_write(follower->writer, bytes, length, error);
}

uint64_t follower_offset(const struct follower *follower)
{
    return follower->writer ? log_writer_counters(follower->writer)->stored_bytes : 0;
}

void follower_end(struct follower *follower)
{
    if (follower->pages_open)
        checkpoint_writer_free(&follower->pages);
    log_writer_free(follower->writer);
    free(follower->left);
    if (follower->machine)
        follower->machine->digests.watched = NULL;
    *follower = follower_none(follower->port, follower->machine, follower->description);
}

/* Brings the list of pages to send up to date: the engine tells what was written, page_digests_update passes it on. */
static int note_writes(struct follower *follower, struct error *error)
{
    struct machine *machine = follower->machine;

    if (engine_collect_dirty(machine->engine, error) < 0)
        return -1;
    page_digests_update(&machine->digests, &machine->ram);
    return 0;
}

static int begin(struct follower *follower, uint32_t stream, struct error *error)
{
    struct machine *machine = follower->machine;
    struct log_sink sink = {.write = send_bytes, .context = follower};
    struct log_header header = {.machine = (char *)follower->description};
    struct log_writer_options options = {.level = STREAM_LEVEL};

    follower->stream = stream;
    follower->left = calloc(machine->ram.dirty_words, sizeof *follower->left);
    if (!follower->left)
        return error_set(error, ERROR_HOST, "out of memory");
    if (note_writes(follower, error) < 0 || host_entropy(header.id.bytes, sizeof header.id.bytes, error) < 0)
        return -1;
    for (uint64_t page = 0; page < machine->ram.size >> RAM_PAGE_SHIFT; page++) {
        const struct digest digest = machine->digests.pages[page];
        if (digest.low || digest.high)
            follower->left[page / 64] |= UINT64_C(1) << page % 64;
    }
    machine->digests.watched = follower->left;
    follower->writer = log_writer_create(&sink, &header, &options, error);
    if (!follower->writer || log_writer_checkpoint_begin(follower->writer, error) < 0)
        return -1;
    follower->pages = checkpoint_writer(write_piece, follower);
    follower->pages_open = true;
    return 0;
}

static uint64_t count_left(const struct follower *follower)
{
    uint64_t count = 0;

    for (size_t word = 0; word < follower->machine->ram.dirty_words; word++)
        count += (unsigned)__builtin_popcountll(follower->left[word]);
    return count;
}

/* Sends up to `limit` of the pages that are left, from the cursor on. Returns how many, or -1. */
static int send_pages(struct follower *follower, unsigned limit, struct error *error)
{
    const struct ram *ram = &follower->machine->ram;
    uint64_t pages = ram->size >> RAM_PAGE_SHIFT;
    unsigned sent = 0;

    for (; follower->cursor < pages && sent < limit; follower->cursor++) {
        uint64_t page = follower->cursor;
        uint64_t bit = UINT64_C(1) << page % 64;
        if (!follower->left[page / 64]) {
            follower->cursor |= 63;
            continue;
        }
        if (!(follower->left[page / 64] & bit))
            continue;
        follower->left[page / 64] &= ~bit;
        if (checkpoint_writer_page(&follower->pages, ram, page, error) < 0)
            return -1;
        sent++;
    }
    return (int)sent;
}

/* The machine stands still, since `start`: the rest of it. */
static int finish_checkpoint(struct follower *follower, struct recorder *recorder, const struct position *at,
                             uint64_t start, struct error *error)
{
    struct machine *machine = follower->machine;
    struct traffic traffic = *recorder_traffic(recorder);
    struct log_record record = {.type = LOG_CHECKPOINT, .at = *at, .time = machine->now, .parent = LOG_NO_PARENT};

    /* A log that is kept here has a record where the backup begins, for beginning there is something that a replay must
     * do too (machine_look_at_interrupts). */
    if (recorder_digest(recorder, at, error) < 0 || machine_digest(machine, &record.digest, error) < 0)
        return -1;
    follower->cursor = 0;
    if (send_pages(follower, UINT32_MAX, error) < 0 ||
        checkpoint_writer_end(&follower->pages, machine, &traffic, error) < 0 ||
        log_writer_checkpoint_end(follower->writer, &record, error) < 0)
        return -1;
    checkpoint_writer_free(&follower->pages);
    follower->pages_open = false;
    machine->digests.watched = NULL;
    follower->following = true;
    follower->flushed_at = host_clock_now();
    port_tell(follower->port,
              &(struct port_item){.news = NEWS_JOINED, .stream = follower->stream, .a = follower->flushed_at - start});
    return 0;
}

static int copy_slice(struct follower *follower, struct recorder *recorder, uint64_t unsent, const struct position *at,
                      struct error *error)
{
    uint64_t start = host_clock_now();

    if (unsent > UNSENT_MAX)
        return 0;
    if (note_writes(follower, error) < 0 || send_pages(follower, SLICE_PAGES, error) < 0)
        return -1;
    uint64_t pages = follower->machine->ram.size >> RAM_PAGE_SHIFT;
    if (follower->cursor < pages)
        return 0;
    follower->cursor = 0;
    follower->round++;
    uint64_t left = count_left(follower);
    /* A round, and the last step too, may send all there are; and a checkpoint may have only so many. */
    bool room = follower->pages.pages + 2 * pages <= CHECKPOINT_PAGES_MAX(follower->machine->ram.size);
    if (left > FEW_PAGES && follower->round < ROUNDS_MAX && room)
        return 0;
    return finish_checkpoint(follower, recorder, at, start, error);
}

static void want_again(uint64_t *again_at, uint64_t when)
{
    if (when < *again_at)
        *again_at = when;
}

int follower_flush(struct follower *follower, struct error *error)
{
    if (!follower->following)
        return 0;
    follower->flush_soon = false;
    follower->flushed_at = host_clock_now();
    if (log_writer_pending(follower->writer) == 0)
        return 0;
    port_tell(follower->port, &(struct port_item){.news = NEWS_GUEST_TIME, .a = follower->machine->now});
    return log_writer_flush(follower->writer, error);
}

static int flush_if_due(struct follower *follower, uint64_t *again_at, struct error *error)
{
    uint64_t due = follower->flushed_at + (follower->flush_soon ? FLUSH_INPUT : FLUSH_OTHERS);

    if (!follower->following || log_writer_pending(follower->writer) == 0)
        return 0;
    if (host_clock_now() >= due)
        return follower_flush(follower, error);
    want_again(again_at, due);
    return 0;
}

int follower_tend(struct follower *follower, struct recorder *recorder, const struct port_orders *orders,
                  const struct position *at, uint64_t *again_at, struct error *error)
{
    if (follower->stream != orders->join) {
        follower_end(follower);
        if (orders->join && begin(follower, orders->join, error) < 0)
            return -1;
    }
    if (!follower->stream)
        return 0;
    if (!follower->following) {
        if (copy_slice(follower, recorder, orders->unsent, at, error) < 0)
            return -1;
        want_again(again_at, host_clock_now() + SLICE_EVERY);
    }
    return flush_if_due(follower, again_at, error);
}

int follower_record(struct follower *follower, const struct log_record *record, struct error *error)
{
    if (!follower->following)
        return 0;
    if (log_writer_append(follower->writer, record, error) < 0)
        return -1;
    switch (record->type) {
    case LOG_OUTPUT:
    case LOG_END:
        return follower_flush(follower, error);
    case LOG_CONSOLE_IN:
    case LOG_OPERATOR:
        if (!follower->flush_soon)
            follower->flushed_at = host_clock_now();
        follower->flush_soon = true;
        return 0;
    default:
        return 0;
    }
}
