/*
 * A disk for the tests of the chips that offer disks: a few sectors of memory, which fails when told to.
 *
 * It stands behind the functions of vmm/disk.h. A program that defines these does not get those of the library: the
 * linker takes an object out of the archive only for a name that nobody has defined yet.
 */
#ifndef ENCORE_TESTS_UNIT_DISK_TESTING_H
#define ENCORE_TESTS_UNIT_DISK_TESTING_H

#include <string.h>

#include "vmm/disk.h"

#define DISK_TESTING_SECTORS 4

struct disk {
    uint8_t bytes[DISK_TESTING_SECTORS * DISK_SECTOR];
    uint64_t more; /* sectors after those; they fail */
    bool read_only;
    bool fails;
    unsigned flushes;
};

uint64_t disk_sectors(const struct disk *disk)
{
    return DISK_TESTING_SECTORS + disk->more;
}

bool disk_is_read_only(const struct disk *disk)
{
    return disk->read_only;
}

static bool disk_testing_fits(const struct disk *disk, uint64_t sector, uint32_t count)
{
    return !disk->fails && sector <= DISK_TESTING_SECTORS && count <= DISK_TESTING_SECTORS - sector;
}

bool disk_read(struct disk *disk, uint64_t sector, uint8_t *bytes, uint32_t count)
{
    if (!disk_testing_fits(disk, sector, count))
        return false;
    memcpy(bytes, disk->bytes + sector * DISK_SECTOR, (size_t)count * DISK_SECTOR);
    return true;
}

bool disk_write(struct disk *disk, uint64_t sector, const uint8_t *bytes, uint32_t count)
{
    if (disk->read_only || !disk_testing_fits(disk, sector, count))
        return false;
    memcpy(disk->bytes + sector * DISK_SECTOR, bytes, (size_t)count * DISK_SECTOR);
    return true;
}

bool disk_flush(struct disk *disk)
{
    disk->flushes += !disk->fails;
    return !disk->fails;
}

#endif
