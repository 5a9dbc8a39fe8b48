/* See disk_digest.h. */
#include "tools/disk_digest.h"

static int take(void *context, const uint8_t *bytes, uint64_t length, struct error *error)
{
    (void)error;
    if (bytes)
        image_digest_add(context, bytes, (size_t)length);
    else
        image_digest_add_zeros(context, length);
    return 0;
}

int disk_digest(const struct disk_file *file, enum digest_kind kind, struct digest *digest, struct error *error)
{
    struct image_digest *image = image_digest_begin(kind, error);

    if (!image)
        return -1;
    int result = disk_file_walk(file, take, image, error);
    *digest = image_digest_end(image);
    return result;
}
