/* See follower.h. */
#include "replication/follower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"

#define MILLISECOND UINT64_C(1000000)
/* Copying looks at the clock after so many pages. */
#define PIECE_PAGES 64
/* As long as the machine need not be slowed, a slice copies at most so many. */
#define SLICE_PAGES 512
/* The machine's thread leaves so much for the link to send before it copies more. */
#define UNSENT_MAX (8u << 20)
/* A record goes to the backup at the latest after this time: input, whose sender waits to have it confirmed; others.
 * The latter is a little less than two heartbeats, so that it takes the place of the second. */
#define FLUSH_INPUT  MILLISECOND
#define FLUSH_OTHERS (58 * MILLISECOND)
/* Speed counts more than size here. */
#define STREAM_LEVEL 1

struct follower follower_none(struct port *port, struct machine *machine, const char *description)
{
    return (struct follower){.port = port, .machine = machine, .description = description};
}

static void tell(struct follower *follower, const struct port_item *item)
{
    if (!follower->sink)
        port_tell(follower->port, item);
}

static void mention(struct follower *follower, const struct port_item *item)
{
    if (!follower->sink)
        port_mention(follower->port, item);
}

static int send_bytes(void *context, const void *bytes, size_t length, struct error *error)
{
    struct follower *follower = context;
    struct port_item item = {.news = NEWS_STREAM, .stream = follower->stream, .bytes = bytes, .length = length};

    (void)error;
    if (follower->output_follows)
        port_mention(follower->port, &item);
    else
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

/* Whether the machine notes what it changes in the lists. */
static void watch(struct follower *follower, bool watched)
{
    struct machine *machine = follower->machine;

    if (!machine)
        return;
    machine->digests.watched = watched ? follower->lists[0].left : NULL;
    for (unsigned i = 0; i < machine->disk_count; i++)
        machine->disks[i].watched = watched ? follower->lists[i + 1].left : NULL;
}

struct log_writer *follower_take_writer(struct follower *follower)
{
    struct log_writer *writer = follower->writer;

    follower->writer = NULL;
    follower_end(follower);
    return writer;
}

void follower_end(struct follower *follower)
{
    if (follower->pages_open)
        checkpoint_writer_free(&follower->pages);
    log_writer_free(follower->writer);
    if (follower->stream)
        watch(follower, false);
    for (unsigned i = 0; i <= MACHINE_DISKS; i++)
        free(follower->lists[i].left);
    const struct log_sink *sink = follower->sink;
    *follower = follower_none(follower->port, follower->machine, follower->description);
    follower->sink = sink;
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

static uint64_t count_left(const struct follower_list *list)
{
    uint64_t count = 0;

    for (size_t word = 0; word < list->words; word++)
        count += (unsigned)__builtin_popcountll(list->left[word]);
    return count;
}

/* Bytes. A cluster is as long as a page. */
static uint64_t unwritten(const struct follower *follower)
{
    uint64_t count = 0;

    for (unsigned i = 0; i <= follower->machine->disk_count; i++)
        count += count_left(&follower->lists[i]);
    return count << RAM_PAGE_SHIFT;
}

/* All pages that are not zero, all clusters that were written. */
static int make_lists(struct follower *follower, struct error *error)
{
    struct machine *machine = follower->machine;

    follower->lists[0].words = machine->ram.dirty_words;
    for (unsigned i = 0; i < machine->disk_count; i++)
        follower->lists[i + 1].words = machine->disks[i].words;
    for (unsigned i = 0; i <= machine->disk_count; i++) {
        struct follower_list *list = &follower->lists[i];
        list->left = calloc(list->words, sizeof *list->left);
        if (!list->left)
            return error_set(error, ERROR_HOST, "out of memory");
        if (i > 0)
            memcpy(list->left, machine->disks[i - 1].present, list->words * sizeof *list->left);
    }
    for (uint64_t page = 0; page < machine->ram.size >> RAM_PAGE_SHIFT; page++) {
        const struct digest digest = machine->digests.pages[page];
        if (digest.low || digest.high)
            follower->lists[0].left[page / 64] |= UINT64_C(1) << page % 64;
    }
    return 0;
}

static int begin(struct follower *follower, uint32_t stream, struct error *error)
{
    struct log_sink sink = {.write = send_bytes, .context = follower};
    struct log_header header = {.machine = (char *)follower->description};
    struct log_writer_options options = {.level = follower->sink ? 0 : STREAM_LEVEL};

    follower->stream = stream;
    if (note_writes(follower, error) < 0 || host_entropy(header.id.bytes, sizeof header.id.bytes, error) < 0 ||
        make_lists(follower, error) < 0)
        return -1;
    watch(follower, true);
    follower->writer = log_writer_create(follower->sink ? follower->sink : &sink, &header, &options, error);
    if (!follower->writer || log_writer_checkpoint_begin(follower->writer, error) < 0)
        return -1;
    follower->pages = checkpoint_writer(write_piece, follower);
    follower->pages_open = true;
    follower->precopy = precopy(unwritten(follower));
    return 0;
}

static int send_one(struct follower *follower, unsigned list, uint64_t number, struct error *error)
{
    const struct machine *machine = follower->machine;

    return list == 0 ? checkpoint_writer_page(&follower->pages, &machine->ram, number, error)
                     : checkpoint_writer_cluster(&follower->pages, &machine->disks[list - 1], number, error);
}

/* Sends up to `limit` of what is left in the list at hand, from the cursor on, and counts it. Returns 0 or -1. */
static int send_list(struct follower *follower, unsigned limit, unsigned *sent, struct error *error)
{
    struct follower_list *list = &follower->lists[follower->list];

    for (; follower->cursor < list->words * 64 && *sent < limit; follower->cursor++) {
        uint64_t number = follower->cursor;
        uint64_t bit = UINT64_C(1) << number % 64;
        if (!list->left[number / 64]) {
            follower->cursor |= 63;
            continue;
        }
        if (!(list->left[number / 64] & bit))
            continue;
        list->left[number / 64] &= ~bit;
        if (send_one(follower, follower->list, number, error) < 0)
            return -1;
        ++*sent;
    }
    return 0;
}

/* Sends up to `limit` pages and clusters. Returns 1 when the round is over, 0 when it is not, or -1. */
static int send_some(struct follower *follower, unsigned limit, struct error *error)
{
    unsigned sent = 0;

    while (follower->list <= follower->machine->disk_count) {
        if (send_list(follower, limit, &sent, error) < 0)
            return -1;
        if (sent == limit)
            return 0;
        follower->list++;
        follower->cursor = 0;
    }
    follower->list = 0;
    return 1;
}

/* Whether a round with what is left, and then the last step too, may send all there are: a checkpoint may mention only
 * so many pages and clusters. */
static bool has_room(const struct follower *follower)
{
    const struct machine *machine = follower->machine;

    for (unsigned i = 0; i <= machine->disk_count; i++) {
        uint64_t all = i == 0 ? machine->ram.size >> RAM_PAGE_SHIFT : machine->disks[i - 1].clusters;
        uint64_t most =
            i == 0 ? CHECKPOINT_PAGES_MAX(machine->ram.size) : CHECKPOINT_CLUSTERS_MAX(&machine->disks[i - 1]);
        uint64_t last = PRECOPY_LAST_MAX >> RAM_PAGE_SHIFT;
        if (follower->pages.entries[i] + count_left(&follower->lists[i]) + (all < last ? all : last) > most)
            return false;
    }
    return true;
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
    follower->list = 0;
    follower->cursor = 0;
    if (send_some(follower, UINT32_MAX, error) < 0 ||
        checkpoint_writer_end(&follower->pages, machine, &traffic, error) < 0 ||
        log_writer_checkpoint_end(follower->writer, &record, error) < 0)
        return -1;
    checkpoint_writer_free(&follower->pages);
    follower->pages_open = false;
    watch(follower, false);
    follower->following = true;
    follower->flushed_at = host_clock_now();
    tell(follower,
         &(struct port_item){.news = NEWS_JOINED, .stream = follower->stream, .a = follower->flushed_at - start});
    return 0;
}

/* Copies for a while. Returns 1 when the round is over, 0 when it is not, or -1. */
static int copy_pages(struct follower *follower, uint64_t start, struct error *error)
{
    bool slowed = follower->precopy.slowed;
    uint64_t end = start + PRECOPY_PAUSE, now = start;
    int over = 0;

    for (unsigned pages = 0; over == 0 && now < end && (slowed || pages < SLICE_PAGES); pages += PIECE_PAGES) {
        over = send_some(follower, PIECE_PAGES, error);
        uint64_t then = now;
        now = host_clock_now();
        precopy_measure(&follower->precopy, over ? 0 : (uint64_t)PIECE_PAGES << RAM_PAGE_SHIFT, now - then);
    }
    return over;
}

/* The node is told how far it is, which can wait. */
static void mention_progress(struct follower *follower)
{
    mention(follower, &(struct port_item){.news = NEWS_JOIN_PROGRESS,
                                          .stream = follower->stream,
                                          .a = unwritten(follower),
                                          .b = follower->precopy.round});
}

static void fail_join(struct follower *follower)
{
    char why[160];
    int length =
        snprintf(why, sizeof why,
                 "the guest changes its memory faster than it can be copied (%.1f MB left after round %u, with "
                 "%u %% of the time for the guest)",
                 (double)unwritten(follower) / 1e6, follower->precopy.round, precopy_share(&follower->precopy) / 10);

    follower->failed = true;
    tell(follower, &(struct port_item){.news = NEWS_JOIN_FAILED,
                                       .stream = follower->stream,
                                       .bytes = (const uint8_t *)why,
                                       .length = (size_t)length});
}

static int copy_slice(struct follower *follower, struct recorder *recorder, const struct port_orders *orders,
                      const struct position *at, struct error *error)
{
    uint64_t start = host_clock_now();

    /* What the link has not taken yet waits; a machine that is slowed stands still meanwhile. */
    if (!follower->precopy.sprints && orders->unsent > UNSENT_MAX) {
        if (follower->precopy.slowed)
            port_wait(follower->port, orders, start + PRECOPY_PAUSE);
        return 0;
    }
    if (note_writes(follower, error) < 0)
        return -1;
    int over = copy_pages(follower, start, error);
    mention_progress(follower);
    if (over <= 0)
        return over;
    switch (precopy_next(&follower->precopy, unwritten(follower), has_room(follower))) {
    case PRECOPY_ROUND:
        return 0;
    case PRECOPY_FAIL:
        fail_join(follower);
        return 0;
    case PRECOPY_FINISH:
        break;
    }
    return finish_checkpoint(follower, recorder, at, host_clock_now(), error);
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
    mention(follower, &(struct port_item){.news = NEWS_GUEST_TIME, .a = follower->machine->now});
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
    if (!follower->following && !follower->failed) {
        if (copy_slice(follower, recorder, orders, at, error) < 0)
            return -1;
        want_again(again_at, host_clock_now() + follower->precopy.run);
    }
    return flush_if_due(follower, again_at, error);
}

int follower_flush_before_output(struct follower *follower, struct error *error)
{
    follower->output_follows = true;
    int status = follower_flush(follower, error);
    follower->output_follows = false;
    return status;
}

int follower_record(struct follower *follower, const struct log_record *record, struct error *error)
{
    if (!follower->following)
        return 0;
    if (log_writer_append(follower->writer, record, error) < 0)
        return -1;
    switch (record->type) {
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
