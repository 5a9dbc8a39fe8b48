/* Going through all of an image without reading its holes; see disk_file.h. */
#include <stdlib.h>

#include "vmm/host/disk_file.h"

#define PIECE (1u << 20)

static int walk_data(const struct disk_file *file, uint64_t offset, uint64_t length, uint8_t *piece, disk_walk_fn *take,
                     void *context, struct error *error)
{
    while (length > 0) {
        size_t part = length < PIECE ? (size_t)length : PIECE;
        if (disk_file_read_image(file, offset, piece, part, error) < 0 || take(context, piece, part, error) < 0)
            return -1;
        offset += part;
        length -= part;
    }
    return 0;
}

int disk_file_walk(const struct disk_file *file, disk_walk_fn *take, void *context, struct error *error)
{
    uint64_t size = disk_file_size(file);
    uint8_t *piece = malloc(PIECE);
    int result = piece ? 0 : error_set(error, ERROR_HOST, "out of memory");

    for (uint64_t offset = 0; offset < size && result == 0;) {
        bool hole;
        uint64_t length = disk_file_extent(file, offset, &hole);
        result =
            hole ? take(context, NULL, length, error) : walk_data(file, offset, length, piece, take, context, error);
        offset += length;
    }
    free(piece);
    return result;
}
