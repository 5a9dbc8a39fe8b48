/*
 * The files behind a disk (vmm/host/disk_file.c): images that are images, overlays that come into being whole or not at
 * all, bytes where they belong.
 */
#include "tests/unit/host_testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "vmm/host/disk_file.h"

static void write_file(const char *path, const void *bytes, size_t length)
{
    FILE *stream = fopen(path, "w");

    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, length, stream), length);
    assert_int_equal(fclose(stream), 0);
}

static void expect_no_image(const char *path, const char *words)
{
    struct error error;

    assert_null(disk_file_open(NULL, path, false, &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    if (!strstr(error.text, words))
        fail_msg("'%s' does not say '%s'", error.text, words);
}

static void what_is_no_image(void **state)
{
    (void)state;
    expect_no_image("missing", "No such file");
    write_file("empty", "", 0);
    expect_no_image("empty", "is empty");
    assert_int_equal(mkdir("directory", 0700), 0);
    expect_no_image("directory", "not a regular file");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    expect_no_image("fifo", "not a regular file");
}

static void an_image_is_read_and_known(void **state)
{
    uint8_t bytes[3000], got[4096];
    struct error error;

    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    write_file("image", bytes, sizeof bytes);
    struct disk_file *file = disk_file_open(NULL, "./image", false, &error);
    assert_non_null(file);
    assert_int_equal(disk_file_path(file)[0], '/');
    assert_int_equal(disk_file_size(file), sizeof bytes);
    /* Beyond its end is nothing but zeros. */
    assert_int_equal(disk_file_read_image(file, 2000, got, 2000, &error), 0);
    assert_memory_equal(got, bytes + 2000, 1000);
    for (unsigned i = 1000; i < 2000; i++)
        assert_int_equal(got[i], 0);
    assert_true(disk_file_unchanged(file));
    write_file("image", bytes, sizeof bytes - 1);
    assert_false(disk_file_unchanged(file));
    disk_file_close(file);
}

/* What a walk brought: all bytes, and how many of them came as holes. */
struct walked {
    uint8_t *bytes;
    size_t length;
    uint64_t holes;
};

static int take(void *context, const uint8_t *bytes, uint64_t length, struct error *error)
{
    struct walked *walked = context;

    (void)error;
    if (bytes)
        memcpy(walked->bytes + walked->length, bytes, length);
    else
        walked->holes += length;
    walked->length += length;
    return 0;
}

/* More than a piece of data, a hole, a little data, and a hole at the end. */
static void a_walk_brings_all_and_reads_no_holes(void **state)
{
    const size_t data = (3u << 20) + 12345, second = 8u << 20, length = 16u << 20;
    uint8_t *bytes = calloc(1, length);
    struct walked walked = {.bytes = calloc(1, length)};
    struct error error;

    (void)state;
    assert_non_null(bytes);
    assert_non_null(walked.bytes);
    for (size_t i = 0; i < data; i++)
        bytes[i] = (uint8_t)(i * i >> 7 | 1);
    memset(bytes + second, 'x', 100);
    write_file("image", bytes, data);
    int fd = open("image", O_WRONLY);
    assert_int_equal(pwrite(fd, bytes + second, 100, (off_t)second), 100);
    assert_int_equal(ftruncate(fd, (off_t)length), 0);
    close(fd);
    struct disk_file *file = disk_file_open(NULL, "image", false, &error);
    assert_non_null(file);
    assert_int_equal(disk_file_walk(file, take, &walked, &error), 0);
    assert_int_equal(walked.length, length);
    assert_memory_equal(walked.bytes, bytes, length);
    /* Where the file system knows no holes there are none. */
    bool hole;
    disk_file_extent(file, length - 1, &hole);
    if (hole)
        assert_true(walked.holes > (10u << 20));
    disk_file_close(file);
    free(walked.bytes);
    free(bytes);
}

static int read_elsewhere(void *context, uint64_t offset, void *bytes, size_t length, struct error *error)
{
    (void)error;
    memset(bytes, (int)offset, length);
    ++*(int *)context;
    return 0;
}

static uint64_t extent_elsewhere(void *context, uint64_t offset, bool *hole)
{
    (void)context;
    *hole = offset < 50;
    return *hole ? 50 - offset : 100 - offset;
}

static void close_elsewhere(void *context)
{
    *(int *)context = -1;
}

static void an_image_that_is_no_file(void **state)
{
    int reads = 0;
    struct walked walked = {.bytes = calloc(1, 100)};
    struct error error;
    uint8_t got[8];

    (void)state;
    assert_non_null(walked.bytes);
    struct disk_file *file = disk_file_of_image(&(struct disk_image){.context = &reads,
                                                                     .size = 100,
                                                                     .name = "elsewhere",
                                                                     .read = read_elsewhere,
                                                                     .extent = extent_elsewhere,
                                                                     .close = close_elsewhere},
                                                &error);
    assert_non_null(file);
    assert_int_equal(disk_file_size(file), 100);
    assert_string_equal(disk_file_path(file), "elsewhere");
    assert_true(disk_file_wants_overlay(file));
    assert_true(disk_file_unchanged(file));
    assert_int_equal(disk_file_read_image(file, 7, got, 8, &error), 0);
    assert_memory_equal(got, "\7\7\7\7\7\7\7\7", 8);
    assert_int_equal(disk_file_walk(file, take, &walked, &error), 0);
    assert_int_equal(walked.holes, 50);
    assert_int_equal(walked.bytes[99], 50);
    assert_int_equal(reads, 2);
    assert_int_equal(disk_file_overlay(file, "overlay-elsewhere", false, &error), 0);
    assert_int_equal(disk_file_write(file, 4, "WXYZ", 4, &error), 0);
    assert_int_equal(disk_file_read(file, 4, got, 4, &error), 0);
    assert_memory_equal(got, "WXYZ", 4);
    disk_file_close(file);
    assert_int_equal(reads, -1);
    free(walked.bytes);
}

static struct disk_file *open_image(bool in_place)
{
    struct error error;

    write_file("image", "0123456789abcdef", 16);
    struct disk_file *file = disk_file_open(NULL, "image", in_place, &error);
    if (!file)
        fail_msg("%s", error.text);
    return file;
}

static void an_overlay_has_its_name_only_when_published(void **state)
{
    struct error error;
    char got[8] = "";

    (void)state;
    struct disk_file *file = open_image(false);
    assert_true(disk_file_wants_overlay(file));
    assert_int_equal(disk_file_overlay(file, "overlay", false, &error), 0);
    assert_int_equal(access("overlay", F_OK), -1);
    assert_int_equal(disk_file_write(file, 4, "WXYZ", 4, &error), 0);
    assert_int_equal(disk_file_publish(file, &error), 0);
    assert_int_equal(disk_file_flush(file, &error), 0);
    assert_int_equal(disk_file_read(file, 2, got, 8, &error), 0);
    assert_memory_equal(got, "\0\0WXYZ\0\0", 8);
    assert_int_equal(disk_file_read_image(file, 4, got, 4, &error), 0);
    assert_memory_equal(got, "4567", 4);
    disk_file_close(file);
    assert_int_equal(access("overlay", F_OK), 0);
    /* Another does not take its place, unless it may. */
    file = open_image(false);
    assert_int_equal(disk_file_overlay(file, "overlay", false, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    disk_file_close(file);
    file = open_image(false);
    assert_int_equal(disk_file_overlay(file, "new", false, &error), 0);
    write_file("new", "x", 1);
    assert_int_equal(disk_file_publish(file, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    disk_file_close(file);
    file = open_image(false);
    assert_int_equal(disk_file_overlay(file, "overlay", true, &error), 0);
    assert_int_equal(disk_file_publish(file, &error), 0);
    disk_file_close(file);
}

static unsigned count_files(void)
{
    FILE *list = popen("ls -A | wc -l", "r");
    unsigned count = 0;

    assert_non_null(list);
    assert_int_equal(fscanf(list, "%u", &count), 1);
    pclose(list);
    return count;
}

static void what_was_not_published_leaves_nothing(void **state)
{
    struct error error;

    (void)state;
    struct disk_file *file = open_image(false);
    unsigned before = count_files();
    assert_int_equal(disk_file_overlay(file, "never", false, &error), 0);
    assert_true(count_files() <= before + 1); /* without a name, where the file system can do that */
    disk_file_close(file);
    assert_int_equal(count_files(), before);
    const char *const directories[] = {"nowhere", ".", NULL};
    file = open_image(false);
    assert_int_equal(disk_file_temporary(file, directories, &error), 0);
    assert_int_equal(disk_file_write(file, 0, "x", 1, &error), 0);
    assert_int_equal(count_files(), before);
    disk_file_close(file);
    const char *const none[] = {"nowhere", NULL};
    file = open_image(false);
    assert_int_equal(disk_file_temporary(file, none, &error), -1);
    disk_file_close(file);
}

static void in_place_the_image_is_written_by_one_alone(void **state)
{
    struct error error;
    char got[4];

    (void)state;
    struct disk_file *file = open_image(true);
    assert_false(disk_file_wants_overlay(file));
    assert_int_equal(disk_file_write(file, 4, "WXYZ", 4, &error), 0);
    assert_int_equal(disk_file_read_image(file, 4, got, 4, &error), 0);
    assert_memory_equal(got, "WXYZ", 4);
    assert_int_equal(disk_file_flush(file, &error), 0);
    assert_null(disk_file_open(NULL, "image", false, &error));
    assert_null(disk_file_open(NULL, "image", true, &error));
    disk_file_close(file);
    file = disk_file_open(NULL, "image", false, &error);
    struct disk_file *other = disk_file_open(NULL, "image", false, &error);
    assert_non_null(file);
    assert_non_null(other);
    assert_null(disk_file_open(NULL, "image", true, &error));
    disk_file_close(file);
    disk_file_close(other);
}

static void a_full_host_is_an_error(void **state)
{
    struct rlimit limit, small;
    struct error error;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    struct disk_file *file = open_image(false);
    assert_int_equal(disk_file_overlay(file, "limited", false, &error), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int written = disk_file_write(file, 6, "12345678", 8, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(written, -1);
    assert_int_equal(error.kind, ERROR_HOST);
    assert_non_null(strstr(error.text, "limited: File too large"));
    disk_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_no_image, enter, leave),
        cmocka_unit_test_setup_teardown(an_image_is_read_and_known, enter, leave),
        cmocka_unit_test_setup_teardown(a_walk_brings_all_and_reads_no_holes, enter, leave),
        cmocka_unit_test_setup_teardown(an_image_that_is_no_file, enter, leave),
        cmocka_unit_test_setup_teardown(an_overlay_has_its_name_only_when_published, enter, leave),
        cmocka_unit_test_setup_teardown(what_was_not_published_leaves_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(in_place_the_image_is_written_by_one_alone, enter, leave),
        cmocka_unit_test_setup_teardown(a_full_host_is_an_error, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
