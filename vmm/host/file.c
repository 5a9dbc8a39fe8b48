#include "vmm/host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_NONBLOCK, so that opening a FIFO by mistake is told to the user instead of waiting for a writer. */
static int open_regular(const char *path, struct stat *status, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return error_set(error, ERROR_INPUT, "%s: %m", path);
    if (fstat(fd, status) < 0)
        error_errno(error, "%s", path);
    else if (S_ISDIR(status->st_mode))
        error_set(error, ERROR_INPUT, "%s: is a directory, and a file is wanted", path);
    else if (!S_ISREG(status->st_mode))
        error_set(error, ERROR_INPUT, "%s: is not a regular file", path);
    else
        return fd;
    close(fd);
    return -1;
}

/* Reads up to `room` bytes. Returns how many, or -1 with errno. Fewer than `room` means the end of the file. */
static ssize_t read_up_to(int fd, uint8_t *bytes, size_t room)
{
    size_t done = 0;

    while (done < room) {
        ssize_t got = read(fd, bytes + done, room - done);
        if (got == 0)
            break;
        if (got > 0)
            done += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)done;
}

/* Reads to the end of the file whatever its status says: files in /proc claim no length, and a file may grow while it
 * is read. The buffer always has a byte more than is wanted, which is how the end is seen. */
static int read_all(int fd, const char *path, uint64_t expected, size_t limit, uint8_t **bytes, size_t *length,
                    struct error *error)
{
    size_t capacity = (expected < limit ? (size_t)expected : limit) + 1;
    size_t used = 0;
    uint8_t *data = NULL;

    for (;;) {
        uint8_t *larger = realloc(data, capacity);
        if (!larger) {
            error_set(error, ERROR_HOST, "%s: no memory for %zu bytes", path, capacity);
            break;
        }
        data = larger;
        ssize_t got = read_up_to(fd, data + used, capacity - used);
        if (got < 0) {
            error_errno(error, "%s: cannot be read", path);
            break;
        }
        used += (size_t)got;
        if (used < capacity) {
            *bytes = data;
            *length = used;
            return 0;
        }
        if (used > limit) {
            error_set(error, ERROR_INPUT, "%s: is larger than %zu bytes", path, limit);
            break;
        }
        capacity = used > limit / 2 ? limit + 1 : used * 2 + 1;
    }
    free(data);
    return -1;
}

int host_file_read(struct files *files, const char *path, size_t limit, uint8_t **bytes, size_t *length,
                   struct error *error)
{
    struct stat status;
    int fd = open_regular(path, &status, error);

    if (fd < 0)
        return -1;
    /* Half the address space is more than any object may have, and keeps limit + 1 from overflowing. */
    if (limit > SIZE_MAX / 2)
        limit = SIZE_MAX / 2;
    int failed = files_add_input(files, fd, path, error);
    if (failed == 0 && status.st_size > 0 && (uint64_t)status.st_size > limit)
        failed = error_set(error, ERROR_INPUT, "%s: is larger than %zu bytes", path, limit);
    else if (failed == 0)
        failed = read_all(fd, path, (uint64_t)status.st_size, limit, bytes, length, error);
    close(fd);
    return failed;
}

int host_stdin_read(struct files *files, size_t limit, uint8_t **bytes, size_t *length, struct error *error)
{
    if (files_add_input(files, STDIN_FILENO, HOST_STDIN_NAME, error) < 0)
        return -1;
    return read_all(STDIN_FILENO, HOST_STDIN_NAME, 4095, limit, bytes, length, error);
}
