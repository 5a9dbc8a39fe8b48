/*
 * Whether an initial RAM disk for Linux is all there. It is one archive or several, one after the other, with zeros in
 * between (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): cpio archives (newc), whose members say
 * how long they are and whose last one is "TRAILER!!!", unless they just end, and compressed ones. Of those zstd (RFC
 * 8878) and LZ4 as Linux has it give the length of each block, and xz ends in a footer; gzip, bzip2 and LZMA do not
 * say. What is none of these may be anything, a file system for example, and is taken as it is.
 */
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "vmm/boot/loader.h"

#define CPIO_MAGIC     6u
#define CPIO_HEADER    110u
#define CPIO_FILE_SIZE 54u
#define CPIO_NAME_SIZE 94u
#define CPIO_END       "TRAILER!!!"

#define LZ4_MAGIC  4u
#define LZ4_NUMBER 0x184c2102u

enum part {
    PART_WHOLE, /* the offset is now behind it */
    PART_CUT,
    PART_UNKNOWN, /* whatever follows: nothing more can be told */
};

/* Eight hexadecimal digits. */
static bool get_number(const uint8_t *digits, uint64_t *number)
{
    *number = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned c = digits[i] | 0x20u;
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *number = *number << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static bool is_cpio(const uint8_t *bytes, size_t length)
{
    return length >= CPIO_MAGIC && (memcmp(bytes, "070701", 6) == 0 || memcmp(bytes, "070702", 6) == 0);
}

static uint64_t round_up(uint64_t value)
{
    return (value + 3) & ~UINT64_C(3);
}

/* Members up to the trailer. Header and name, and the contents, each begin at a multiple of four bytes. */
static enum part pass_cpio(const uint8_t *bytes, size_t length, size_t *at)
{
    while (is_cpio(bytes + *at, length - *at)) {
        uint64_t file_size, name_size;
        if (length - *at < CPIO_HEADER)
            return PART_CUT;
        if (!get_number(bytes + *at + CPIO_FILE_SIZE, &file_size) ||
            !get_number(bytes + *at + CPIO_NAME_SIZE, &name_size))
            return PART_UNKNOWN;
        const uint8_t *name = bytes + *at + CPIO_HEADER;
        uint64_t contents = round_up(*at + CPIO_HEADER + name_size);
        if (contents > length || file_size > length - contents)
            return PART_CUT;
        bool last = name_size == sizeof CPIO_END && memcmp(name, CPIO_END, sizeof CPIO_END) == 0;
        uint64_t end = round_up(contents + file_size);
        *at = end < length ? (size_t)end : length;
        if (last)
            return PART_WHOLE;
    }
    if (*at == length) /* the trailer may be left out */
        return PART_WHOLE;
    return length - *at < CPIO_MAGIC ? PART_CUT : PART_UNKNOWN;
}

static enum part pass_zstd(const uint8_t *bytes, size_t length, size_t *at)
{
    size_t size = ZSTD_findFrameCompressedSize(bytes + *at, length - *at);

    if (ZSTD_isError(size))
        return PART_CUT;
    *at += size;
    return PART_WHOLE;
}

/* Blocks, each with its length before it, to the end of the file. */
static enum part pass_lz4(const uint8_t *bytes, size_t length, size_t *at)
{
    for (*at += LZ4_MAGIC; *at < length;) {
        if (length - *at < 4)
            return PART_CUT;
        uint64_t size = bytes_load(bytes + *at, 4);
        if (size == 0)
            return PART_UNKNOWN;  /* zeros behind it */
        if (size == LZ4_NUMBER) { /* another one */
            *at += LZ4_MAGIC;
            continue;
        }
        if (size > length - *at - 4)
            return PART_CUT;
        *at += 4 + (size_t)size;
    }
    return PART_WHOLE;
}

/* Whether an archive begins here, of any kind that Linux knows. */
static bool is_archive(const uint8_t *bytes, size_t length)
{
    static const char *const magics[] = {"\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "\x02\x21\x4c\x18", "\xfd\x37zXZ", "BZh"};

    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        size_t size = strlen(magics[i]);
        if (length >= size && memcmp(bytes, magics[i], size) == 0)
            return true;
    }
    return is_cpio(bytes, length);
}

/* Its footer, "YZ" at a multiple of four bytes from its beginning, is at its end. How long it is only its index tells,
 * so the footer is known by what follows: nothing but zeros, or another archive. */
static enum part pass_xz(const uint8_t *bytes, size_t length, size_t *at)
{
    size_t rest = length;

    while (rest > *at && bytes[rest - 1] == 0)
        rest--;
    for (size_t end = *at + 4; end <= length; end += 4) {
        size_t next = end;
        if (memcmp(bytes + end - 2, "YZ", 2) != 0)
            continue;
        while (next < rest && bytes[next] == 0)
            next++;
        if (next >= rest || is_archive(bytes + next, length - next)) {
            *at = next < length ? next : length;
            return PART_WHOLE;
        }
    }
    return PART_CUT;
}

static enum part pass_part(const uint8_t *bytes, size_t length, size_t *at)
{
    const uint8_t *here = bytes + *at;
    size_t left = length - *at;

    if (is_cpio(here, left))
        return pass_cpio(bytes, length, at);
    if (left >= 4 && memcmp(here, "\x28\xb5\x2f\xfd", 4) == 0)
        return pass_zstd(bytes, length, at);
    if (left >= 4 && memcmp(here, "\x02\x21\x4c\x18", 4) == 0)
        return pass_lz4(bytes, length, at);
    if (left >= 6 && memcmp(here, "\xfd\x37zXZ\0", 6) == 0)
        return pass_xz(bytes, length, at);
    return PART_UNKNOWN;
}

int loader_check_initrd(struct loader *loader, unsigned index)
{
    const struct boot_module *module = &loader->modules[index];
    enum part part = PART_WHOLE;

    for (size_t at = 0; at < module->length && part == PART_WHOLE;) {
        if (module->bytes[at] == 0)
            at++;
        else
            part = pass_part(module->bytes, module->length, &at);
    }
    if (part == PART_CUT)
        return loader_fail(loader, "the initial RAM disk %s is cut short", module->name);
    return 0;
}
