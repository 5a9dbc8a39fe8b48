/*
 * The IDE channel (vmm/devices/ide_*.c): each command by the registers, as a driver gives it; addresses of every kind;
 * errors where ATA-6 wants them; interrupts; resets; the missing drive.
 */
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

static void pattern(uint64_t sector, uint8_t *bytes)
{
    for (unsigned i = 0; i < DISK_SECTOR; i++)
        bytes[i] = (uint8_t)(sector * 37 + (sector >> 24) + i + (i >> 8));
}

static bool touches(const struct disk *disk, uint64_t sector, uint32_t count)
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

static struct bench *bench_new(uint64_t sectors, uint64_t slave_sectors)
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

static void out(struct bench *bench, unsigned port, uint8_t value)
{
    port_out(ide_command_write, &bench->channel, port, 1, value, 0);
}

static uint8_t in(struct bench *bench, unsigned port)
{
    return (uint8_t)port_in(ide_command_read, &bench->channel, port, 1, 0);
}

static void control(struct bench *bench, uint8_t value)
{
    port_out(ide_control_write, &bench->channel, 0, 1, value, 0);
}

static uint8_t alternate_status(struct bench *bench)
{
    return (uint8_t)port_in(ide_control_read, &bench->channel, 0, 1, 0);
}

/* A command with an address of 28 bits. */
static void command28(struct bench *bench, uint8_t command, uint32_t lba, unsigned count)
{
    out(bench, 6, (uint8_t)(0xe0 | lba >> 24));
    out(bench, 2, (uint8_t)count);
    out(bench, 3, (uint8_t)lba);
    out(bench, 4, (uint8_t)(lba >> 8));
    out(bench, 5, (uint8_t)(lba >> 16));
    out(bench, 7, command);
}

static void command48(struct bench *bench, uint8_t command, uint64_t lba, unsigned count)
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
static void expect_status(struct bench *bench, bool interrupt, uint8_t status)
{
    assert_int_equal(bench->irq.level, interrupt);
    assert_int_equal(alternate_status(bench), status);
    assert_int_equal(bench->irq.level, interrupt);
    assert_int_equal(in(bench, 7), status);
    assert_false(bench->irq.level);
}

static void get_data(struct bench *bench, uint8_t *bytes, size_t length, unsigned width)
{
    for (size_t i = 0; i < length; i += width)
        bytes_store(bytes + i, width, port_in(ide_command_read, &bench->channel, 0, width, 0));
}

static void put_data(struct bench *bench, const uint8_t *bytes, size_t length, unsigned width)
{
    for (size_t i = 0; i < length; i += width)
        port_out(ide_command_write, &bench->channel, 0, width, bytes_load(bytes + i, width), 0);
}

static void expect_pattern(const uint8_t *bytes, uint64_t sector, unsigned count)
{
    uint8_t expected[DISK_SECTOR];

    for (unsigned i = 0; i < count; i++) {
        pattern(sector + i, expected);
        assert_memory_equal(bytes + i * DISK_SECTOR, expected, DISK_SECTOR);
    }
}

static unsigned word(const uint8_t *data, unsigned number)
{
    return (unsigned)bytes_load(data + 2 * number, 2);
}

static void identify_tells_the_truth(void **state)
{
    struct bench *bench = bench_new(UINT64_C(0x123456789), 0);
    uint8_t data[DISK_SECTOR], sum = 0;

    (void)state;
    command28(bench, 0xec, 0, 0);
    expect_status(bench, true, READY | IDE_DRQ);
    get_data(bench, data, sizeof data, 2);
    expect_status(bench, false, READY);
    assert_int_equal(word(data, 0) & 0x8000, 0);
    assert_int_equal(word(data, 1), 16383);
    assert_int_equal(word(data, 3), 16);
    assert_int_equal(word(data, 6), 63);
    assert_memory_equal(data + 54, "NEOCERH RADDSI K", 16);
    assert_int_equal(word(data, 47) & 0xff, IDE_MULTIPLE_MAX);
    assert_int_equal(word(data, 49) & 0x0300, 0x0200); /* LBA, no DMA */
    assert_int_equal(word(data, 53) & 4, 0);
    assert_int_equal(word(data, 88), 0);
    assert_int_equal(word(data, 60) | word(data, 61) << 16, 0x0fffffff);
    assert_int_equal(bytes_load(data + 200, 8), UINT64_C(0x123456789));
    assert_int_equal(word(data, 83) & 0xc400, 0x4400);
    for (unsigned i = 0; i < sizeof data; i++)
        sum = (uint8_t)(sum + data[i]);
    assert_int_equal(data[510], 0xa5);
    assert_int_equal(sum, 0);
    free(bench);
}

static void a_small_disk_has_one_cylinder(void **state)
{
    struct bench *bench = bench_new(7, 0);
    uint8_t data[DISK_SECTOR];

    (void)state;
    command28(bench, 0xec, 0, 0);
    get_data(bench, data, sizeof data, 4);
    assert_int_equal(word(data, 1), 1);
    assert_int_equal(word(data, 57), 7);
    assert_int_equal(word(data, 60), 7);
    free(bench);
}

static void read_sectors_interrupts_before_each(void **state)
{
    struct bench *bench = bench_new(64, 0);
    uint8_t bytes[3 * DISK_SECTOR];

    (void)state;
    command28(bench, 0x20, 5, 3);
    for (unsigned i = 0; i < 3; i++) {
        expect_status(bench, true, READY | IDE_DRQ);
        get_data(bench, bytes + i * DISK_SECTOR, DISK_SECTOR, i == 1 ? 4 : 2);
    }
    expect_status(bench, false, READY);
    expect_pattern(bytes, 5, 3);
    assert_int_equal(bench->irq.rises, 3);
    /* Nothing more is there. */
    assert_int_equal(port_in(ide_command_read, &bench->channel, 0, 2, 0), 0);
    free(bench);
}

static void write_sectors_interrupts_after_each(void **state)
{
    struct bench *bench = bench_new(64, 0);
    uint8_t bytes[2 * DISK_SECTOR];

    (void)state;
    memset(bytes, 0x5a, DISK_SECTOR);
    memset(bytes + DISK_SECTOR, 0xa5, DISK_SECTOR);
    command28(bench, 0x30, 62, 2);
    expect_status(bench, false, READY | IDE_DRQ);
    put_data(bench, bytes, DISK_SECTOR, 2);
    expect_status(bench, true, READY | IDE_DRQ);
    put_data(bench, bytes + DISK_SECTOR, DISK_SECTOR, 4);
    expect_status(bench, true, READY);
    assert_int_equal(bench->irq.rises, 2);
    assert_memory_equal(bench->master.bytes[62], bytes, DISK_SECTOR);
    assert_memory_equal(bench->master.bytes[63], bytes + DISK_SECTOR, DISK_SECTOR);
    assert_int_equal(bench->master.flushes, 0);
    free(bench);
}

static void multiple_goes_by_blocks(void **state)
{
    struct bench *bench = bench_new(64, 0);
    uint8_t bytes[10 * DISK_SECTOR], data[DISK_SECTOR];

    (void)state;
    command28(bench, 0xc4, 0, 10);
    expect_status(bench, true, READY | IDE_ERR); /* it is not set yet */
    assert_int_equal(in(bench, 1), IDE_ABRT);
    command28(bench, 0xc6, 0, 3);
    expect_status(bench, true, READY | IDE_ERR);
    command28(bench, 0xc6, 0, 32);
    expect_status(bench, true, READY | IDE_ERR);
    command28(bench, 0xc6, 0, 4);
    expect_status(bench, true, READY);
    command28(bench, 0xec, 0, 0);
    get_data(bench, data, sizeof data, 2);
    assert_int_equal(word(data, 59), 0x0104);
    in(bench, 7);
    bench->irq.rises = 0;
    command28(bench, 0xc4, 20, 10);
    for (unsigned done = 0; done < 10; done += 4) {
        expect_status(bench, true, READY | IDE_DRQ);
        get_data(bench, bytes + done * DISK_SECTOR, (done == 8 ? 2 : 4) * DISK_SECTOR, 2);
    }
    expect_status(bench, false, READY);
    assert_int_equal(bench->irq.rises, 3);
    expect_pattern(bytes, 20, 10);
    command28(bench, 0xc5, 0, 6);
    put_data(bench, bytes, 4 * DISK_SECTOR, 2);
    expect_status(bench, true, READY | IDE_DRQ);
    put_data(bench, bytes + 4 * DISK_SECTOR, 2 * DISK_SECTOR, 2);
    expect_status(bench, true, READY);
    assert_int_equal(bench->master.writes, 2);
    expect_pattern(bench->master.bytes[0], 20, 6);
    free(bench);
}

static void a_count_of_zero_is_many(void **state)
{
    struct bench *bench = bench_new(UINT64_C(1) << 33, 0);
    uint8_t bytes[DISK_SECTOR];

    (void)state;
    command28(bench, 0x20, 100, 0);
    for (unsigned i = 0; i < 256; i++) {
        expect_status(bench, true, READY | IDE_DRQ);
        get_data(bench, bytes, sizeof bytes, 4);
    }
    expect_status(bench, false, READY);
    expect_pattern(bytes, 355, 1);
    command48(bench, 0x42, UINT64_C(0x112345678), 0); /* verifies 65536 */
    expect_status(bench, true, READY);
    assert_int_equal(bench->master.reads, 256 + 65536 / IDE_MULTIPLE_MAX);
    free(bench);
}

static void addresses_of_48_bits(void **state)
{
    const uint64_t sectors = (UINT64_C(1) << 40) + 3;
    struct bench *bench = bench_new(sectors, 0);
    uint8_t bytes[DISK_SECTOR];

    (void)state;
    command48(bench, 0x24, UINT64_C(0xa987654321), 1);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, UINT64_C(0xa987654321), 1);
    /* The last sector, and one too many: the address of that is told. */
    command48(bench, 0x24, sectors - 1, 2);
    expect_status(bench, true, READY | IDE_DRQ);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 1), IDE_IDNF);
    assert_int_equal(in(bench, 3), (uint8_t)sectors);
    control(bench, 0x80);
    assert_int_equal(in(bench, 5), (uint8_t)(sectors >> 40));
    assert_int_equal(in(bench, 4), (uint8_t)(sectors >> 32));
    out(bench, 2, 0); /* ends the look at the upper halves */
    assert_int_equal(in(bench, 4), (uint8_t)(sectors >> 8));
    free(bench);
}

static void addresses_by_cylinder(void **state)
{
    struct bench *bench = bench_new(20 * 16 * 63, 0);
    uint8_t bytes[DISK_SECTOR];

    (void)state;
    /* Cylinder 2, head 3, sector 4. */
    out(bench, 6, 0xa3);
    out(bench, 2, 1);
    out(bench, 3, 4);
    out(bench, 4, 2);
    out(bench, 5, 0);
    out(bench, 7, 0x20);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, (2 * 16 + 3) * 63 + 3, 1);
    /* Another geometry: 4 heads, 32 sectors. */
    out(bench, 6, 0xa3);
    out(bench, 2, 32);
    out(bench, 7, 0x91);
    expect_status(bench, true, READY);
    out(bench, 2, 1);
    out(bench, 7, 0x20);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, (2 * 4 + 3) * 32 + 3, 1);
    /* Sectors count from 1; and one that fails says where. */
    out(bench, 3, 0);
    out(bench, 7, 0x20);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 1), IDE_IDNF);
    bench->master.fails_at = (5 * 4 + 1) * 32 + 6;
    out(bench, 6, 0xa1);
    out(bench, 2, 2);
    out(bench, 3, 6);
    out(bench, 4, 5);
    out(bench, 7, 0x20);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 3), 7);
    assert_int_equal(in(bench, 4), 5);
    assert_int_equal(in(bench, 6), 0xa1);
    free(bench);
}

static void errors_of_the_disk(void **state)
{
    struct bench *bench = bench_new(64, 0);
    uint8_t bytes[DISK_SECTOR] = {1};

    (void)state;
    bench->master.fails_at = 0x21;
    command28(bench, 0x20, 0x20, 4);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 1), IDE_UNC);
    assert_int_equal(in(bench, 3), 0x21);
    command28(bench, 0x30, 0x21, 1);
    put_data(bench, bytes, sizeof bytes, 2);
    expect_status(bench, true, READY | IDE_ERR | IDE_DF);
    assert_int_equal(in(bench, 3), 0x21);
    command28(bench, 0x40, 0, 64);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 1), IDE_UNC);
    command28(bench, 0xe7, 0, 0);
    expect_status(bench, true, READY);
    assert_int_equal(bench->master.flushes, 1);
    bench->master.flush_fails = true;
    command28(bench, 0xea, 0, 0);
    expect_status(bench, true, READY | IDE_ERR | IDE_DF);
    /* A write beyond the end takes no data. */
    command28(bench, 0x30, 64, 1);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 1), IDE_IDNF);
    free(bench);
}

static void a_read_only_disk_takes_no_data(void **state)
{
    struct bench *bench = bench_new(64, 0);

    (void)state;
    bench->master.read_only = true;
    command28(bench, 0x30, 0, 1);
    expect_status(bench, true, READY | IDE_ERR);
    assert_int_equal(in(bench, 1), IDE_ABRT);
    assert_int_equal(bench->master.writes, 0);
    free(bench);
}

static void without_a_write_cache_each_write_is_flushed(void **state)
{
    struct bench *bench = bench_new(64, 0);
    uint8_t bytes[DISK_SECTOR] = {1}, data[DISK_SECTOR];

    (void)state;
    out(bench, 1, 0x82);
    command28(bench, 0xef, 0, 0);
    expect_status(bench, true, READY);
    assert_int_equal(bench->master.flushes, 1);
    command28(bench, 0xec, 0, 0);
    get_data(bench, data, sizeof data, 2);
    assert_int_equal(word(data, 85) & 0x20, 0);
    command28(bench, 0x30, 0, 1);
    put_data(bench, bytes, sizeof bytes, 2);
    assert_int_equal(bench->master.flushes, 2);
    out(bench, 1, 0x02);
    command28(bench, 0xef, 0, 0);
    command28(bench, 0x30, 0, 1);
    put_data(bench, bytes, sizeof bytes, 2);
    expect_status(bench, true, READY);
    assert_int_equal(bench->master.flushes, 2);
    free(bench);
}

static void other_commands(void **state)
{
    static const struct {
        uint8_t command, features, count, status;
    } cases[] = {
        {0x00, 0, 0, READY | IDE_ERR},       /* NOP */
        {0x08, 0, 0, READY | IDE_ERR},       /* DEVICE RESET: of packet devices only */
        {0xa1, 0, 0, READY | IDE_ERR},       /* IDENTIFY PACKET DEVICE */
        {0xc8, 0, 1, READY | IDE_ERR},       /* READ DMA */
        {0xf8, 0, 0, READY | IDE_ERR},       /* READ NATIVE MAX ADDRESS */
        {0x10, 0, 0, READY},                 /* RECALIBRATE */
        {0x70, 0, 0, READY},                 /* SEEK */
        {0xe0, 0, 0, READY},                 /* STANDBY IMMEDIATE */
        {0xef, 0x03, 0x0c, READY},           /* PIO mode 4 */
        {0xef, 0x03, 0x22, READY | IDE_ERR}, /* a DMA mode */
        {0xef, 0x5a, 0, READY | IDE_ERR},
        {0xef, 0xaa, 0, READY},
        {0x91, 0, 0, READY | IDE_ERR}, /* tracks of no sectors */
    };
    struct bench *bench = bench_new(64, 0);

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        out(bench, 1, cases[i].features);
        command28(bench, cases[i].command, 0, cases[i].count);
        expect_status(bench, true, cases[i].status);
        assert_int_equal(in(bench, 1), cases[i].status & IDE_ERR ? IDE_ABRT : 0);
    }
    command28(bench, 0xe5, 0, 0); /* CHECK POWER MODE */
    expect_status(bench, true, READY);
    assert_int_equal(in(bench, 2), 0xff);
    free(bench);
}

static void expect_signature(struct bench *bench)
{
    assert_int_equal(in(bench, 1), 1);
    assert_int_equal(in(bench, 2), 1);
    assert_int_equal(in(bench, 3), 1);
    assert_int_equal(in(bench, 4), 0);
    assert_int_equal(in(bench, 5), 0);
    assert_int_equal(in(bench, 6), 0);
}

static void resets_leave_a_signature(void **state)
{
    struct bench *bench = bench_new(64, 64);

    (void)state;
    expect_signature(bench);
    assert_int_equal(in(bench, 7), READY);
    /* In the midst of a write to the slave. */
    out(bench, 6, 0xf0);
    out(bench, 2, 1);
    out(bench, 7, 0x30);
    assert_int_equal(alternate_status(bench), READY | IDE_DRQ);
    control(bench, 0x04);
    assert_int_equal(alternate_status(bench), IDE_BSY);
    out(bench, 2, 99);
    out(bench, 7, 0xec);
    assert_int_equal(alternate_status(bench), IDE_BSY);
    control(bench, 0);
    expect_status(bench, false, READY);
    expect_signature(bench);
    assert_int_equal(bench->slave.writes, 0);
    /* Diagnostics do the same, for both, and tell by an interrupt. */
    out(bench, 6, 0xb0);
    out(bench, 7, 0x90);
    expect_status(bench, true, READY);
    expect_signature(bench);
    free(bench);
}

static void two_drives_share_the_registers(void **state)
{
    struct bench *bench = bench_new(64, 32);
    uint8_t bytes[DISK_SECTOR], data[DISK_SECTOR];

    (void)state;
    command28(bench, 0x20, 3, 1);
    assert_true(bench->irq.level);
    out(bench, 6, 0xf0); /* the slave, which wants nothing */
    assert_false(bench->irq.level);
    assert_int_equal(in(bench, 7), READY);
    assert_int_equal(in(bench, 3), 3);
    out(bench, 7, 0xec);
    get_data(bench, data, sizeof data, 2);
    assert_int_equal(word(data, 60), 32);
    out(bench, 7, 0x20);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, 1003, 1);
    out(bench, 6, 0xe0); /* the master still has its sector */
    expect_status(bench, true, READY | IDE_DRQ);
    get_data(bench, bytes, sizeof bytes, 2);
    expect_pattern(bytes, 3, 1);
    free(bench);
}

static void the_master_answers_for_a_missing_slave(void **state)
{
    struct bench *bench = bench_new(64, 0);

    (void)state;
    out(bench, 6, 0xb0);
    assert_int_equal(in(bench, 7), 0);
    assert_int_equal(alternate_status(bench), 0);
    out(bench, 2, 0x55);
    out(bench, 3, 0xaa);
    assert_int_equal(in(bench, 2), 0x55);
    assert_int_equal(in(bench, 3), 0xaa);
    assert_int_equal(in(bench, 6), 0xb0);
    out(bench, 7, 0xec);
    assert_int_equal(in(bench, 7), 0);
    assert_false(bench->irq.level);
    assert_int_equal(port_in(ide_command_read, &bench->channel, 0, 2, 0), 0);
    free(bench);
}

static void interrupts_can_be_held_back(void **state)
{
    struct bench *bench = bench_new(64, 0);

    (void)state;
    control(bench, 0x02);
    command28(bench, 0xe7, 0, 0);
    assert_false(bench->irq.level);
    control(bench, 0);
    assert_true(bench->irq.level);
    out(bench, 7, 0x10); /* a new command takes it away and gives its own */
    assert_int_equal(bench->irq.rises, 1);
    assert_true(bench->irq.level);
    free(bench);
}

/* A channel over disks that keep nothing, so that a copy of it has the same ones. */
static void subject_init(void *device)
{
    struct bench *bench = device;

    memset(bench, 0, sizeof *bench);
    bench->master = (struct disk){.sectors = 40, .fails_at = 33};
    bench->slave = (struct disk){.sectors = UINT64_C(1) << 36, .fails_at = NEVER, .read_only = true};
    ide_channel_init(&bench->channel, &bench->master, &bench->slave, line_record_wire(&bench->irq));
}

static void subject_state(void *device, struct state *state)
{
    struct bench *bench = device;

    ide_channel_state(&bench->channel, state);
}

static uint64_t subject_operate(void *device, struct dice *dice, uint64_t *now)
{
    static const uint8_t commands[] = {0x20, 0x24, 0x29, 0x30, 0x34, 0x40, 0x91, 0xc4, 0xc5, 0xc6, 0xe7, 0xec, 0xef};
    struct bench *bench = device;

    (void)now;
    switch (dice_below(dice, 10)) {
    case 0:
        control(bench, (uint8_t)dice_roll(dice) & (dice_below(dice, 8) ? 0x82 : 0xff));
        return alternate_status(bench);
    case 1:
        out(bench, 7, dice_below(dice, 8) ? commands[dice_below(dice, sizeof commands)] : (uint8_t)dice_roll(dice));
        return in(bench, 1);
    case 2:
        out(bench, 1 + dice_below(dice, 6), (uint8_t)dice_below(dice, dice_below(dice, 4) ? 4 : 256));
        return 0;
    case 3:
        return in(bench, 1 + dice_below(dice, 7));
    case 4:
        return port_in(ide_command_read, &bench->channel, dice_below(dice, 7), 2, 0);
    case 5:
        port_out(ide_command_write, &bench->channel, 4 * dice_below(dice, 2), 4, dice_roll(dice), 0);
        return bench->irq.level;
    default: {
        uint64_t sum = 0;
        unsigned width = 1u << dice_below(dice, 3);
        for (unsigned i = dice_below(dice, 400); i > 0; i--) {
            sum = sum * 31 + port_in(ide_command_read, &bench->channel, 0, width, 0);
            port_out(ide_command_write, &bench->channel, 0, width, sum + i, 0);
        }
        return sum;
    }
    }
}

static const struct subject subject = {
    .size = sizeof(struct bench), .init = subject_init, .state = subject_state, .operate = subject_operate};

static void round_trip(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        check_round_trip(&subject, seed);
}

static void hostile_restore(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++)
        check_hostile_restore(&subject, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identify_tells_the_truth),
        cmocka_unit_test(a_small_disk_has_one_cylinder),
        cmocka_unit_test(read_sectors_interrupts_before_each),
        cmocka_unit_test(write_sectors_interrupts_after_each),
        cmocka_unit_test(multiple_goes_by_blocks),
        cmocka_unit_test(a_count_of_zero_is_many),
        cmocka_unit_test(addresses_of_48_bits),
        cmocka_unit_test(addresses_by_cylinder),
        cmocka_unit_test(errors_of_the_disk),
        cmocka_unit_test(a_read_only_disk_takes_no_data),
        cmocka_unit_test(without_a_write_cache_each_write_is_flushed),
        cmocka_unit_test(other_commands),
        cmocka_unit_test(resets_leave_a_signature),
        cmocka_unit_test(two_drives_share_the_registers),
        cmocka_unit_test(the_master_answers_for_a_missing_slave),
        cmocka_unit_test(interrupts_can_be_held_back),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(hostile_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
