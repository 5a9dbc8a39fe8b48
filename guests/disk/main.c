/*
 * disk: writes to an IDE disk and reads back what it wrote, in random pieces, and reports every error.
 *
 * Each sector that was written holds its own number and how often it was written, and the guest remembers the latter: a
 * sector that reads as anything else is a mismatch. What an error leaves behind is not known, so such sectors are not
 * judged until they are written again. A timer interrupts all this.
 *
 * Options: drive=0|1, rounds=N (each writes once and reads once; 20), region=SECTORS (from the start; 256), seed=N,
 * multiple=N (READ MULTIPLE and WRITE MULTIPLE), wide (48-bit commands), irq (waits for interrupts), hz=RATE (of the
 * timer; 500), fill (writes the whole region once, in order, first), nocache (turns the write cache off).
 * Ends with "disk: ... mismatches", and exits with 0 if there were none; 1 otherwise; 3 without such a disk.
 */
#include "guests/disk/ide.h"
#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"
#include "guests/runtime/text.h"
#include "guests/runtime/timer.h"

#define REGION_MAX   4096u
#define EXIT_NO_DISK 3u
#define UNKNOWN      0xffffu
#define SECTOR_WORDS (IDE_SECTOR / 8)

struct run {
    struct ide ide;
    uint64_t region;
    uint64_t seed;
    uint16_t written[REGION_MAX]; /* how often; 0: never; UNKNOWN: an error came */
    unsigned writes, writes_failed, reads, reads_failed, flushes, flushes_failed, mismatches;
    uint64_t buffer[IDE_COUNT_MAX * SECTOR_WORDS];
};

static struct run run;

static uint64_t roll(void)
{
    run.seed ^= run.seed >> 12;
    run.seed ^= run.seed << 25;
    run.seed ^= run.seed >> 27;
    return run.seed * 0x2545f4914f6cdd1d >> 32;
}

/* Words, not bytes: a monitor may emulate each instruction of a kernel. */
static void make_sector(uint64_t sector, uint16_t times, uint64_t *words)
{
    uint64_t value = (sector * 65536 + times + 1) * 0x9e3779b97f4a7c15;
    for (unsigned i = 0; i < SECTOR_WORDS; i++)
        words[i] = value + i;
}

static bool same_sector(const uint64_t *a, const uint64_t *b)
{
    uint64_t difference = 0;
    for (unsigned i = 0; i < SECTOR_WORDS; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

static void write_piece(uint64_t sector, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint16_t *times = &run.written[sector + i];
        *times = *times >= UNKNOWN - 1 ? 1 : *times + 1;
        make_sector(sector + i, *times, run.buffer + i * SECTOR_WORDS);
    }
    run.writes++;
    if (ide_write(&run.ide, sector, run.buffer, count))
        return;
    run.writes_failed++;
    for (unsigned i = 0; i < count; i++)
        run.written[sector + i] = UNKNOWN;
}

static bool read_piece(uint64_t sector, unsigned count)
{
    static uint64_t expected[SECTOR_WORDS];
    run.reads++;
    if (!ide_read(&run.ide, sector, run.buffer, count)) {
        run.reads_failed++;
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        uint16_t times = run.written[sector + i];
        if (times == 0 || times == UNKNOWN)
            continue;
        make_sector(sector + i, times, expected);
        run.mismatches += !same_sector(expected, run.buffer + i * SECTOR_WORDS);
    }
    return true;
}

static void flush(void)
{
    run.flushes++;
    if (!ide_flush(&run.ide))
        run.flushes_failed++;
}

static uint64_t place(unsigned *count)
{
    *count = (unsigned)(1 + roll() % IDE_COUNT_MAX);
    return roll() % (run.region - *count + 1);
}

static void one_round(void)
{
    unsigned count;
    uint64_t sector = place(&count);
    write_piece(sector, count);
    sector = place(&count);
    read_piece(sector, count);
    if (roll() % 8 == 0)
        flush();
}

/* All that the disk holds, in one number; what cannot be read counts as such. */
static uint32_t checksum(void)
{
    uint64_t sum = 14695981039346656037u;
    for (uint64_t sector = 0; sector < run.region; sector += IDE_COUNT_MAX / 2) {
        bool good = read_piece(sector, IDE_COUNT_MAX / 2);
        for (unsigned i = 0; good && i < IDE_COUNT_MAX / 2 * SECTOR_WORDS; i++)
            sum = (sum ^ run.buffer[i]) * 1099511628211u;
        if (!good)
            sum = ~sum * 1099511628211u;
    }
    return (uint32_t)(sum ^ sum >> 32);
}

static bool start(void)
{
    run.ide = (struct ide){.drive = (unsigned)option_number("drive", 0, 0, 1),
                           .multiple = (unsigned)option_number("multiple", 0, 0, IDE_COUNT_MAX),
                           .wide = option_given("wide"),
                           .sleeps = option_given("irq")};
    run.region = option_number("region", 256, IDE_COUNT_MAX, REGION_MAX) / IDE_COUNT_MAX * IDE_COUNT_MAX;
    run.seed = option_number("seed", 20261126, 1, UINT64_MAX);
    timer_start((unsigned)option_number("hz", 500, TIMER_HZ_MIN, 10000), NULL, NULL);
    interrupts_on();
    if (!ide_start(&run.ide))
        return false;
    console_print("disk: %lu sectors, %s\n", run.ide.sectors, run.ide.model);
    return run.ide.sectors >= run.region;
}

uint32_t guest_main(const struct boot_info *info)
{
    (void)info;
    if (!start()) {
        console_print("disk: no disk of this kind\n");
        return EXIT_NO_DISK;
    }
    if (option_given("nocache") && !ide_set_write_cache(&run.ide, false))
        run.flushes_failed++;
    for (uint64_t sector = 0; option_given("fill") && sector < run.region; sector += IDE_COUNT_MAX / 2)
        write_piece(sector, IDE_COUNT_MAX / 2);
    for (uint64_t rounds = option_number("rounds", 20, 0, 1000000); rounds > 0; rounds--)
        one_round();
    flush();
    uint32_t sum = checksum();
    if (run.writes_failed || run.reads_failed || run.flushes_failed)
        console_print("disk: the last error had status 0x%02x, error 0x%02x\n", run.ide.status, run.ide.error);
    console_print("disk: %u of %u writes, %u of %u reads, %u of %u flushes failed; checksum %08x, %u mismatches\n",
                  run.writes_failed, run.writes, run.reads_failed, run.reads, run.flushes_failed, run.flushes, sum,
                  run.mismatches);
    return run.mismatches ? EXIT_FAILURE : EXIT_SUCCESS;
}
