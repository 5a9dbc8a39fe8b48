/* The elf64 boot protocol: what a good image gets, and that a bad one gets a sentence. */
#include "tests/unit/test_boot_support.h"

#define HEADER     64
#define PHDR       56
#define SEGMENT(i) (HEADER + PHDR * (i))
#define CODE       0x100000u
#define DATA       0x110000u
#define IMAGE      (SEGMENT(2) + 48)

/* Two segments: 32 bytes of code at 1 MiB, and 16 bytes of data with 100 bytes of zeros after it. */
static void make_image(uint8_t image[IMAGE])
{
    memset(image, 0, IMAGE);
    memcpy(image, "\177ELF\2\1\1", 7);
    bytes_store(image + 16, 2, 2);  /* e_type: executable */
    bytes_store(image + 18, 2, 62); /* e_machine */
    bytes_store(image + 20, 4, 1);
    bytes_store(image + 24, 8, CODE + 4); /* e_entry */
    bytes_store(image + 32, 8, HEADER);   /* e_phoff */
    bytes_store(image + 52, 2, HEADER);
    bytes_store(image + 54, 2, PHDR);
    bytes_store(image + 56, 2, 2); /* e_phnum */
    const uint64_t fields[2][7] = {{5, SEGMENT(2), 0, CODE, 32, 32, 0x1000}, {6, SEGMENT(2) + 32, 0, DATA, 16, 116, 1}};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *phdr = image + SEGMENT(i);
        bytes_store(phdr, 4, 1); /* PT_LOAD */
        bytes_store(phdr + 4, 4, fields[i][0]);
        for (unsigned field = 1; field < 7; field++)
            bytes_store(phdr + 8 * field, 8, fields[i][field]);
    }
    for (unsigned i = 0; i < 48; i++)
        image[SEGMENT(2) + i] = (uint8_t)(i + 1);
}

static void test_segments(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE], bytes[116];
    make_image(image);
    /* What lay there before must not show through the zeros. */
    assert_true(ram_fill(&fixture->ram, DATA, 0xee, 200));
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_ELF64);
    assert_true(ram_read(&fixture->ram, CODE, bytes, 32));
    assert_memory_equal(bytes, image + SEGMENT(2), 32);
    assert_true(ram_read(&fixture->ram, DATA, bytes, 116));
    assert_memory_equal(bytes, image + SEGMENT(2) + 32, 16);
    for (unsigned i = 16; i < 116; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(fixture->ram.bytes[DATA + 116], 0xee);
    assert_true(ram_is_dirty(&fixture->ram, CODE));
    assert_false(ram_is_dirty(&fixture->ram, CODE + 0x8000));
}

static void test_entry_state(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, NULL, BOOT_ELF64), 0);
    assert_int_equal(cpu->rip, CODE + 4);
    assert_int_equal(cpu->gprs[GPR_RDI], BOOT_INFO_ADDRESS);
    assert_int_equal(cpu->gprs[GPR_RSP], BOOT_STACK_TOP);
    assert_int_equal(cpu->gprs[GPR_RDX], 0);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->cr0, 0x80010033);
    assert_int_equal(cpu->cr3, BOOT_PML4_ADDRESS);
    assert_int_equal(cpu->cr4, 0x620);
    assert_int_equal(cpu->efer, 0x500);
    assert_int_equal(cpu->cs.attributes, 0xa09b);
    assert_int_equal(cpu->cs.selector, 8);
    assert_int_equal(cpu->ss.attributes, 0xc093);
    assert_int_equal(cpu->ss.selector, 16);
    assert_int_equal(cpu->tr.attributes, 0x8b);
    /* The segment registers and the GDT in memory say the same. */
    assert_int_equal(cpu->gdtr.base, BOOT_GDT_ADDRESS);
    assert_int_equal(cpu->gdtr.limit, 23);
    assert_int_equal(bytes_load(fixture->ram.bytes + BOOT_GDT_ADDRESS, 8), 0);
    assert_int_equal(bytes_load(fixture->ram.bytes + BOOT_GDT_ADDRESS + 8, 8), 0x00af9b000000ffff);
    assert_int_equal(bytes_load(fixture->ram.bytes + BOOT_GDT_ADDRESS + 16, 8), 0x00cf93000000ffff);
}

/* Walks the tables as a processor does (SDM volume 3, 4.5.4), for pages of 2 MiB. */
static uint64_t walk(const struct boot_fixture *fixture, uint64_t address)
{
    uint64_t table = fixture->cpu.cr3;
    for (unsigned shift = 39; shift >= 30; shift -= 9) {
        uint64_t entry = bytes_load(fixture->ram.bytes + table + 8 * ((address >> shift) & 511), 8);
        if (!(entry & 1))
            return UINT64_MAX;
        assert_int_equal(entry & 0xfff, 0x23);
        table = entry & ~UINT64_C(0xfff);
    }
    uint64_t entry = bytes_load(fixture->ram.bytes + table + 8 * ((address >> 21) & 511), 8);
    if (!(entry & 1))
        return UINT64_MAX;
    assert_int_equal(entry & 0xfff, 0xe3);
    return (entry & ~UINT64_C(0x1fffff)) | (address & 0x1fffff);
}

static void test_paging(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_ELF64), 0);
    for (uint64_t address = 0; address < BOOT_MAPPED_END; address += 0x200000)
        assert_int_equal(walk(fixture, address + 0x12345), address + 0x12345);
    assert_int_equal(walk(fixture, BOOT_MAPPED_END), UINT64_MAX);
    assert_int_equal(walk(fixture, UINT64_C(1) << 39), UINT64_MAX);
}

static void test_boot_info(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    struct boot_info info;
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, "rate=7 quiet", BOOT_ELF64), 0);
    assert_true(ram_read(&fixture->ram, fixture->cpu.gprs[GPR_RDI], &info, sizeof info));
    assert_memory_equal(&info, "ENCB", 4);
    assert_int_equal(info.version, 1);
    assert_int_equal(info.size, sizeof info);
    assert_int_equal(info.ram_size, TEST_RAM_SIZE);
    assert_int_equal(info.cmdline_length, 12);
    assert_string_equal((const char *)fixture->ram.bytes + info.cmdline_address, "rate=7 quiet");
    assert_int_equal(info.uart_port, 0x3f8);
    assert_int_equal(info.debug_exit_port, 0xf4);
    assert_int_equal(info.entropy_port, 0xe08);
    assert_int_equal(info.reserved_count, 7);
    assert_int_equal(info.reserved[0].address, BOOT_LOW_START);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(info.reserved[i].address, info.reserved[i - 1].address + info.reserved[i - 1].length);
    assert_int_equal(info.reserved[4].address + info.reserved[4].length, BOOT_LOW_END);
    assert_int_equal(info.reserved[5].kind, BOOT_RESERVED_FIRMWARE);
    assert_int_equal(info.reserved[5].address, 0xe0000);
    assert_int_equal(info.reserved[5].length, 0x20000);
    assert_int_equal(info.reserved[6].kind, BOOT_RESERVED_IMAGE);
    assert_int_equal(info.reserved[6].address, CODE);
    assert_int_equal(info.reserved[6].length, DATA + 116 - CODE);
}

/* Wherever the image is, what is in use is told in order of address. */
static void test_reserved_order(void **state)
{
    struct boot_fixture *fixture = *state;
    static const struct {
        uint64_t address;
        unsigned index;
    } cases[] = {{0, 0}, {BOOT_LOW_END, 5}, {0xdff00, 5}, {CODE, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t image[IMAGE];
        struct boot_info info;
        make_image(image);
        bytes_store(image + 24, 8, cases[i].address);
        bytes_store(image + SEGMENT(0) + 24, 8, cases[i].address);
        bytes_store(image + SEGMENT(1) + 24, 8, cases[i].address + 32);
        assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_ELF64), 0);
        assert_true(ram_read(&fixture->ram, BOOT_INFO_ADDRESS, &info, sizeof info));
        assert_int_equal(info.reserved_count, 7);
        assert_int_equal(info.reserved[cases[i].index].kind, BOOT_RESERVED_IMAGE);
        for (unsigned n = 1; n < 7; n++)
            assert_true(info.reserved[n].address >= info.reserved[n - 1].address + info.reserved[n - 1].length);
    }
}

static void test_no_modules(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE], byte = 1;
    struct boot_options options = {.protocol = BOOT_ELF64,
                                   .modules = {{.bytes = &byte, .length = 1, .name = "module", .text = ""}},
                                   .module_count = 1};
    make_image(image);
    boot_refused_options(fixture, image, IMAGE, &options, "no modules");
}

static void test_refusals(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct boot_change changes[] = {
        {4, 1, 1, "not an ELF64"},
        {5, 1, 2, "another processor"},
        {18, 2, 183, "another processor"},
        {16, 2, 3, "position-independent"},
        {16, 2, 1, "not an ELF executable"},
        {24, 8, CODE - 1, "entry point"},
        {24, 8, CODE + 32, "entry point"},
        {24, 8, DATA, "entry point"}, /* not executable */
        {32, 8, IMAGE - 1, "beyond the file"},
        {32, 8, UINT64_MAX, "beyond the file"},
        {54, 2, 32, "program headers of 32 bytes"},
        {56, 2, 0, "0 program headers"},
        {56, 2, 65, "65 program headers"},
        {56, 2, 0xffff, "65535 program headers"},
        {SEGMENT(0), 4, 3, "interpreter"},
        {SEGMENT(0) + 8, 8, IMAGE - 31, "beyond the file"},
        {SEGMENT(0) + 8, 8, UINT64_MAX - 8, "beyond the file"},
        {SEGMENT(0) + 24, 8, TEST_RAM_SIZE - 31, "beyond the memory"},
        {SEGMENT(0) + 24, 8, UINT64_MAX - 8, "beyond the memory"},
        {SEGMENT(0) + 24, 8, BOOT_INFO_ADDRESS - 31, "overlaps the boot-info page"},
        {SEGMENT(0) + 24, 8, BOOT_CMDLINE_PAGE + 4095, "overlaps the command line"},
        {SEGMENT(0) + 24, 8, BOOT_GDT_ADDRESS, "overlaps the boot GDT"},
        {SEGMENT(0) + 24, 8, BOOT_PD_ADDRESS + 0x3ff0, "overlaps the boot page tables"},
        {SEGMENT(0) + 24, 8, BOOT_STACK_TOP - 1, "overlaps the boot stack"},
        {SEGMENT(0) + 24, 8, 0xe0000 - 31, "overlaps the firmware's tables"},
        {SEGMENT(0) + 24, 8, 0xfffff, "overlaps the firmware's tables"},
        {SEGMENT(0) + 32, 8, 33, "0x21 bytes in the file but only 0x20 in memory"},
        {SEGMENT(0) + 40, 8, UINT64_MAX, "beyond the memory"},
        {SEGMENT(0) + 40, 8, DATA - CODE + 1, "segment 1 [0x110000, 0x110074) overlaps segment 0 [0x100000, 0x110001)"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t image[IMAGE];
        make_image(image);
        bytes_store(image + changes[i].offset, changes[i].width, changes[i].value);
        boot_refused(fixture, image, IMAGE, BOOT_ELF64, changes[i].words);
    }
}

/* Right up against its neighbours is not an overlap. */
static void test_neighbours(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    bytes_store(image + SEGMENT(0) + 24, 8, BOOT_LOW_END);
    bytes_store(image + 24, 8, BOOT_LOW_END);
    bytes_store(image + SEGMENT(1) + 24, 8, TEST_RAM_SIZE - 116);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_ELF64), 0);
    bytes_store(image + SEGMENT(1) + 24, 8, BOOT_LOW_START - 116);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_ELF64), 0);
}

static void test_no_segments(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    bytes_store(image + SEGMENT(0), 4, 4);
    bytes_store(image + SEGMENT(1), 4, 4);
    boot_refused(fixture, image, IMAGE, BOOT_ELF64, "entry point");
}

static void test_command_line(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    char cmdline[BOOT_CMDLINE_MAX + 2];
    make_image(image);
    memset(cmdline, 'x', sizeof cmdline);
    cmdline[BOOT_CMDLINE_MAX] = 0;
    assert_int_equal(boot_try(fixture, image, IMAGE, cmdline, BOOT_ELF64), 0);
    cmdline[BOOT_CMDLINE_MAX] = 'x';
    cmdline[BOOT_CMDLINE_MAX + 1] = 0;
    assert_int_equal(boot_try(fixture, image, IMAGE, cmdline, BOOT_ELF64), -1);
    assert_non_null(strstr(fixture->error.text, "4001 bytes"));
}

static void test_small_memory(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    struct ram small;
    struct boot_options options = {.protocol = BOOT_ELF64};
    make_image(image);
    for (uint64_t pages = 1; pages < 16; pages++) {
        assert_int_equal(ram_create(&small, pages * 4096, &fixture->error), 0);
        assert_int_equal(boot_load(&small, &fixture->cpu, image, IMAGE, "image", &options, NULL, &fixture->error), -1);
        assert_non_null(strstr(fixture->error.text, "has no room for the"));
        ram_destroy(&small);
    }
}

static void test_hostile(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    assert_true(boot_try_hostile(fixture, image, IMAGE, SEGMENT(2), BOOT_ELF64) > IMAGE);
    assert_true(boot_try_hostile(fixture, image, IMAGE, SEGMENT(2), BOOT_AUTO) > IMAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_segments, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_entry_state, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_paging, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_boot_info, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_reserved_order, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_no_modules, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_neighbours, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_no_segments, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_command_line, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_small_memory, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_hostile, boot_setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_elf64", tests, NULL, NULL);
}
