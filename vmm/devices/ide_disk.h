/*
 * An IDE channel with up to two hard disks, after ATA/ATAPI-6 (T13/1410D revision 3b); a PC's first one, with its ports
 * at 1F0h-1F7h and 3F6h and IRQ 14.
 *
 * Transfers go by PIO only: IDENTIFY says that there is no DMA, and drivers then do without. A command is done as soon
 * as the guest has given it and its data, so BSY is never seen but while a software reset is held.
 *
 * The task file is the channel's: what is written goes to both devices' registers, what is read comes from the selected
 * one. Where the selected device is missing, the other one answers for it, with a status of 0 (ATA-6, 9.16).
 *
 * The disk below (vmm/disk.h) may fail. A read that fails is an uncorrectable error (UNC) at the first sector of its
 * block, a write or flush that fails a device fault; a write to a read-only disk is aborted (ABRT) before any data.
 *
 * Files: ide_disk.c has the registers, the reset and the state, ide_commands.c the commands and their data,
 * ide_identify.c what a drive says of itself.
 */
#ifndef ENCORE_VMM_DEVICES_IDE_DISK_H
#define ENCORE_VMM_DEVICES_IDE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/disk.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define IDE_COMMAND_PORT  0x1f0
#define IDE_COMMAND_PORTS 8
#define IDE_CONTROL_PORT  0x3f6
#define IDE_IRQ           14
#define IDE_DRIVES        2
#define IDE_MULTIPLE_MAX  16 /* sectors that go at one interrupt */

/* Bits of the status register: busy, ready, device fault, seek complete, data request, error. */
#define IDE_BSY  0x80
#define IDE_DRDY 0x40
#define IDE_DF   0x20
#define IDE_DSC  0x10
#define IDE_DRQ  0x08
#define IDE_ERR  0x01
/* Of the error register: data uncorrectable, no such sector, command aborted. */
#define IDE_UNC  0x40
#define IDE_IDNF 0x10
#define IDE_ABRT 0x04

/* The registers that a command finds its arguments in. For the commands of 48 bits each is two deep: what was in them
 * before the last write is the upper half. */
struct ide_task_file {
    uint8_t features;
    uint8_t count;
    uint8_t lba[3]; /* low, mid, high: with old drivers, sector and cylinder */
};

enum ide_phase { IDE_IDLE, IDE_TO_HOST, IDE_FROM_HOST };

struct ide_drive {
    struct disk *disk; /* NULL: there is no such drive */
    struct ide_task_file now, before;
    uint8_t device; /* bits 0-3: head, or LBA bits 24-27; 4: which device; 6: LBA */
    uint8_t status, error;
    uint8_t multiple;       /* sectors of READ MULTIPLE and WRITE MULTIPLE; 0: not set, and they are aborted */
    uint8_t heads, sectors; /* of the logical geometry, as the guest sets it */
    bool write_cache;
    bool interrupt; /* INTRQ, whether it gets through or not */

    /* The command in progress, while the phase is not IDE_IDLE. */
    uint8_t phase;   /* an enum ide_phase */
    bool wide;       /* its address has 48 bits */
    uint8_t block;   /* sectors that go at one interrupt */
    uint64_t lba;    /* of the block at hand */
    uint32_t left;   /* sectors from there on */
    uint32_t length; /* of the block in `data`: whole sectors */
    uint32_t at;     /* of these bytes, gone through the data port */
    uint8_t data[IDE_MULTIPLE_MAX * DISK_SECTOR];
};

struct ide_channel {
    struct ide_drive drives[IDE_DRIVES];
    uint8_t selected;
    uint8_t control; /* bit 1: nIEN, 2: SRST, 7: HOB */
    struct irq_wire irq;
};

/* A disk may be NULL: no drive is there. A channel without any is of no use, and not to be wired. */
void ide_channel_init(struct ide_channel *channel, struct disk *master, struct disk *slave, struct irq_wire irq);
static inline bool ide_channel_is_used(const struct ide_channel *channel)
{
    return channel->drives[0].disk || channel->drives[1].disk;
}

void ide_channel_state(struct ide_channel *channel, struct state *state);

/* Handlers for the eight command ports and the control port; `device` is a struct ide_channel. */
bus_read_fn ide_command_read;
bus_write_fn ide_command_write;
bus_read_fn ide_control_read;
bus_write_fn ide_control_write;

/* Between the two files. Executes a command that was written to the drive, which is there. */
void ide_drive_command(struct ide_drive *drive, unsigned number, uint8_t command);
/* Up to `size` bytes through the data port; what is not there reads as 0. */
uint64_t ide_drive_read_data(struct ide_drive *drive, unsigned size);
void ide_drive_write_data(struct ide_drive *drive, unsigned size, uint64_t value);
/* What IDENTIFY DEVICE says of drive `number`: 256 words, into data[512]. */
void ide_drive_identify(const struct ide_drive *drive, unsigned number, uint8_t *data);

#endif
