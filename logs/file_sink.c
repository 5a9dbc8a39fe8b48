#include "logs/file_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file_sink {
    char *path;      /* the name it is to have */
    char *temporary; /* the name it has until then */
    int fd;
    bool force;
    bool published;
    enum file_sink_policy policy;
};

static int file_write(void *context, const void *bytes, size_t length, struct error *error)
{
    const struct file_sink *file = context;
    const uint8_t *from = bytes;

    while (length > 0) {
        ssize_t written = write(file->fd, from, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_errno(error, "cannot write to %s", file->path);
        from += written;
        length -= (size_t)written;
    }
    return 0;
}

static int file_sync(void *context, struct error *error)
{
    const struct file_sink *file = context;

    if (file->policy == FILE_SINK_FSYNC && fdatasync(file->fd))
        return error_errno(error, "cannot bring %s to the disk", file->path);
    return 0;
}

static int file_truncate(void *context, uint64_t length, struct error *error)
{
    const struct file_sink *file = context;

    if (ftruncate(file->fd, (off_t)length) || lseek(file->fd, (off_t)length, SEEK_SET) < 0)
        return error_errno(error, "cannot cut %s to %" PRIu64 " bytes", file->path, length);
    return 0;
}

/* The new name must outlive a crash as well as the header does, hence the fsync of the directory. Some file systems do
 * not do that (EINVAL); there is then nothing more to be had. */
static int sync_directory(const char *path, struct error *error)
{
    char *copy = strdup(path);

    if (!copy)
        return error_set(error, ERROR_HOST, "no memory for writing the log");
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return 0; /* a directory may be writable and yet not readable */
    int result = fsync(fd) && errno != EINVAL && errno != ENOTSUP
                     ? error_errno(error, "cannot bring the name %s to the disk", path)
                     : 0;
    close(fd);
    return result;
}

/* Gives the file its name if nothing else has it. Where rename cannot say "not if it exists", a second link can. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (link(from, to))
        return -1;
    (void)unlink(from);
    return 0;
}

static int refuse_existing(const char *path, struct error *error)
{
    return error_set(error, ERROR_INPUT, "%s exists already", path);
}

static int file_publish(void *context, struct error *error)
{
    struct file_sink *file = context;

    if (fsync(file->fd))
        return error_errno(error, "cannot bring %s to the disk", file->path);
    int renamed = file->force ? rename(file->temporary, file->path) : rename_new(file->temporary, file->path);
    if (renamed && errno == EEXIST)
        return refuse_existing(file->path, error);
    if (renamed)
        return error_errno(error, "cannot create %s", file->path);
    file->published = true;
    return sync_directory(file->path, error);
}

static void file_free(struct file_sink *file)
{
    free(file->path);
    free(file->temporary);
    free(file);
}

struct file_sink *file_sink_create(const char *path, bool force, enum file_sink_policy policy, struct error *error)
{
    struct file_sink *file = calloc(1, sizeof *file);

    if (!file || !(file->path = strdup(path)) || asprintf(&file->temporary, "%s.XXXXXX", path) < 0) {
        if (file) {
            free(file->path);
            free(file);
        }
        error_set(error, ERROR_HOST, "no memory for writing the log");
        return NULL;
    }
    file->force = force;
    file->policy = policy;
    if (!force && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        refuse_existing(path, error); /* file_publish decides; this only spares the work */
        file_free(file);
        return NULL;
    }
    file->fd = mkostemp(file->temporary, O_CLOEXEC);
    if (file->fd < 0) {
        bool path_is_wrong = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
        error_errno(error, "cannot create %s", path);
        if (path_is_wrong)
            error->kind = ERROR_INPUT;
        file_free(file);
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
    int result = 0;

    if (!file)
        return 0;
    if (!file->published)
        (void)unlink(file->temporary);
    if (close(file->fd) && file->published)
        result = error_errno(error, "cannot close %s", file->path);
    file_free(file);
    return result;
}
