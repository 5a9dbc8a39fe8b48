/* The channel: registers, reset, state. See ide_disk.h. */
#include "vmm/devices/ide_disk.h"

#include "vmm/devices/isa_bytes.h"

#define DATA     0
#define FEATURES 1 /* reads as the error register */
#define COUNT    2
#define LBA_LOW  3
#define LBA_HIGH 5
#define DEVICE   6
#define COMMAND  7 /* reads as the status register */

#define DEVICE_SELECT 0x10

#define CONTROL_NIEN 0x02
#define CONTROL_SRST 0x04
#define CONTROL_HOB  0x80
#define CONTROL_BITS (CONTROL_NIEN | CONTROL_SRST | CONTROL_HOB)

#define EXECUTE_DIAGNOSTIC 0x90
#define PASSED             0x01 /* what the error register says after diagnostics: nothing is wrong */

/* The usual logical geometry. */
#define HEADS   16
#define SECTORS 63

static struct ide_drive *selected(struct ide_channel *channel)
{
    return &channel->drives[channel->selected];
}

/* The drive that answers: the selected one or, where it is missing, the other for it. */
static struct ide_drive *answering(struct ide_channel *channel)
{
    struct ide_drive *drive = selected(channel);

    return drive->disk ? drive : &channel->drives[1 - channel->selected];
}

static void drive_irq(struct ide_channel *channel)
{
    irq_wire_set(&channel->irq,
                 selected(channel)->disk && selected(channel)->interrupt && !(channel->control & CONTROL_NIEN));
}

/* As after a reset or diagnostics: the signature of an ATA device (ATA-6, 9.12), and device 0 selected. */
static void sign(struct ide_channel *channel)
{
    channel->selected = 0;
    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        struct ide_drive *drive = &channel->drives[i];
        drive->now = drive->before = (struct ide_task_file){.count = 1, .lba = {1}};
        drive->device = 0;
        drive->error = PASSED;
        drive->status = IDE_DRDY | IDE_DSC;
        drive->phase = IDE_IDLE;
        drive->interrupt = false;
    }
}

void ide_channel_init(struct ide_channel *channel, struct disk *master, struct disk *slave, struct irq_wire irq)
{
    *channel = (struct ide_channel){.irq = irq};
    channel->drives[0].disk = master;
    channel->drives[1].disk = slave;
    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        channel->drives[i].heads = HEADS;
        channel->drives[i].sectors = SECTORS;
        channel->drives[i].write_cache = true;
    }
    sign(channel);
}

static uint8_t read_status(struct ide_channel *channel)
{
    return selected(channel)->disk ? selected(channel)->status : 0;
}

static uint8_t read_register(void *device, uint64_t port, uint64_t now)
{
    struct ide_channel *channel = device;
    const struct ide_drive *drive = answering(channel);
    const struct ide_task_file *file = channel->control & CONTROL_HOB ? &drive->before : &drive->now;

    (void)now;
    switch (port) {
    case FEATURES:
        return drive->error;
    case COUNT:
        return file->count;
    case DEVICE:
        return drive->device;
    case COMMAND:
        selected(channel)->interrupt = false;
        drive_irq(channel);
        return read_status(channel);
    default:
        return file->lba[port - LBA_LOW];
    }
}

/* To both drives, whether they are there or not. */
static void write_task_file(struct ide_channel *channel, uint64_t port, uint8_t value)
{
    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        struct ide_drive *drive = &channel->drives[i];
        if (port == FEATURES) {
            drive->before.features = drive->now.features;
            drive->now.features = value;
        } else if (port == COUNT) {
            drive->before.count = drive->now.count;
            drive->now.count = value;
        } else if (port == DEVICE) {
            drive->device = value;
        } else {
            drive->before.lba[port - LBA_LOW] = drive->now.lba[port - LBA_LOW];
            drive->now.lba[port - LBA_LOW] = value;
        }
    }
    if (port == DEVICE)
        channel->selected = value & DEVICE_SELECT ? 1 : 0;
}

static void write_command(struct ide_channel *channel, uint8_t command)
{
    if (command == EXECUTE_DIAGNOSTIC) {
        sign(channel);
        channel->drives[0].interrupt = true;
    } else if (selected(channel)->disk) {
        ide_drive_command(selected(channel), channel->selected, command);
    }
}

static void write_register(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct ide_channel *channel = device;

    (void)now;
    channel->control &= ~CONTROL_HOB;
    /* A drive that is held in reset hears nothing. */
    if (channel->control & CONTROL_SRST)
        return;
    if (port == COMMAND)
        write_command(channel, value);
    else
        write_task_file(channel, port, value);
    drive_irq(channel);
}

uint64_t ide_command_read(void *device, const struct bus_access *access)
{
    struct ide_channel *channel = device;

    if (access->offset != DATA)
        return isa_read_bytes(device, access, read_register);
    uint64_t value = ide_drive_read_data(selected(channel), access->size);
    drive_irq(channel);
    return value;
}

void ide_command_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct ide_channel *channel = device;

    if (access->offset != DATA) {
        isa_write_bytes(device, access, value, write_register);
        return;
    }
    ide_drive_write_data(selected(channel), access->size, value);
    drive_irq(channel);
}

/* The alternate status: as the status, but looking at it acknowledges nothing. */
static uint8_t read_control(void *device, uint64_t port, uint64_t now)
{
    (void)port;
    (void)now;
    return read_status(device);
}

static void write_control(void *device, uint64_t port, uint8_t value, uint64_t now)
{
    struct ide_channel *channel = device;
    bool held = channel->control & CONTROL_SRST;

    (void)port;
    (void)now;
    channel->control = value & CONTROL_BITS;
    if (held && !(value & CONTROL_SRST))
        sign(channel);
    for (unsigned i = 0; i < IDE_DRIVES && value & CONTROL_SRST; i++) {
        channel->drives[i].phase = IDE_IDLE;
        channel->drives[i].status = IDE_BSY;
        channel->drives[i].interrupt = false;
    }
    drive_irq(channel);
}

uint64_t ide_control_read(void *device, const struct bus_access *access)
{
    return isa_read_bytes(device, access, read_control);
}

void ide_control_write(void *device, const struct bus_access *access, uint64_t value)
{
    isa_write_bytes(device, access, value, write_control);
}

static void task_file_state(struct ide_task_file *file, struct state *state)
{
    state_u8(state, "features", &file->features);
    state_u8(state, "count", &file->count);
    state_bytes(state, "lba", file->lba, sizeof file->lba);
}

/* The command in progress. Of its data only what has a future is state. */
static void phase_state(struct ide_drive *drive, struct state *state)
{
    state_u8_max(state, "phase", &drive->phase, IDE_FROM_HOST);
    state_require(state, (drive->phase != IDE_IDLE) == (drive->status == (IDE_DRDY | IDE_DSC | IDE_DRQ)),
                  "status does not fit what is going on");
    if (drive->phase == IDE_IDLE)
        return;
    state_bool(state, "wide", &drive->wide);
    state_u8_max(state, "block", &drive->block, IDE_MULTIPLE_MAX);
    state_u64(state, "lba", &drive->lba);
    state_u32_max(state, "left", &drive->left, 65536);
    state_u32_max(state, "length", &drive->length, sizeof drive->data);
    state_u32_max(state, "at", &drive->at, sizeof drive->data);
    bool whole = drive->block && drive->length % DISK_SECTOR == 0 && drive->at < drive->length &&
                 drive->length / DISK_SECTOR <= drive->left && drive->length / DISK_SECTOR <= drive->block;
    state_require(state, whole && drive->lba < UINT64_C(1) << 48 && drive->disk, "no such transfer can be going on");
    if (state->bad)
        return;
    if (drive->phase == IDE_TO_HOST)
        state_bytes(state, "data", drive->data + drive->at, drive->length - drive->at);
    else
        state_bytes(state, "data", drive->data, drive->at);
}

static void drive_state(struct ide_drive *drive, struct state *state)
{
    task_file_state(&drive->now, state);
    task_file_state(&drive->before, state);
    state_u8(state, "device", &drive->device);
    state_u8(state, "status", &drive->status);
    state_u8(state, "error", &drive->error);
    state_u8_max(state, "multiple", &drive->multiple, IDE_MULTIPLE_MAX);
    state_u8_max(state, "heads", &drive->heads, HEADS);
    state_u8(state, "sectors", &drive->sectors);
    state_bool(state, "write_cache", &drive->write_cache);
    state_bool(state, "interrupt", &drive->interrupt);
    state_require(state, (drive->multiple & (drive->multiple - 1)) == 0, "multiple is not a power of two");
    state_require(state, drive->heads && drive->sectors, "the geometry is empty");
    phase_state(drive, state);
}

void ide_channel_state(struct ide_channel *channel, struct state *state)
{
    state_section(state, "ide_disk", 1);
    state_u8_max(state, "selected", &channel->selected, IDE_DRIVES - 1);
    state_u8(state, "control", &channel->control);
    state_require(state, (channel->control & ~CONTROL_BITS) == 0, "control has unknown bits");
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        drive_state(&channel->drives[i], state);
}
