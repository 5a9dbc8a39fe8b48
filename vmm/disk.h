/*
 * A disk's contents, as the chips that offer disks to a guest see them (virtio_block, ide_disk).
 *
 * What a disk holds is part of the machine, as memory is: an image, which is known by its hash, and what the guest has
 * written since. So reading it is no input. Only the host's failing to read or write is one: the guest then sees a disk
 * error, at the same place in every replay.
 *
 * Transfers are complete when the call returns. Their memory is the caller's.
 */
#ifndef ENCORE_VMM_DISK_H
#define ENCORE_VMM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_SECTOR 512

struct disk;

uint64_t disk_sectors(const struct disk *disk);
bool disk_is_read_only(const struct disk *disk);

/* `count` sectors from `sector` on. False when the host failed, the range is not on the disk, or (writing) the disk is
 * read-only or its quota is used up; what the bytes of a failed read are is the same in every replay. */
bool disk_read(struct disk *disk, uint64_t sector, uint8_t *bytes, uint32_t count);
bool disk_write(struct disk *disk, uint64_t sector, const uint8_t *bytes, uint32_t count);
/* All that was written is safe when it returns true. */
bool disk_flush(struct disk *disk);

#endif
