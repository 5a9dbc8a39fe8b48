/* See checkpoint_files.h. */
#include "tools/checkpoint_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "a/b/" and "a/b" are the same directory; the temporary name is a/b.XXXXXX. */
static int name_temporary(struct new_directory *directory, struct error *error)
{
    size_t length = strlen(directory->path);

    while (length > 1 && directory->path[length - 1] == '/')
        length--;
    if (length == 0 || strcmp(directory->path, "-") == 0 || length + sizeof ".XXXXXX" > sizeof directory->temporary)
        return error_set(error, ERROR_INPUT, "'%.200s' is no name for a directory", directory->path);
    memcpy(directory->temporary, directory->path, length);
    memcpy(directory->temporary + length, ".XXXXXX", sizeof ".XXXXXX");
    return 0;
}

int new_directory_create(struct new_directory *directory, const char *path, struct error *error)
{
    struct stat status;

    *directory = (struct new_directory){.path = path, .fd = -1, .signals = signals_hold(1, error)};
    if (!directory->signals)
        return -1;
    if (lstat(path, &status) == 0) {
        error_set(error, ERROR_INPUT, "%s exists already", path);
    } else if (name_temporary(directory, error) == 0) {
        if (!mkdtemp(directory->temporary)) {
            *directory->temporary = 0;
            error_path(error, "cannot make %s", path);
        } else {
            directory->fd = open(directory->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (directory->fd >= 0)
                return 0;
            error_errno(error, "cannot open %s", directory->temporary);
        }
    }
    new_directory_close(directory);
    return -1;
}

int new_directory_check(const struct new_directory *directory, struct error *error)
{
    if (signals_came(directory->signals))
        return error_set(error, ERROR_HOST, "%s: interrupted", directory->path);
    return 0;
}

int new_directory_publish(struct new_directory *directory, struct error *error)
{
    if (fsync(directory->fd) < 0 && errno != EINVAL)
        return error_errno(error, "cannot bring %s to the disk", directory->path);
    int result = renameat2(AT_FDCWD, directory->temporary, AT_FDCWD, directory->path, RENAME_NOREPLACE);
    /* Some file systems do not know RENAME_NOREPLACE; a plain rename replaces an empty directory at most. */
    if (result < 0 && errno == EINVAL)
        result = rename(directory->temporary, directory->path);
    if (result < 0 && errno == EEXIST)
        return error_set(error, ERROR_INPUT, "%s exists already", directory->path);
    if (result < 0)
        return error_errno(error, "cannot name %s", directory->path);
    *directory->temporary = 0;
    return 0;
}

static void remove_files(const struct new_directory *directory)
{
    DIR *list = opendir(directory->temporary);

    for (struct dirent *entry; list && (entry = readdir(list));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(list), entry->d_name, 0);
    }
    if (list)
        closedir(list);
    rmdir(directory->temporary);
}

void new_directory_close(struct new_directory *directory)
{
    if (*directory->temporary)
        remove_files(directory);
    if (directory->fd >= 0)
        close(directory->fd);
    *directory->temporary = 0;
    directory->fd = -1;
}
