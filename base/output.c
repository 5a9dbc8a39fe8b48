/* See output.h. */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_lock.h"
#include "base/output_internal.h"

static int refuse(const struct output *output, const char *why, struct error *error)
{
    return error_set(error, ERROR_INPUT, "%.300s %s", output->path, why);
}

static int cannot_create(const struct output *output, struct error *error)
{
    return error_path(error, "cannot create %.300s", output->path);
}

/* The number in "/dev/fd/N" and the like; -1 where the path is none. */
static int given_descriptor(const char *path)
{
    static const char *const directories[] = {"/dev/fd/", "/proc/self/fd/"};
    const char *digits = NULL;

    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    for (unsigned i = 0; i < 2; i++) {
        if (strncmp(path, directories[i], strlen(directories[i])) == 0)
            digits = path + strlen(directories[i]);
    }
    size_t length = digits ? strspn(digits, "0123456789") : 0;
    return length > 0 && length < 7 && !digits[length] ? atoi(digits) : -1;
}

static int claim(struct output *output, const struct files_claim *claim, struct error *error)
{
    output->claim = files_claim(output->files, claim, error);
    return output->claim;
}

/* Ours are all closed on exec; those that we were started with cannot be (execve(2)). */
static int open_descriptor(struct output *output, int number, struct error *error)
{
    int flags = fcntl(number, F_GETFD);
    int access = fcntl(number, F_GETFL) & O_ACCMODE;
    struct stat status;

    if (flags < 0 || (flags & FD_CLOEXEC))
        return refuse(output, "is not a descriptor that is open", error);
    if (access == O_RDONLY)
        return refuse(output, "is a descriptor that is open for reading only", error);
    output->fd = fcntl(number, F_DUPFD_CLOEXEC, 3);
    if (output->fd < 0 || fstat(output->fd, &status) < 0)
        return error_errno(error, "%.300s", output->path);
    struct files_claim it = {.path = output->path,
                             .exists = S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode),
                             .id = file_id_of(&status),
                             .given = true};
    return claim(output, &it, error) < 0 ? -1 : 0;
}

/* Splits the path, and opens the directory, so that all that follows is about the same one. */
static int open_directory(struct output *output, struct error *error)
{
    const char *slash = strrchr(output->path, '/');
    const char *name = slash ? slash + 1 : output->path;
    char *directory = slash ? strndup(output->path, (size_t)(name - output->path)) : strdup(".");

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        free(directory);
        return error_set(error, ERROR_INPUT, "'%.300s' is not the name of a file", output->path);
    }
    if (!directory)
        return error_set(error, ERROR_HOST, "out of memory");
    if (strlen(name) > NAME_MAX) {
        errno = ENAMETOOLONG;
    } else {
        strcpy(output->name, name);
        output->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    int result = output->directory < 0 ? cannot_create(output, error) : 0;
    free(directory);
    return result;
}

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFLNK:
        return "is a symbolic link, and nothing is written through one";
    case S_IFDIR:
        return "is a directory";
    case S_IFCHR:
    case S_IFBLK:
        return "is a device, not a file";
    case S_IFIFO:
        return "is a FIFO, not a file";
    case S_IFSOCK:
        return "is a socket, not a file";
    default:
        return "is not a regular file";
    }
}

/* Whether a stream can be written there. A block device holds somebody's data. */
static bool takes_streams(mode_t mode)
{
    return S_ISCHR(mode) || S_ISFIFO(mode);
}

/* A FIFO waits here for its reader, as for every writer. */
static int open_special(struct output *output, const struct stat *status, struct error *error)
{
    struct files_claim it = {.path = output->path, .exists = S_ISFIFO(status->st_mode), .id = file_id_of(status)};
    struct stat now;

    if (claim(output, &it, error) < 0)
        return -1;
    output->fd = openat(output->directory, output->name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (output->fd < 0) {
        error_errno(error, "cannot open %.300s", output->path);
        error->kind = ERROR_INPUT;
        return -1;
    }
    if (fstat(output->fd, &now) < 0 || !takes_streams(now.st_mode) ||
        !file_id_equal(file_id_of(&now), file_id_of(status)))
        return refuse(output, "is another file than it was a moment ago", error);
    return 0;
}

/* Opens the file that is to be replaced, or cut, makes sure that it is the one that was looked at, and locks it until
 * then: so nobody else does the same. Without the right to open it, a name can still be replaced. */
static int hold_old(struct output *output, int flags, struct error *error)
{
    struct stat status;

    output->old_fd = openat(output->directory, output->name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (output->old_fd < 0)
        return flags == O_RDONLY && errno == EACCES ? 0 : cannot_create(output, error);
    if (fstat(output->old_fd, &status) < 0 || !file_id_equal(file_id_of(&status), output->old))
        return refuse(output, "is another file than it was a moment ago", error);
    return file_lock(output->old_fd, output->path, error);
}

static int open_live(struct output *output, mode_t mode, struct error *error)
{
    if (!output->has_old) {
        output->fd = openat(output->directory, output->name,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode);
        return output->fd < 0 ? cannot_create(output, error) : file_lock(output->fd, output->path, error);
    }
    if (hold_old(output, O_WRONLY, error) < 0)
        return -1;
    output->fd = output->old_fd;
    output->old_fd = -1;
    int flags = fcntl(output->fd, F_GETFL);
    if (fcntl(output->fd, F_SETFL, flags & ~O_NONBLOCK) < 0 || ftruncate(output->fd, 0) < 0)
        return error_errno(error, "%.300s", output->path);
    return 0;
}

static int open_whole(struct output *output, mode_t mode, struct error *error)
{
    if (output->has_old && hold_old(output, O_RDONLY, error) < 0)
        return -1;
    output->whole = true;
    output->fd = output_make_temporary(output, mode);
    return output->fd < 0 ? cannot_create(output, error) : file_lock(output->fd, output->path, error);
}

/* Looks at what is there, if anything. */
static int look(struct output *output, const struct output_options *options, struct stat *status, bool *exists,
                struct error *error)
{
    struct stat target;

    *exists = fstatat(output->directory, output->name, status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*exists)
        return errno == ENOENT ? 0 : cannot_create(output, error);
    if (S_ISREG(status->st_mode))
        return options->replace ? 0 : refuse(output, "exists already", error);
    if (!options->stream)
        return refuse(output, kind_of(status->st_mode), error);
    if (S_ISLNK(status->st_mode) && fstatat(output->directory, output->name, &target, 0) == 0 &&
        takes_streams(target.st_mode))
        *status = target;
    return takes_streams(status->st_mode) ? 0 : refuse(output, kind_of(status->st_mode), error);
}

static int open_path(struct output *output, const struct output_options *options, struct error *error)
{
    struct stat status = {0}, directory;
    bool exists;

    if (open_directory(output, error) < 0 || look(output, options, &status, &exists, error) < 0)
        return -1;
    if (exists && !S_ISREG(status.st_mode))
        return open_special(output, &status, error);
    if (fstat(output->directory, &directory) < 0)
        return error_errno(error, "%.300s", output->path);
    struct files_claim it = {.path = output->path,
                             .directory = file_id_of(&directory),
                             .name = output->name,
                             .exists = exists,
                             .id = file_id_of(&status)};
    if (claim(output, &it, error) < 0)
        return -1;
    output->has_old = exists;
    output->old = it.id;
    int opened = options->live ? open_live(output, options->mode, error) : open_whole(output, options->mode, error);
    if (opened < 0 || fstat(output->fd, &status) < 0)
        return opened < 0 ? -1 : error_errno(error, "%.300s", output->path);
    files_claim_becomes(output->files, output->claim, file_id_of(&status));
    return 0;
}

struct output *output_open(struct files *files, const char *path, const struct output_options *options,
                           struct error *error)
{
    struct output *output = calloc(1, sizeof *output);
    int number = options->stream ? given_descriptor(path) : -1;
    struct error ignored;
    int result;

    if (!output || !(output->path = strdup(path))) {
        free(output);
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    output->files = files;
    output->given = number;
    output->directory = output->fd = output->old_fd = -1;
    if (number >= 0)
        result = open_descriptor(output, number, error);
    else if (strcmp(path, "-") == 0)
        result = error_set(error, ERROR_INPUT, "'-' is not taken for standard output here; a file of that name is ./-");
    else
        result = open_path(output, options, error);
    if (result < 0) {
        output_close(output, &ignored);
        return NULL;
    }
    return output;
}

int output_fd(const struct output *output)
{
    return output->fd;
}

bool output_is_stdout(const struct output *output)
{
    return output->given == STDOUT_FILENO;
}

const char *output_path(const struct output *output)
{
    return output->path;
}

int output_write(struct output *output, const void *bytes, size_t length, struct error *error)
{
    const char *from = bytes;

    while (length > 0) {
        ssize_t written = write(output->fd, from, length);
        if (written < 0 && errno == EAGAIN) /* a descriptor that was given to us */
            poll(&(struct pollfd){.fd = output->fd, .events = POLLOUT}, 1, -1);
        else if (written < 0 && errno != EINTR)
            return error_errno(error, "cannot write to %s", output->path);
        if (written < 0)
            continue;
        from += written;
        length -= (size_t)written;
    }
    return 0;
}

int output_close(struct output *output, struct error *error)
{
    int result = 0;

    if (!output)
        return 0;
    output_remove_temporary(output);
    if (output->fd >= 0 && close(output->fd) < 0 && (output->published || !output->whole))
        result = error_errno(error, "cannot close %s", output->path);
    if (output->old_fd >= 0)
        close(output->old_fd);
    if (output->directory >= 0)
        close(output->directory);
    if (output->claim > 0)
        files_unclaim(output->files, output->claim);
    free(output->path);
    free(output);
    return result;
}
