#include "logs/file_sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/output.h"

struct file_sink {
    struct output *output;
    enum file_sink_policy policy;
};

static int file_write(void *context, const void *bytes, size_t length, struct error *error)
{
    const struct file_sink *file = context;

    return output_write(file->output, bytes, length, error);
}

static int file_sync(void *context, struct error *error)
{
    const struct file_sink *file = context;

    if (file->policy == FILE_SINK_FSYNC && fdatasync(output_fd(file->output)))
        return error_errno(error, "cannot bring %s to the disk", output_path(file->output));
    return 0;
}

static int file_truncate(void *context, uint64_t length, struct error *error)
{
    const struct file_sink *file = context;
    int fd = output_fd(file->output);

    if (ftruncate(fd, (off_t)length) || lseek(fd, (off_t)length, SEEK_SET) < 0)
        return error_errno(error, "cannot cut %s to %" PRIu64 " bytes", output_path(file->output), length);
    return 0;
}

static int file_publish(void *context, struct error *error)
{
    const struct file_sink *file = context;

    return output_publish(file->output, error);
}

struct file_sink *file_sink_create(struct files *files, const char *path, bool force, enum file_sink_policy policy,
                                   struct error *error)
{
    const struct output_options options = {.replace = force, .mode = 0600};
    struct file_sink *file = calloc(1, sizeof *file);

    if (!file) {
        error_set(error, ERROR_HOST, "no memory for writing the log");
        return NULL;
    }
    file->policy = policy;
    file->output = output_open(files, path, &options, error);
    if (!file->output) {
        free(file);
        return NULL;
    }
    return file;
}

struct log_sink file_sink_sink(struct file_sink *file)
{
    return (struct log_sink){
        .write = file_write, .publish = file_publish, .sync = file_sync, .truncate = file_truncate, .context = file};
}

int file_sink_close(struct file_sink *file, struct error *error)
{
    if (!file)
        return 0;
    int result = output_close(file->output, error);
    free(file);
    return result;
}
