/* The boot-sector protocol, and the choice between protocols. */
#include "tests/unit/test_boot_support.h"

#define SECTOR 512
#define START  0x7c00u
#define LIMIT  (0x80000u - START)

static void make_image(uint8_t *image, size_t length)
{
    for (size_t i = 0; i < length; i++)
        image[i] = (uint8_t)(i * 7 + i / 256);
    image[510] = 0x55;
    image[511] = 0xaa;
}

static void test_one_sector(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[SECTOR];
    make_image(image, SECTOR);
    assert_int_equal(boot_try(fixture, image, SECTOR, "", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_SECTOR);
    assert_memory_equal(fixture->ram.bytes + START, image, SECTOR);
    assert_int_equal(cpu->rip, 0x7c00);
    assert_int_equal(cpu->cs.selector, 0);
    assert_int_equal(cpu->cs.base, 0);
    assert_int_equal(cpu->cs.attributes, 0x9b);
    assert_int_equal(cpu->ss.attributes, 0x93);
    assert_int_equal(cpu->gprs[GPR_RDX], 0x80);
    assert_int_equal(cpu->gprs[GPR_RSP], 0x7c00);
    assert_int_equal(cpu->cr0, 0x10);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->idtr.limit, 0x3ff);
}

static void test_many_sectors(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t *image = malloc(LIMIT + SECTOR);
    assert_non_null(image);
    make_image(image, LIMIT + SECTOR);
    assert_int_equal(boot_try(fixture, image, LIMIT, "", BOOT_AUTO), 0);
    assert_memory_equal(fixture->ram.bytes + START, image, LIMIT);
    boot_refused(fixture, image, LIMIT + SECTOR, BOOT_AUTO, "do not fit");
    boot_refused(fixture, image, LIMIT - 1, BOOT_AUTO, "whole number");
    free(image);
}

static void test_signature(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[SECTOR];
    make_image(image, SECTOR);
    image[511] = 0;
    boot_refused(fixture, image, SECTOR, BOOT_AUTO, "not a guest image");
    boot_refused(fixture, image, SECTOR, BOOT_SECTOR, "no signature");
    make_image(image, SECTOR);
    boot_refused(fixture, image, SECTOR - 1, BOOT_SECTOR, "no signature");
    boot_refused(fixture, image, 0, BOOT_AUTO, "not a guest image");
}

static void test_small_memory(void **state)
{
    struct boot_fixture *fixture = *state;
    struct boot_options options = {.protocol = BOOT_AUTO};
    struct ram small;
    uint8_t image[2 * SECTOR];
    make_image(image, sizeof image);
    assert_int_equal(ram_create(&small, 0x7000, &fixture->error), 0);
    int result = boot_load(&small, &fixture->cpu, image, sizeof image, "image", &options, NULL, &fixture->error);
    assert_int_equal(result, -1);
    assert_non_null(strstr(fixture->error.text, "beyond the memory"));
    ram_destroy(&small);
}

static void test_no_modules(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[SECTOR], byte = 1;
    struct boot_options options = {.protocol = BOOT_SECTOR,
                                   .modules = {{.bytes = &byte, .length = 1, .name = "module", .text = ""}},
                                   .module_count = 1};
    make_image(image, SECTOR);
    boot_refused_options(fixture, image, SECTOR, &options, "no modules");
}

static void test_names(void **state)
{
    (void)state;
    enum boot_protocol protocol;
    for (int i = BOOT_AUTO; i <= BOOT_FIRMWARE; i++) {
        const char *name = boot_protocol_name((enum boot_protocol)i);
        assert_non_null(name);
        assert_int_equal(boot_protocol_parse(name, &protocol), 0);
        assert_int_equal(protocol, i);
    }
    assert_null(boot_protocol_name((enum boot_protocol)(BOOT_FIRMWARE + 1)));
    assert_int_equal(boot_protocol_parse("elf", &protocol), -1);
}

static void test_hostile(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[SECTOR];
    make_image(image, SECTOR);
    assert_true(boot_try_hostile(fixture, image, SECTOR, SECTOR, BOOT_AUTO) >= SECTOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_sector, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_many_sectors, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_signature, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_small_memory, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_no_modules, boot_setup, boot_teardown),
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_hostile, boot_setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_sector", tests, NULL, NULL);
}
