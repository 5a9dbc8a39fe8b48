/* The pvh protocol (Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h), with images made here. */
#include "tests/unit/test_boot_support.h"

#define HEADER     64
#define PHDR       56
#define SEGMENT(i) (HEADER + PHDR * (i))
#define CODE       0x100000u
#define ENTRY      (CODE + 0x10)
#define NOTES      (SEGMENT(2) + 32) /* file offset of the notes */
#define NOTE_ROOM  96
#define IMAGE      (NOTES + NOTE_ROOM)

static void put_segment(uint8_t *image, unsigned index, uint32_t type, uint64_t offset, uint64_t address, uint64_t size)
{
    uint8_t *phdr = image + SEGMENT(index);
    bytes_store(phdr, 4, type);
    bytes_store(phdr + 4, 4, 5);
    bytes_store(phdr + 8, 8, offset);
    bytes_store(phdr + 16, 8, 0xffffffff80000000 + address);
    bytes_store(phdr + 24, 8, address);
    bytes_store(phdr + 32, 8, size);
    bytes_store(phdr + 40, 8, size);
}

/* A note; returns its length in the file. */
static size_t put_note(uint8_t *at, uint32_t type, const char *name, uint32_t name_size, uint64_t value, uint32_t size)
{
    bytes_store(at, 4, name_size);
    bytes_store(at + 4, 4, size);
    bytes_store(at + 8, 4, type);
    memcpy(at + 12, name, name_size);
    size_t data = 12 + ((name_size + 3) & ~3u);
    bytes_store(at + data, 8, value);
    return data + ((size + 3) & ~3u);
}

/* 32 bytes of code at 1 MiB, and a segment of notes, of which the entry is the third. */
static void make_image(uint8_t image[IMAGE])
{
    memset(image, 0, IMAGE);
    memcpy(image, "\177ELF\2\1\1", 7);
    bytes_store(image + 16, 2, 2);
    bytes_store(image + 18, 2, 62);
    bytes_store(image + 24, 8, 0xffffffff81000000); /* e_entry: another one, which PVH does not use */
    bytes_store(image + 32, 8, HEADER);
    bytes_store(image + 54, 2, PHDR);
    bytes_store(image + 56, 2, 2);
    put_segment(image, 0, 1, SEGMENT(2), CODE, 32);
    put_segment(image, 1, 4, NOTES, 0, NOTE_ROOM);
    memset(image + SEGMENT(2), 0x90, 32);
    uint8_t *at = image + NOTES;
    at += put_note(at, 18, "Linux", 6, 0xbad, 4); /* somebody else's, with a name to be padded */
    at += put_note(at, 6, "Xen", 4, 0x6c6c6568, 5);
    at += put_note(at, 18, "Xen", 4, ENTRY, 4);
    bytes_store(image + SEGMENT(1) + 32, 8, (uint64_t)(at - image - NOTES));
}

static const uint8_t *start_info(const struct boot_fixture *fixture)
{
    return fixture->ram.bytes + fixture->cpu.gprs[GPR_RBX];
}

/* pvh.pandoc, "Starting virtual processor state". */
static void test_entry_state(void **state)
{
    struct boot_fixture *fixture = *state;
    const struct cpu_state *cpu = &fixture->cpu;
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_PVH);
    assert_memory_equal(fixture->ram.bytes + CODE, image + SEGMENT(2), 32);
    assert_int_equal(cpu->rip, ENTRY);
    assert_int_equal(cpu->cr0, 0x11); /* PE, and ET, which is always set */
    assert_int_equal(cpu->cr4, 0);
    assert_int_equal(cpu->efer, 0);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->cs.base, 0);
    assert_int_equal(cpu->cs.limit, UINT32_MAX);
    assert_int_equal(cpu->cs.attributes, 0xc09b);
    const struct segment *data[] = {&cpu->ds, &cpu->es, &cpu->ss};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(data[i]->base, 0);
        assert_int_equal(data[i]->limit, UINT32_MAX);
        assert_int_equal(data[i]->attributes, 0xc093);
    }
    assert_int_equal(cpu->tr.base, 0);
    assert_int_equal(cpu->tr.limit, 0x67);
    assert_int_equal(cpu->tr.attributes, 0x8b);
}

static void test_start_info(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(boot_try(fixture, image, IMAGE, "root=/dev/vda", BOOT_AUTO), 0);
    const uint8_t *ram = fixture->ram.bytes, *info = start_info(fixture);
    assert_int_equal(bytes_load(info, 4), 0x336ec578);
    assert_int_equal(bytes_load(info + 4, 4), 1);
    assert_int_equal(bytes_load(info + 8, 4), 0);
    assert_int_equal(bytes_load(info + 12, 4), 0);
    assert_int_equal(bytes_load(info + 16, 8), 0);
    assert_string_equal((const char *)ram + bytes_load(info + 24, 8), "root=/dev/vda");
    assert_int_equal(bytes_load(info + 32, 8), 0xf0040); /* the RSDP */
    assert_int_equal(bytes_load(info + 48, 4), 3);
    assert_int_equal(bytes_load(info + 52, 4), 0);
    const uint8_t *map = ram + bytes_load(info + 40, 8);
    const uint64_t ends[] = {0xa0000, 0x100000, TEST_RAM_SIZE};
    const uint32_t types[] = {1, 2, 1};
    uint64_t at = 0;
    for (unsigned i = 0; i < 3; i++, map += 24) {
        assert_int_equal(bytes_load(map, 8), at);
        at += bytes_load(map + 8, 8);
        assert_int_equal(at, ends[i]);
        assert_int_equal(bytes_load(map + 16, 4), types[i]);
        assert_int_equal(bytes_load(map + 20, 4), 0);
    }
}

static void test_modules(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    struct boot_options options = {.cmdline = "kernel", .module_count = BOOT_MODULES};
    static const char *const texts[BOOT_MODULES] = {"", "one", "2 2", "", "four=4", "x", "y", "z"};
    make_image(image);
    for (unsigned i = 0; i < BOOT_MODULES; i++)
        options.modules[i] = boot_module(1 + 5000 * i, (uint8_t)(0x10 + i), texts[i]);
    assert_int_equal(boot_try_options(fixture, image, IMAGE, &options), 0);
    const uint8_t *ram = fixture->ram.bytes, *info = start_info(fixture);
    assert_int_equal(bytes_load(info + 12, 4), BOOT_MODULES);
    const uint8_t *entry = ram + bytes_load(info + 16, 8);
    for (unsigned i = 0; i < BOOT_MODULES; i++, entry += 32) {
        assert_module_at(fixture, bytes_load(entry, 8), &options.modules[i]);
        assert_int_equal(bytes_load(entry + 8, 8), options.modules[i].length);
        assert_string_equal((const char *)ram + bytes_load(entry + 16, 8), texts[i]);
        assert_int_equal(bytes_load(entry + 24, 8), 0);
    }
    assert_string_equal((const char *)ram + bytes_load(info + 24, 8), "kernel");
    options.modules[0].length = TEST_RAM_SIZE;
    boot_refused_options(fixture, image, IMAGE, &options, "no room for");
    for (unsigned i = 0; i < BOOT_MODULES; i++)
        boot_module_free(&options.modules[i]);
}

/* What is a note of the entry, and what only looks like one. */
static void test_notes(void **state)
{
    struct boot_fixture *fixture = *state;
    static const struct {
        uint32_t type, name_size, size;
        const char *name;
        bool found;
    } cases[] = {
        {18, 4, 4, "Xen", true},   {18, 4, 8, "Xen", true},  {18, 4, 2, "Xen", false}, {18, 4, 0, "Xen", false},
        {17, 4, 4, "Xen", false},  {18, 4, 4, "Xem", false}, {18, 3, 4, "Xen", false}, {18, 5, 4, "Xen\0", false},
        {18, 4, 16, "Xen", false}, {18, 0, 4, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t image[IMAGE];
        make_image(image);
        memset(image + NOTES, 0, NOTE_ROOM);
        put_note(image + NOTES, cases[i].type, cases[i].name, cases[i].name_size, ENTRY, cases[i].size);
        bytes_store(image + SEGMENT(1) + 32, 8, NOTE_ROOM);
        if (cases[i].found) {
            assert_int_equal(boot_try(fixture, image, IMAGE, "", BOOT_AUTO), 0);
            assert_int_equal(fixture->cpu.rip, ENTRY);
        } else {
            boot_refused(fixture, image, IMAGE, BOOT_PVH, "no ELF64 file with a Xen note");
            boot_refused(fixture, image, IMAGE, BOOT_AUTO, "entry point 0xffffffff81000000"); /* as elf64 */
        }
    }
}

/* Notes that end beyond their segment, or the file. */
static void test_notes_cut_short(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    uint64_t whole = bytes_load(image + SEGMENT(1) + 32, 8);
    for (uint64_t size = 0; size < whole; size++) {
        bytes_store(image + SEGMENT(1) + 32, 8, size);
        boot_refused(fixture, image, IMAGE, BOOT_PVH, "no ELF64 file with a Xen note");
    }
    const uint64_t beyond[] = {IMAGE, IMAGE - 1, UINT64_MAX, UINT64_MAX - 8};
    for (unsigned i = 0; i < 4; i++) {
        make_image(image);
        bytes_store(image + SEGMENT(1) + 8, 8, beyond[i]);
        boot_refused(fixture, image, IMAGE, BOOT_PVH, "no ELF64 file with a Xen note");
    }
    for (unsigned field = 0; field < 8; field += 4) {
        make_image(image);
        bytes_store(image + NOTES + field, 4, UINT32_MAX);
        boot_refused(fixture, image, IMAGE, BOOT_PVH, "no ELF64 file with a Xen note");
    }
}

static void test_refusals(void **state)
{
    struct boot_fixture *fixture = *state;
    const uint64_t entry = IMAGE - NOTE_ROOM + 24 + 24 + 16; /* where the image has it */
    const struct boot_change changes[] = {
        {4, 1, 1, "no ELF64 file"},
        {18, 2, 3, "another processor"},
        {16, 2, 3, "position-independent"},
        {54, 2, 32, "program headers of 32 bytes"},
        {56, 2, 0, "no ELF64 file"},
        {(unsigned)entry, 4, CODE - 1, "entry point 0xfffff lies in no executable segment"},
        {(unsigned)entry, 4, CODE + 32, "entry point"},
        {SEGMENT(0) + 4, 4, 6, "entry point"},
        {SEGMENT(0) + 24, 8, TEST_RAM_SIZE - 31, "beyond the memory"},
        {SEGMENT(0) + 24, 8, 0xe0000, "overlaps the firmware's tables"},
        {SEGMENT(0) + 24, 8, BOOT_INFO_ADDRESS, "overlaps the boot-info page"},
        {SEGMENT(0) + 32, 8, 33, "0x21 bytes in the file but only 0x20 in memory"},
    };
    uint8_t image[IMAGE];
    make_image(image);
    assert_int_equal(bytes_load(image + entry, 4), ENTRY);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_image(image);
        bytes_store(image + changes[i].offset, changes[i].width, changes[i].value);
        boot_refused(fixture, image, IMAGE, BOOT_PVH, changes[i].words);
    }
}

static void test_hostile(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[IMAGE];
    make_image(image);
    assert_true(boot_try_hostile(fixture, image, IMAGE, IMAGE, BOOT_PVH) > NOTES);
    assert_true(boot_try_hostile(fixture, image, IMAGE, IMAGE, BOOT_AUTO) > NOTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entry_state, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_start_info, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_modules, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_notes, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_notes_cut_short, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_hostile, boot_setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_pvh", tests, NULL, NULL);
}
