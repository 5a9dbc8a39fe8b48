/* The firmware protocol: where the image goes, where the processor begins, and where ACPI's tables are. */
#include "tests/unit/test_boot_support.h"

#include "vmm/boot/firmware_tables.h"

#define KIB      1024u
#define RAM_SIZE (8 * KIB * KIB)

static int setup(void **state)
{
    struct boot_fixture *fixture = calloc(1, sizeof *fixture);

    if (!fixture || ram_create(&fixture->ram, RAM_SIZE, &fixture->error) != 0)
        return -1;
    *state = fixture;
    return 0;
}

static uint8_t *make_image(size_t size)
{
    uint8_t *image = malloc(size);

    assert_non_null(image);
    for (size_t i = 0; i < size; i++)
        image[i] = (uint8_t)(i * 7 + (i >> 12));
    return image;
}

static void check_placed(struct boot_fixture *fixture, size_t size, size_t shown)
{
    uint8_t *image = make_image(size);

    ram_fill(&fixture->ram, 0, 0, RAM_SIZE);
    assert_int_equal(boot_try(fixture, image, size, "", BOOT_FIRMWARE), 0);
    assert_int_equal(fixture->chosen, BOOT_FIRMWARE);
    assert_memory_equal(fixture->ram.bytes + 0x100000 - shown, image + size - shown, shown);
    assert_int_equal(fixture->ram.bytes[0x100000 - shown - 1], 0);
    assert_int_equal(fixture->ram.bytes[0x100000], 0);
    free(image);
}

static void the_end_of_the_image_ends_at_1_mib(void **state)
{
    check_placed(*state, 64 * KIB, 64 * KIB);
    check_placed(*state, 128 * KIB, 128 * KIB);
    check_placed(*state, 256 * KIB, 256 * KIB);
    check_placed(*state, 1024 * KIB, 256 * KIB);
}

static void it_begins_as_after_a_reset(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t *image = make_image(128 * KIB);
    struct cpu_state reset;

    cpu_state_reset(&reset);
    reset.cs.base = 0xf0000;
    assert_int_equal(boot_try(fixture, image, 128 * KIB, "", BOOT_FIRMWARE), 0);
    assert_int_equal(fixture->cpu.rip, 0xfff0);
    assert_int_equal(fixture->cpu.cs.selector, 0xf000);
    assert_memory_equal(&fixture->cpu, &reset, sizeof reset);
    free(image);
}

static void other_images_are_refused(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t *image = make_image(65 * KIB);
    struct ram small;

    boot_refused(fixture, image, 65 * KIB, BOOT_FIRMWARE, "no firmware image: 66560 bytes");
    boot_refused(fixture, image, 0, BOOT_FIRMWARE, "no firmware image: 0 bytes");
    /* It is never taken for one by looking at it. */
    boot_refused(fixture, image, 64 * KIB, BOOT_AUTO, "not a guest image");
    assert_int_equal(ram_create(&small, 0x200000, &fixture->error), 0);
    struct boot_options options = {.protocol = BOOT_FIRMWARE};
    assert_int_equal(
        boot_load(&small, &fixture->cpu, image, 64 * KIB, "image", &options, &fixture->chosen, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "firmware needs 4 MiB of memory"));
    ram_destroy(&small);
    free(image);
}

/* The root pointer's XSDT, and each table that it names, lie in the reserved end of memory, with good checksums. */
static void tables_are_at_the_end_of_memory(void **state)
{
    struct boot_fixture *fixture = *state;
    const uint8_t *ram = fixture->ram.bytes;
    struct bytes_writer rsdp = bytes_writer(4096), tables = bytes_writer(FIRMWARE_HIGH_SIZE);
    uint64_t base = firmware_tables_high(RAM_SIZE);

    firmware_tables_install_high(&fixture->ram);
    acpi_tables_build((uint32_t)base, &rsdp, &tables);
    assert_false(rsdp.failed || tables.failed);
    assert_memory_equal(ram + base, tables.data, tables.length);
    uint64_t xsdt = bytes_load(rsdp.data + 24, 8);
    assert_memory_equal(ram + xsdt, "XSDT", 4);
    for (uint64_t at = xsdt + 36; at < xsdt + bytes_load(ram + xsdt + 4, 4); at += 8) {
        uint64_t table = bytes_load(ram + at, 8);
        uint8_t sum = 0;
        assert_in_range(table, base, RAM_SIZE - 36);
        for (uint64_t i = 0; i < bytes_load(ram + table + 4, 4); i++)
            sum = (uint8_t)(sum + ram[table + i]);
        assert_int_equal(sum, 0);
    }
    bytes_writer_free(&rsdp);
    bytes_writer_free(&tables);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, boot_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_end_of_the_image_ends_at_1_mib),
        TEST(it_begins_as_after_a_reset),
        TEST(other_images_are_refused),
        TEST(tables_are_at_the_end_of_memory),
    };
    return cmocka_run_group_tests_name("boot_firmware", tests, NULL, NULL);
}
