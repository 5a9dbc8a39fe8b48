/* The linux64 and linux32 boot protocols: bzImages made here, of one sector of real-mode part and 256 bytes of kernel.
 */
#include "tests/unit/test_boot_support.h"

#define SETUP   1024 /* the boot sector, and setup_sects = 1 */
#define KERNEL  256
#define IMAGE   (SETUP + KERNEL)
#define LOAD    0x100000u
#define INIT    0x3000u
#define RSDP    0xf0040u
#define ENTRY64 0x200u

static void make_image(uint8_t image[IMAGE], unsigned version, unsigned load_flags)
{
    memset(image, 0x11, IMAGE);
    memset(image + 0x1f0, 0, SETUP - 0x1f0);
    image[0x1f1] = 1;
    bytes_store(image + 0x1fe, 2, 0xaa55);
    image[0x200] = 0xeb;
    image[0x201] = 0x66;
    memcpy(image + 0x202, "HdrS", 4);
    bytes_store(image + 0x206, 2, version);
    image[0x211] = 1;
    bytes_store(image + 0x22c, 4, 0x7fffffff);
    bytes_store(image + 0x236, 2, load_flags);
    bytes_store(image + 0x238, 4, 64);
    bytes_store(image + 0x258, 8, LOAD);
    bytes_store(image + 0x260, 4, INIT);
    for (unsigned i = 0; i < KERNEL; i++)
        image[SETUP + i] = (uint8_t)(i + 1);
}

static void check_params(const struct boot_fixture *fixture, const char *cmdline)
{
    const uint8_t *params = fixture->ram.bytes + fixture->cpu.gprs[GPR_RSI];
    uint64_t at = 0;

    assert_int_equal(fixture->cpu.gprs[GPR_RSI], BOOT_INFO_ADDRESS);
    assert_memory_equal(params + 0x202, "HdrS", 4);
    assert_int_equal(params[0x210], 0xff);
    assert_int_equal(bytes_load(params + 0x70, 8), RSDP);
    assert_string_equal((const char *)fixture->ram.bytes + bytes_load(params + 0x228, 4), cmdline);
    assert_int_equal(params[0x1e8], 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(bytes_load(params + 0x2d0 + 20 * i, 8), at);
        at += bytes_load(params + 0x2d0 + 20 * i + 8, 8);
    }
    assert_int_equal(at, TEST_RAM_SIZE);
}

static void test_linux64(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[IMAGE];

    make_image(image, 0x20f, 1);
    assert_int_equal(boot_try(fixture, image, IMAGE, "root=x", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_LINUX64);
    assert_memory_equal(fixture->ram.bytes + LOAD, image + SETUP, KERNEL);
    assert_int_equal(cpu->rip, LOAD + ENTRY64);
    assert_int_equal(cpu->efer, 0x500);
    assert_int_equal(cpu->cs.selector, 0x10);
    assert_int_equal(cpu->ds.selector, 0x18);
    check_params(fixture, "root=x");
}

static void test_linux32(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[IMAGE];

    make_image(image, 0x20c, 4);
    assert_int_equal(boot_try(fixture, image, IMAGE, "console=ttyS0", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_LINUX32);
    assert_memory_equal(fixture->ram.bytes + LOAD, image + SETUP, KERNEL);
    assert_int_equal(cpu->rip, LOAD);
    assert_int_equal(cpu->cr0, 0x11);
    assert_int_equal(cpu->efer, 0);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->cs.selector, 0x10);
    assert_int_equal(cpu->cs.attributes, 0xc09b);
    assert_int_equal(cpu->ss.selector, 0x18);
    assert_int_equal(cpu->ss.attributes, 0xc093);
    assert_int_equal(bytes_load(fixture->ram.bytes + cpu->gdtr.base + 0x10, 8), 0x00cf9b000000ffff);
    assert_int_equal(bytes_load(fixture->ram.bytes + cpu->gdtr.base + 0x18, 8), 0x00cf93000000ffff);
    assert_int_equal(cpu->gprs[GPR_RBX], 0);
    assert_int_equal(cpu->gprs[GPR_RBP], 0);
    assert_int_equal(cpu->gprs[GPR_RDI], 0);
    check_params(fixture, "console=ttyS0");
}

/* One image can be entered both ways when it has the 64-bit entry. */
static void test_forced(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];

    make_image(image, 0x20f, 1);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_LINUX32), 0);
    assert_int_equal(fixture->cpu.rip, LOAD);
    make_image(image, 0x20f, 0);
    boot_refused(fixture, image, IMAGE, BOOT_LINUX64, "without the 64-bit entry of boot protocol 2.12 (it has 2.15)");
}

static void test_initrd(void **state)
{
    static const uint8_t disk[] = "initial RAM disk";
    struct boot_fixture *fixture = *state;
    struct boot_options options = {.protocol = BOOT_AUTO, .module_count = 1};
    uint8_t image[IMAGE];

    make_image(image, 0x20c, 0);
    options.modules[0] = (struct boot_module){.bytes = disk, .length = sizeof disk, .name = "disk", .text = ""};
    assert_int_equal(
        boot_load(&fixture->ram, &fixture->cpu, image, IMAGE, "image", &options, &fixture->chosen, &fixture->error), 0);
    const uint8_t *params = fixture->ram.bytes + BOOT_INFO_ADDRESS;
    assert_int_equal(bytes_load(params + 0x21c, 4), sizeof disk);
    assert_memory_equal(fixture->ram.bytes + bytes_load(params + 0x218, 4), disk, sizeof disk);
}

static void test_refused(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];

    make_image(image, 0x207, 0);
    boot_refused(fixture, image, IMAGE, BOOT_AUTO,
                 "a Linux kernel of boot protocol 2.07; the 32-bit entry here needs 2.10");
    make_image(image, 0x20c, 0);
    boot_refused(fixture, image, SETUP, BOOT_AUTO, "ends within its real-mode part");
    boot_refused(fixture, image, 0x200, BOOT_LINUX32, "no boot protocol header");
    bytes_store(image + 0x260, 4, TEST_RAM_SIZE);
    boot_refused(fixture, image, IMAGE, BOOT_AUTO, "lies beyond the memory");
    make_image(image, 0x20c, 0);
    bytes_store(image + 0x258, 8, UINT64_C(1) << 32);
    boot_refused(fixture, image, IMAGE, BOOT_AUTO, "above 4 GiB");
    make_image(image, 0x20c, 0);
    bytes_store(image + 0x238, 4, 0);
    assert_int_equal(boot_try(fixture, image, IMAGE, "x", BOOT_AUTO), -1);
    assert_non_null(strstr(fixture->error.text, "a command line of at most 0 bytes"));
}

static void test_hostile(void **state)
{
    uint8_t image[IMAGE];

    make_image(image, 0x20c, 0);
    assert_true(boot_try_hostile(*state, image, IMAGE, 0x268, BOOT_LINUX32) > SETUP);
    make_image(image, 0x20c, 1);
    assert_true(boot_try_hostile(*state, image, IMAGE, 0x268, BOOT_LINUX64) > SETUP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, boot_setup, boot_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_linux64), TEST(test_linux32), TEST(test_forced),
        TEST(test_initrd),  TEST(test_refused), TEST(test_hostile),
    };
    return cmocka_run_group_tests_name("boot_linux", tests, NULL, NULL);
}
