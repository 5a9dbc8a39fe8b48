/* See log_segments.h. */
#include "replication/log_segments.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/host/clock.h"

/* After a segment could not be begun, or written on: a disk that is nearly full is best left alone for a while. */
#define TRY_AGAIN UINT64_C(5000000000)

static void name_of(const char *path, unsigned number, char name[PATH_MAX])
{
    if (number == 0)
        snprintf(name, PATH_MAX, "%s", path);
    else
        snprintf(name, PATH_MAX, "%s.%u", path, number);
}

int log_segments_check(const char *path, bool force, struct error *error)
{
    char name[PATH_MAX];

    name_of(path, 1, name);
    if (force || access(name, F_OK) < 0)
        return 0;
    return error_set(error, ERROR_INPUT, "%s exists, and would be the log's second segment (--force replaces it)",
                     name);
}

void log_segments_start(struct log_segments *segments, struct port *port, struct machine *machine,
                        const char *description)
{
    segments->next = follower_none(port, machine, description);
}

bool log_segments_busy(const struct log_segments *segments)
{
    return segments->next.stream != 0;
}

/* The next segment is not begun after all. */
static void abandon(struct log_segments *segments)
{
    struct error ignored;

    follower_end(&segments->next);
    file_sink_close(segments->next_file, &ignored);
    segments->next_file = NULL;
    free(segments->next_lenient);
    segments->next_lenient = NULL;
    segments->try_at = host_clock_now() + TRY_AGAIN;
}

static void complain(struct log_segments *segments, const struct error *why)
{
    char text[640];

    snprintf(text, sizeof text, "the log's next segment cannot be begun: %s", why->text);
    if (segments->attempts++ == 0)
        segments->say(segments->context, text);
}

/* While the checkpoint is written, the segment before is there. */
static void tell_failure(void *context, const struct error *why)
{
    complain(context, why);
}

/* A backup whose log ended before it took over has nothing to write on. */
static bool ended(const struct log_segments *segments)
{
    if (!*segments->writer)
        return true;
    return segments->number == 0 ? segments->kept->lenient.ended : segments->lenient->ended;
}

static bool is_due(struct log_segments *segments)
{
    uint64_t length = *segments->writer ? log_writer_counters(*segments->writer)->stored_bytes : 0;

    if (ended(segments) && !segments->waits) {
        segments->waits = true;
        segments->try_at = host_clock_now() + TRY_AGAIN;
    }
    if (host_clock_now() < segments->try_at)
        return false;
    return ended(segments) || (length >= segments->size && length >= 2 * segments->begun_with);
}

/* Its file, without a name as yet. Returns 0, or -1 with the error. */
static int open_next(struct log_segments *segments, struct error *error)
{
    const struct kept_log *kept = segments->kept;
    char name[PATH_MAX];

    name_of(kept->path, segments->number + 1, name);
    segments->next_lenient = calloc(1, sizeof *segments->next_lenient);
    if (!segments->next_lenient)
        return error_set(error, ERROR_HOST, "out of memory");
    segments->next_file = file_sink_create(kept->files, name, kept->force, kept->policy, error);
    if (!segments->next_file)
        return -1;
    *segments->next_lenient =
        (struct lenient_sink){.inner = file_sink_sink(segments->next_file), .tell = tell_failure, .context = segments};
    segments->next_lenient->inner.publish = NULL;
    segments->next_sink = lenient_sink(segments->next_lenient);
    segments->next.sink = &segments->next_sink;
    return 0;
}

static void remove_old(const struct log_segments *segments)
{
    char name[PATH_MAX];

    if (segments->keep == 0 || segments->number < segments->keep)
        return;
    name_of(segments->kept->path, segments->number - segments->keep, name);
    (void)unlink(name);
}

/* The run goes on elsewhere. Whether the log before can be ended so is no concern of the new one. */
static void end_present(struct log_segments *segments, const struct log_record *end)
{
    struct error ignored;

    if (!ended(segments) && log_writer_append(*segments->writer, end, &ignored) == 0)
        (void)log_writer_close(*segments->writer, &ignored);
    log_writer_free(*segments->writer);
    file_sink_close(segments->file, &ignored);
    free(segments->lenient);
}

/* The checkpoint of the next one is whole, at this boundary. */
static int change_over(struct log_segments *segments, struct recorder *recorder, const struct position *at,
                       struct error *error)
{
    struct machine *machine = segments->next.machine;
    struct log_record end = {.type = LOG_END, .at = *at, .time = machine->now, .reason = LOG_END_CONTINUED};
    struct log_sink file = file_sink_sink(segments->next_file);
    char name[PATH_MAX];

    if (machine_digest(machine, &end.digest, error) < 0)
        return -1;
    if (file.publish(file.context, error) < 0) {
        complain(segments, error);
        abandon(segments);
        return 0;
    }
    bool gap = ended(segments);
    end_present(segments, &end);
    *segments->writer = follower_take_writer(&segments->next);
    segments->file = segments->next_file;
    segments->lenient = segments->next_lenient;
    segments->next_file = NULL;
    segments->next_lenient = NULL;
    segments->lenient->strict = segments->kept->required;
    segments->lenient->tell = segments->kept->tell;
    segments->lenient->context = segments->kept->context;
    segments->number++;
    segments->attempts = 0;
    segments->waits = false;
    segments->begun_with = log_writer_counters(*segments->writer)->stored_bytes;
    recorder_continue_in(recorder, *segments->writer);
    remove_old(segments);
    name_of(segments->kept->path, segments->number, name);
    if (gap)
        segments->resumed(segments->context, name);
    return 0;
}

int log_segments_tend(struct log_segments *segments, struct recorder *recorder, bool busy, const struct position *at,
                      uint64_t *again_at, struct error *error)
{
    struct port_orders orders = {.join = 1};

    if (!log_segments_busy(segments)) {
        if (busy || !is_due(segments))
            return 0;
        if (open_next(segments, error) < 0) {
            complain(segments, error);
            abandon(segments);
            return 0;
        }
    }
    if (follower_tend(&segments->next, recorder, &orders, at, again_at, error) < 0)
        return -1;
    if (segments->next.failed || segments->next_lenient->ended)
        abandon(segments);
    else if (segments->next.following)
        return change_over(segments, recorder, at, error);
    return 0;
}

void log_segments_stop(struct log_segments *segments)
{
    if (log_segments_busy(segments))
        abandon(segments);
}

void log_segments_free(struct log_segments *segments)
{
    struct error ignored;

    file_sink_close(segments->file, &ignored);
    free(segments->lenient);
    segments->file = NULL;
    segments->lenient = NULL;
}
