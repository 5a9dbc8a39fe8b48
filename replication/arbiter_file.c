/*
 * An arbiter of files: epoch n is PATH.n, whose contents are its owner's number, in hexadecimal, and a newline. A claim
 * looks whether the record of the epoch before is as it should be (arbiter_records.h), writes a temporary file, and
 * gives it the epoch's name by link(2), which fails if the name exists; then it looks again. So a record is whole from
 * the moment that it is there. Over NFS a link may be made although its answer was lost; then the temporary file has
 * two links (open(2), on O_EXCL).
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

/* The owner by the record at `path`; 0: there is none. False: it cannot be known, for a reason. */
static bool read_record(const struct arbiter_file *file, const char *path, uint64_t *owner, char reason[ARBITER_REASON])
{
    char text[ARBITER_RECORD + 2];
    struct stat status;

    *owner = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        /* Storage that is not there has not lost its memory. */
        if (errno != ENOENT || stat(file->directory, &status) < 0)
            return unreachable(reason, "read", path), false;
        return true;
    }
    ssize_t got = read(fd, text, sizeof text);
    int failed = errno;
    close(fd);
    errno = failed;
    if (got < 0)
        return unreachable(reason, "read", path), false;
    *owner = got == ARBITER_RECORD + 1 && text[ARBITER_RECORD] == '\n' ? arbiter_read_record(text, ARBITER_RECORD)
                                                                       : ARBITER_NONSENSE;
    return true;
}

/* The same of an epoch's record. */
static bool look(const struct arbiter_file *file, uint64_t epoch, uint64_t *owner, char reason[ARBITER_REASON])
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s.%" PRIu64, file->path, epoch);
    return read_record(file, path, owner, reason);
}

static bool write_whole(int fd, uint64_t node)
{
    char text[ARBITER_RECORD + 1];

    arbiter_write_record(node, text);
    text[ARBITER_RECORD] = '\n';
    return write(fd, text, sizeof text) == sizeof text && fsync(fd) == 0;
}

static void sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

/* Makes the record, if there is none. 1: it is made; 0: there is one; -1: it cannot be known, for a reason. */
static int make(const struct arbiter_file *file, uint64_t epoch, uint64_t owner, char reason[ARBITER_REASON])
{
    char temporary[PATH_MAX], path[PATH_MAX];
    struct stat status;
    int result = -1, failed;

    snprintf(path, sizeof path, "%s.%" PRIu64, file->path, epoch);
    snprintf(temporary, sizeof temporary, "%s.claim.XXXXXX", file->path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return unreachable(reason, "write", temporary), -1;
    if (!write_whole(fd, owner)) {
        unreachable(reason, "write", temporary);
    } else if (link(temporary, path) == 0 || (failed = errno, fstat(fd, &status) == 0 && status.st_nlink == 2)) {
        sync_directory(file->directory);
        result = 1;
    } else if (failed == EEXIST) {
        result = 0;
    } else {
        errno = failed;
        unreachable(reason, "create", path);
    }
    close(fd);
    (void)unlink(temporary);
    return result;
}

/* Takes back a record of our own, made on what then was not there any more. By the time that we get to it somebody may
 * have put the arbiter right, and another have won the epoch: so the record is read once nobody else can have it, and
 * one that is not ours goes back. */
static enum replica_answer take_back(const struct arbiter_file *file, uint64_t epoch, uint64_t node,
                                     char reason[ARBITER_REASON])
{
    char path[PATH_MAX], aside[PATH_MAX];
    uint64_t owner;

    snprintf(path, sizeof path, "%s.%" PRIu64, file->path, epoch);
    snprintf(aside, sizeof aside, "%s.%" PRIu64 ".%016" PRIx64, file->path, epoch, node);
    if (rename(path, aside) < 0)
        return errno == ENOENT ? REPLICA_FORGOTTEN : unreachable(reason, "remove", path);
    bool known = read_record(file, aside, &owner, reason);
    bool ours = known && owner == node;
    if (!ours && link(aside, path) < 0 && errno != EEXIST)
        return unreachable(reason, "put back", path);
    (void)unlink(aside);
    sync_directory(file->directory);
    return known ? REPLICA_FORGOTTEN : REPLICA_UNREACHABLE;
}

/* Look, link, look again: whoever empties the directory in between must not be the one that lets two machines win. */
static enum replica_answer claim(const struct arbiter_file *file, const struct arbiter_question *question,
                                 char reason[ARBITER_REASON])
{
    uint64_t before = 0, here;

    if (!look(file, question->epoch - 1, &before, reason) || !look(file, question->epoch, &here, reason))
        return REPLICA_UNREACHABLE;
    if (!arbiter_may_give(question, before, here))
        return arbiter_judge(question, before, here);
    int made = make(file, question->epoch, question->node, reason);
    if (made < 0 || !look(file, question->epoch - 1, &before, reason) || !look(file, question->epoch, &here, reason))
        return REPLICA_UNREACHABLE;
    if (made && here == question->node && question->owner && before != question->owner)
        return take_back(file, question->epoch, question->node, reason);
    return arbiter_judge(question, before, here);
}

static enum replica_answer answer(const struct arbiter_file *file, const struct arbiter_question *question,
                                  char reason[ARBITER_REASON])
{
    uint64_t before = 0, here;

    if (!look(file, question->epoch, &here, reason) ||
        (question->request == ARBITER_DOUBT && !look(file, question->epoch - 1, &before, reason)))
        return REPLICA_UNREACHABLE;
    return arbiter_judge(question, before, here);
}

/* Calls back with each epoch that has a file. False: the directory cannot be read, for a reason. */
static bool each_epoch(const struct arbiter_file *file, void (*take)(void *context, uint64_t epoch), void *context,
                       char reason[ARBITER_REASON])
{
    size_t length = strlen(file->base);
    struct dirent *entry;
    DIR *directory = opendir(file->directory);

    if (!directory)
        return unreachable(reason, "read", file->directory), false;
    while ((entry = readdir(directory))) {
        const char *number = entry->d_name + length + 1;
        char *end;
        if (strncmp(entry->d_name, file->base, length) != 0 || entry->d_name[length] != '.' || *number < '1' ||
            *number > '9')
            continue;
        errno = 0;
        uint64_t value = strtoull(number, &end, 10);
        if (*end == 0 && errno == 0)
            take(context, value);
    }
    closedir(directory);
    return true;
}

static void take_highest(void *context, uint64_t epoch)
{
    uint64_t *highest = context;

    if (epoch > *highest)
        *highest = epoch;
}

static enum replica_answer carry_out(void *context, const struct arbiter_question *question, uint64_t *epoch,
                                     uint64_t patience, char reason[ARBITER_REASON])
{
    const struct arbiter_file *file = context;

    (void)patience; /* a file system answers when it answers */
    switch (question->request) {
    case ARBITER_CLAIM:
        return claim(file, question, reason);
    case ARBITER_VERIFY:
    case ARBITER_DOUBT:
        return answer(file, question, reason);
    case ARBITER_LATEST:
        *epoch = 0;
        return each_epoch(file, take_highest, epoch, reason) ? REPLICA_WON : REPLICA_UNREACHABLE;
    }
    return REPLICA_UNREACHABLE;
}

static void take_listed(void *context, uint64_t epoch)
{
    arbiter_list_add(context, epoch, 0);
}

static int list(void *context, struct arbiter_list *list, struct error *error)
{
    const struct arbiter_file *file = context;
    char reason[ARBITER_REASON];

    if (!each_epoch(file, take_listed, list, reason))
        return error_set(error, ERROR_HOST, "%s", reason);
    for (size_t n = 0; n < list->count; n++)
        if (!look(file, list->records[n].epoch, &list->records[n].owner, reason))
            return error_set(error, ERROR_HOST, "%s", reason);
    return 0;
}

static int put(void *context, uint64_t epoch, uint64_t owner, struct error *error)
{
    char reason[ARBITER_REASON];
    int made = make(context, epoch, owner, reason);

    if (made < 0)
        return error_set(error, ERROR_HOST, "%s", reason);
    return made ? 0 : error_set(error, ERROR_INPUT, "somebody has just made a record of this epoch");
}

struct removal {
    const struct arbiter_file *file;
    char reason[ARBITER_REASON];
    bool failed;
};

static void remove_one(void *context, uint64_t epoch)
{
    struct removal *removal = context;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s.%" PRIu64, removal->file->path, epoch);
    if (unlink(path) < 0 && errno != ENOENT) {
        unreachable(removal->reason, "remove", path);
        removal->failed = true;
    }
}

static int clear(void *context, struct error *error)
{
    struct removal removal = {.file = context};

    if (!each_epoch(context, remove_one, &removal, removal.reason) || removal.failed)
        return error_set(error, ERROR_HOST, "%s", removal.reason);
    sync_directory(removal.file->directory);
    return 0;
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
    *backend = (struct arbiter_backend){
        .context = file, .carry_out = carry_out, .list = list, .put = put, .clear = clear, .close = file_close};
    return 0;
}
