/* The multiboot1 boot protocol, by ELF32 headers and by address fields. */
#include "tests/unit/test_boot_support.h"

#define LOAD        0x100000u
#define HEADER      52
#define PHDR        32
#define ELF_CODE    (HEADER + PHDR) /* file offset of the one segment */
#define ELF_IMAGE   (ELF_CODE + 64)
#define FLAT_HEADER 16 /* file offset of the Multiboot header in a flat image */
#define FLAT_IMAGE  256

static void put_header(uint8_t *at, uint32_t flags)
{
    bytes_store(at, 4, 0x1badb002);
    bytes_store(at + 4, 4, flags);
    bytes_store(at + 8, 4, (uint32_t) - (0x1badb002 + flags));
}

/* An ELF32 executable of one segment, the Multiboot header at its start, the entry 12 bytes on. */
static void make_elf(uint8_t image[ELF_IMAGE])
{
    memset(image, 0, ELF_IMAGE);
    memcpy(image, "\177ELF\1\1\1", 7);
    bytes_store(image + 16, 2, 2);
    bytes_store(image + 18, 2, 3);
    bytes_store(image + 24, 4, LOAD + 12);
    bytes_store(image + 28, 4, HEADER);
    bytes_store(image + 42, 2, PHDR);
    bytes_store(image + 44, 2, 1);
    const uint32_t fields[] = {1, ELF_CODE, 0xc0000000, LOAD, 64, 128, 7, 4};
    for (unsigned i = 0; i < 8; i++)
        bytes_store(image + HEADER + 4 * i, 4, fields[i]);
    memset(image + ELF_CODE, 0x90, 64);
    put_header(image + ELF_CODE, 3);
}

/* A flat image with address fields: the file's bytes from 8 to 200 at LOAD, then zeros up to LOAD + 0x1000. */
static void make_flat(uint8_t image[FLAT_IMAGE])
{
    for (unsigned i = 0; i < FLAT_IMAGE; i++)
        image[i] = (uint8_t)i;
    put_header(image + FLAT_HEADER, 0x00010003);
    bytes_store(image + FLAT_HEADER + 12, 4, LOAD + 8);
    bytes_store(image + FLAT_HEADER + 16, 4, LOAD);
    bytes_store(image + FLAT_HEADER + 20, 4, LOAD + 192);
    bytes_store(image + FLAT_HEADER + 24, 4, LOAD + 0x1000);
    bytes_store(image + FLAT_HEADER + 28, 4, LOAD + 100);
}

static void test_elf(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[ELF_IMAGE];
    make_elf(image);
    assert_int_equal(boot_try(fixture, image, ELF_IMAGE, "a b", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_MULTIBOOT1);
    assert_memory_equal(fixture->ram.bytes + LOAD, image + ELF_CODE, 64);
    assert_int_equal(cpu->rip, LOAD + 12);
    assert_int_equal(cpu->gprs[GPR_RAX], 0x2badb002);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->cr0, 0x11);
    assert_int_equal(cpu->efer, 0);
    assert_int_equal(cpu->cs.attributes, 0xc09b);
    assert_int_equal(cpu->cs.limit, UINT32_MAX);
    assert_int_equal(cpu->ds.attributes, 0xc093);
    assert_int_equal(bytes_load(fixture->ram.bytes + cpu->gdtr.base + cpu->cs.selector, 8), 0x00cf9b000000ffff);
}

static void test_information(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[ELF_IMAGE];
    make_elf(image);
    assert_int_equal(boot_try(fixture, image, ELF_IMAGE, "a b", BOOT_AUTO), 0);
    const uint8_t *ram = fixture->ram.bytes;
    const uint8_t *info = ram + fixture->cpu.gprs[GPR_RBX];
    assert_int_equal(bytes_load(info, 4), 0x245);
    assert_int_equal(bytes_load(info + 4, 4), 640);
    assert_int_equal(bytes_load(info + 8, 4), TEST_RAM_SIZE / 1024 - 1024);
    assert_int_equal(bytes_load(ram + 0x400, 2), 0x3f8); /* of a BIOS's data area */
    assert_int_equal(bytes_load(ram + 0x413, 2), 640);
    assert_string_equal((const char *)ram + bytes_load(info + 16, 4), "a b");
    assert_string_equal((const char *)ram + bytes_load(info + 64, 4), "Encore");
    const uint8_t *map = ram + bytes_load(info + 48, 4);
    assert_int_equal(bytes_load(info + 44, 4), 72);
    /* The entries follow each other without a gap, and end where memory does. */
    const uint64_t ends[] = {0xa0000, 0x100000, TEST_RAM_SIZE};
    const uint32_t types[] = {1, 2, 1};
    uint64_t at = 0;
    for (unsigned i = 0; i < 3; i++, map += 24) {
        assert_int_equal(bytes_load(map, 4), 20);
        assert_int_equal(bytes_load(map + 4, 8), at);
        at += bytes_load(map + 12, 8);
        assert_int_equal(at, ends[i]);
        assert_int_equal(bytes_load(map + 20, 4), types[i]);
    }
}

/* Section 3.3: bit 3, mods_count and mods_addr; each module's start, end and string. */
static void test_modules(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[ELF_IMAGE];
    make_elf(image);
    struct boot_options options = {.cmdline = "kernel", .protocol = BOOT_AUTO, .module_count = BOOT_MODULES};
    static const char *const texts[BOOT_MODULES] = {"", "one", "2 2", "", "four=4", "x", "y", "z"};
    for (unsigned i = 0; i < BOOT_MODULES; i++)
        options.modules[i] = boot_module(1 + 5000 * i, (uint8_t)(0x10 + i), texts[i]);
    for (unsigned count = 1; count <= BOOT_MODULES; count++) {
        memset(fixture->ram.bytes, 0, TEST_RAM_SIZE);
        options.module_count = count;
        assert_int_equal(boot_try_options(fixture, image, ELF_IMAGE, &options), 0);
        const uint8_t *ram = fixture->ram.bytes, *info = ram + fixture->cpu.gprs[GPR_RBX];
        assert_int_equal(bytes_load(info, 4), 0x24d);
        assert_int_equal(bytes_load(info + 20, 4), count);
        const uint8_t *entry = ram + bytes_load(info + 24, 4);
        for (unsigned i = 0; i < count; i++, entry += 16) {
            assert_module_at(fixture, bytes_load(entry, 4), &options.modules[i]);
            assert_int_equal(bytes_load(entry + 4, 4) - bytes_load(entry, 4), options.modules[i].length);
            assert_string_equal((const char *)ram + bytes_load(entry + 8, 4), texts[i]);
            assert_int_equal(bytes_load(entry + 12, 4), 0);
        }
        assert_string_equal((const char *)ram + bytes_load(info + 16, 4), "kernel");
        assert_memory_equal(ram + LOAD, image + ELF_CODE, 64);
    }
    for (unsigned i = 0; i < BOOT_MODULES; i++)
        boot_module_free(&options.modules[i]);
}

/* The page of command lines, and memory, each filled to the last byte and over it. */
static void test_module_limits(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[ELF_IMAGE];
    char cmdline[BOOT_CMDLINE_MAX + 1] = {0}, text[4096 - BOOT_CMDLINE_MAX] = {0};
    struct boot_module module = boot_module(TEST_RAM_SIZE, 0x5a, text);
    struct boot_options options = {.cmdline = cmdline, .modules = {module}, .module_count = 1};
    make_elf(image);
    memset(cmdline, 'c', BOOT_CMDLINE_MAX);
    memset(text, 't', sizeof text - 2); /* both with their NULs: one page */
    options.modules[0].length = 1;
    assert_int_equal(boot_try_options(fixture, image, ELF_IMAGE, &options), 0);
    assert_string_equal((const char *)fixture->ram.bytes + BOOT_CMDLINE_PAGE + BOOT_CMDLINE_MAX + 1, text);
    assert_int_equal(bytes_load(fixture->ram.bytes + BOOT_GDT_ADDRESS, 8), 0);
    text[sizeof text - 2] = 't';
    boot_refused_options(fixture, image, ELF_IMAGE, &options, "longer than a page");
    text[0] = 0;
    options.modules[0].length = TEST_RAM_SIZE - LOAD - RAM_PAGE_SIZE; /* the kernel has the first page */
    assert_int_equal(boot_try_options(fixture, image, ELF_IMAGE, &options), 0);
    options.modules[0].length++;
    boot_refused_options(fixture, image, ELF_IMAGE, &options, "no room for the 1044481 bytes of module");
    options.modules[0].length = TEST_RAM_SIZE;
    boot_refused_options(fixture, image, ELF_IMAGE, &options, "no room for");
    boot_module_free(&module);
}

/* As many segments and modules as there may be. */
static void test_most_of_all(void **state)
{
    struct boot_fixture *fixture = *state;
    enum { SEGMENTS = 64, CODE = HEADER + SEGMENTS * PHDR };
    uint8_t image[CODE + 64], byte = 1;
    struct boot_options options = {.module_count = BOOT_MODULES};
    uint8_t small[ELF_IMAGE];
    make_elf(small);
    memset(image, 0, sizeof image);
    memcpy(image, small, HEADER);
    memcpy(image + CODE, small + ELF_CODE, 64);
    bytes_store(image + 44, 2, SEGMENTS);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        const uint32_t fields[] = {1, CODE, 0, LOAD + i * 128, 64, 128, 7, 4};
        for (unsigned field = 0; field < 8; field++)
            bytes_store(image + HEADER + PHDR * i + 4 * field, 4, fields[field]);
    }
    for (unsigned i = 0; i < BOOT_MODULES; i++)
        options.modules[i] = (struct boot_module){.bytes = &byte, .length = 1, .name = "module", .text = ""};
    assert_int_equal(boot_try_options(fixture, image, sizeof image, &options), 0);
    for (unsigned i = 0; i < SEGMENTS; i++)
        assert_memory_equal(fixture->ram.bytes + LOAD + i * 128, image + CODE, 64);
}

static void test_small_memory_map(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[FLAT_IMAGE];
    struct ram small;
    struct boot_options options = {.protocol = BOOT_AUTO};
    make_flat(image);
    for (unsigned field = 12; field <= 28; field += 4) /* move it down to 64 KiB */
        bytes_store(image + FLAT_HEADER + field, 4, bytes_load(image + FLAT_HEADER + field, 4) - LOAD + 0x10000);
    assert_int_equal(ram_create(&small, 0x100000, &fixture->error), 0);
    int result = boot_load(&small, &fixture->cpu, image, FLAT_IMAGE, "image", &options, NULL, &fixture->error);
    assert_int_equal(result, 0);
    const uint8_t *info = small.bytes + fixture->cpu.gprs[GPR_RBX];
    assert_int_equal(bytes_load(info + 4, 4), 640);
    assert_int_equal(bytes_load(info + 8, 4), 0);
    assert_int_equal(bytes_load(info + 44, 4), 48);
    ram_destroy(&small);
    assert_int_equal(ram_create(&small, 0xff000, &fixture->error), 0);
    result = boot_load(&small, &fixture->cpu, image, FLAT_IMAGE, "image", &options, NULL, &fixture->error);
    assert_int_equal(result, -1);
    assert_non_null(strstr(fixture->error.text, "no room for the firmware's tables"));
    ram_destroy(&small);
}

static void test_flat(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[FLAT_IMAGE];
    make_flat(image);
    assert_true(ram_fill(&fixture->ram, LOAD, 0xee, 0x1001));
    assert_int_equal(boot_try(fixture, image, FLAT_IMAGE, "", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_MULTIBOOT1);
    assert_memory_equal(fixture->ram.bytes + LOAD, image + 8, 192);
    for (unsigned i = 192; i < 0x1000; i++)
        assert_int_equal(fixture->ram.bytes[LOAD + i], 0);
    assert_int_equal(fixture->ram.bytes[LOAD + 0x1000], 0xee);
    assert_int_equal(fixture->cpu.rip, LOAD + 100);
    /* Zero for the ends: the rest of the file, and no bss. */
    bytes_store(image + FLAT_HEADER + 20, 4, 0);
    bytes_store(image + FLAT_HEADER + 24, 4, 0);
    assert_true(ram_fill(&fixture->ram, LOAD, 0xee, 0x1001));
    assert_int_equal(boot_try(fixture, image, FLAT_IMAGE, "", BOOT_AUTO), 0);
    assert_memory_equal(fixture->ram.bytes + LOAD, image + 8, FLAT_IMAGE - 8);
    assert_int_equal(fixture->ram.bytes[LOAD + FLAT_IMAGE - 8], 0xee);
}

/* The header may start anywhere on a longword boundary, as long as it ends within 8192 bytes. */
static void test_header_search(void **state)
{
    struct boot_fixture *fixture = *state;
    static uint8_t image[8192 + 64];
    const struct {
        size_t offset;
        bool found;
    } cases[] = {{0, true}, {4, true}, {8160, true}, {2, false}, {8192, false}, {8184, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *header = image + cases[i].offset;
        memset(image, 0, sizeof image);
        put_header(header, 0x00010000);
        bytes_store(header + 12, 4, LOAD + (uint32_t)cases[i].offset);
        bytes_store(header + 16, 4, LOAD);
        bytes_store(header + 28, 4, LOAD);
        if (cases[i].found)
            assert_int_equal(boot_try(fixture, image, sizeof image, "", BOOT_AUTO), 0);
        else
            boot_refused(fixture, image, sizeof image, BOOT_MULTIBOOT1, "no Multiboot 1 header");
    }
    /* The twelve bytes fit, the address fields do not. */
    memset(image, 0, sizeof image);
    put_header(image + 8164, 0x00010000);
    boot_refused(fixture, image, sizeof image, BOOT_AUTO, "cut short");
    /* A false one before the true one. */
    memset(image, 0, sizeof image);
    bytes_store(image, 4, 0x1badb002);
    put_header(image + 64, 0x00008000);
    boot_refused(fixture, image, sizeof image, BOOT_AUTO, "flags 0x8000");
}

struct change {
    unsigned offset;
    uint32_t value;
    const char *words;
};

static void test_flat_refusals(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct change changes[] = {
        {12, LOAD - 1, "does not fit"},
        {12, LOAD + 17, "does not fit"},
        {16, LOAD + 9, "does not fit"},
        {20, LOAD - 1, "load end"},
        {20, LOAD + FLAT_IMAGE - 7, "beyond the file"},
        {20, LOAD + 0x1001, "bss end"},
        {24, LOAD - 1, "bss end"},
        {24, LOAD + 191, "bss end"},
        {24, TEST_RAM_SIZE + 1, "beyond the memory"},
        {24, UINT32_MAX, "beyond the memory"},
        {28, LOAD - 1, "entry point"},
        {28, LOAD + 0x1000, "entry point"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t image[FLAT_IMAGE];
        make_flat(image);
        bytes_store(image + FLAT_HEADER + changes[i].offset, 4, changes[i].value);
        boot_refused(fixture, image, FLAT_IMAGE, BOOT_AUTO, changes[i].words);
    }
    uint8_t image[FLAT_IMAGE];
    make_flat(image);
    put_header(image + FLAT_HEADER, 0x00010004);
    boot_refused(fixture, image, FLAT_IMAGE, BOOT_AUTO, "video");
    put_header(image + FLAT_HEADER, 3);
    boot_refused(fixture, image, FLAT_IMAGE, BOOT_AUTO, "no ELF32 executable");
}

static void test_elf_refusals(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct change changes[] = {
        {24, LOAD + 128, "entry point"},
        {28, ELF_IMAGE - 31, "beyond the file"},
        {28, UINT32_MAX, "beyond the file"},
        {HEADER + 4, ELF_CODE + 1, "beyond the file"},
        {HEADER + 4, UINT32_MAX, "beyond the file"},
        {HEADER + 12, TEST_RAM_SIZE - 127, "beyond the memory"},
        {HEADER + 12, UINT32_MAX, "beyond the memory"},
        {HEADER + 12, BOOT_INFO_ADDRESS, "overlaps the boot-info page"},
        {HEADER + 12, BOOT_CMDLINE_PAGE, "overlaps the command line"},
        {HEADER + 12, BOOT_GDT_ADDRESS + 4095, "overlaps the boot GDT"},
        {HEADER + 16, 129, "only 0x80 in memory"},
        {HEADER + 20, UINT32_MAX, "beyond the memory"},
        {HEADER + 24, 6, "entry point"},
    };
    uint8_t image[ELF_IMAGE];
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_elf(image);
        bytes_store(image + changes[i].offset, 4, changes[i].value);
        boot_refused(fixture, image, ELF_IMAGE, BOOT_AUTO, changes[i].words);
    }
    make_elf(image);
    bytes_store(image + 44, 2, 0xffff);
    boot_refused(fixture, image, ELF_IMAGE, BOOT_AUTO, "65535 program headers");
    make_elf(image);
    bytes_store(image + 42, 2, 56);
    boot_refused(fixture, image, ELF_IMAGE, BOOT_AUTO, "program headers of 56 bytes");
}

/* An ELF64 file is the elf64 protocol's, unless the user says otherwise. */
static void test_preference(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[ELF_IMAGE];
    make_elf(image);
    image[4] = 2;
    boot_refused(fixture, image, ELF_IMAGE, BOOT_AUTO, "x86-64 (machine 3)");
    boot_refused(fixture, image, ELF_IMAGE, BOOT_MULTIBOOT1, "no ELF32 executable");
    make_elf(image);
    boot_refused(fixture, image, ELF_IMAGE, BOOT_ELF64, "not an ELF64 file");
    bytes_store(image + ELF_CODE, 4, 0);
    boot_refused(fixture, image, ELF_IMAGE, BOOT_AUTO, "nor has a Multiboot 1 header");
}

static void test_hostile(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t elf[ELF_IMAGE], flat[FLAT_IMAGE];
    make_elf(elf);
    assert_true(boot_try_hostile(fixture, elf, ELF_IMAGE, ELF_CODE + 12, BOOT_MULTIBOOT1) > ELF_IMAGE / 2);
    make_flat(flat);
    assert_true(boot_try_hostile(fixture, flat, FLAT_IMAGE, FLAT_HEADER + 32, BOOT_AUTO) > FLAT_IMAGE / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_elf, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_information, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_modules, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_module_limits, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_most_of_all, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_small_memory_map, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_flat, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_header_search, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_flat_refusals, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_elf_refusals, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_preference, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_hostile, boot_setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_multiboot1", tests, NULL, NULL);
}
