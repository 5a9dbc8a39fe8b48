/* See kept_log.h. */
#include "replication/kept_log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/output.h"
#include "logs/header.h"
#include "replay/description.h"

struct kept_log kept_log(struct files *files, const char *path, bool force, enum file_sink_policy policy)
{
    return (struct kept_log){
        .files = files, .path = path, .force = force, .policy = policy, .header = bytes_writer(LOG_HEADER_MAX)};
}

struct log_sink kept_log_sink(const struct kept_log *kept, struct file_sink *file, struct lenient_sink *lenient)
{
    struct log_sink sink = file_sink_sink(file);

    *lenient = (struct lenient_sink){.inner = sink, .tell = kept->tell, .context = kept->context};
    return kept->required ? sink : lenient_sink(lenient);
}

void kept_log_close(struct kept_log *kept)
{
    struct error ignored;

    file_sink_close(kept->file, &ignored);
    kept->file = NULL;
    bytes_writer_free(&kept->header);
}

/* The first name that nothing has yet: a machine may diverge twice at one place. */
static int rename_aside(const struct kept_log *kept, uint64_t offset, struct error *error)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s.divergence-%" PRIu64, kept->path, offset);
    for (unsigned n = 2; output_rename_new(kept->path, path) < 0; n++) {
        if (errno != EEXIST || n > KEPT_LOG_ASIDE_MAX)
            return error_errno(error, "cannot rename %s to %s", kept->path, path);
        snprintf(path, sizeof path, "%s.divergence-%" PRIu64 ".%u", kept->path, offset, n);
    }
    return 0;
}

int kept_log_set_aside(struct kept_log *kept, uint64_t offset, struct error *error)
{
    struct file_sink *file = kept->file;

    kept->file = NULL;
    if (file_sink_close(file, error) < 0)
        return -1;
    if (!kept->published)
        return 0;
    if (kept->aside == KEPT_LOG_ASIDE_MAX)
        return error_set(error, ERROR_HOST, "%d logs of divergences are kept already, and this one is not",
                         KEPT_LOG_ASIDE_MAX);
    if (rename_aside(kept, offset, error) < 0)
        return -1;
    kept->aside++;
    kept->published = false;
    return 0;
}

int kept_log_check(const struct kept_log *kept, struct error *error)
{
    struct error ignored;

    if (!kept->path)
        return 0;
    struct file_sink *file = file_sink_create(kept->files, kept->path, kept->force, kept->policy, error);
    file_sink_close(file, &ignored);
    return file ? 0 : -1;
}

static int begin(struct kept_log *kept, struct error *error)
{
    struct file_sink *old = kept->file;

    kept->file = NULL;
    if (file_sink_close(old, error) < 0)
        return -1;
    /* A file that we made ourselves is ours to replace. */
    kept->file = file_sink_create(kept->files, kept->path, kept->force || kept->published, kept->policy, error);
    if (!kept->file)
        return -1;
    kept->sink = kept_log_sink(kept, kept->file, &kept->lenient);
    kept->published = false;
    bytes_writer_clear(&kept->header);
    return 0;
}

int kept_log_begin(struct kept_log *kept, struct error *error)
{
    if (!kept->path || begin(kept, error) == 0)
        return 0;
    if (kept->required || error->kind != ERROR_HOST)
        return -1;
    kept->tell(kept->context, error);
    return 0;
}

static int expect_files(struct files *files, const struct description *description, struct error *error)
{
    int result = files_expect_input(files, description->image, error);

    for (unsigned i = 0; result == 0 && i < description->module_count; i++)
        result = files_expect_input(files, description->modules[i].path, error);
    for (unsigned i = 0; result == 0 && i < description->disk_count; i++)
        result = files_expect_input(files, description->disks[i].path, error);
    return result;
}

/* What the machine's thread will open, now that it is known from the stream: the log may not take the place of it. A
 * description that is wrong is for that thread to refuse. */
static int expect_inputs(const struct kept_log *kept, const char *machine, struct error *error)
{
    struct description *description = malloc(sizeof *description);
    struct error ignored;
    int result = 0;

    if (!description)
        return error_set(error, ERROR_HOST, "out of memory");
    if (description_from_json(machine, strlen(machine), description, &ignored) == 0)
        result = expect_files(kept->files, description, error);
    free(description);
    return result;
}

static int publish_when_whole(struct kept_log *kept, const uint8_t *bytes, size_t length, struct error *error)
{
    struct log_header header;
    size_t room = LOG_HEADER_MAX - kept->header.length;
    size_t used;

    bytes_put(&kept->header, bytes, length < room ? length : room);
    int decoded = log_header_decode(kept->header.data, kept->header.length, &header, &used, error);
    if (decoded <= 0)
        return decoded;
    int expected = expect_inputs(kept, header.machine, error);
    log_header_free(&header);
    if (expected < 0)
        return -1;
    kept->published = true;
    return kept->sink.publish(kept->sink.context, error);
}

int kept_log_write(struct kept_log *kept, const uint8_t *bytes, size_t length, struct error *error)
{
    if (!kept->file || kept->lenient.ended)
        return 0;
    if (kept->sink.write(kept->sink.context, bytes, length, error) < 0)
        return -1;
    if (!kept->published && !kept->lenient.ended && publish_when_whole(kept, bytes, length, error) < 0)
        return -1;
    return kept->sink.sync(kept->sink.context, error);
}

struct log_writer *kept_log_continue(struct kept_log *kept, struct log_reader *reader, struct error *error)
{
    error->kind = ERROR_NONE;
    if (!kept->file || kept->lenient.ended)
        return NULL;
    if (kept->sink.truncate(kept->sink.context, log_reader_offset(reader), error) < 0)
        return NULL;
    return log_writer_continue(&kept->sink, reader, NULL, error);
}
