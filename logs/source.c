#include "logs/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

struct file {
    int fd;
};

static int file_read(void *context, uint64_t offset, void *to, size_t length, size_t *got, struct error *error)
{
    const struct file *file = context;

    *got = 0;
    while (*got < length) {
        if (offset > INT64_MAX - *got)
            return error_set(error, ERROR_INPUT, "byte %" PRIu64 " is beyond any file", offset);
        ssize_t n = pread(file->fd, (uint8_t *)to + *got, length - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(error, "cannot read");
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

static int file_size(void *context, uint64_t *size, struct error *error)
{
    const struct file *file = context;
    struct stat status;

    if (fstat(file->fd, &status))
        return error_errno(error, "cannot read");
    *size = (uint64_t)status.st_size;
    return 0;
}

static void file_close(void *context)
{
    struct file *file = context;

    close(file->fd);
    free(file);
}

int log_source_file(struct files *files, const char *path, struct log_source *source, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;

    if (fd < 0)
        return error_path(error, "cannot open %s", path);
    struct file *file = malloc(sizeof *file);
    if (!file || fstat(fd, &status)) {
        error_errno(error, "cannot open %s", path);
        free(file);
        close(fd);
        return -1;
    }
    if (!S_ISREG(status.st_mode)) { /* reading at offsets needs one */
        free(file);
        close(fd);
        return error_set(error, ERROR_INPUT, "%s is not a regular file", path);
    }
    if (files_add_input(files, fd, path, error) < 0) {
        free(file);
        close(fd);
        return -1;
    }
    file->fd = fd;
    *source = (struct log_source){.read = file_read, .size = file_size, .close = file_close, .context = file};
    return 0;
}

static int memory_read(void *context, uint64_t offset, void *to, size_t length, size_t *got, struct error *error)
{
    const struct log_memory *memory = context;

    (void)error;
    *got = 0;
    if (offset < memory->length)
        *got = memory->length - offset < length ? memory->length - offset : length;
    if (*got)
        memcpy(to, memory->bytes + offset, *got);
    return 0;
}

static int memory_size(void *context, uint64_t *size, struct error *error)
{
    const struct log_memory *memory = context;

    (void)error;
    *size = memory->length;
    return 0;
}

struct log_source log_source_memory(struct log_memory *memory)
{
    return (struct log_source){.read = memory_read, .size = memory_size, .context = memory};
}

void log_feed_init(struct log_feed *feed, size_t limit)
{
    *feed = (struct log_feed){.held = bytes_writer(limit)};
}

void log_feed_free(struct log_feed *feed)
{
    bytes_writer_free(&feed->held);
}

/* Drops the bytes that were released, once they are at least half of what is held: each byte is moved once at most. */
static void feed_compact(struct log_feed *feed, bool always)
{
    size_t rest = feed->held.length - feed->released;

    if (feed->released == 0 || (!always && feed->released < rest))
        return;
    memmove(feed->held.data, feed->held.data + feed->released, rest);
    feed->held.length = rest;
    feed->start += feed->released;
    feed->released = 0;
}

int log_feed_push(struct log_feed *feed, const void *bytes, size_t length, struct error *error)
{
    if (length > feed->held.limit - feed->held.length)
        feed_compact(feed, true);
    if (length > feed->held.limit - feed->held.length)
        return error_set(error, ERROR_INPUT, "more than %zu bytes of the log wait to be read", feed->held.limit);
    bytes_put(&feed->held, bytes, length);
    if (feed->held.failed)
        return error_set(error, ERROR_HOST, "no memory for the log received");
    return 0;
}

static int feed_read(void *context, uint64_t offset, void *to, size_t length, size_t *got, struct error *error)
{
    const struct log_feed *feed = context;

    *got = 0;
    if (offset < feed->start + feed->released)
        return error_set(error, ERROR_INPUT, "byte %" PRIu64 " of the received log is no longer held", offset);
    uint64_t skip = offset - feed->start;
    if (skip < feed->held.length)
        *got = feed->held.length - skip < length ? feed->held.length - skip : length;
    if (*got)
        memcpy(to, feed->held.data + skip, *got);
    return 0;
}

static int feed_size(void *context, uint64_t *size, struct error *error)
{
    const struct log_feed *feed = context;

    (void)error;
    *size = feed->start + feed->held.length;
    return 0;
}

static void feed_release(void *context, uint64_t offset)
{
    struct log_feed *feed = context;

    if (offset <= feed->start + feed->released)
        return;
    CHECK(offset - feed->start <= feed->held.length);
    feed->released = offset - feed->start;
    feed_compact(feed, false);
}

struct log_source log_feed_source(struct log_feed *feed)
{
    return (struct log_source){.read = feed_read, .size = feed_size, .release = feed_release, .context = feed};
}
