/* The digest of images: it does not depend on how the bytes come, nor on which zeros come by their number alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/image_digest.h"

#define SIZE (5 * DIGEST_PIECE + 777)

static uint8_t image[SIZE];

/* Something at the start, across an end of a piece, and in the last bytes; zeros elsewhere. */
static void make(void)
{
    memset(image, 0, SIZE);
    for (unsigned i = 0; i < 1000; i++) {
        image[i] = (uint8_t)(i + 1);
        image[3 * DIGEST_PIECE - 500 + i] = (uint8_t)(i * 3 + 1);
        image[SIZE - 1 - i / 4] = (uint8_t)(i | 1);
    }
}

static bool is_zero(size_t at, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (image[at + i])
            return false;
    }
    return true;
}

/* In pieces of `step` bytes; those of zeros by their number, if `holes`. */
static struct digest in_steps(enum digest_kind kind, size_t step, bool holes)
{
    struct error error;
    struct image_digest *digest = image_digest_begin(kind, &error);

    assert_non_null(digest);
    for (size_t at = 0; at < SIZE; at += step) {
        size_t length = SIZE - at < step ? SIZE - at : step;
        if (holes && is_zero(at, length))
            image_digest_add_zeros(digest, length);
        else
            image_digest_add(digest, image + at, length);
    }
    return image_digest_end(digest);
}

/* What docs/bundle.md says, word for word. */
static struct digest by_the_book(void)
{
    struct digest sum = {0};

    for (size_t at = 0; at < SIZE; at += DIGEST_PIECE) {
        size_t length = SIZE - at < DIGEST_PIECE ? SIZE - at : DIGEST_PIECE;
        if (!is_zero(at, length))
            sum = digest_add(sum, digest_of(image + at, length, at / DIGEST_PIECE));
    }
    return sum;
}

static void test_ways(void **state)
{
    static const size_t steps[] = {1, 511, 4096, 65535, 65536, 65537, 131072, 200000, SIZE};

    (void)state;
    make();
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        for (unsigned holes = 0; holes < 2; holes++) {
            assert_true(digest_equal(in_steps(DIGEST_SPARSE, steps[i], holes), by_the_book()));
            assert_true(digest_equal(in_steps(DIGEST_WHOLE, steps[i], holes), digest_of(image, SIZE, 0)));
        }
    }
}

static void test_differences(void **state)
{
    static const size_t places[] = {0, 65535, 65536, 100000, 4 * DIGEST_PIECE, SIZE - 1};

    (void)state;
    make();
    struct digest before = by_the_book();
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        image[places[i]] ^= 0x40;
        assert_false(digest_equal(in_steps(DIGEST_SPARSE, 4096, true), before));
        image[places[i]] ^= 0x40;
    }
    /* Two pieces that change places. */
    memset(image, 0, SIZE);
    memset(image, 1, DIGEST_PIECE);
    before = in_steps(DIGEST_SPARSE, SIZE, false);
    memset(image, 0, DIGEST_PIECE);
    memset(image + DIGEST_PIECE, 1, DIGEST_PIECE);
    assert_false(digest_equal(in_steps(DIGEST_SPARSE, SIZE, false), before));
}

/* A tebibyte of zeros takes no time: a test that reads it would not end. */
static void test_hole(void **state)
{
    struct error error;
    struct image_digest *digest = image_digest_begin(DIGEST_SPARSE, &error);
    const struct digest none = {0};

    (void)state;
    assert_non_null(digest);
    image_digest_add_zeros(digest, UINT64_C(1) << 62);
    assert_true(digest_equal(image_digest_end(digest), none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_hole),
    };
    return cmocka_run_group_tests_name("image_digest", tests, NULL, NULL);
}
