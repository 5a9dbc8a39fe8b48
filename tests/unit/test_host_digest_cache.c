/* The cache of digests (vmm/host/digest_cache.h): what it takes, what it believes, and what it passes over. */
#include "tests/unit/host_testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "vmm/host/digest_cache.h"

static struct stat a_file(unsigned inode)
{
    struct stat file = {.st_dev = 7, .st_ino = inode, .st_size = 1000};

    file.st_mtim = (struct timespec){.tv_sec = 5000, .tv_nsec = 11};
    file.st_ctim = (struct timespec){.tv_sec = 6000, .tv_nsec = 12};
    return file;
}

static struct digest a_digest(uint64_t number)
{
    return (struct digest){.low = number, .high = ~number};
}

static bool knows(const struct stat *file, enum digest_kind kind, uint64_t number)
{
    struct digest digest;

    return digest_cache_find("cache/encore", file, kind, &digest) && digest_equal(digest, a_digest(number));
}

static void what_is_put_is_found(void **state)
{
    struct stat one = a_file(1), two = a_file(2);

    (void)state;
    assert_false(knows(&one, DIGEST_SPARSE, 1));
    digest_cache_put("cache/encore", &one, DIGEST_SPARSE, a_digest(1));
    digest_cache_put("cache/encore", &two, DIGEST_SPARSE, a_digest(2));
    digest_cache_put("cache/encore", &two, DIGEST_WHOLE, a_digest(3));
    assert_true(knows(&one, DIGEST_SPARSE, 1));
    assert_true(knows(&two, DIGEST_SPARSE, 2));
    assert_true(knows(&two, DIGEST_WHOLE, 3));
    assert_false(knows(&one, DIGEST_WHOLE, 1));
    struct stat status;
    assert_int_equal(stat("cache/encore/digests", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat("cache/encore", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void any_change_counts(void **state)
{
    struct stat file = a_file(1), other;

    (void)state;
    digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(1));
    other = file, other.st_dev++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    other = file, other.st_ino++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    other = file, other.st_size++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    other = file, other.st_mtim.tv_sec++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    other = file, other.st_mtim.tv_nsec++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    other = file, other.st_ctim.tv_sec++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    other = file, other.st_ctim.tv_nsec++;
    assert_false(knows(&other, DIGEST_SPARSE, 1));
    /* The newer one takes the older one's place. */
    digest_cache_put("cache/encore", &other, DIGEST_SPARSE, a_digest(2));
    assert_true(knows(&other, DIGEST_SPARSE, 2));
    assert_false(knows(&file, DIGEST_SPARSE, 1));
}

static void only_what_has_settled_is_safe(void **state)
{
    struct stat file = a_file(1), after;

    (void)state;
    assert_true(digest_cache_is_safe(&file, &file, 6000 + DIGEST_CACHE_SETTLED + 1));
    assert_false(digest_cache_is_safe(&file, &file, 6000 + DIGEST_CACHE_SETTLED));
    assert_false(digest_cache_is_safe(&file, &file, 6000));
    assert_false(digest_cache_is_safe(&file, &file, 100)); /* a file from the future */
    file.st_mtim.tv_sec = 9000;
    assert_false(digest_cache_is_safe(&file, &file, 9000));
    file = a_file(1);
    after = file, after.st_mtim.tv_nsec++;
    assert_false(digest_cache_is_safe(&file, &after, 10000));
    after = file, after.st_size++;
    assert_false(digest_cache_is_safe(&file, &after, 10000));
}

static void it_is_bounded(void **state)
{
    struct stat file, status;

    (void)state;
    for (unsigned i = 0; i < DIGEST_CACHE_ENTRIES + 10; i++) {
        file = a_file(i);
        digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(i));
    }
    assert_int_equal(stat("cache/encore/digests", &status), 0);
    assert_true(status.st_size <= 16 + DIGEST_CACHE_ENTRIES * 80);
    assert_true(knows(&file, DIGEST_SPARSE, DIGEST_CACHE_ENTRIES + 9));
    file = a_file(10);
    assert_true(knows(&file, DIGEST_SPARSE, 10));
    file = a_file(9);
    assert_false(knows(&file, DIGEST_SPARSE, 9));
}

static void damage_is_passed_over(void **state)
{
    struct stat file = a_file(1);
    uint8_t bytes[200], changed[200];

    (void)state;
    digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(1));
    int fd = open("cache/encore/digests", O_RDWR);
    const ssize_t length = 96;
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), length);
    for (ssize_t at = 0; at < length; at++) {
        memcpy(changed, bytes, sizeof changed);
        changed[at] ^= 4;
        assert_int_equal(pwrite(fd, changed, (size_t)length, 0), length);
        assert_false(knows(&file, DIGEST_SPARSE, 1));
    }
    assert_int_equal(pwrite(fd, bytes, (size_t)length, 0), length);
    assert_true(knows(&file, DIGEST_SPARSE, 1));
    for (ssize_t cut = length - 1; cut >= 0; cut--) {
        assert_int_equal(ftruncate(fd, cut), 0);
        assert_false(knows(&file, DIGEST_SPARSE, 1));
    }
    close(fd);
    /* And it is made anew. */
    digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(5));
    assert_true(knows(&file, DIGEST_SPARSE, 5));
}

static void what_others_may_write_is_passed_over(void **state)
{
    struct stat file = a_file(1);

    (void)state;
    digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(1));
    assert_int_equal(chmod("cache/encore/digests", 0660), 0);
    assert_false(knows(&file, DIGEST_SPARSE, 1));
    assert_int_equal(chmod("cache/encore/digests", 0600), 0);
    assert_true(knows(&file, DIGEST_SPARSE, 1));
    /* A link, a FIFO: neither read nor written over. */
    assert_int_equal(rename("cache/encore/digests", "elsewhere"), 0);
    assert_int_equal(symlink("../../elsewhere", "cache/encore/digests"), 0);
    assert_false(knows(&file, DIGEST_SPARSE, 1));
    digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(2));
    struct stat status;
    assert_int_equal(lstat("cache/encore/digests", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(unlink("cache/encore/digests"), 0);
    assert_int_equal(mkfifo("cache/encore/digests", 0600), 0);
    assert_false(knows(&file, DIGEST_SPARSE, 1));
    digest_cache_put("cache/encore", &file, DIGEST_SPARSE, a_digest(2));
    assert_int_equal(lstat("cache/encore/digests", &status), 0);
    assert_true(S_ISFIFO(status.st_mode));
    /* No place at all. */
    digest_cache_put("/dev/null/encore", &file, DIGEST_SPARSE, a_digest(2));
    struct digest digest;
    assert_false(digest_cache_find("/dev/null/encore", &file, DIGEST_SPARSE, &digest));
}

static void where_it_is(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", "/x", 1);
    char *path = digest_cache_directory();
    assert_string_equal(path, "/x/encore");
    free(path);
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", "/home/me", 1);
    path = digest_cache_directory();
    assert_string_equal(path, "/home/me/.cache/encore");
    free(path);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_null(digest_cache_directory());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_found, enter, leave),
        cmocka_unit_test_setup_teardown(any_change_counts, enter, leave),
        cmocka_unit_test_setup_teardown(only_what_has_settled_is_safe, enter, leave),
        cmocka_unit_test_setup_teardown(it_is_bounded, enter, leave),
        cmocka_unit_test_setup_teardown(damage_is_passed_over, enter, leave),
        cmocka_unit_test_setup_teardown(what_others_may_write_is_passed_over, enter, leave),
        cmocka_unit_test_setup_teardown(where_it_is, enter, leave),
    };
    return cmocka_run_group_tests_name("host_digest_cache", tests, NULL, NULL);
}
