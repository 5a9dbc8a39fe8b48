/* See disk_digest.h. */
#include "tools/disk_digest.h"

#include <stdlib.h>
#include <time.h>

#include "tools/progress.h"
#include "vmm/host/digest_cache.h"

/* What is read in less than a blink is not worth remembering. */
#define REMEMBERED_FROM (4u << 20)

struct hashing {
    struct image_digest *image;
    struct bytes_progress progress;
};

static int take(void *context, const uint8_t *bytes, uint64_t length, struct error *error)
{
    struct hashing *hashing = context;

    (void)error;
    if (bytes)
        image_digest_add(hashing->image, bytes, (size_t)length);
    else
        image_digest_add_zeros(hashing->image, length);
    progress_bytes(&hashing->progress, length);
    return 0;
}

static int read_image(const struct disk_file *file, enum digest_kind kind, struct digest *digest, struct error *error)
{
    struct hashing hashing = {
        .image = image_digest_begin(kind, error),
        .progress = {.what = "reading", .name = disk_file_path(file), .total = disk_file_size(file)}};

    if (!hashing.image)
        return -1;
    int result = disk_file_walk(file, take, &hashing, error);
    progress_bytes_wipe(&hashing.progress);
    *digest = image_digest_end(hashing.image);
    return result;
}

int disk_digest(const struct disk_file *file, enum digest_kind kind, bool use_cache, struct digest *digest,
                struct error *error)
{
    int fd = disk_file_fd(file);
    time_t began = time(NULL);
    struct stat before, after;
    bool remembered = use_cache && fd >= 0 && fstat(fd, &before) == 0 &&
                      before.st_blocks * INT64_C(512) >= REMEMBERED_FROM && digest_cache_suits(fd);
    char *directory = remembered ? digest_cache_directory() : NULL;
    int result = 0;

    if (!directory || !digest_cache_find(directory, &before, kind, digest)) {
        result = read_image(file, kind, digest, error);
        if (result == 0 && directory && fstat(fd, &after) == 0 && digest_cache_is_safe(&before, &after, began))
            digest_cache_put(directory, &before, kind, *digest);
    }
    free(directory);
    return result;
}
