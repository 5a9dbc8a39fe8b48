/* The linux64 and linux32 protocols (Linux, Documentation/x86/boot.rst and zero-page.rst), with images made here. */
#include "tests/unit/test_boot_support.h"

#define KERNEL    0x100000u
#define INIT_SIZE 0x2000u
#define SETUP     (2 * 512u) /* one sector of setup code after the boot sector */
#define PAYLOAD   1024u
#define IMAGE     (SETUP + PAYLOAD)
#define HEADER    0x270u /* the setup header ends before this */

enum {
    SETUP_SECTORS = 0x1f1,
    JUMP = 0x201,
    MAGIC = 0x202,
    VERSION = 0x206,
    LOADER = 0x210,
    INITRD = 0x218,
    INITRD_SIZE = 0x21c,
    CMDLINE = 0x228,
    INITRD_MAX = 0x22c,
    XLOAD_FLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PREFERRED = 0x258,
    SIZE = 0x260,
    HEADER_END = 0x268,
    PARAMS_RSDP = 0x70,
    PARAMS_MAP_COUNT = 0x1e8,
    PARAMS_MAP = 0x2d0
};

static void make_image(uint8_t image[IMAGE])
{
    memset(image, 0, IMAGE);
    memset(image, 0xcc, SETUP_SECTORS); /* code of the real-mode part: none of it may show up anywhere */
    image[SETUP_SECTORS] = 1;
    bytes_store(image + 0x1fe, 2, 0xaa55);
    bytes_store(image + 0x200, 2, 0xeb | (HEADER_END - MAGIC) << 8);
    memcpy(image + MAGIC, "HdrS", 4);
    bytes_store(image + VERSION, 2, 0x020f);
    image[0x211] = 1; /* LOADED_HIGH */
    bytes_store(image + INITRD_MAX, 4, 0x7fffffff);
    bytes_store(image + 0x230, 4, 0x200000); /* alignment */
    image[0x234] = 1;                        /* relocatable */
    bytes_store(image + XLOAD_FLAGS, 2, 0x0003);
    bytes_store(image + CMDLINE_SIZE, 4, 2047);
    bytes_store(image + PREFERRED, 8, KERNEL);
    bytes_store(image + SIZE, 4, INIT_SIZE);
    bytes_store(image + 0x264, 4, 0x00000190); /* handover_offset: the last field here */
    memset(image + HEADER_END, 0xcc, SETUP - HEADER_END);
    for (unsigned i = 0; i < PAYLOAD; i++)
        image[SETUP + i] = (uint8_t)(i * 7 + 1);
}

static const uint8_t *params(const struct boot_fixture *fixture)
{
    return fixture->ram.bytes + fixture->cpu.gprs[GPR_RSI];
}

static void test_kernel(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    assert_true(ram_fill(&fixture->ram, KERNEL, 0xee, INIT_SIZE + 1));
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_LINUX64);
    const uint8_t *ram = fixture->ram.bytes;
    assert_memory_equal(ram + KERNEL, image + SETUP, PAYLOAD);
    for (unsigned i = PAYLOAD; i < INIT_SIZE; i++)
        assert_int_equal(ram[KERNEL + i], 0);
    assert_int_equal(ram[KERNEL + INIT_SIZE], 0xee);
    assert_int_equal(fixture->cpu.rip, KERNEL + 0x200);
}

/* boot.rst, "64-bit boot protocol": mode, selectors, their descriptors, interrupts off, RSI. */
static void test_entry_state(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_LINUX64), 0);
    assert_int_equal(cpu->cr0 & 0x80000001, 0x80000001);
    assert_int_equal(cpu->cr4 & 0x20, 0x20);
    assert_int_equal(cpu->efer, 0x500);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->cs.selector, 0x10);
    assert_int_equal(cpu->cs.attributes, 0xa09b);
    const struct segment *data[] = {&cpu->ds, &cpu->es, &cpu->ss};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(data[i]->selector, 0x18);
        assert_int_equal(data[i]->base, 0);
        assert_int_equal(data[i]->limit, UINT32_MAX);
        assert_int_equal(data[i]->attributes, 0xc093);
    }
    assert_int_equal(cpu->gdtr.limit, 31);
    const uint8_t *gdt = fixture->ram.bytes + cpu->gdtr.base;
    const uint64_t descriptors[] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(bytes_load(gdt + 8 * i, 8), descriptors[i]);
    /* The first page table entries, which map all that the protocol wants mapped; test_boot_elf64 walks them all. */
    const uint8_t *pml4 = fixture->ram.bytes + cpu->cr3;
    const uint8_t *pdpt = fixture->ram.bytes + (bytes_load(pml4, 8) & ~UINT64_C(0xfff));
    const uint8_t *directory = fixture->ram.bytes + (bytes_load(pdpt, 8) & ~UINT64_C(0xfff));
    assert_int_equal(bytes_load(directory, 8), 0xe3);
}

/* boot.rst, "32-bit boot protocol": for a kernel that says it has no 64-bit entry, or when the user wants it. */
static void test_32bit_entry(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_LINUX32), 0);
    bytes_store(image + XLOAD_FLAGS, 2, 0);
    assert_int_equal(boot_try(fixture, image, IMAGE, "x y", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_LINUX32);
    bytes_store(image + VERSION, 2, 0x020a);
    assert_int_equal(boot_try(fixture, image, IMAGE, "x y", BOOT_AUTO), 0);
    assert_memory_equal(fixture->ram.bytes + KERNEL, image + SETUP, PAYLOAD);
    assert_int_equal(cpu->rip, KERNEL);
    assert_int_equal(cpu->gprs[GPR_RSI], BOOT_INFO_ADDRESS);
    const unsigned zero[] = {GPR_RBX, GPR_RBP, GPR_RDI};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(cpu->gprs[zero[i]], 0);
    assert_int_equal(cpu->cr0, 0x11);
    assert_int_equal(cpu->efer, 0);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->cs.selector, 0x10);
    assert_int_equal(cpu->cs.attributes, 0xc09b);
    assert_int_equal(cpu->ss.selector, 0x18);
    assert_int_equal(cpu->ss.attributes, 0xc093);
    const uint8_t *gdt = fixture->ram.bytes + cpu->gdtr.base;
    assert_int_equal(bytes_load(gdt + 0x10, 8), 0x00cf9b000000ffff);
    assert_int_equal(bytes_load(gdt + 0x18, 8), 0x00cf93000000ffff);
    assert_string_equal((const char *)fixture->ram.bytes + bytes_load(params(fixture) + CMDLINE, 4), "x y");
    bytes_store(image + VERSION, 2, 0x0209);
    boot_refused(fixture, image, IMAGE, BOOT_AUTO, "boot protocol 2.09; the 32-bit entry here needs 2.10");
    boot_refused(fixture, image, 0x200, BOOT_LINUX32, "no boot protocol header");
}

/* All of boot_params: the header as in the file, what a loader fills in, and nothing else. */
static void test_boot_params(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE], expected[4096] = {0};
    make_image(image);
    assert_true(ram_fill(&fixture->ram, BOOT_INFO_ADDRESS, 0xee, sizeof expected));
    assert_int_equal(boot_try(fixture, image, IMAGE, "console=ttyS0 quiet", BOOT_AUTO), 0);
    assert_int_equal(fixture->cpu.gprs[GPR_RSI], BOOT_INFO_ADDRESS);
    memcpy(expected + SETUP_SECTORS, image + SETUP_SECTORS, HEADER_END - SETUP_SECTORS);
    expected[LOADER] = 0xff; /* no registered loader */
    bytes_store(expected + CMDLINE, 4, BOOT_CMDLINE_PAGE);
    bytes_store(expected + PARAMS_RSDP, 8, 0xf0040);
    expected[PARAMS_MAP_COUNT] = 3;
    const uint64_t map[3][3] = {{0, 0xa0000, 1}, {0xa0000, 0x60000, 2}, {0x100000, TEST_RAM_SIZE - 0x100000, 1}};
    for (unsigned i = 0; i < 3; i++) {
        bytes_store(expected + PARAMS_MAP + 20 * i, 8, map[i][0]);
        bytes_store(expected + PARAMS_MAP + 20 * i + 8, 8, map[i][1]);
        bytes_store(expected + PARAMS_MAP + 20 * i + 16, 4, map[i][2]);
    }
    for (unsigned i = 0; i < sizeof expected; i++) {
        if (params(fixture)[i] != expected[i])
            fail_msg("boot_params has 0x%x instead of 0x%x at 0x%x", params(fixture)[i], expected[i], i);
    }
    assert_string_equal((const char *)fixture->ram.bytes + BOOT_CMDLINE_PAGE, "console=ttyS0 quiet");
}

/* How the file is divided: setup_sects of 0 stands for 4, and what exceeds init_size is loaded all the same. */
static void test_layout(void **state)
{
    struct boot_fixture *fixture = *state;
    static uint8_t large[5 * 512 + 2 * INIT_SIZE];
    uint8_t image[IMAGE];
    make_image(image);
    memcpy(large, image, SETUP);
    for (size_t i = SETUP; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 13);
    large[SETUP_SECTORS] = 0;
    assert_int_equal(boot_try(fixture, large, sizeof large, "", BOOT_AUTO), 0);
    assert_memory_equal(fixture->ram.bytes + KERNEL, large + 5 * 512, 2 * INIT_SIZE);
    large[SETUP_SECTORS] = 3;
    assert_int_equal(boot_try(fixture, large, sizeof large, "", BOOT_AUTO), 0);
    assert_memory_equal(fixture->ram.bytes + KERNEL, large + 4 * 512, 2 * INIT_SIZE + 512);
    bytes_store(image + PREFERRED, 8, TEST_RAM_SIZE - INIT_SIZE); /* up against the end of memory */
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_AUTO), 0);
    assert_memory_equal(fixture->ram.bytes + TEST_RAM_SIZE - INIT_SIZE, image + SETUP, PAYLOAD);
    assert_int_equal(fixture->cpu.rip, TEST_RAM_SIZE - INIT_SIZE + 0x200);
}

static void test_initrd(void **state)
{
    struct boot_fixture *fixture = *state;
    static const struct {
        uint64_t kernel, length, most; /* initrd_addr_max: the last byte that the RAM disk may have */
        uint64_t address;              /* 0: no room */
    } cases[] = {
        {KERNEL, 1, 0x7fffffff, 0x1ff000},
        {KERNEL, 0x1000, 0xffffffff, 0x1ff000},
        {KERNEL, 0x1001, 0x7fffffff, 0x1fe000},
        {KERNEL, 0x1000, 0x1fffff, 0x1ff000},
        {KERNEL, 0x1000, 0x1ffffe, 0x1fe000},
        {KERNEL, 0x1000, 0x17ffff, 0x17f000},
        {KERNEL, 0xfff, 0x17fffe, 0x17f000},
        {KERNEL, 0x1000, 0x17fffe, 0x17e000},
        {KERNEL, 0x1000, 0x102fff, 0x102000},
        {KERNEL, 0x1000, 0x102ffe, 0},
        {KERNEL, 0x1000, 0, 0},
        {KERNEL, 0xfe000, 0x7fffffff, 0x102000}, /* all that is left */
        {KERNEL, 0xfe001, 0x7fffffff, 0},
        {0x1fe000, 0x1000, 0x7fffffff, 0x1fd000}, /* below the kernel */
        {0x1fd000, 0x1000, 0x7fffffff, 0x1ff000}, /* above it, where it just fits */
        {0x1fd000, 0x1001, 0x7fffffff, 0x1fb000},
        {0x1fe000, 0xfe000, 0x7fffffff, 0x100000}, /* down to the first MiB and no lower */
        {0x1fe000, 0xfe001, 0x7fffffff, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t image[IMAGE];
        struct boot_module module = boot_module(cases[i].length, 0x5a, "");
        struct boot_options options = {.protocol = BOOT_AUTO, .modules = {module}, .module_count = 1};
        make_image(image);
        bytes_store(image + PREFERRED, 8, cases[i].kernel);
        bytes_store(image + INITRD_MAX, 4, cases[i].most);
        memset(fixture->ram.bytes, 0, TEST_RAM_SIZE);
        if (cases[i].address) {
            options.protocol = i % 2 ? BOOT_LINUX64 : BOOT_LINUX32;
            assert_int_equal(boot_try_options(fixture, image, IMAGE, &options), 0);
            assert_int_equal(bytes_load(params(fixture) + INITRD, 4), cases[i].address);
            assert_int_equal(bytes_load(params(fixture) + INITRD_SIZE, 4), cases[i].length);
            assert_module_at(fixture, cases[i].address, &module);
            assert_memory_equal(fixture->ram.bytes + cases[i].kernel, image + SETUP, PAYLOAD);
        } else {
            boot_refused_options(fixture, image, IMAGE, &options, "no room for");
        }
        boot_module_free(&module);
    }
}

static void test_initrd_refusals(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE], byte = 1;
    const struct boot_module module = {.bytes = &byte, .length = 1, .name = "module", .text = ""};
    struct boot_options options = {.modules = {module, module}, .module_count = 2};
    make_image(image);
    boot_refused_options(fixture, image, IMAGE, &options, "one initial RAM disk, not 2");
    options.module_count = 1;
    options.modules[0].text = "text";
    boot_refused_options(fixture, image, IMAGE, &options, "takes no command line (\"text\")");
}

static void test_command_line(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    char cmdline[65] = {0};
    make_image(image);
    bytes_store(image + CMDLINE_SIZE, 4, 63);
    memset(cmdline, 'x', 63);
    assert_int_equal(boot_try(fixture, image, IMAGE, cmdline, BOOT_AUTO), 0);
    cmdline[63] = 'x';
    assert_int_equal(boot_try(fixture, image, IMAGE, cmdline, BOOT_AUTO), -1);
    assert_non_null(strstr(fixture->error.text, "at most 63 bytes"));
}

static void test_refusals(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct boot_change changes[] = {
        {MAGIC, 1, 'h', "no Linux kernel"},
        {VERSION, 2, 0x020b, "without the 64-bit entry of boot protocol 2.12"},
        {XLOAD_FLAGS, 2, 0xfffe, "without the 64-bit entry"},
        {SETUP_SECTORS, 1, 3, "real-mode part"},
        {SETUP_SECTORS, 1, 0xff, "real-mode part"},
        {PREFERRED, 8, TEST_RAM_SIZE - INIT_SIZE + 1, "beyond the memory"},
        {PREFERRED, 8, 0xfffff000, "beyond the memory"},
        {PREFERRED, 8, 0x100000000, "above 4 GiB"},
        {PREFERRED, 8, UINT64_MAX, "above 4 GiB"},
        {PREFERRED, 8, 0xdffff, "overlaps the firmware's tables"},
        {PREFERRED, 8, 0xfffff, "overlaps the firmware's tables"},
        {PREFERRED, 8, BOOT_LOW_END - 1, "overlaps the boot stack"},
        {PREFERRED, 8, 0, "overlaps the boot-info page"},
        {SIZE, 4, TEST_RAM_SIZE - KERNEL + 1, "beyond the memory"},
        {SIZE, 4, UINT32_MAX, "beyond the memory"},
    };
    uint8_t image[IMAGE];
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_image(image);
        bytes_store(image + changes[i].offset, changes[i].width, changes[i].value);
        boot_refused(fixture, image, IMAGE, BOOT_LINUX64, changes[i].words);
    }
    make_image(image);
    bytes_store(image + SIZE, 4, 0);
    boot_refused(fixture, image, SETUP, BOOT_AUTO, "real-mode part");
    boot_refused(fixture, image, SETUP + 0x200, BOOT_AUTO, "before its 64-bit entry");
    assert_int_equal(boot_try(fixture, image, SETUP + 0x201, "", BOOT_AUTO), 0);
}

static void test_hostile(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    assert_true(boot_try_hostile(fixture, image, IMAGE, HEADER, BOOT_LINUX64) > SETUP);
    assert_true(boot_try_hostile(fixture, image, IMAGE, HEADER, BOOT_LINUX32) > SETUP);
    /* A header that says it is as long as can be. */
    image[JUMP] = 0xff;
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_AUTO), 0);
    assert_int_equal(params(fixture)[PARAMS_MAP_COUNT], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kernel, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_entry_state, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_32bit_entry, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_boot_params, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_layout, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_initrd, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_initrd_refusals, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_command_line, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_hostile, boot_setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_linux", tests, NULL, NULL);
}
