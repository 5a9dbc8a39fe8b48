/* See time_stamp.h. */
#include "tools/time_stamp.h"

#include <Zydis/Zydis.h>
#include <string.h>

#include "base/bytes.h"

#define ELF_CLASS_64 2
#define ELF_PT_LOAD  1
#define ELF_PF_X     1u

/* Where an ELF file has its fields, by its class: System V ABI, chapters 4 and 5. */
struct elf_layout {
    unsigned header, width; /* of the file's header; of an address */
    unsigned table, entry_size, count;
    unsigned segment, flags, offset, size; /* a program header's length and fields; its type is at 0 */
};

static const struct elf_layout layout32 = {.header = 52,
                                           .width = 4,
                                           .table = 28,
                                           .entry_size = 42,
                                           .count = 44,
                                           .segment = 32,
                                           .flags = 24,
                                           .offset = 4,
                                           .size = 16};
static const struct elf_layout layout64 = {.header = 64,
                                           .width = 8,
                                           .table = 32,
                                           .entry_size = 54,
                                           .count = 56,
                                           .segment = 56,
                                           .flags = 4,
                                           .offset = 8,
                                           .size = 32};

/* RDTSC is 0F 31, RDTSCP 0F 01 F9 (SDM volume 2B): code without these bytes need not be decoded. */
static bool has_bytes(const uint8_t *code, size_t length)
{
    return memmem(code, length, "\x0f\x31", 2) || memmem(code, length, "\x0f\x01\xf9", 3);
}

/* From the first byte on, instruction by instruction; what is none is skipped by a byte. */
static bool reads(const uint8_t *code, size_t length, ZydisMachineMode mode, ZydisStackWidth width)
{
    ZydisDecodedInstruction instruction;
    ZydisDecoder decoder;

    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, width)))
        return true;
    for (size_t at = 0; at < length;) {
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at, length - at, &instruction))) {
            at++;
            continue;
        }
        if (instruction.mnemonic == ZYDIS_MNEMONIC_RDTSC || instruction.mnemonic == ZYDIS_MNEMONIC_RDTSCP)
            return true;
        at += instruction.length;
    }
    return false;
}

/* A Multiboot kernel begins in 32-bit mode, and may have 64-bit code as well, in a file of either class. */
static bool code_reads(enum boot_protocol protocol, const uint8_t *code, size_t length)
{
    if (!has_bytes(code, length))
        return false;
    return reads(code, length, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64) ||
           (protocol == BOOT_MULTIBOOT1 && reads(code, length, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32));
}

static bool elf_reads(enum boot_protocol protocol, const uint8_t *image, size_t length)
{
    const struct elf_layout *at = image[4] == ELF_CLASS_64 ? &layout64 : &layout32;

    if (length < at->header || bytes_load(image + at->entry_size, 2) != at->segment)
        return true;
    uint64_t table = bytes_load(image + at->table, at->width);
    uint64_t count = bytes_load(image + at->count, 2);
    if (table > length || count * at->segment > length - table)
        return true;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *segment = image + table + i * at->segment;
        uint64_t offset = bytes_load(segment + at->offset, at->width);
        uint64_t size = bytes_load(segment + at->size, at->width);
        if (bytes_load(segment, 4) != ELF_PT_LOAD || !(bytes_load(segment + at->flags, 4) & ELF_PF_X))
            continue;
        if (offset > length || size > length - offset || code_reads(protocol, image + offset, size))
            return true;
    }
    return false;
}

enum time_stamp_use time_stamp_use(enum boot_protocol protocol, unsigned modules, const uint8_t *image, size_t length)
{
    bool elf = length > 4 && memcmp(image, "\177ELF", 4) == 0;
    bool read;

    if (!image || (protocol != BOOT_ELF64 && protocol != BOOT_MULTIBOOT1) || modules > 0)
        return TIME_STAMP_UNKNOWN;
    read = elf ? elf_reads(protocol, image, length) : code_reads(protocol, image, length);
    return read ? TIME_STAMP_READ : TIME_STAMP_UNUSED;
}
