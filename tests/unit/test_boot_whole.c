/* Files that are cut short although their headers say how long they are, and files that are compressed. */
#include <stdio.h>
#include <zstd.h>

#include "tests/unit/test_boot_support.h"

#define SETUP   1024u /* a bzImage's real-mode part here */
#define KERNEL  1024u
#define BZIMAGE (SETUP + KERNEL)

/* A bzImage whose header gives the length of its protected-mode part and, in that, its payload. */
static void make_bzimage(uint8_t image[BZIMAGE])
{
    memset(image, 0, BZIMAGE);
    image[0x1f1] = 1;
    bytes_store(image + 0x1f4, 4, KERNEL / 16);
    bytes_store(image + 0x1fe, 2, 0xaa55);
    bytes_store(image + 0x200, 2, 0x66eb);
    memcpy(image + 0x202, "HdrS", 4);
    bytes_store(image + 0x206, 2, 0x020f);
    bytes_store(image + 0x22c, 4, 0x7fffffff);
    bytes_store(image + 0x236, 2, 3);
    bytes_store(image + 0x238, 4, 2047);
    bytes_store(image + 0x248, 4, 700);
    bytes_store(image + 0x24c, 4, 300);
    bytes_store(image + 0x258, 8, 0x100000);
    bytes_store(image + 0x260, 4, 0x2000);
    memset(image + SETUP, 0x90, KERNEL);
}

static void test_bzimage(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[BZIMAGE + 64] = {0};

    make_bzimage(image);
    assert_int_equal(boot_try(fixture, image, BZIMAGE, "", BOOT_AUTO), 0);
    /* A signature may follow. The length counts pieces of 16 bytes, and the last one need not be all there. */
    assert_int_equal(boot_try(fixture, image, BZIMAGE + 64, "", BOOT_AUTO), 0);
    assert_int_equal(boot_try(fixture, image, BZIMAGE - 15, "", BOOT_AUTO), 0);
    boot_refused(fixture, image, BZIMAGE - 16, BOOT_AUTO, "cut short: its header tells of 2048 bytes, and it has 2032");
    boot_refused(fixture, image, BZIMAGE - 16, BOOT_LINUX32, "cut short");
    boot_refused(fixture, image, SETUP + 0x210, BOOT_AUTO, "cut short");
    boot_refused(fixture, image, 0x240, BOOT_AUTO, "cut short within its Linux header");

    bytes_store(image + 0x1f4, 4, 0); /* does not say; but the payload does */
    boot_refused(fixture, image, BZIMAGE - 25, BOOT_AUTO, "cut short: its header tells of 2024 bytes, and it has 2023");
    bytes_store(image + 0x248, 4, UINT32_MAX);
    bytes_store(image + 0x24c, 4, UINT32_MAX);
    boot_refused(fixture, image, BZIMAGE, BOOT_AUTO, "cut short");
    bytes_store(image + 0x248, 4, 0);
    bytes_store(image + 0x1f4, 4, UINT32_MAX);
    boot_refused(fixture, image, BZIMAGE, BOOT_AUTO, "cut short");
}

/* A kernel that is a PE file, too, has its signatures at the end (the certificate table, data directory 4). */
static void test_signature(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[BZIMAGE + 64] = {0};

    make_bzimage(image);
    memcpy(image, "MZ", 2);
    bytes_store(image + 0x3c, 4, 0x40);
    memcpy(image + 0x40, "PE\0\0", 4);
    bytes_store(image + 0x40 + 20, 2, 0xa0);
    bytes_store(image + 0x40 + 24, 2, 0x20b);
    bytes_store(image + 0x40 + 24 + 108, 4, 6);
    bytes_store(image + 0x40 + 24 + 112 + 32, 4, BZIMAGE);
    bytes_store(image + 0x40 + 24 + 112 + 36, 4, 64);
    assert_int_equal(boot_try(fixture, image, BZIMAGE + 64, "", BOOT_AUTO), 0);
    boot_refused(fixture, image, BZIMAGE + 63, BOOT_AUTO, "cut short: its signature ends at byte 2112");
}

#define ELF_CODE  0x100u
#define ELF_NAMES 0x140u
#define ELF_TABLE 0x160u

/* An ELF file of one segment to be loaded, another that is not, and three sections at the end. Returns its length. */
static size_t make_elf(uint8_t image[1024], bool wide)
{
    const unsigned offset = wide ? 8 : 4, file_size = wide ? 32 : 16, width = wide ? 8 : 4;
    const unsigned header = wide ? 64 : 52, phdr = wide ? 56 : 32, shdr = wide ? 64 : 40;
    uint8_t *load = image + header, *other = load + phdr;

    memset(image, 0, 1024);
    memcpy(image, "\177ELF\1\1\1", 7);
    image[4] = wide ? 2 : 1;
    bytes_store(image + 16, 2, 2);
    bytes_store(image + 18, 2, wide ? 62 : 3);
    bytes_store(image + 24, width, 0x100010);
    bytes_store(image + (wide ? 32 : 28), width, header);
    bytes_store(image + (wide ? 40 : 32), width, ELF_TABLE);
    bytes_store(image + (wide ? 54 : 42), 2, phdr);
    bytes_store(image + (wide ? 56 : 44), 2, 2);
    bytes_store(image + (wide ? 58 : 46), 2, shdr);
    bytes_store(image + (wide ? 60 : 48), 2, 3);
    bytes_store(load, 4, 1);
    bytes_store(load + (wide ? 4 : 24), 4, 5);
    bytes_store(load + offset, width, ELF_CODE);
    bytes_store(load + (wide ? 24 : 12), width, 0x100000);
    bytes_store(load + file_size, width, 64);
    bytes_store(load + (wide ? 40 : 20), width, 64);
    bytes_store(other, 4, 0x6474e551);
    bytes_store(other + offset, width, ELF_NAMES);
    bytes_store(other + file_size, width, 8);
    memset(image + ELF_CODE, 0x90, 64);
    if (!wide) {
        bytes_store(image + ELF_CODE, 4, 0x1badb002);
        bytes_store(image + ELF_CODE + 4, 4, 3);
        bytes_store(image + ELF_CODE + 8, 4, (uint32_t) - (0x1badb002 + 3));
    }
    /* Section 1 has bytes; section 2 has none in the file, wherever it says it is. */
    for (unsigned i = 1; i < 3; i++) {
        uint8_t *section = image + ELF_TABLE + (size_t)i * shdr;
        bytes_store(section + 4, 4, i == 1 ? 3 : 8);
        bytes_store(section + (wide ? 24 : 16), width, i == 1 ? ELF_NAMES : 0x10000);
        bytes_store(section + (wide ? 32 : 20), width, 16);
    }
    return ELF_TABLE + 3u * shdr;
}

static void test_elf(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t image[1024];

    for (unsigned wide = 0; wide < 2; wide++) {
        const enum boot_protocol protocol = wide ? BOOT_ELF64 : BOOT_MULTIBOOT1;
        const unsigned width = wide ? 8 : 4, shdr = wide ? 64 : 40;
        size_t length = make_elf(image, wide);
        if (boot_try(fixture, image, length, "", BOOT_AUTO) != 0)
            fail_msg("%s", fixture->error.text);
        assert_int_equal(fixture->chosen, protocol);
        boot_refused(fixture, image, length - 1, BOOT_AUTO, "cut short: its table of sections ends at byte");
        boot_refused(fixture, image, ELF_NAMES + 7, BOOT_AUTO, "cut short: its segment 1 ends at byte 328");
        /* The length of section 1; and where it begins. */
        bytes_store(image + ELF_TABLE + shdr + (wide ? 32 : 20), width, length - ELF_NAMES + 1);
        boot_refused(fixture, image, length, BOOT_AUTO, "cut short: its section 1 ends");
        bytes_store(image + ELF_TABLE + shdr + (wide ? 32 : 20), width, wide ? UINT64_MAX - 5 : UINT32_MAX - 5);
        boot_refused(fixture, image, length, BOOT_AUTO, "cut short: its section 1 ends");
        /* So many sections that their number is in section 0; and none at all. */
        make_elf(image, wide);
        bytes_store(image + (wide ? 60 : 48), 2, 0);
        bytes_store(image + ELF_TABLE + (wide ? 32 : 20), width, 4);
        boot_refused(fixture, image, length, BOOT_AUTO, "cut short: its table of sections ends at byte");
        bytes_store(image + (wide ? 40 : 32), width, 0);
        assert_int_equal(boot_try(fixture, image, length, "", BOOT_AUTO), 0);
    }
}

static void test_compressed(void **state)
{
    struct boot_fixture *fixture = *state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } files[] = {
        {"\x1f\x8b\x08\0", 4, "is compressed by gzip; unpack it first: gzip -dc FILE >IMAGE"},
        {"\xfd"
         "7zXZ\0",
         6, "is compressed by xz; unpack it first: xz -dc FILE >IMAGE"},
        {"\x28\xb5\x2f\xfd", 4, "is compressed by zstd; unpack it first: zstd -dc FILE >IMAGE"},
        {"BZh91AY", 7, "is compressed by bzip2; unpack it first: bzip2 -dc FILE >IMAGE"},
        {"\x04\x22\x4d\x18", 4, "is compressed by lz4; unpack it first: lz4 -dc FILE >IMAGE"},
        {"\x02\x21\x4c\x18", 4, "is compressed by lz4; unpack it first: lz4 -dc FILE >IMAGE"},
        {"\x5d\0\0\x80\0\xff", 6, "is compressed by lzma; unpack it first: xz -dc FILE >IMAGE"},
        {"\x89LZO\0\r\n\x1a\n", 9, "is compressed by lzop; unpack it first: lzop -dc FILE >IMAGE"},
        {"PK\3\4", 4, "is a zip archive; unpack it first: unzip -p FILE >IMAGE"},
    };
    static const enum boot_protocol protocols[] = {BOOT_AUTO,    BOOT_ELF64, BOOT_MULTIBOOT1, BOOT_LINUX64,
                                                   BOOT_LINUX32, BOOT_PVH,   BOOT_SECTOR,     BOOT_FIRMWARE};

    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        uint8_t image[700] = {0};
        memcpy(image, files[i].bytes, files[i].length);
        for (unsigned p = 0; p < sizeof protocols / sizeof protocols[0]; p++)
            boot_refused(fixture, image, sizeof image, protocols[p], files[i].words);
    }
    /* A boot sector may begin with any instruction: POP DS is 1Fh. */
    uint8_t sector[512] = "\x1f\x8b\x08";
    bytes_store(sector + 510, 2, 0xaa55);
    assert_int_equal(boot_try(fixture, sector, sizeof sector, "", BOOT_AUTO), 0);
    assert_int_equal(fixture->chosen, BOOT_SECTOR);
    assert_int_equal(boot_try(fixture, sector, sizeof sector, "", BOOT_SECTOR), 0);
}

/* One member of a cpio archive. Returns where the next begins. */
static size_t put_member(uint8_t *archive, size_t at, const char *name, size_t length)
{
    char header[160];
    size_t name_length = strlen(name) + 1;

    snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1, 0x81a4, 0, 0, 1,
             0, length, 0, 0, 0, 0, name_length, 0);
    memcpy(archive + at, header, 110);
    memcpy(archive + at + 110, name, name_length);
    at = (at + 110 + name_length + 3) & ~(size_t)3;
    memset(archive + at, 'x', length);
    return (at + length + 3) & ~(size_t)3;
}

static void try_initrd(struct boot_fixture *fixture, const uint8_t *bytes, size_t length, const char *words)
{
    uint8_t image[BZIMAGE];
    uint8_t *exact = malloc(length);
    struct boot_options options = {
        .cmdline = "", .module_count = 1, .modules = {{.bytes = exact, .length = length, .name = "ird", .text = ""}}};

    assert_non_null(exact);
    memcpy(exact, bytes, length);
    make_bzimage(image);
    int result = boot_try_options(fixture, image, BZIMAGE, &options);
    if (words ? result == 0 || !strstr(fixture->error.text, words) : result != 0)
        fail_msg("%zu bytes: \"%s\", and not \"%s\"", length, result ? fixture->error.text : "taken",
                 words ? words : "taken");
    free(exact);
}

static void test_initrd_cpio(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t archive[2048] = {0};
    size_t end = put_member(archive, 0, "init", 301);
    size_t whole = put_member(archive, end, "TRAILER!!!", 0);

    try_initrd(fixture, archive, whole, NULL);
    try_initrd(fixture, archive, 1024, NULL); /* as cpio pads it */
    /* A trailer may be left out: where the member ends, padded or not, there may be no more. */
    for (size_t cut = 7; cut < whole - 3; cut++)
        try_initrd(fixture, archive, cut, cut + 3 >= end && cut <= end ? NULL : "initial RAM disk ird is cut short");
    archive[60] = 'z';
    try_initrd(fixture, archive, whole, NULL); /* no number, and so no cpio archive that we know */
    memset(archive + 54, 'f', 8);
    try_initrd(fixture, archive, whole, "cut short");
}

static void test_initrd_compressed(void **state)
{
    struct boot_fixture *fixture = *state;
    uint8_t archive[4096] = {0}, text[1000];
    size_t start = put_member(archive, 0, "TRAILER!!!", 0); /* as microcode comes before the archive proper */

    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * i >> 3);
    size_t length = ZSTD_compress(archive + start, 2000, text, sizeof text, 3);
    assert_false(ZSTD_isError(length));
    try_initrd(fixture, archive, start + length, NULL);
    try_initrd(fixture, archive, start + length + 12, NULL);
    for (size_t cut = start + 5; cut < start + length; cut += 7)
        try_initrd(fixture, archive, cut, "cut short");
    /* LZ4 as Linux has it: each block has its length. */
    memcpy(archive, "\x02\x21\x4c\x18\x10\0\0\0", 8);
    try_initrd(fixture, archive, 24, NULL);
    try_initrd(fixture, archive, 23, "cut short");
    try_initrd(fixture, archive, 6, "cut short");
    memcpy(archive + 24, archive, 24); /* and another one */
    try_initrd(fixture, archive, 48, NULL);
    try_initrd(fixture, archive, 47, "cut short");
    /* xz ends with "YZ"; zeros in fours may follow. */
    memset(archive, 0, sizeof archive);
    memcpy(archive,
           "\xfd"
           "7zXZ\0\0\1",
           8);
    memcpy(archive + 62, "YZ", 2);
    try_initrd(fixture, archive, 64, NULL);
    try_initrd(fixture, archive, 68, NULL);
    try_initrd(fixture, archive, 63, "cut short");
    try_initrd(fixture, archive, 40, "cut short");
    /* Other archives may follow. */
    size_t end = put_member(archive, put_member(archive, 64, "init", 301), "TRAILER!!!", 0);
    try_initrd(fixture, archive, end, NULL);
    try_initrd(fixture, archive, end - 8, "cut short");
    try_initrd(fixture, archive, 62, "cut short");
    memset(archive, 0, sizeof archive);
    /* gzip does not say. */
    memcpy(archive, "\x1f\x8b\x08\0\0\0\0\0", 8);
    try_initrd(fixture, archive, 8, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bzimage, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_signature, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_elf, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_compressed, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_initrd_cpio, boot_setup, boot_teardown),
        cmocka_unit_test_setup_teardown(test_initrd_compressed, boot_setup, boot_teardown),
    };
    return cmocka_run_group_tests_name("boot_whole", tests, NULL, NULL);
}
