/* Commands and their data (ATA-6, chapters 8 and 9.5 to 9.7). See ide_disk.h. */
#include <string.h>

#include "base/check.h"
#include "vmm/devices/ide_disk.h"

#define READY (IDE_DRDY | IDE_DSC)

/* Bit 6 of the device register: the address is a linear one. */
#define DEVICE_LBA 0x40

enum command {
    READ_SECTORS = 0x20,
    READ_SECTORS_ONCE = 0x21, /* without retries */
    READ_SECTORS_EXT = 0x24,
    READ_MULTIPLE_EXT = 0x29,
    WRITE_SECTORS = 0x30,
    WRITE_SECTORS_ONCE = 0x31,
    WRITE_SECTORS_EXT = 0x34,
    WRITE_MULTIPLE_EXT = 0x39,
    READ_VERIFY = 0x40,
    READ_VERIFY_ONCE = 0x41,
    READ_VERIFY_EXT = 0x42,
    INITIALIZE_PARAMETERS = 0x91,
    READ_MULTIPLE = 0xc4,
    WRITE_MULTIPLE = 0xc5,
    SET_MULTIPLE = 0xc6,
    STANDBY_IMMEDIATE = 0xe0,
    IDLE_IMMEDIATE = 0xe1,
    STANDBY = 0xe2,
    IDLE = 0xe3,
    CHECK_POWER = 0xe5,
    SLEEP = 0xe6,
    FLUSH_CACHE = 0xe7,
    FLUSH_CACHE_EXT = 0xea,
    IDENTIFY = 0xec,
    SET_FEATURES = 0xef,
};
#define RECALIBRATE 0x10 /* the lower four bits were a stepping rate once */
#define SEEK        0x70

/* SET FEATURES: what the features register says. */
enum feature {
    WRITE_CACHE_ON = 0x02,
    TRANSFER_MODE = 0x03,
    LOOK_AHEAD_OFF = 0x55,
    KEEP_DEFAULTS = 0x66,
    WRITE_CACHE_OFF = 0x82,
    LOOK_AHEAD_ON = 0xaa,
    REVERT_DEFAULTS = 0xcc,
};
#define MODE_PIO_LAST 0x0c /* PIO with flow control, mode 4; greater numbers are DMA modes */

static void finish(struct ide_drive *drive, uint8_t status, uint8_t error)
{
    drive->phase = IDE_IDLE;
    drive->status = status;
    drive->error = error;
    drive->interrupt = true;
}

static void succeed(struct ide_drive *drive)
{
    finish(drive, READY, 0);
}

static void abort_command(struct ide_drive *drive)
{
    finish(drive, READY | IDE_ERR, IDE_ABRT);
}

/* Puts the address of a sector where the command had its own from. */
static void put_address(struct ide_drive *drive, uint64_t lba)
{
    uint8_t *low = drive->now.lba, *high = drive->before.lba;

    if (!drive->wide && !(drive->device & DEVICE_LBA)) {
        uint64_t track = lba / drive->sectors;
        low[0] = (uint8_t)(lba % drive->sectors + 1);
        low[1] = (uint8_t)(track / drive->heads);
        low[2] = (uint8_t)(track / drive->heads >> 8);
        drive->device = (drive->device & 0xf0) | (uint8_t)(track % drive->heads);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        low[i] = (uint8_t)(lba >> 8 * i);
        if (drive->wide)
            high[i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    if (!drive->wide)
        drive->device = (drive->device & 0xf0) | (lba >> 24 & 0x0f);
}

static void fail_at(struct ide_drive *drive, uint64_t lba, uint8_t status, uint8_t error)
{
    put_address(drive, lba);
    finish(drive, READY | IDE_ERR | status, error);
}

/* Where the command shall begin. False: there is no such place (a sector number of 0). */
static bool get_address(const struct ide_drive *drive, uint64_t *lba)
{
    const uint8_t *low = drive->now.lba, *high = drive->before.lba;
    uint64_t number = low[0] | (uint64_t)low[1] << 8 | (uint64_t)low[2] << 16;

    if (drive->wide) {
        *lba = number | (uint64_t)high[0] << 24 | (uint64_t)high[1] << 32 | (uint64_t)high[2] << 40;
    } else if (drive->device & DEVICE_LBA) {
        *lba = number | (uint64_t)(drive->device & 0x0f) << 24;
    } else {
        *lba = ((number >> 8) * drive->heads + (drive->device & 0x0f)) * drive->sectors + low[0] - 1;
        return low[0] != 0 && low[0] <= drive->sectors && (drive->device & 0x0f) < drive->heads;
    }
    return true;
}

static uint32_t get_count(const struct ide_drive *drive)
{
    uint32_t count = drive->now.count;

    if (drive->wide)
        count |= (uint32_t)drive->before.count << 8;
    return count ? count : drive->wide ? 65536 : 256;
}

/* Takes address and count from the registers. False, with the command failed, when it begins nowhere. */
static bool take_range(struct ide_drive *drive, bool wide)
{
    drive->wide = wide;
    drive->left = get_count(drive);
    if (get_address(drive, &drive->lba) && drive->lba < disk_sectors(drive->disk))
        return true;
    finish(drive, READY | IDE_ERR, IDE_IDNF);
    return false;
}

/* How many sectors the block at hand has. 0, with the command failed, when they are not all on the disk. */
static uint32_t block_sectors(struct ide_drive *drive)
{
    uint32_t count = drive->left < drive->block ? drive->left : drive->block;
    uint64_t there = disk_sectors(drive->disk) - drive->lba;

    if (drive->lba < disk_sectors(drive->disk) && count <= there)
        return count;
    fail_at(drive, disk_sectors(drive->disk), 0, IDE_IDNF);
    return 0;
}

static void offer(struct ide_drive *drive, enum ide_phase phase, uint32_t sectors, bool interrupt)
{
    drive->phase = phase;
    drive->length = sectors * DISK_SECTOR;
    drive->at = 0;
    drive->status = READY | IDE_DRQ;
    drive->error = 0;
    drive->interrupt = interrupt;
}

static void read_block(struct ide_drive *drive)
{
    uint32_t count = block_sectors(drive);

    if (count == 0)
        return;
    if (disk_read(drive->disk, drive->lba, drive->data, count))
        offer(drive, IDE_TO_HOST, count, true);
    else
        fail_at(drive, drive->lba, 0, IDE_UNC);
}

/* The guest may give its first block at once; it is told when the next is wanted. */
static void await_block(struct ide_drive *drive, bool first)
{
    uint32_t count = block_sectors(drive);

    if (count)
        offer(drive, IDE_FROM_HOST, count, !first);
}

static void next_block(struct ide_drive *drive)
{
    drive->lba += drive->length / DISK_SECTOR;
    drive->left -= drive->length / DISK_SECTOR;
}

static void block_was_read(struct ide_drive *drive)
{
    next_block(drive);
    if (drive->left) {
        read_block(drive);
        return;
    }
    /* There is no interrupt after the last block, only before each. */
    drive->phase = IDE_IDLE;
    drive->status = READY;
}

static void block_was_written(struct ide_drive *drive)
{
    if (!disk_write(drive->disk, drive->lba, drive->data, drive->length / DISK_SECTOR)) {
        fail_at(drive, drive->lba, IDE_DF, IDE_ABRT);
        return;
    }
    next_block(drive);
    if (drive->left)
        await_block(drive, false);
    else if (!drive->write_cache && !disk_flush(drive->disk))
        finish(drive, READY | IDE_ERR | IDE_DF, IDE_ABRT);
    else
        succeed(drive);
}

uint64_t ide_drive_read_data(struct ide_drive *drive, unsigned size)
{
    uint8_t bytes[8] = {0};

    if (drive->phase != IDE_TO_HOST)
        return 0;
    CHECK(size <= sizeof bytes);
    uint32_t there = drive->length - drive->at < size ? drive->length - drive->at : size;
    memcpy(bytes, drive->data + drive->at, there);
    drive->at += there;
    if (drive->at == drive->length)
        block_was_read(drive);
    return bytes_load(bytes, 8);
}

void ide_drive_write_data(struct ide_drive *drive, unsigned size, uint64_t value)
{
    uint8_t bytes[8];

    if (drive->phase != IDE_FROM_HOST)
        return;
    CHECK(size <= sizeof bytes);
    bytes_store(bytes, 8, value);
    uint32_t wanted = drive->length - drive->at < size ? drive->length - drive->at : size;
    memcpy(drive->data + drive->at, bytes, wanted);
    drive->at += wanted;
    if (drive->at == drive->length)
        block_was_written(drive);
}

static void start_read(struct ide_drive *drive, bool wide, uint8_t block)
{
    drive->block = block;
    if (block == 0)
        abort_command(drive);
    else if (take_range(drive, wide))
        read_block(drive);
}

static void start_write(struct ide_drive *drive, bool wide, uint8_t block)
{
    drive->block = block;
    if (block == 0 || disk_is_read_only(drive->disk))
        abort_command(drive);
    else if (take_range(drive, wide))
        await_block(drive, true);
}

/* Reads, and gives nothing of it away. */
static void verify(struct ide_drive *drive, bool wide)
{
    drive->block = IDE_MULTIPLE_MAX;
    if (!take_range(drive, wide))
        return;
    while (drive->left) {
        uint32_t count = block_sectors(drive);
        if (count == 0)
            return;
        if (!disk_read(drive->disk, drive->lba, drive->data, count)) {
            fail_at(drive, drive->lba, 0, IDE_UNC);
            return;
        }
        drive->length = count * DISK_SECTOR;
        next_block(drive);
    }
    succeed(drive);
}

static void flush(struct ide_drive *drive)
{
    if (disk_flush(drive->disk))
        succeed(drive);
    else
        finish(drive, READY | IDE_ERR | IDE_DF, IDE_ABRT);
}

static void identify(struct ide_drive *drive, unsigned number)
{
    ide_drive_identify(drive, number, drive->data);
    drive->block = 1;
    drive->left = 1;
    drive->lba = 0;
    drive->wide = false;
    offer(drive, IDE_TO_HOST, 1, true);
}

static void initialize_parameters(struct ide_drive *drive)
{
    if (drive->now.count == 0) {
        abort_command(drive);
        return;
    }
    drive->sectors = drive->now.count;
    drive->heads = (drive->device & 0x0f) + 1;
    succeed(drive);
}

static void set_multiple(struct ide_drive *drive)
{
    uint8_t count = drive->now.count;

    if (count > IDE_MULTIPLE_MAX || (count & (count - 1))) {
        abort_command(drive);
        return;
    }
    drive->multiple = count;
    succeed(drive);
}

static void set_features(struct ide_drive *drive)
{
    switch (drive->now.features) {
    case WRITE_CACHE_ON:
        drive->write_cache = true;
        break;
    case WRITE_CACHE_OFF:
        drive->write_cache = false;
        flush(drive);
        return;
    case TRANSFER_MODE:
        if (drive->now.count <= MODE_PIO_LAST)
            break;
        abort_command(drive);
        return;
    case LOOK_AHEAD_OFF:
    case LOOK_AHEAD_ON:
    case KEEP_DEFAULTS:
    case REVERT_DEFAULTS:
        break;
    default:
        abort_command(drive);
        return;
    }
    succeed(drive);
}

static void seek(struct ide_drive *drive)
{
    if (take_range(drive, false))
        succeed(drive);
}

/* Commands without data. */
static void simple_command(struct ide_drive *drive, uint8_t command)
{
    switch (command) {
    case READ_VERIFY:
    case READ_VERIFY_ONCE:
    case READ_VERIFY_EXT:
        verify(drive, command == READ_VERIFY_EXT);
        break;
    case FLUSH_CACHE:
    case FLUSH_CACHE_EXT:
        flush(drive);
        break;
    case INITIALIZE_PARAMETERS:
        initialize_parameters(drive);
        break;
    case SET_MULTIPLE:
        set_multiple(drive);
        break;
    case SET_FEATURES:
        set_features(drive);
        break;
    case CHECK_POWER:
        drive->now.count = 0xff; /* active */
        succeed(drive);
        break;
    case STANDBY_IMMEDIATE:
    case IDLE_IMMEDIATE:
    case STANDBY:
    case IDLE:
    case SLEEP:
        succeed(drive);
        break;
    default:
        if ((command & 0xf0) == SEEK)
            seek(drive);
        else if ((command & 0xf0) == RECALIBRATE)
            succeed(drive);
        else
            abort_command(drive);
        break;
    }
}

void ide_drive_command(struct ide_drive *drive, unsigned number, uint8_t command)
{
    drive->phase = IDE_IDLE;
    drive->interrupt = false;
    switch (command) {
    case READ_SECTORS:
    case READ_SECTORS_ONCE:
    case READ_SECTORS_EXT:
        start_read(drive, command == READ_SECTORS_EXT, 1);
        break;
    case READ_MULTIPLE:
    case READ_MULTIPLE_EXT:
        start_read(drive, command == READ_MULTIPLE_EXT, drive->multiple);
        break;
    case WRITE_SECTORS:
    case WRITE_SECTORS_ONCE:
    case WRITE_SECTORS_EXT:
        start_write(drive, command == WRITE_SECTORS_EXT, 1);
        break;
    case WRITE_MULTIPLE:
    case WRITE_MULTIPLE_EXT:
        start_write(drive, command == WRITE_MULTIPLE_EXT, drive->multiple);
        break;
    case IDENTIFY:
        identify(drive, number);
        break;
    default:
        simple_command(drive, command);
        break;
    }
}
