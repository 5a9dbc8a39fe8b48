/* What the tests of the IDE channel share: disks that fail when told to, and a driver's way to the registers. */
#ifndef ENCORE_TESTS_UNIT_IDE_TESTING_H
#define ENCORE_TESTS_UNIT_IDE_TESTING_H

#include "tests/unit/device_testing.h"

#include "vmm/devices/ide_disk.h"

#define KEPT 64 /* sectors whose bytes a disk of these tests keeps; others read as a pattern */

/* Stands behind vmm/disk.h; the linker then takes no other (tests/unit/disk_testing.h). */
struct disk {
    uint64_t sectors;
    bool read_only;
    uint64_t fails_at; /* a read or write that touches this sector fails */
    bool flush_fails;
    unsigned flushes;
    unsigned reads, writes;
    bool keeps;
    uint8_t bytes[KEPT][DISK_SECTOR];
};

uint64_t disk_sectors(const struct disk *disk)
{
    return disk->sectors;
}

bool disk_is_read_only(const struct disk *disk)
{
    return disk->read_only;
}

static inline void pattern(uint64_t sector, uint8_t *bytes)
{
    for (unsigned i = 0; i < DISK_SECTOR; i++)
        bytes[i] = (uint8_t)(sector * 37 + (sector >> 24) + i + (i >> 8));
}

static inline bool touches(const struct disk *disk, uint64_t sector, uint32_t count)
{
    return disk->fails_at >= sector && disk->fails_at - sector < count;
}

bool disk_read(struct disk *disk, uint64_t sector, uint8_t *bytes, uint32_t count)
{
    disk->reads++;
    assert_true(count <= IDE_MULTIPLE_MAX);
    memset(bytes, 0, (size_t)count * DISK_SECTOR);
    if (sector > disk->sectors || count > disk->sectors - sector || touches(disk, sector, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (disk->keeps && sector + i < KEPT)
            memcpy(bytes + i * DISK_SECTOR, disk->bytes[sector + i], DISK_SECTOR);
        else
            pattern(sector + i, bytes + i * DISK_SECTOR);
    }
    return true;
}

bool disk_write(struct disk *disk, uint64_t sector, const uint8_t *bytes, uint32_t count)
{
    disk->writes++;
    if (disk->read_only || sector > disk->sectors || count > disk->sectors - sector || touches(disk, sector, count))
        return false;
    for (uint32_t i = 0; i < count && disk->keeps && sector + i < KEPT; i++)
        memcpy(disk->bytes[sector + i], bytes + i * DISK_SECTOR, DISK_SECTOR);
    return true;
}

bool disk_flush(struct disk *disk)
{
    disk->flushes++;
    return !disk->flush_fails;
}

#define NEVER UINT64_MAX
#define READY (IDE_DRDY | IDE_DSC)

struct bench {
    struct ide_channel channel;
    struct disk master, slave;
    struct line_record irq;
};

static inline struct bench *bench_new(uint64_t sectors, uint64_t slave_sectors)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    bench->master = (struct disk){.sectors = sectors, .fails_at = NEVER, .keeps = true};
    bench->slave = (struct disk){.sectors = slave_sectors, .fails_at = NEVER, .keeps = true};
    for (unsigned i = 0; i < KEPT; i++) {
        pattern(i, bench->master.bytes[i]);
        pattern(i + 1000, bench->slave.bytes[i]);
    }
    ide_channel_init(&bench->channel, sectors ? &bench->master : NULL, slave_sectors ? &bench->slave : NULL,
                     line_record_wire(&bench->irq));
    return bench;
}

static inline void out(struct bench *bench, unsigned port, uint8_t value)
{
    port_out(ide_command_write, &bench->channel, port, 1, value, 0);
}

static inline uint8_t in(struct bench *bench, unsigned port)
{
    return (uint8_t)port_in(ide_command_read, &bench->channel, port, 1, 0);
}

static inline void control(struct bench *bench, uint8_t value)
{
    port_out(ide_control_write, &bench->channel, 0, 1, value, 0);
}

static inline uint8_t alternate_status(struct bench *bench)
{
    return (uint8_t)port_in(ide_control_read, &bench->channel, 0, 1, 0);
}

/* A command with an address of 28 bits. */
static inline void command28(struct bench *bench, uint8_t command, uint32_t lba, unsigned count)
{
    out(bench, 6, (uint8_t)(0xe0 | lba >> 24));
    out(bench, 2, (uint8_t)count);
    out(bench, 3, (uint8_t)lba);
    out(bench, 4, (uint8_t)(lba >> 8));
    out(bench, 5, (uint8_t)(lba >> 16));
    out(bench, 7, command);
}

static inline void command48(struct bench *bench, uint8_t command, uint64_t lba, unsigned count)
{
    out(bench, 6, 0x40);
    out(bench, 2, (uint8_t)(count >> 8));
    out(bench, 3, (uint8_t)(lba >> 24));
    out(bench, 4, (uint8_t)(lba >> 32));
    out(bench, 5, (uint8_t)(lba >> 40));
    out(bench, 2, (uint8_t)count);
    out(bench, 3, (uint8_t)lba);
    out(bench, 4, (uint8_t)(lba >> 8));
    out(bench, 5, (uint8_t)(lba >> 16));
    out(bench, 7, command);
}

/* The driver's part of a block: the interrupt came, the status is as it must be and takes it away. */
static inline void expect_status(struct bench *bench, bool interrupt, uint8_t status)
{
    assert_int_equal(bench->irq.level, interrupt);
    assert_int_equal(alternate_status(bench), status);
    assert_int_equal(bench->irq.level, interrupt);
    assert_int_equal(in(bench, 7), status);
    assert_false(bench->irq.level);
}

static inline void get_data(struct bench *bench, uint8_t *bytes, size_t length, unsigned width)
{
    for (size_t i = 0; i < length; i += width)
        bytes_store(bytes + i, width, port_in(ide_command_read, &bench->channel, 0, width, 0));
}

static inline void put_data(struct bench *bench, const uint8_t *bytes, size_t length, unsigned width)
{
    for (size_t i = 0; i < length; i += width)
        port_out(ide_command_write, &bench->channel, 0, width, bytes_load(bytes + i, width), 0);
}

static inline void expect_pattern(const uint8_t *bytes, uint64_t sector, unsigned count)
{
    uint8_t expected[DISK_SECTOR];

    for (unsigned i = 0; i < count; i++) {
        pattern(sector + i, expected);
        assert_memory_equal(bytes + i * DISK_SECTOR, expected, DISK_SECTOR);
    }
}

static inline unsigned word(const uint8_t *data, unsigned number)
{
    return (unsigned)bytes_load(data + 2 * number, 2);
}

#endif
