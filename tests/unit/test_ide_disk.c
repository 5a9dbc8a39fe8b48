/*
 * The commands of an IDE disk (vmm/devices/ide_*.c), given by the registers as a driver gives them: data, addresses of
 * every kind, and errors where ATA-6 wants them.
 */
#include "tests/unit/ide_testing.h"

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
    const uint64_t sectors = (UINT64_C(1) << 40) + 0x5403;
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
