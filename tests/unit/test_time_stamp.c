/*
 * Whether an image's code reads the time stamp counter: what is found, what only looks like it, and images that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tools/time_stamp.h"

#define CODE_AT 0x1000

/* A file of one segment with some bytes; returns its length. */
static size_t elf64(uint8_t *image, unsigned flags, const void *code, size_t length)
{
    memset(image, 0, CODE_AT);
    memcpy(image, "\177ELF\2\1\1", 7);
    bytes_store(image + 32, 8, 64);
    bytes_store(image + 54, 2, 56);
    bytes_store(image + 56, 2, 1);
    uint8_t *segment = image + 64;
    bytes_store(segment, 4, 1);
    bytes_store(segment + 4, 4, flags);
    bytes_store(segment + 8, 8, CODE_AT);
    bytes_store(segment + 32, 8, length);
    memcpy(image + CODE_AT, code, length);
    return CODE_AT + length;
}

static size_t elf32(uint8_t *image, unsigned flags, const void *code, size_t length)
{
    memset(image, 0, CODE_AT);
    memcpy(image, "\177ELF\1\1\1", 7);
    bytes_store(image + 28, 4, 52);
    bytes_store(image + 42, 2, 32);
    bytes_store(image + 44, 2, 1);
    uint8_t *segment = image + 52;
    bytes_store(segment, 4, 1);
    bytes_store(segment + 4, 4, CODE_AT);
    bytes_store(segment + 16, 4, length);
    bytes_store(segment + 24, 4, flags);
    memcpy(image + CODE_AT, code, length);
    return CODE_AT + length;
}

static void code(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t length;
        enum time_stamp_use use;
    } rows[] = {
        {"rdtsc", "\x90\x0f\x31\xc3", 4, TIME_STAMP_READ},
        {"rdtscp", "\x0f\x01\xf9", 3, TIME_STAMP_READ},
        {"a prefix before it", "\xf3\x0f\x31", 3, TIME_STAMP_READ},
        {"behind what is no instruction in 64-bit mode", "\x06\x0f\x31\xc3", 4, TIME_STAMP_READ},
        {"mov eax, 0xc3310f90", "\xb8\x90\x0f\x31\xc3\xc3", 6, TIME_STAMP_UNUSED},
        {"lgdt", "\x0f\x01\x10\xc3", 4, TIME_STAMP_UNUSED},
        {"half of it at the end", "\x90\x90\x0f", 3, TIME_STAMP_UNUSED},
        {"nothing", "", 0, TIME_STAMP_UNUSED},
    };
    uint8_t image[CODE_AT + 64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t length = elf64(image, 5, rows[i].bytes, rows[i].length);
        if (time_stamp_use(BOOT_ELF64, 0, image, length) != rows[i].use)
            fail_msg("%s in an ELF64 file", rows[i].what);
        length = elf32(image, 5, rows[i].bytes, rows[i].length);
        if (time_stamp_use(BOOT_MULTIBOOT1, 0, image, length) != rows[i].use)
            fail_msg("%s in an ELF32 file", rows[i].what);
    }
    size_t length = elf64(image, 6, "\x0f\x31", 2);
    assert_int_equal(time_stamp_use(BOOT_ELF64, 0, image, length), TIME_STAMP_UNUSED); /* data */
    /* 64-bit code in a 32-bit file: MOV RAX, imm64, where 32-bit code has DEC EAX; MOV EAX, imm32; and what follows. */
    length = elf32(image, 5, "\x48\xb8\x90\x90\x90\x90\x90\x90\x0f\x31", 10);
    assert_int_equal(time_stamp_use(BOOT_MULTIBOOT1, 0, image, length), TIME_STAMP_READ);
    /* No ELF file: a Multiboot kernel with addresses of its own. */
    assert_int_equal(time_stamp_use(BOOT_MULTIBOOT1, 0, (const uint8_t *)"\x90\x90\x90\x0f\x31", 5), TIME_STAMP_READ);
}

static void what_else_runs(void **state)
{
    static const enum boot_protocol others[] = {BOOT_SECTOR, BOOT_LINUX64, BOOT_LINUX32, BOOT_PVH, BOOT_FIRMWARE};
    uint8_t image[CODE_AT + 64];
    size_t length = elf64(image, 5, "\x90", 1);

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(time_stamp_use(others[i], 0, image, length), TIME_STAMP_UNKNOWN);
    assert_int_equal(time_stamp_use(BOOT_MULTIBOOT1, 1, image, length), TIME_STAMP_UNKNOWN);
    assert_int_equal(time_stamp_use(BOOT_ELF64, 0, NULL, 0), TIME_STAMP_UNKNOWN);
}

/* Headers that lie are taken to hide something; nothing beyond the file is looked at (the sanitizers would tell). */
static void lies(void **state)
{
    static const struct {
        unsigned at, width;
        uint64_t value;
    } rows[] = {
        {32, 8, UINT64_MAX}, {32, 8, CODE_AT}, {56, 2, 0xffff},  {54, 2, 8},
        {72, 8, UINT64_MAX}, {72, 8, 1 << 20}, {96, 8, 1 << 20}, {96, 8, UINT64_MAX},
    };
    uint8_t image[CODE_AT + 64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t length = elf64(image, 5, "\x90", 1);
        bytes_store(image + rows[i].at, rows[i].width, rows[i].value);
        assert_int_equal(time_stamp_use(BOOT_ELF64, 0, image, length), TIME_STAMP_READ);
    }
    size_t length = elf64(image, 5, "\x90", 1);
    for (size_t cut = 0; cut < length; cut++)
        (void)time_stamp_use(BOOT_ELF64, 0, image, cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code),
        cmocka_unit_test(what_else_runs),
        cmocka_unit_test(lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
