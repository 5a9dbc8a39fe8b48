/*
 * Changes the memory of a running process, as a fault of the host's would: a backup whose guest's memory differs.
 *
 *     poke PID FIND REPLACE      replaces each FIND by REPLACE, of the same length, in all anonymous writable memory
 *
 * Prints how many places it changed. Exit code: 0, 1 if there was none, 3 if this host does not allow it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)
/* What is larger is no guest's memory, but a sanitizer's. */
#define LARGEST (1ul << 30)

static unsigned change(int memory, unsigned long start, unsigned long end, const char *find, const char *replace)
{
    static char piece[PIECE];
    size_t length = strlen(find);
    unsigned count = 0;

    /* Pieces overlap by what could begin in one and end in the next. */
    for (unsigned long at = start; at < end; at += PIECE - length) {
        size_t wanted = end - at < PIECE ? end - at : PIECE;
        ssize_t got = pread(memory, piece, wanted, (off_t)at);
        const char *found = got > 0 ? memmem(piece, (size_t)got, find, length) : NULL;
        while (found) {
            count += pwrite(memory, replace, length, (off_t)(at + (unsigned long)(found - piece))) == (ssize_t)length;
            found = memmem(found + 1, (size_t)(piece + got - found) - 1, find, length);
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    char path[64], line[512], flags[8], rest[256];
    unsigned long start, end, inode;
    unsigned count = 0;

    if (argc != 4 || strlen(argv[2]) != strlen(argv[3]) || strlen(argv[2]) == 0)
        return 2;
    snprintf(path, sizeof path, "/proc/%d/mem", atoi(argv[1]));
    int memory = open(path, O_RDWR);
    snprintf(path, sizeof path, "/proc/%d/maps", atoi(argv[1]));
    FILE *maps = fopen(path, "r");
    if (memory < 0 || !maps) {
        perror("poke");
        return 3;
    }
    while (fgets(line, sizeof line, maps)) {
        rest[0] = 0;
        if (sscanf(line, "%lx-%lx %7s %*s %*s %lu %255s", &start, &end, flags, &inode, rest) >= 4 && flags[0] == 'r' &&
            flags[1] == 'w' && end - start <= LARGEST && (inode == 0 || strstr(rest, "memfd")) && rest[0] != '[')
            count += change(memory, start, end, argv[2], argv[3]);
    }
    printf("%u places changed\n", count);
    return count == 0;
}
