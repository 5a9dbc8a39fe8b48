/*
 * A whole output on its way to its name.
 *
 * Where there was nothing, the name is taken only if there is still nothing (link(2), or rename with
 * RENAME_NOREPLACE). Where there was a file, the two exchange their names, which nobody can come in between of; if what
 * is then in our hands is not the file that was looked at, they are exchanged back. Of two that replace one file at
 * once, the second so finds out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output_internal.h"

#define ATTEMPTS 100

/* For linkat, which can give a name to a file without one only by this name of it (open(2), O_TMPFILE). */
struct fd_name {
    char text[32];
};

static struct fd_name fd_name(int fd)
{
    struct fd_name name;

    snprintf(name.text, sizeof name.text, "/proc/self/fd/%d", fd);
    return name;
}

/* The nth of the names that are tried. */
static void name_temporary(struct output *output, unsigned attempt)
{
    char suffix[32];
    int length = snprintf(suffix, sizeof suffix, ".%d-%u.tmp", (int)getpid(), attempt);

    snprintf(output->temporary, sizeof output->temporary, "%.*s%s", NAME_MAX - length, output->name, suffix);
}

/* Whether the error means that the file system, or the kernel, has no files without a name (open(2)). */
static bool not_supported(int code)
{
    return code == EOPNOTSUPP || code == EISDIR || code == ENOENT || code == EINVAL;
}

int output_make_temporary(struct output *output, mode_t mode)
{
    int fd = openat(output->directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);

    output->temporary[0] = 0;
    if (fd >= 0 && faccessat(AT_FDCWD, fd_name(fd).text, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return fd;
    if (fd >= 0)
        close(fd); /* there is no /proc, and so no way to give it a name */
    else if (!not_supported(errno))
        return -1;
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        name_temporary(output, attempt);
        fd = openat(output->directory, output->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            break;
    }
    output->temporary[0] = 0;
    return -1;
}

void output_remove_temporary(struct output *output)
{
    if (output->temporary[0])
        (void)unlinkat(output->directory, output->temporary, 0);
    output->temporary[0] = 0;
}

/* Gives the file a name that nothing else has. Where rename cannot say "not if it exists", a second link can. */
static int take_new_name(struct output *output)
{
    int directory = output->directory;

    if (!output->temporary[0])
        return linkat(AT_FDCWD, fd_name(output->fd).text, directory, output->name, AT_SYMLINK_FOLLOW);
    if (renameat2(directory, output->temporary, directory, output->name, RENAME_NOREPLACE) < 0) {
        if ((errno != EINVAL && errno != ENOSYS) ||
            linkat(directory, output->temporary, directory, output->name, 0) < 0)
            return -1;
        output_remove_temporary(output);
    }
    output->temporary[0] = 0;
    return 0;
}

/* Exchanging needs a name to exchange. */
static int give_temporary_name(struct output *output)
{
    for (unsigned attempt = 0; !output->temporary[0] && attempt < ATTEMPTS; attempt++) {
        name_temporary(output, attempt);
        if (linkat(AT_FDCWD, fd_name(output->fd).text, output->directory, output->temporary, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        output->temporary[0] = 0;
        if (errno != EEXIST)
            break;
    }
    return output->temporary[0] ? 0 : -1;
}

static bool is_old(const struct output *output, const char *name)
{
    struct stat status;

    return fstatat(output->directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           file_id_equal(file_id_of(&status), output->old);
}

static int changed_meanwhile(const struct output *output, struct error *error)
{
    return error_set(error, ERROR_INPUT, "%.300s is another file than it was a moment ago, and is left alone",
                     output->path);
}

static int replace_old(struct output *output, struct error *error)
{
    int directory = output->directory;

    if (give_temporary_name(output) < 0)
        return error_errno(error, "cannot create %s", output->path);
    if (renameat2(directory, output->temporary, directory, output->name, RENAME_EXCHANGE) == 0) {
        if (!is_old(output, output->temporary)) {
            (void)renameat2(directory, output->temporary, directory, output->name, RENAME_EXCHANGE);
            return changed_meanwhile(output, error);
        }
        output_remove_temporary(output); /* the old one */
        return 0;
    }
    if (errno == ENOENT && take_new_name(output) == 0)
        return 0; /* somebody removed the old one */
    if (errno == EEXIST)
        return changed_meanwhile(output, error);
    if (errno != EINVAL && errno != ENOSYS)
        return error_errno(error, "cannot replace %s", output->path);
    /* A file system that cannot exchange names. */
    if (!is_old(output, output->name))
        return changed_meanwhile(output, error);
    if (renameat(directory, output->temporary, directory, output->name) < 0)
        return error_errno(error, "cannot replace %s", output->path);
    output->temporary[0] = 0;
    return 0;
}

/* The new name must outlive a crash of the host as well as the file does. Some file systems do not do that (EINVAL);
 * there is then nothing more to be had. */
static int sync_directory(const struct output *output, struct error *error)
{
    int fd = openat(output->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return 0; /* a directory may be writable and yet not readable */
    int result = fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP
                     ? error_errno(error, "cannot bring the name %s to the disk", output->path)
                     : 0;
    close(fd);
    return result;
}

int output_publish(struct output *output, struct error *error)
{
    if (!output->whole || output->published)
        return 0;
    if (fsync(output->fd) < 0)
        return error_errno(error, "cannot bring %s to the disk", output->path);
    if (output->has_old) {
        if (replace_old(output, error) < 0)
            return -1;
    } else if (take_new_name(output) < 0) {
        if (errno == EEXIST)
            return error_set(error, ERROR_INPUT, "%.300s exists already", output->path);
        return error_errno(error, "cannot create %s", output->path);
    }
    output->published = true;
    if (output->old_fd >= 0)
        close(output->old_fd);
    output->old_fd = -1;
    return sync_directory(output, error);
}

int output_new_in(int directory, const char *name, mode_t mode)
{
    return openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

int output_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if ((errno != EINVAL && errno != ENOSYS) || link(from, to) < 0)
        return -1;
    return unlink(from);
}

/* Where the file system does not know files without a name, one is taken away at once. */
int output_unnamed(const char *directory)
{
    char path[PATH_MAX];
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || !not_supported(errno) ||
        snprintf(path, sizeof path, "%s/encore.XXXXXX", directory) >= (int)sizeof path)
        return fd;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}
