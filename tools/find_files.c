/* See find_files.h. */
#include "tools/find_files.h"

#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/disk_digest.h"
#include "vmm/host/file.h"

/* A file that is looked for. */
struct wanted {
    char what[32];   /* "the guest's image" */
    char option[16]; /* that names it: "--image " */
    const char *given, *recorded;
    char other[16]; /* the name that log unpack gives it */
    uint64_t size;
    enum digest_kind digest_kind;
    struct digest digest;
    const char *note; /* what else there is to say when it is not found; "" */
};

struct found {
    uint8_t *bytes; /* of an image or a module */
    size_t length;
    char path[DESCRIPTION_PATH_MAX];
    struct disk_file *disk;
};

/* Takes the file at a path if it is the one. Returns 0, or -1 with the error that says why not. */
typedef int take_fn(const struct file_finder *finder, const struct wanted *wanted, const char *path,
                    struct found *found, struct error *error);

int file_finder_open(struct file_finder *finder, struct files *files, const struct file_places *places, const char *log,
                     const char *beside, struct error *error)
{
    *finder = (struct file_finder){.files = files, .places = places, .beside = log ? log : beside};
    error->kind = ERROR_NONE;
    if (log)
        finder->bundle = bundle_open_file(files, log, error);
    return error->kind == ERROR_NONE ? 0 : -1;
}

void file_finder_close(struct file_finder *finder)
{
    bundle_close(finder->bundle);
    finder->bundle = NULL;
}

static int is_another(const char *path, struct error *error)
{
    return error_set(error, ERROR_INPUT, "%s is not the image that was recorded (another size or hash)", path);
}

static int take_bytes(const struct file_finder *finder, const struct wanted *wanted, const char *path,
                      struct found *found, struct error *error)
{
    struct stat status;
    char *absolute;

    /* A file of another size need not be read. */
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size != wanted->size)
        return is_another(path, error);
    if (host_file_read(finder->files, path, FIND_FILE_MAX, &found->bytes, &found->length, error) < 0)
        return -1;
    if (found->length != wanted->size || !digest_equal(digest_of(found->bytes, found->length, 0), wanted->digest)) {
        free(found->bytes);
        return is_another(path, error);
    }
    absolute = realpath(path, NULL);
    snprintf(found->path, sizeof found->path, "%s", absolute ? absolute : path);
    free(absolute);
    return 0;
}

static int take_disk(const struct file_finder *finder, const struct wanted *wanted, const char *path,
                     struct found *found, struct error *error)
{
    struct disk_file *disk = disk_file_open(finder->files, path, false, error);
    struct digest digest;

    if (!disk)
        return -1;
    int result = disk_file_size(disk) == wanted->size
                     ? disk_digest(disk, wanted->digest_kind, !finder->places->no_cache, &digest, error)
                     : is_another(path, error);
    if (result == 0 && !digest_equal(digest, wanted->digest))
        result = is_another(path, error);
    if (result == 0)
        found->disk = disk;
    else
        disk_file_close(disk);
    return result;
}

/* Looks for a file of this name beside the log. */
static int take_beside(const struct file_finder *finder, const struct wanted *wanted, const char *name, take_fn *take,
                       struct found *found, struct error *error)
{
    char *copy = finder->beside ? strdup(finder->beside) : NULL;
    char *path = NULL;
    int result = -1;

    if (copy && *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
        asprintf(&path, "%s/%s", dirname(copy), name) >= 0) {
        result = take(finder, wanted, path, found, error);
        free(path);
    }
    free(copy);
    return result;
}

static int not_found(const struct wanted *wanted, const struct error *reason, struct error *error)
{
    char digest[DIGEST_TEXT];

    return error_set(error, ERROR_INPUT,
                     "%.256s (nor is %s, of %" PRIu64 " bytes and hash %s, beside the log%s; %s"
                     "FILE says where it is)",
                     reason->text, wanted->what, wanted->size, digest_text(wanted->digest, digest), wanted->note,
                     wanted->option);
}

/* By the user's word, or where it was, or beside the log. */
static int find(const struct file_finder *finder, const struct wanted *wanted, take_fn *take, struct found *found,
                struct error *error)
{
    const char *slash = strrchr(wanted->recorded, '/');
    struct error reason, ignored;

    if (wanted->given) {
        if (take(finder, wanted, wanted->given, found, error) == 0)
            return 0;
        return error_wrap(error, "%s", wanted->option);
    }
    if (take(finder, wanted, wanted->recorded, found, &reason) == 0 ||
        take_beside(finder, wanted, slash ? slash + 1 : wanted->recorded, take, found, &ignored) == 0 ||
        take_beside(finder, wanted, wanted->other, take, found, &ignored) == 0)
        return 0;
    return not_found(wanted, &reason, error);
}

/* The member of the log's bundle that is the file; NULL when that is not where it is to be taken from. */
static const struct bundle_member *find_member(const struct file_finder *finder, const struct wanted *wanted,
                                               enum bundle_kind kind, unsigned number)
{
    const struct bundle_member *member =
        finder->bundle && !wanted->given ? bundle_find(finder->bundle, kind, number) : NULL;

    return member && member->size == wanted->size && member->digest_kind == wanted->digest_kind &&
                   digest_equal(member->digest, wanted->digest)
               ? member
               : NULL;
}

static int read_member(struct bundle *bundle, const struct bundle_member *member, const struct wanted *wanted,
                       struct found *found, struct error *error)
{
    if (member->size > FIND_FILE_MAX)
        return error_set(error, ERROR_INPUT, "%s is larger than %" PRIu64 " bytes", wanted->what, FIND_FILE_MAX);
    found->bytes = malloc((size_t)member->size);
    if (!found->bytes)
        return error_set(error, ERROR_HOST, "no memory for %" PRIu64 " bytes", member->size);
    int result = bundle_read(bundle, member, 0, found->bytes, (size_t)member->size, &found->length, error);
    if (result == 0 && !digest_equal(digest_of(found->bytes, found->length, 0), wanted->digest))
        result = error_set(error, ERROR_INPUT, "it is not the one that was recorded (another hash)");
    if (result == 0) {
        snprintf(found->path, sizeof found->path, "%s", wanted->recorded);
        return 0;
    }
    free(found->bytes);
    return error_wrap(error, "%s in the bundle", wanted->what);
}

/* An image or a module. */
static int find_bytes(const struct file_finder *finder, const struct wanted *wanted, enum bundle_kind kind,
                      unsigned number, struct found *found, struct error *error)
{
    const struct bundle_member *member = find_member(finder, wanted, kind, number);

    if (member)
        return read_member(finder->bundle, member, wanted, found, error);
    return find(finder, wanted, take_bytes, found, error);
}

int find_image(const struct file_finder *finder, struct description *description, uint8_t **bytes, size_t *length,
               struct error *error)
{
    const struct wanted wanted = {.what = "the guest's image",
                                  .option = "--image ",
                                  .given = finder->places->image,
                                  .recorded = description->image,
                                  .other = "image",
                                  .size = description->image_size,
                                  .digest = description->image_digest,
                                  .note = ""};
    struct found found = {0};

    if (find_bytes(finder, &wanted, BUNDLE_IMAGE, 0, &found, error) < 0)
        return -1;
    *bytes = found.bytes;
    *length = found.length;
    memcpy(description->image, found.path, sizeof found.path);
    return 0;
}

int find_module(const struct file_finder *finder, struct description *description, unsigned number, uint8_t **bytes,
                struct error *error)
{
    struct description_module *module = &description->modules[number];
    struct wanted wanted = {.given = finder->places->initrds[number],
                            .recorded = module->path,
                            .size = module->size,
                            .digest = module->digest,
                            .note = ""};
    struct found found = {0};

    snprintf(wanted.what, sizeof wanted.what, "module %u", number);
    snprintf(wanted.option, sizeof wanted.option, "--initrd %u=", number);
    snprintf(wanted.other, sizeof wanted.other, "initrd%u", number);
    if (find_bytes(finder, &wanted, BUNDLE_MODULE, number, &found, error) < 0)
        return -1;
    *bytes = found.bytes;
    memcpy(module->path, found.path, sizeof found.path);
    return 0;
}

/* A disk whose image is in the bundle; its chunks are checked as they are read. */
struct bundle_disk {
    struct bundle *bundle;
    const struct bundle_member *member;
};

static int read_from_bundle(void *context, uint64_t offset, void *bytes, size_t length, struct error *error)
{
    const struct bundle_disk *disk = context;
    size_t got;

    if (bundle_read(disk->bundle, disk->member, offset, bytes, length, &got, error) < 0)
        return -1;
    memset((uint8_t *)bytes + got, 0, length - got);
    return 0;
}

static uint64_t extent_in_bundle(void *context, uint64_t offset, bool *hole)
{
    const struct bundle_disk *disk = context;

    return bundle_extent(disk->bundle, disk->member, offset, hole);
}

static struct disk_file *open_member(struct bundle *bundle, const struct bundle_member *member, const char *name,
                                     struct error *error)
{
    struct bundle_disk *disk = malloc(sizeof *disk);

    if (!disk) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    *disk = (struct bundle_disk){.bundle = bundle, .member = member};
    const struct disk_image image = {.context = disk,
                                     .size = member->size,
                                     .name = name,
                                     .read = read_from_bundle,
                                     .extent = extent_in_bundle,
                                     .close = free};
    return disk_file_of_image(&image, error);
}

struct disk_file *find_disk(const struct file_finder *finder, const struct description *description, unsigned number,
                            struct error *error)
{
    const struct description_disk *disk = &description->disks[number];
    struct wanted wanted = {
        .given = finder->places->disks[number],
        .recorded = disk->path,
        .size = disk->size,
        .digest_kind = disk->digest_kind,
        .digest = disk->digest,
        .note = disk->mode == DISK_DIRECT ? "; the guest wrote to it (direct), and a copy from before is needed" : ""};
    struct found found = {0};

    snprintf(wanted.what, sizeof wanted.what, "disk %u", number);
    snprintf(wanted.option, sizeof wanted.option, "--disk %u=", number);
    snprintf(wanted.other, sizeof wanted.other, "disk%u", number);
    const struct bundle_member *member = find_member(finder, &wanted, BUNDLE_DISK, number);
    if (member)
        return open_member(finder->bundle, member, wanted.recorded, error);
    if (find(finder, &wanted, take_disk, &found, error) < 0) {
        error_wrap(error, "disk %u", number);
        return NULL;
    }
    return found.disk;
}
