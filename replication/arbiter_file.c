/*
 * An arbiter of files: epoch n is PATH.n, whose contents are its owner's number, in hexadecimal, and a newline. A claim
 * writes a temporary file, and gives it the epoch's name by link(2), which fails if the name exists: so the file is
 * whole from the moment that it is there. Over NFS a link may be made although its answer was lost; then the temporary
 * file has two links (open(2), on O_EXCL).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replication/arbiter_backend.h"

struct arbiter_file {
    char path[PATH_MAX - 64];
    char directory[PATH_MAX];
    char base[NAME_MAX + 1];
};

static enum replica_answer unreachable(char reason[ARBITER_REASON], const char *what, const char *path)
{
    snprintf(reason, ARBITER_REASON, "cannot %s %.150s: %s", what, path, strerror(errno));
    return REPLICA_UNREACHABLE;
}

static enum replica_answer look(const char *path, uint64_t node, char reason[ARBITER_REASON])
{
    char text[32] = "", expected[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? REPLICA_LOST : unreachable(reason, "read", path);
    ssize_t got = read(fd, text, sizeof text - 1);
    int failed = errno;
    close(fd);
    errno = failed;
    if (got < 0)
        return unreachable(reason, "read", path);
    snprintf(expected, sizeof expected, "%016" PRIx64 "\n", node);
    return strcmp(text, expected) == 0 ? REPLICA_WON : REPLICA_LOST;
}

static bool write_whole(int fd, uint64_t node)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%016" PRIx64 "\n", node);

    return write(fd, text, (size_t)length) == length && fsync(fd) == 0;
}

static void sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static enum replica_answer claim(struct arbiter_file *file, const char *path, uint64_t node,
                                 char reason[ARBITER_REASON])
{
    char temporary[PATH_MAX];
    struct stat status;

    snprintf(temporary, sizeof temporary, "%s.claim.XXXXXX", file->path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return unreachable(reason, "write", temporary);
    bool written = write_whole(fd, node);
    int failed = errno;
    enum replica_answer answer = REPLICA_UNREACHABLE;
    if (!written) {
        errno = failed;
        unreachable(reason, "write", temporary);
    } else {
        bool linked = link(temporary, path) == 0;
        failed = errno;
        if (linked || (fstat(fd, &status) == 0 && status.st_nlink == 2)) {
            sync_directory(file->directory);
            answer = REPLICA_WON;
        } else if (failed == EEXIST) {
            answer = look(path, node, reason);
        } else {
            errno = failed;
            unreachable(reason, "create", path);
        }
    }
    close(fd);
    (void)unlink(temporary);
    return answer;
}

/* The highest number that a file has behind our name. */
static enum replica_answer latest(struct arbiter_file *file, uint64_t *epoch, char reason[ARBITER_REASON])
{
    size_t length = strlen(file->base);
    struct dirent *entry;
    DIR *directory = opendir(file->directory);

    if (!directory)
        return unreachable(reason, "read", file->directory);
    *epoch = 0;
    while ((entry = readdir(directory))) {
        const char *number = entry->d_name + length + 1;
        char *end;
        if (strncmp(entry->d_name, file->base, length) != 0 || entry->d_name[length] != '.' || *number < '0' ||
            *number > '9')
            continue;
        errno = 0;
        uint64_t value = strtoull(number, &end, 10);
        if (*end == 0 && errno == 0 && value > *epoch)
            *epoch = value;
    }
    closedir(directory);
    return REPLICA_WON;
}

static enum replica_answer carry_out(void *context, enum arbiter_request request, uint64_t *epoch, uint64_t node,
                                     uint64_t patience, char reason[ARBITER_REASON])
{
    struct arbiter_file *file = context;
    char path[PATH_MAX];

    (void)patience; /* a file system answers when it answers */
    snprintf(path, sizeof path, "%s.%" PRIu64, file->path, *epoch);
    switch (request) {
    case ARBITER_CLAIM:
        return claim(file, path, node, reason);
    case ARBITER_VERIFY:
        return look(path, node, reason);
    case ARBITER_LATEST:
        return latest(file, epoch, reason);
    }
    return REPLICA_UNREACHABLE;
}

static void file_close(void *context)
{
    free(context);
}

int arbiter_file_open(const char *path, struct arbiter_backend *backend, struct error *error)
{
    struct arbiter_file *file = calloc(1, sizeof *file);
    char copy[PATH_MAX];

    if (!file)
        return error_set(error, ERROR_HOST, "out of memory");
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof file->path || path[length - 1] == '/') {
        free(file);
        return error_set(error, ERROR_INPUT, "the arbiter file:%.100s needs the path of a file", path);
    }
    memcpy(file->path, path, length);
    memcpy(copy, path, length + 1);
    snprintf(file->base, sizeof file->base, "%s", basename(copy));
    memcpy(copy, path, length + 1);
    snprintf(file->directory, sizeof file->directory, "%s", dirname(copy));
    *backend = (struct arbiter_backend){.context = file, .carry_out = carry_out, .close = file_close};
    return 0;
}
