/* A log that ends where its sink failed, while its writer goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "logs/lenient_sink.h"

struct disk {
    uint64_t room, length, synced;
    bool sync_fails;
    unsigned told;
};

static int disk_write(void *context, const void *bytes, size_t length, struct error *error)
{
    struct disk *disk = context;

    (void)bytes;
    if (length > disk->room - disk->length) {
        disk->length = disk->room; /* a part of it */
        return error_set(error, ERROR_HOST, "no space");
    }
    disk->length += length;
    return 0;
}

static int disk_sync(void *context, struct error *error)
{
    struct disk *disk = context;

    disk->synced = disk->length;
    return disk->sync_fails ? error_set(error, ERROR_HOST, "no sync") : 0;
}

static int disk_truncate(void *context, uint64_t length, struct error *error)
{
    struct disk *disk = context;

    (void)error;
    assert_true(length <= disk->length);
    disk->length = length;
    return 0;
}

static void tell(void *context, const struct error *why)
{
    struct disk *disk = context;

    assert_int_equal(why->kind, ERROR_HOST);
    disk->told++;
}

static struct lenient_sink over(struct disk *disk)
{
    return (struct lenient_sink){
        .inner = {.write = disk_write, .sync = disk_sync, .truncate = disk_truncate, .context = disk},
        .tell = tell,
        .context = disk};
}

static void a_full_disk_ends_the_log_after_its_last_frame(void **unused)
{
    (void)unused;
    struct disk disk = {.room = 250};
    struct lenient_sink lenient = over(&disk);
    struct log_sink sink = lenient_sink(&lenient);
    uint8_t frame[100] = {0};
    struct error error;

    for (unsigned n = 0; n < 5; n++) {
        assert_int_equal(sink.write(sink.context, frame, sizeof frame, &error), 0);
        assert_int_equal(sink.sync(sink.context, &error), 0);
    }
    assert_int_equal(disk.told, 1);
    assert_true(lenient.ended);
    assert_int_equal(disk.length, 200);
    assert_int_equal(disk.synced, 200);
    assert_int_equal(sink.truncate(sink.context, 450, &error), 0); /* as a writer might */
    assert_int_equal(disk.length, 200);
}

static void a_failing_sync_ends_it_too(void **unused)
{
    (void)unused;
    struct disk disk = {.room = 1000, .sync_fails = true};
    struct lenient_sink lenient = over(&disk);
    struct log_sink sink = lenient_sink(&lenient);
    struct error error;

    assert_int_equal(sink.write(sink.context, "frame", 5, &error), 0);
    assert_int_equal(sink.sync(sink.context, &error), 0);
    assert_int_equal(sink.write(sink.context, "frame", 5, &error), 0);
    assert_int_equal(disk.told, 1);
    assert_int_equal(disk.length, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_ends_the_log_after_its_last_frame),
        cmocka_unit_test(a_failing_sync_ends_it_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
