/* See digest_cache.h. */
#include "vmm/host/digest_cache.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/output.h"

/* The file: magic; entries, the oldest first; a digest (its low half) of all that. */
#define MAGIC    "ENCDIGS1"
#define NUMBERS  10
#define ENTRY    (8u * NUMBERS)
#define FILE_MAX (8u + DIGEST_CACHE_ENTRIES * ENTRY + 8u)

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Of a file: what it is known by, and then its digest. All are kept as 64 bits. */
struct entry {
    uint64_t key[8];
    struct digest digest;
};

struct entries {
    unsigned count;
    struct entry list[DIGEST_CACHE_ENTRIES];
};

char *digest_cache_directory(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;

    /* One that is not absolute is to be passed over (XDG Base Directory Specification). */
    if (cache && *cache == '/')
        return asprintf(&path, "%s/encore", cache) < 0 ? NULL : path;
    if (home && *home == '/')
        return asprintf(&path, "%s/.cache/encore", home) < 0 ? NULL : path;
    return NULL;
}

bool digest_cache_suits(int fd)
{
    struct statfs status;

    if (fstatfs(fd, &status) < 0)
        return false;
    switch ((unsigned long)status.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

static void make_key(const struct stat *file, enum digest_kind kind, uint64_t key[8])
{
    key[0] = file->st_dev;
    key[1] = file->st_ino;
    key[2] = kind;
    key[3] = (uint64_t)file->st_size;
    key[4] = (uint64_t)file->st_mtim.tv_sec;
    key[5] = (uint64_t)file->st_mtim.tv_nsec;
    key[6] = (uint64_t)file->st_ctim.tv_sec;
    key[7] = (uint64_t)file->st_ctim.tv_nsec;
}

bool digest_cache_is_safe(const struct stat *before, const struct stat *after, time_t began)
{
    uint64_t a[8], b[8];

    make_key(before, DIGEST_WHOLE, a);
    make_key(after, DIGEST_WHOLE, b);
    return memcmp(a, b, sizeof a) == 0 && before->st_mtim.tv_sec < began - DIGEST_CACHE_SETTLED &&
           before->st_ctim.tv_sec < began - DIGEST_CACHE_SETTLED;
}

/* The whole file, if it is one that only we can have written. Returns its length; 0: there is nothing to be had. */
static size_t read_ours(const char *path, uint8_t bytes[FILE_MAX])
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    ssize_t got = 0;

    if (fd < 0)
        return 0;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 && status.st_size <= (off_t)FILE_MAX)
        got = pread(fd, bytes, FILE_MAX, 0);
    close(fd);
    return got > 0 ? (size_t)got : 0;
}

static void decode(const uint8_t *bytes, size_t length, struct entries *entries)
{
    entries->count = 0;
    if (length < 16 || (length - 16) % ENTRY != 0 || memcmp(bytes, MAGIC, 8) != 0 ||
        digest_of(bytes, length - 8, 0).low != bytes_load(bytes + length - 8, 8))
        return;
    struct bytes_reader in = bytes_reader(bytes + 8, length - 16);
    while (bytes_left(&in) > 0) {
        struct entry *entry = &entries->list[entries->count++];
        for (unsigned i = 0; i < 8; i++)
            entry->key[i] = bytes_get_uint(&in, 8);
        entry->digest.low = bytes_get_uint(&in, 8);
        entry->digest.high = bytes_get_uint(&in, 8);
    }
}

static void encode(const struct entries *entries, struct bytes_writer *out)
{
    bytes_put(out, MAGIC, 8);
    for (unsigned n = 0; n < entries->count; n++) {
        for (unsigned i = 0; i < 8; i++)
            bytes_put_uint(out, 8, entries->list[n].key[i]);
        bytes_put_uint(out, 8, entries->list[n].digest.low);
        bytes_put_uint(out, 8, entries->list[n].digest.high);
    }
    if (!out->failed)
        bytes_put_uint(out, 8, digest_of(out->data, out->length, 0).low);
}

/* What is remembered; NULL when there is no memory. To be freed. */
static struct entries *load(const char *path)
{
    struct entries *entries = calloc(1, sizeof *entries);
    uint8_t *bytes = malloc(FILE_MAX);

    if (entries && bytes)
        decode(bytes, read_ours(path, bytes), entries);
    free(bytes);
    return entries;
}

static char *file_in(const char *directory)
{
    char *path;

    return asprintf(&path, "%s/digests", directory) < 0 ? NULL : path;
}

bool digest_cache_find(const char *directory, const struct stat *file, enum digest_kind kind, struct digest *digest)
{
    char *path = file_in(directory);
    struct entries *entries = path ? load(path) : NULL;
    uint64_t key[8];
    bool found = false;

    make_key(file, kind, key);
    for (unsigned i = 0; entries && i < entries->count && !found; i++) {
        found = memcmp(entries->list[i].key, key, sizeof key) == 0;
        if (found)
            *digest = entries->list[i].digest;
    }
    free(entries);
    free(path);
    return found;
}

/* Adds one as the newest; what was known of the same file by that kind of digest goes. */
static void add(struct entries *entries, const struct entry *entry)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < entries->count; i++) {
        if (memcmp(entries->list[i].key, entry->key, 3 * sizeof entry->key[0]) != 0)
            entries->list[kept++] = entries->list[i];
    }
    if (kept == DIGEST_CACHE_ENTRIES)
        memmove(&entries->list[0], &entries->list[1], --kept * sizeof entries->list[0]);
    entries->list[kept++] = *entry;
    entries->count = kept;
}

/* The directory, and the one that it is in; no more than that is made. */
static void make_directories(const char *directory)
{
    char *parent = strdup(directory);
    char *slash = parent ? strrchr(parent, '/') : NULL;

    if (slash && slash != parent) {
        *slash = 0;
        mkdir(parent, 0700);
    }
    free(parent);
    mkdir(directory, 0700);
}

static void store(const char *path, const struct entries *entries)
{
    const struct output_options how = {.replace = true, .mode = 0600};
    struct bytes_writer out = bytes_writer(FILE_MAX);
    struct error ignored;

    encode(entries, &out);
    struct output *output = out.failed ? NULL : output_open(NULL, path, &how, &ignored);
    if (output && output_write(output, out.data, out.length, &ignored) == 0)
        output_publish(output, &ignored);
    output_close(output, &ignored);
    bytes_writer_free(&out);
}

void digest_cache_put(const char *directory, const struct stat *file, enum digest_kind kind, struct digest digest)
{
    char *path = file_in(directory);
    struct entries *entries = path ? load(path) : NULL;
    struct entry entry = {.digest = digest};

    if (entries) {
        make_key(file, kind, entry.key);
        add(entries, &entry);
        make_directories(directory);
        store(path, entries);
    }
    free(entries);
    free(path);
}
