/*
 * A disk's contents (vmm/disk.c) over a host in memory that fails when told to: against a plain array, replayed on a
 * host that does not fail, and carried over by checkpoints.
 */
#include "tests/unit/device_testing.h"

#include "vmm/disk_contents.h"

#define SECTORS 77 /* nine clusters, and a short one */
#define SIZE    (SECTORS * DISK_SECTOR)

/* A host: its files, and what it does with the transfers of a run. */
struct host {
    uint8_t image[SIZE];
    uint8_t overlay[SIZE];
    unsigned transfers;
    unsigned fail_at;       /* the transfer of this number fails; UINT_MAX: none */
    unsigned fail_one_in;   /* ... and one in so many by the dice; 0: none */
    unsigned failed[20000]; /* which ones failed */
    unsigned failures;
    const struct host *recorded; /* fails when and only when that one did */
    struct dice dice;
    unsigned flushes;
};

static bool shall_fail(struct host *host)
{
    unsigned number = host->transfers++;

    if (host->recorded) {
        for (unsigned i = 0; i < host->recorded->failures; i++) {
            if (host->recorded->failed[i] == number)
                return true;
        }
        return false;
    }
    return number == host->fail_at || (host->fail_one_in && dice_below(&host->dice, host->fail_one_in) == 0);
}

static int host_transfer(void *context, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length,
                         struct error *error)
{
    struct host *host = context;

    (void)error;
    assert_true(offset <= SIZE && length <= SIZE - offset);
    switch (kind) {
    case DISK_READ_IMAGE:
        memcpy(bytes, host->image + offset, length);
        break;
    case DISK_READ_OVERLAY:
        memcpy(bytes, host->overlay + offset, length);
        break;
    case DISK_WRITE_OVERLAY:
        memcpy(host->overlay + offset, bytes, length);
        break;
    case DISK_FLUSH:
        host->flushes++;
        break;
    }
    return 0;
}

/* The door. A failure does some damage first, if it is this host's own. */
static bool door_disk(void *context, unsigned disk, enum disk_transfer kind, uint64_t offset, void *bytes,
                      size_t length)
{
    struct host *host = context;
    struct error error;

    assert_int_equal(disk, 2);
    if (!shall_fail(host))
        return host_transfer(host, kind, offset, bytes, length, &error) == 0;
    if (!host->recorded && kind == DISK_WRITE_OVERLAY)
        memset(host->overlay + offset, 0xdd, length / 2);
    if (kind == DISK_READ_IMAGE || kind == DISK_READ_OVERLAY)
        memset(bytes, host->recorded ? 0x11 : 0x22, length / 2);
    if (host->failures < sizeof host->failed / sizeof host->failed[0])
        host->failed[host->failures++] = host->transfers - 1;
    return false;
}

struct bench {
    struct host host;
    struct door door;
    struct disk disk;
};

static struct bench *bench_new(uint64_t seed, const struct disk_config *wanted)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct disk_config config = wanted ? *wanted : (struct disk_config){0};
    struct error error;

    assert_non_null(bench);
    bench->host.fail_at = UINT32_MAX;
    bench->host.dice.seed = seed;
    for (unsigned i = 0; i < SIZE; i++)
        bench->host.image[i] = (uint8_t)(i * 7 + i / 512);
    memset(bench->host.overlay, 0xee, SIZE);
    config.size = SIZE;
    config.backing = (struct disk_backing){.context = &bench->host, .transfer = host_transfer};
    bench->door = (struct door){.context = &bench->host, .disk = door_disk};
    assert_int_equal(disk_create(&bench->disk, 2, &config, &bench->door, &error), 0);
    return bench;
}

static void bench_free(struct bench *bench)
{
    disk_destroy(&bench->disk);
    free(bench);
}

static void a_new_disk_is_its_image(void **state)
{
    struct bench *bench = bench_new(1, NULL);
    uint8_t bytes[SIZE];

    (void)state;
    assert_int_equal(disk_sectors(&bench->disk), SECTORS);
    assert_false(disk_is_read_only(&bench->disk));
    assert_true(disk_read(&bench->disk, 0, bytes, SECTORS));
    assert_memory_equal(bytes, bench->host.image, SIZE);
    assert_int_equal(bench->host.transfers, 1);
    assert_true(disk_read(&bench->disk, SECTORS, bytes, 0));
    assert_false(disk_read(&bench->disk, SECTORS, bytes, 1));
    assert_false(disk_read(&bench->disk, SECTORS - 1, bytes, 2));
    assert_false(disk_read(&bench->disk, UINT64_MAX, bytes, 2));
    assert_int_equal(bytes[0], 0);
    assert_false(disk_write(&bench->disk, SECTORS, bytes, 1));
    assert_int_equal(bench->disk.written, 0);
    bench_free(bench);
}

/* The same as a plain array, whatever the pieces are. */
static void random_writes_against_an_array(void **state)
{
    struct bench *bench = bench_new(1, NULL);
    struct dice dice = {.seed = 5};
    uint8_t model[SIZE], bytes[SIZE];

    (void)state;
    memcpy(model, bench->host.image, SIZE);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t sector = dice_below(&dice, SECTORS);
        uint32_t count = dice_below(&dice, dice_below(&dice, 4) ? 4 : SECTORS + 1 - sector);
        if (count > SECTORS - sector)
            count = SECTORS - sector;
        size_t offset = sector * DISK_SECTOR, length = count * DISK_SECTOR;
        if (dice_below(&dice, 3) == 0) {
            for (size_t j = 0; j < length; j++)
                bytes[j] = (uint8_t)dice_roll(&dice);
            assert_true(disk_write(&bench->disk, sector, bytes, count));
            memcpy(model + offset, bytes, length);
        } else {
            assert_true(disk_read(&bench->disk, sector, bytes, count));
            assert_memory_equal(bytes, model + offset, length);
        }
    }
    bench_free(bench);
}

/* What a disk is worth: its digest, and every answer that it gave. */
static struct digest random_life(struct bench *bench, uint64_t seed, unsigned operations, struct digest *answers)
{
    struct dice dice = {.seed = seed};
    uint8_t bytes[SIZE];

    *answers = (struct digest){0};
    for (unsigned i = 0; i < operations; i++) {
        uint32_t sector = dice_below(&dice, SECTORS);
        uint32_t count = 1 + dice_below(&dice, dice_below(&dice, 4) ? 3 : 40);
        size_t length = count * DISK_SECTOR;
        bool good;
        switch (dice_below(&dice, 5)) {
        case 0:
            good = disk_flush(&bench->disk);
            length = 0;
            break;
        case 1:
        case 2:
            memset(bytes, (int)dice_roll(&dice), length);
            good = disk_write(&bench->disk, sector, bytes, count);
            break;
        default:
            good = disk_read(&bench->disk, sector, bytes, count);
            break;
        }
        *answers = digest_add(*answers, digest_of(bytes, length, i * 2 + good));
    }
    return bench->disk.sum;
}

/* A host that fails often, and one that is told which transfers failed, give the same disk and the same answers. */
static void failures_replay(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const struct disk_config config = {.in_place = seed % 3 == 0, .quota = seed % 5 ? 0 : 4 * DISK_CLUSTER};
        struct bench *one = bench_new(seed, &config), *two = bench_new(seed, &config);
        struct digest answers, again;
        one->host.fail_one_in = 2 + seed % 7;
        struct digest sum = random_life(one, seed, 300, &answers);
        assert_true(one->host.failures > 0);
        two->host.recorded = &one->host;
        assert_true(digest_equal(random_life(two, seed, 300, &again), sum));
        assert_true(digest_equal(again, answers));
        assert_int_equal(two->host.failures, one->host.failures);
        assert_int_equal(two->disk.written, one->disk.written);
        bench_free(one);
        bench_free(two);
    }
}

/* After each of the transfers of one life has failed once, the disk is as it says. */
static void every_transfer_fails_once(void **state)
{
    (void)state;
    for (unsigned at = 0;; at++) {
        struct bench *one = bench_new(1, NULL), *two = bench_new(1, NULL);
        struct digest answers, again;
        one->host.fail_at = at;
        two->host.recorded = &one->host;
        random_life(one, 9, 80, &answers);
        random_life(two, 9, 80, &again);
        assert_true(digest_equal(answers, again));
        assert_true(digest_equal(one->disk.sum, two->disk.sum));
        bool over = one->host.failures == 0;
        bench_free(one);
        bench_free(two);
        if (over) {
            assert_true(at > 80);
            break;
        }
    }
}

static void a_lost_cluster_is_read_again_when_written_whole(void **state)
{
    struct bench *bench = bench_new(1, NULL);
    uint8_t bytes[DISK_CLUSTER] = {1};

    (void)state;
    /* Never written: it stays as it was. */
    bench->host.fail_at = 0;
    assert_false(disk_write(&bench->disk, 8, bytes, 8));
    assert_int_equal(disk_cluster(&bench->disk, 1), DISK_CLUSTER_IMAGE);
    assert_true(disk_read(&bench->disk, 8, bytes, 8));
    assert_memory_equal(bytes, bench->host.image + DISK_CLUSTER, DISK_CLUSTER);
    /* Written before. */
    assert_true(disk_write(&bench->disk, 8, bytes, 8));
    bench->host.fail_at = bench->host.transfers;
    assert_false(disk_write(&bench->disk, 8, bytes, 8));
    assert_int_equal(disk_cluster(&bench->disk, 1), DISK_CLUSTER_LOST);
    unsigned asked = bench->host.transfers;
    assert_false(disk_read(&bench->disk, 8, bytes, 1));
    assert_false(disk_write(&bench->disk, 9, bytes, 1));
    assert_int_equal(bench->host.transfers, asked);
    assert_true(disk_read(&bench->disk, 0, bytes, 8));
    assert_true(disk_write(&bench->disk, 8, bytes, 8));
    assert_true(disk_read(&bench->disk, 8, bytes, 8));
    bench_free(bench);
}

static void in_place_a_failure_costs_the_image_too(void **state)
{
    const struct disk_config config = {.in_place = true};
    struct bench *bench = bench_new(1, &config);
    uint8_t bytes[DISK_CLUSTER] = {1};

    (void)state;
    bench->host.fail_at = 0;
    assert_false(disk_write(&bench->disk, 8, bytes, 8));
    assert_int_equal(disk_cluster(&bench->disk, 1), DISK_CLUSTER_LOST);
    assert_int_equal(bench->disk.written, 1);
    bench_free(bench);
}

static void the_quota_counts_clusters(void **state)
{
    const struct disk_config config = {.quota = 2 * DISK_CLUSTER + 100};
    struct bench *bench = bench_new(1, &config);
    uint8_t bytes[3 * DISK_CLUSTER] = {1};

    (void)state;
    assert_false(disk_write(&bench->disk, 0, bytes, 24));
    assert_int_equal(bench->host.transfers, 0);
    assert_false(disk_write(&bench->disk, 7, bytes, 10));
    assert_int_equal(bench->disk.written, 0);
    assert_true(disk_write(&bench->disk, 7, bytes, 2));
    assert_int_equal(bench->disk.written, 2);
    assert_false(disk_write(&bench->disk, 16, bytes, 1));
    assert_true(disk_write(&bench->disk, 0, bytes, 16));
    assert_int_equal(bench->disk.written, 2);
    bench_free(bench);
}

static void read_only_is_never_written(void **state)
{
    const struct disk_config config = {.read_only = true};
    struct bench *bench = bench_new(1, &config);
    uint8_t bytes[DISK_SECTOR] = {1};

    (void)state;
    assert_true(disk_is_read_only(&bench->disk));
    assert_false(disk_write(&bench->disk, 0, bytes, 1));
    assert_true(disk_flush(&bench->disk));
    assert_int_equal(bench->host.transfers, 0);
    assert_true(disk_read(&bench->disk, 0, bytes, 1));
    bench_free(bench);
}

/* The digest forgets what was overwritten, and the order. */
static void the_digest_is_of_what_is_there(void **state)
{
    struct bench *one = bench_new(1, NULL), *two = bench_new(2, NULL);
    uint8_t a[DISK_CLUSTER] = {1}, b[DISK_CLUSTER] = {2};

    (void)state;
    assert_true(disk_write(&one->disk, 0, a, 8) && disk_write(&one->disk, 16, b, 8));
    assert_true(disk_write(&two->disk, 16, a, 8) && disk_write(&two->disk, 16, b, 8));
    assert_false(digest_equal(one->disk.sum, two->disk.sum));
    assert_true(disk_write(&two->disk, 0, a, 8));
    assert_true(digest_equal(one->disk.sum, two->disk.sum));
    assert_true(disk_write(&two->disk, 0, b, 8));
    assert_false(digest_equal(one->disk.sum, two->disk.sum));
    bench_free(one);
    bench_free(two);
}

static int restore_state(struct disk *disk, const struct bytes_writer *saved)
{
    struct state state = state_restore(saved->data, saved->length);
    struct error error;

    disk_state(disk, &state);
    return state_end(&state, &error);
}

/* Clusters and state, carried to a fresh disk; then both live on alike. */
static void checkpoints_carry_it_over(void **state)
{
    struct bench *one = bench_new(3, NULL), *two = bench_new(4, NULL);
    struct bytes_writer saved = bytes_writer(1000);
    struct state save = state_save(&saved);
    struct digest answers, again;
    uint8_t bytes[DISK_CLUSTER];
    struct error error;
    unsigned lost = 0;

    (void)state;
    one->host.fail_one_in = 3;
    random_life(one, 11, 200, &answers);
    disk_state(&one->disk, &save);
    assert_int_equal(state_end(&save, &error), 0);
    for (uint64_t cluster = 0; cluster < one->disk.clusters; cluster++) {
        enum disk_cluster kind = disk_cluster(&one->disk, cluster);
        if (kind == DISK_CLUSTER_IMAGE)
            continue;
        assert_true(one->disk.changed[0] >> cluster & 1);
        assert_int_equal(restore_state(&two->disk, &saved), -1);
        lost += kind == DISK_CLUSTER_LOST;
        if (kind == DISK_CLUSTER_BYTES)
            assert_int_equal(disk_save_cluster(&one->disk, cluster, bytes, &error), 0);
        assert_int_equal(disk_load_cluster(&two->disk, cluster, kind == DISK_CLUSTER_BYTES ? bytes : NULL, &error), 0);
    }
    assert_true(lost > 0);
    assert_int_equal(restore_state(&two->disk, &saved), 0);
    one->host.fail_one_in = 0;
    random_life(one, 12, 200, &answers);
    random_life(two, 12, 200, &again);
    assert_true(digest_equal(answers, again));
    bytes_writer_free(&saved);
    bench_free(one);
    bench_free(two);
}

static void an_overlay_that_somebody_changed_is_noticed(void **state)
{
    struct bench *bench = bench_new(1, NULL);
    uint8_t bytes[DISK_CLUSTER] = {1};
    struct error error;

    (void)state;
    assert_true(disk_write(&bench->disk, 8, bytes, 8));
    bench->host.overlay[DISK_CLUSTER + 5] ^= 1;
    assert_int_equal(disk_save_cluster(&bench->disk, 1, bytes, &error), -1);
    assert_int_equal(error.kind, ERROR_HOST);
    bench_free(bench);
}

static void hostile_clusters_are_refused(void **state)
{
    const struct disk_config small = {.quota = DISK_CLUSTER}, read_only = {.read_only = true};
    struct bench *one = bench_new(1, &small), *two = bench_new(1, &read_only);
    uint8_t bytes[DISK_CLUSTER] = {1};
    struct error error;

    (void)state;
    assert_int_equal(disk_load_cluster(&one->disk, 3, bytes, &error), 0);
    assert_int_equal(disk_load_cluster(&one->disk, 3, bytes, &error), 0);
    assert_int_equal(disk_load_cluster(&one->disk, 4, bytes, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_int_equal(disk_load_cluster(&two->disk, 4, bytes, &error), -1);
    bench_free(one);
    bench_free(two);
}

static void flushes_reach_the_host(void **state)
{
    struct bench *bench = bench_new(1, NULL);

    (void)state;
    assert_true(disk_flush(&bench->disk));
    assert_int_equal(bench->host.flushes, 1);
    bench->host.fail_at = bench->host.transfers;
    assert_false(disk_flush(&bench->disk));
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_disk_is_its_image),
        cmocka_unit_test(random_writes_against_an_array),
        cmocka_unit_test(failures_replay),
        cmocka_unit_test(every_transfer_fails_once),
        cmocka_unit_test(a_lost_cluster_is_read_again_when_written_whole),
        cmocka_unit_test(in_place_a_failure_costs_the_image_too),
        cmocka_unit_test(the_quota_counts_clusters),
        cmocka_unit_test(read_only_is_never_written),
        cmocka_unit_test(the_digest_is_of_what_is_there),
        cmocka_unit_test(checkpoints_carry_it_over),
        cmocka_unit_test(an_overlay_that_somebody_changed_is_noticed),
        cmocka_unit_test(hostile_clusters_are_refused),
        cmocka_unit_test(flushes_reach_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
