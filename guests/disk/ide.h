/* A driver for the hard disks of a PC's first IDE channel, by PIO (ATA-6). */
#ifndef GUEST_DISK_IDE_H
#define GUEST_DISK_IDE_H

#include <stdbool.h>
#include <stdint.h>

#define IDE_SECTOR    512u
#define IDE_COUNT_MAX 16u /* sectors at once */

struct ide {
    unsigned drive;    /* 0 or 1 */
    unsigned multiple; /* sectors that go at one interrupt; 0: the commands for single sectors are used */
    bool wide;         /* commands with 48 bits of address */
    bool sleeps;       /* waits for interrupts, and does not look at the status all the time */
    uint64_t sectors;  /* as the disk says */
    char model[41];
    uint8_t status, error; /* of the last command that failed */
};

/* Finds the drive, by IDENTIFY, and prepares it as the fields above say. False: there is none, or it refuses. */
bool ide_start(struct ide *ide);

/* Up to IDE_COUNT_MAX sectors. False: the disk reports an error; status and error are then as it gave them. */
bool ide_read(struct ide *ide, uint64_t sector, void *bytes, unsigned count);
bool ide_write(struct ide *ide, uint64_t sector, const void *bytes, unsigned count);
bool ide_flush(struct ide *ide);
bool ide_set_write_cache(struct ide *ide, bool on);

#endif
