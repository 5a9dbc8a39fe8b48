/* See ide.h. */
#include "guests/disk/ide.h"

#include "guests/runtime/cpu.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/text.h"

#define PORT_DATA     0x1f0
#define PORT_FEATURES 0x1f1 /* reads as the error register */
#define PORT_COUNT    0x1f2
#define PORT_LBA_LOW  0x1f3
#define PORT_LBA_MID  0x1f4
#define PORT_LBA_HIGH 0x1f5
#define PORT_DEVICE   0x1f6
#define PORT_COMMAND  0x1f7 /* reads as the status register */
#define PORT_CONTROL  0x3f6
#define IRQ           14

#define STATUS_BSY 0x80u
#define STATUS_DF  0x20u
#define STATUS_DRQ 0x08u
#define STATUS_ERR 0x01u

#define DEVICE_LBA   0xe0u
#define CONTROL_NIEN 0x02u

#define READ_SECTORS       0x20
#define READ_SECTORS_EXT   0x24
#define READ_MULTIPLE_EXT  0x29
#define WRITE_SECTORS      0x30
#define WRITE_SECTORS_EXT  0x34
#define WRITE_MULTIPLE_EXT 0x39
#define READ_MULTIPLE      0xc4
#define WRITE_MULTIPLE     0xc5
#define SET_MULTIPLE       0xc6
#define FLUSH_CACHE        0xe7
#define IDENTIFY           0xec
#define SET_FEATURES       0xef
#define WRITE_CACHE_ON     0x02
#define WRITE_CACHE_OFF    0x82

/* Interrupts of the channel that nobody has waited for yet. */
static volatile unsigned interrupts;

static struct frame *on_interrupt(struct frame *frame, void *context)
{
    (void)context;
    interrupts = interrupts + 1;
    return frame;
}

/* Reading the status acknowledges the interrupt. */
static uint8_t await_interrupt(void)
{
    interrupts_off();
    while (interrupts == 0) {
        interrupts_wait();
        interrupts_off();
    }
    interrupts = 0;
    interrupts_on();
    return port_in8(PORT_COMMAND);
}

/* The status once the disk is not busy any more; `interrupt`: which it tells by an interrupt. */
static uint8_t await(const struct ide *ide, bool interrupt)
{
    if (ide->sleeps && interrupt)
        return await_interrupt();
    for (;;) {
        uint8_t status = port_in8(PORT_COMMAND);
        if (!(status & STATUS_BSY))
            return status;
    }
}

static bool failed(struct ide *ide, uint8_t status)
{
    if (!(status & (STATUS_ERR | STATUS_DF)))
        return false;
    ide->status = status;
    ide->error = port_in8(PORT_FEATURES);
    return true;
}

static void give_command(const struct ide *ide, uint8_t command, uint64_t sector, unsigned count)
{
    interrupts = 0;
    port_out8(PORT_DEVICE, (uint8_t)(DEVICE_LBA | ide->drive << 4 | (ide->wide ? 0 : sector >> 24 & 0xf)));
    if (ide->wide) {
        port_out8(PORT_COUNT, (uint8_t)(count >> 8));
        port_out8(PORT_LBA_LOW, (uint8_t)(sector >> 24));
        port_out8(PORT_LBA_MID, (uint8_t)(sector >> 32));
        port_out8(PORT_LBA_HIGH, (uint8_t)(sector >> 40));
    }
    port_out8(PORT_COUNT, (uint8_t)count);
    port_out8(PORT_LBA_LOW, (uint8_t)sector);
    port_out8(PORT_LBA_MID, (uint8_t)(sector >> 8));
    port_out8(PORT_LBA_HIGH, (uint8_t)(sector >> 16));
    port_out8(PORT_COMMAND, command);
}

static void read_data(void *bytes, unsigned length)
{
    unsigned long count = length / 4;
    __asm__ volatile("rep insl" : "+D"(bytes), "+c"(count) : "d"(PORT_DATA) : "memory");
}

static void write_data(const void *bytes, unsigned length)
{
    unsigned long count = length / 4;
    __asm__ volatile("rep outsl" : "+S"(bytes), "+c"(count) : "d"(PORT_DATA) : "memory");
}

/* The sectors of the next block. */
static unsigned block(const struct ide *ide, unsigned left)
{
    unsigned most = ide->multiple ? ide->multiple : 1;
    return left < most ? left : most;
}

static bool read_blocks(struct ide *ide, uint8_t *bytes, unsigned count)
{
    while (count) {
        unsigned sectors = block(ide, count);
        uint8_t status = await(ide, true);
        if (failed(ide, status) || !(status & STATUS_DRQ))
            return false;
        read_data(bytes, sectors * IDE_SECTOR);
        bytes += sectors * IDE_SECTOR;
        count -= sectors;
    }
    return true;
}

bool ide_read(struct ide *ide, uint64_t sector, void *bytes, unsigned count)
{
    uint8_t command = ide->wide       ? ide->multiple ? READ_MULTIPLE_EXT : READ_SECTORS_EXT
                      : ide->multiple ? READ_MULTIPLE
                                      : READ_SECTORS;
    give_command(ide, command, sector, count);
    return read_blocks(ide, bytes, count);
}

bool ide_write(struct ide *ide, uint64_t sector, const void *bytes, unsigned count)
{
    uint8_t command = ide->wide       ? ide->multiple ? WRITE_MULTIPLE_EXT : WRITE_SECTORS_EXT
                      : ide->multiple ? WRITE_MULTIPLE
                                      : WRITE_SECTORS;
    const uint8_t *from = bytes;
    bool first = true;
    give_command(ide, command, sector, count);
    while (count) {
        unsigned sectors = block(ide, count);
        /* The first block is wanted without an interrupt; an error comes with one all the same, which is dropped. */
        uint8_t status = await(ide, !first);
        if (failed(ide, status) || !(status & STATUS_DRQ))
            return false;
        write_data(from, sectors * IDE_SECTOR);
        from += sectors * IDE_SECTOR;
        count -= sectors;
        first = false;
    }
    return !failed(ide, await(ide, true));
}

bool ide_flush(struct ide *ide)
{
    give_command(ide, FLUSH_CACHE, 0, 0);
    return !failed(ide, await(ide, true));
}

bool ide_set_write_cache(struct ide *ide, bool on)
{
    port_out8(PORT_FEATURES, on ? WRITE_CACHE_ON : WRITE_CACHE_OFF);
    give_command(ide, SET_FEATURES, 0, 0);
    return !failed(ide, await(ide, true));
}

static uint64_t words(const uint8_t *data, unsigned word, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 2 * count; i++)
        value |= (uint64_t)data[2 * word + i] << 8 * i;
    return value;
}

static bool identify(struct ide *ide)
{
    static uint8_t data[IDE_SECTOR];
    const unsigned multiple = ide->multiple;
    ide->multiple = 0;
    give_command(ide, IDENTIFY, 0, 0);
    /* A status of 0 or of all ones: nobody is there. */
    uint8_t status = port_in8(PORT_COMMAND);
    if (status == 0 || status == 0xff || !read_blocks(ide, data, 1))
        return false;
    ide->multiple = multiple;
    ide->sectors = words(data, 100, 4);
    for (unsigned i = 0; i < 40; i++)
        ide->model[i] = (char)data[54 + (i ^ 1)];
    for (unsigned i = 40; i > 0 && ide->model[i - 1] == ' '; i--)
        ide->model[i - 1] = 0;
    return true;
}

bool ide_start(struct ide *ide)
{
    const bool sleeps = ide->sleeps;
    ide->sleeps = false;
    port_out8(PORT_CONTROL, CONTROL_NIEN);
    if (!identify(ide))
        return false;
    if (ide->multiple) {
        give_command(ide, SET_MULTIPLE, 0, ide->multiple);
        if (failed(ide, await(ide, false)))
            return false;
    }
    if (sleeps) {
        interrupts_handle_irq(IRQ, on_interrupt, NULL);
        port_out8(PORT_CONTROL, 0);
        ide->sleeps = true;
    }
    return true;
}
