/* What an IDE disk says of itself (ATA-6, 8.15, table 27). */
#include <string.h>

#include "base/bytes.h"
#include "vmm/devices/ide_disk.h"

#define CYLINDERS_MAX 16383
#define HEADS         16
#define SECTORS       63
#define LBA28_MAX     UINT64_C(0x0fffffff)

static void put_word(uint8_t *data, unsigned word, uint64_t value)
{
    bytes_store(data + 2 * word, 2, value & 0xffff);
}

/* The first character of two is the upper byte; spaces fill it up. */
static void put_text(uint8_t *data, unsigned word, unsigned words, const char *text)
{
    size_t length = strlen(text);

    for (unsigned i = 0; i < 2 * words; i++)
        data[2 * word + (i ^ 1)] = i < length ? (uint8_t)text[i] : ' ';
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

static uint64_t cylinders(uint64_t total, uint64_t heads, uint64_t sectors)
{
    uint64_t count = at_most(total / (heads * sectors), CYLINDERS_MAX);

    return count ? count : 1;
}

/* Old drivers reckon by cylinders, heads and sectors. */
static void put_geometry(const struct ide_drive *drive, uint8_t *data)
{
    uint64_t total = disk_sectors(drive->disk);
    uint64_t now = cylinders(total, drive->heads, drive->sectors);
    uint64_t reached = at_most(now * drive->heads * drive->sectors, total);

    put_word(data, 1, cylinders(total, HEADS, SECTORS));
    put_word(data, 3, HEADS);
    put_word(data, 6, SECTORS);
    put_word(data, 54, now);
    put_word(data, 55, drive->heads);
    put_word(data, 56, drive->sectors);
    put_word(data, 57, reached);
    put_word(data, 58, reached >> 16);
}

static void put_abilities(const struct ide_drive *drive, uint8_t *data)
{
    const uint64_t cache = drive->write_cache ? 0x0020 : 0;

    put_word(data, 0, 0x0040); /* an ATA device that is not removable */
    put_word(data, 47, 0x8000 | IDE_MULTIPLE_MAX);
    put_word(data, 49, 0x0a00); /* linear addresses, flow control; no DMA */
    put_word(data, 50, 0x4000);
    put_word(data, 51, 0x0200); /* PIO mode 2 without flow control */
    put_word(data, 53, 0x0003); /* words 54-58 and 64-70 mean something */
    put_word(data, 59, drive->multiple ? 0x0100 | drive->multiple : 0);
    put_word(data, 64, 0x0003); /* PIO modes 3 and 4 */
    put_word(data, 67, 120);    /* ns a cycle, without and with flow control */
    put_word(data, 68, 120);
    put_word(data, 80, 0x0070); /* ATA-4 to ATA-6 */
    put_word(data, 82, 0x0028); /* power management, write cache */
    put_word(data, 83, 0x7400); /* FLUSH CACHE, its EXT, 48 bits of address */
    put_word(data, 84, 0x4000);
    put_word(data, 85, 0x0008 | cache);
    put_word(data, 86, 0x3400);
    put_word(data, 87, 0x4000);
    put_word(data, 106, 0x6003); /* eight sectors lie in one physical one */
}

void ide_drive_identify(const struct ide_drive *drive, unsigned number, uint8_t *data)
{
    uint64_t total = disk_sectors(drive->disk);
    uint8_t sum = 0xa5;

    memset(data, 0, DISK_SECTOR);
    put_abilities(drive, data);
    put_geometry(drive, data);
    put_word(data, 93, number ? 0x6900 : 0x6009); /* hardware reset: all well */
    put_text(data, 10, 10, number ? "ENC00001" : "ENC00000");
    put_text(data, 23, 4, "1.0");
    put_text(data, 27, 20, "ENCORE HARDDISK");
    put_word(data, 60, at_most(total, LBA28_MAX));
    put_word(data, 61, at_most(total, LBA28_MAX) >> 16);
    for (unsigned i = 0; i < 4; i++)
        put_word(data, 100 + i, total >> 16 * i);
    /* Word 255: a signature, and what makes the sum of all bytes zero. */
    data[510] = 0xa5;
    for (unsigned i = 0; i < 510; i++)
        sum = (uint8_t)(sum + data[i]);
    data[511] = (uint8_t)-sum;
}
