/* See file_lock.h. */
#include "base/file_lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* /proc/locks (proc(5)) has a line for each lock:
 *     1: FLOCK  ADVISORY  WRITE 708 00:13:16764 0 EOF
 * with the process, and the file as major:minor:inode, the first two in hexadecimal. 0: not found, as on a file system
 * whose device number there is another than stat(2) tells. */
static int holder(const struct stat *status)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256];
    int found = 0;

    if (!locks)
        return 0;
    while (found == 0 && fgets(line, sizeof line, locks)) {
        unsigned major_number, minor_number;
        uint64_t inode;
        int process;
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &process, &major_number, &minor_number, &inode) == 4 &&
            makedev(major_number, minor_number) == status->st_dev && inode == status->st_ino && process > 0)
            found = process;
    }
    fclose(locks);
    return found;
}

int file_lock(int fd, const char *path, struct error *error)
{
    struct stat status;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    int process = fstat(fd, &status) == 0 ? holder(&status) : 0;
    if (process == 0)
        return error_set(error, ERROR_INPUT, "%.300s is in use by another process", path);
    return error_set(error, ERROR_INPUT, "%.300s is in use by process %d", path, process);
}
