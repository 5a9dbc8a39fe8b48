/* See guest_disks.h. */
#include "tools/guest_disks.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/disk_digest.h"

static int transfer(void *context, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length,
                    struct error *error)
{
    const struct disk_file *file = context;

    switch (kind) {
    case DISK_READ_IMAGE:
        return disk_file_read_image(file, offset, bytes, length, error);
    case DISK_READ_OVERLAY:
        return disk_file_read(file, offset, bytes, length, error);
    case DISK_WRITE_OVERLAY:
        return disk_file_write(file, offset, bytes, length, error);
    case DISK_FLUSH:
        return disk_file_flush(file, error);
    }
    return error_set(error, ERROR_HOST, "no such transfer");
}

static void add_disk(struct guest_disks *disks, struct disk_file *file)
{
    disks->files[disks->count++] = file;
}

static int open_disk(struct guest_disks *disks, const char *path, bool in_place, struct error *error)
{
    struct disk_file *file = disk_file_open(disks->run, path, in_place, error);

    if (!file)
        return -1;
    add_disk(disks, file);
    return 0;
}

static int describe(const struct disk_file *file, const struct disk_option *option, bool recorded, bool use_cache,
                    struct description_disk *to, struct error *error)
{
    const char *path = disk_file_path(file);
    uint64_t size = disk_file_size(file);

    if (size > DISK_SIZE_MAX)
        return error_set(error, ERROR_INPUT, "%s: is larger than 1024G", path);
    if (option->mode == DISK_DIRECT && size % DISK_SECTOR)
        return error_set(error, ERROR_INPUT, "%s: is not a whole number of sectors, and so cannot be written", path);
    if (strlen(path) >= sizeof to->path)
        return error_set(error, ERROR_INPUT, "%s: the path is too long", path);
    memcpy(to->path, path, strlen(path) + 1);
    to->size = size;
    to->mode = option->mode;
    to->interface = option->interface;
    to->quota = option->quota;
    to->digest_kind = DIGEST_SPARSE;
    return recorded ? disk_digest(file, DIGEST_SPARSE, use_cache, &to->digest, error) : 0;
}

int guest_disks_open(struct guest_disks *disks, const struct disk_options *options, bool recorded,
                     struct description *description, struct error *error)
{
    for (unsigned i = 0; i < options->count; i++) {
        const struct disk_option *option = &options->disks[i];
        if (open_disk(disks, option->path, option->mode == DISK_DIRECT, error) < 0 ||
            describe(disks->files[i], option, recorded, !options->no_cache, &description->disks[i], error) < 0)
            return error_wrap(error, "--disk");
        description->disk_count = i + 1;
    }
    return 0;
}

int guest_disks_find(struct guest_disks *disks, const struct file_finder *finder, const struct description *description,
                     struct error *error)
{
    for (unsigned i = 0; i < description->disk_count; i++) {
        struct disk_file *file = find_disk(finder, description, i, error);
        if (!file)
            return -1;
        add_disk(disks, file);
    }
    return 0;
}

int guest_disks_overlay(struct guest_disks *disks, const char *log, bool force, struct error *error)
{
    for (unsigned i = 0; i < disks->count; i++) {
        char *path;
        if (!disk_file_wants_overlay(disks->files[i]))
            continue;
        if (asprintf(&path, "%s.disk%u", log, i) < 0)
            return error_set(error, ERROR_HOST, "out of memory");
        int result = disk_file_overlay(disks->files[i], path, force, error);
        free(path);
        if (result < 0)
            return -1;
    }
    return 0;
}

int guest_disks_publish(struct guest_disks *disks, struct error *error)
{
    for (unsigned i = 0; i < disks->count; i++) {
        if (disk_file_publish(disks->files[i], error) < 0)
            return -1;
    }
    return 0;
}

int guest_disks_temporary(struct guest_disks *disks, const char *beside, struct error *error)
{
    char *copy = beside ? strdup(beside) : NULL;
    const char *directories[5] = {NULL};
    size_t count = 0;
    int result = 0;

    if (copy)
        directories[count++] = dirname(copy);
    if (getenv("TMPDIR"))
        directories[count++] = getenv("TMPDIR");
    directories[count++] = "/var/tmp";
    directories[count++] = "/tmp";
    for (unsigned i = 0; result == 0 && i < disks->count; i++) {
        if (disk_file_wants_overlay(disks->files[i]))
            result = disk_file_temporary(disks->files[i], directories, error);
    }
    free(copy);
    return result;
}

void guest_disks_back(const struct guest_disks *disks, struct machine_config *config)
{
    for (unsigned i = 0; i < disks->count; i++)
        config->disks[i].backing = (struct disk_backing){.context = disks->files[i], .transfer = transfer};
}

static void warn_changed(const char *path)
{
    fputs("encore: somebody changed ", stderr);
    text_print(path, stderr);
    fputs(" while the guest ran: what it read there is uncertain, and a recording of it will not replay\n", stderr);
}

void guest_disks_warn(const struct guest_disks *disks, const struct description *description)
{
    for (unsigned i = 0; i < disks->count; i++) {
        if (description->disks[i].mode != DISK_DIRECT && !disk_file_unchanged(disks->files[i]))
            warn_changed(description->disks[i].path);
    }
}

void guest_disks_close(struct guest_disks *disks)
{
    while (disks->count > 0)
        disk_file_close(disks->files[--disks->count]);
}
