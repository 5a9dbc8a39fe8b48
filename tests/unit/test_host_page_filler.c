/* Filling memory that was never touched: whatever is there already, and whether the host has userfaultfd for us or not.
 */
#include "tests/unit/host_testing.h"

#include <sys/mman.h>

#include "vmm/host/page_filler.h"

#define PAGES  400u
#define LENGTH (PAGES * FILLER_PAGE)

struct world {
    struct page_filler filler;
    uint8_t *memory;
    uint8_t *expected;
    uint8_t *source;         /* of what is put */
    bool scattered;          /* pages that follow each other do not do so there */
    unsigned written[PAGES]; /* how often we were told of each */
};

static void note(void *context, size_t offset, size_t length)
{
    struct world *world = context;

    assert_true(length > 0 && offset % FILLER_PAGE == 0 && length % FILLER_PAGE == 0 && offset + length <= LENGTH);
    for (size_t at = offset; at < offset + length; at += FILLER_PAGE) {
        world->written[at / FILLER_PAGE]++;
        /* What we are told of is there. */
        assert_memory_equal(world->memory + at, world->expected + at, FILLER_PAGE);
    }
}

static void begin(struct world *world, bool userfault)
{
    *world = (struct world){.expected = calloc(1, LENGTH), .source = calloc(1, LENGTH)};
    world->memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(world->memory != MAP_FAILED && world->expected && world->source);
    assert_true(page_filler_create(&world->filler, world->memory, LENGTH, note, world));
    if (!userfault && world->filler.userfault >= 0) {
        close(world->filler.userfault);
        world->filler.userfault = -1;
    }
}

static void end(struct world *world)
{
    page_filler_destroy(&world->filler);
    munmap(world->memory, LENGTH);
    free(world->expected);
    free(world->source);
}

/* A page of the filler and of what is expected; of zeros when `value` is 0. */
static void put(struct world *world, unsigned page, uint8_t value)
{
    uint8_t *bytes = world->source + (world->scattered ? PAGES - 1 - page : page) * FILLER_PAGE;

    memset(bytes, value, FILLER_PAGE);
    bytes[page] ^= value ? 0x55 : 0;
    memcpy(world->expected + page * FILLER_PAGE, bytes, FILLER_PAGE);
    page_filler_put(&world->filler, page * FILLER_PAGE, value ? bytes : NULL);
}

static void check(struct world *world, unsigned times)
{
    page_filler_flush(&world->filler);
    assert_memory_equal(world->memory, world->expected, LENGTH);
    for (unsigned page = 0; page < PAGES; page++)
        assert_int_equal(world->written[page], times);
}

static void fill_all(bool userfault)
{
    struct world world;

    begin(&world, userfault);
    for (unsigned page = 0; page < PAGES; page++)
        put(&world, page, (uint8_t)(page % 7));
    check(&world, 1);
    /* Everything is there now. */
    for (unsigned page = 0; page < PAGES; page++)
        put(&world, page, (uint8_t)(1 + page % 5));
    check(&world, 2);
    end(&world);
}

/* Some pages were touched before, so that runs have holes in them, and gaps between pages break runs off. */
static void fill_some(bool userfault)
{
    struct world world;

    for (unsigned pattern = 1; pattern < 200; pattern++) {
        begin(&world, userfault);
        world.scattered = pattern % 2;
        for (unsigned page = 0; page < PAGES; page += pattern)
            world.memory[page * FILLER_PAGE] = 0xcc;
        for (unsigned page = 0; page < PAGES; page++) {
            if (pattern % 4 == 0 && page % 9 == 8)
                world.expected[page * FILLER_PAGE] = page % pattern ? 0 : 0xcc;
            else
                put(&world, page, (uint8_t)(1 + page % 200));
        }
        /* Written, the bytes are not needed any more. */
        page_filler_write(&world.filler);
        memset(world.source, 0xee, LENGTH);
        page_filler_flush(&world.filler);
        assert_memory_equal(world.memory, world.expected, LENGTH);
        /* After a flush memory may be touched, and filled again. */
        for (unsigned page = PAGES; page-- > 0;)
            put(&world, page, (uint8_t)(page % 3));
        page_filler_flush(&world.filler);
        assert_memory_equal(world.memory, world.expected, LENGTH);
        end(&world);
    }
}

static void with_userfault(void **state)
{
    (void)state;
    fill_all(true);
    fill_some(true);
}

static void without_userfault(void **state)
{
    (void)state;
    fill_all(false);
    fill_some(false);
}

static void flushing_nothing(void **state)
{
    struct world world;

    (void)state;
    begin(&world, true);
    check(&world, 0);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_userfault),
        cmocka_unit_test(without_userfault),
        cmocka_unit_test(flushing_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
