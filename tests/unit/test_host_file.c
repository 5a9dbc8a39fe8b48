/* Whole files, entropy and the clocks. */
#include "tests/unit/host_testing.h"

#include <sys/stat.h>
#include <time.h>

#include "vmm/host/clock.h"
#include "vmm/host/entropy.h"
#include "vmm/host/file.h"

static void reads_whole_files(void **state)
{
    static uint8_t content[100000];
    static const size_t lengths[] = {0, 1, 4096, sizeof content};
    char path[PATH_ROOM];
    struct error error;

    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + i / 256);
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t limits[] = {lengths[i], lengths[i] + 1, SIZE_MAX};
        place_write(state, "f", content, lengths[i], path);
        for (unsigned limit = 0; limit < 3; limit++) {
            uint8_t *bytes = NULL;
            size_t length = 12345;
            assert_int_equal(host_file_read(NULL, path, limits[limit], &bytes, &length, &error), 0);
            assert_int_equal(length, lengths[i]);
            assert_non_null(bytes);
            assert_memory_equal(bytes, content, length);
            free(bytes);
        }
    }
    place_remove(state, "f");
}

/* Files of /proc claim to be empty. */
static void reads_files_longer_than_they_claim(void **unused)
{
    (void)unused;
    uint8_t *bytes;
    size_t length, again;
    struct error error;

    assert_int_equal(host_file_read(NULL, "/proc/cpuinfo", 1 << 24, &bytes, &length, &error), 0);
    assert_true(length > 10);
    free(bytes);
    assert_int_equal(host_file_read(NULL, "/proc/version", 4096, &bytes, &length, &error), 0);
    free(bytes);
    assert_int_equal(host_file_read(NULL, "/proc/version", length, &bytes, &again, &error), 0);
    assert_int_equal(length, again);
    free(bytes);
    assert_int_equal(host_file_read(NULL, "/proc/version", length - 1, &bytes, &again, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_non_null(strstr(error.text, "/proc/version: is larger than"));
    assert_int_equal(host_file_read(NULL, "/proc/version", 0, &bytes, &again, &error), -1);
}

static void refuses(const char *path, size_t limit, const char *words)
{
    uint8_t *bytes;
    size_t length;
    struct error error = {0};

    assert_int_equal(host_file_read(NULL, path, limit, &bytes, &length, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_memory_equal(error.text, path, strlen(path));
    if (!strstr(error.text, words))
        fail_msg("%s", error.text);
}

static void refuses_what_is_no_file(void **state)
{
    char path[PATH_ROOM];

    refuses(place_path(state, "missing", path), 10, "No such file");
    refuses("/tmp", 10, "is a directory");
    refuses("/dev/zero", 10, "is not a regular file");
    assert_int_equal(mkfifo(place_path(state, "fifo", path), 0600), 0);
    refuses(path, 10, "is not a regular file");
    place_remove(state, "fifo");
    place_write(state, "f", "0123456789a", 11, path);
    refuses(path, 10, "is larger than 10 bytes");
    refuses(path, 0, "is larger than 0 bytes");
    place_remove(state, "f");
}

/* Two lots of 64 random bytes are equal, or have a stretch of zeros at an end, once in 2^64. */
static void gives_entropy(void **unused)
{
    (void)unused;
    static uint8_t one[5000], two[5000];
    static const uint8_t zeros[8];
    struct error error;

    assert_int_equal(host_entropy(one, sizeof one, &error), 0);
    assert_int_equal(host_entropy(two, sizeof two, &error), 0);
    assert_int_equal(host_entropy(two, 0, &error), 0);
    assert_memory_not_equal(one, two, 64);
    assert_memory_not_equal(one, zeros, sizeof zeros);
    assert_memory_not_equal(one + sizeof one - sizeof zeros, zeros, sizeof zeros);
}

static void clocks_tell_their_time(void **unused)
{
    (void)unused;
    struct timespec before, after;

    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t now = host_clock_now();
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(now >= (uint64_t)before.tv_sec * 1000000000 + (uint64_t)before.tv_nsec);
    assert_true(now <= (uint64_t)after.tv_sec * 1000000000 + (uint64_t)after.tv_nsec);
    assert_true(host_clock_wall() > 1700000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whole_files),       cmocka_unit_test(reads_files_longer_than_they_claim),
        cmocka_unit_test(refuses_what_is_no_file), cmocka_unit_test(gives_entropy),
        cmocka_unit_test(clocks_tell_their_time),
    };

    return cmocka_run_group_tests(tests, place_setup, place_teardown);
}
