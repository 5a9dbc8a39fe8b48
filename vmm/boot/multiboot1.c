/*
 * The multiboot1 protocol: the Multiboot Specification, version 0.6.96.
 *
 * An image carries a header of magic numbers in its first 8192 bytes. Where to load it is said either by that header's
 * own address fields (flag 16, the "a.out kludge") or by the ELF32 program headers. Entry is in 32-bit protected mode
 * without paging, flat segments, EAX = 0x2badb002, EBX at the information structure (section 3.2 and 3.3).
 *
 * Everything the loader itself writes is in low memory, at the same places as the elf64 protocol's: the information
 * structure, memory map, loader name and list of modules in one page, the command line in the next, the GDT in the
 * third. Modules are page-aligned always (flag 0), as high in memory as they fit; their command lines follow the
 * kernel's.
 */
#include "vmm/boot/loader.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"
#include "vmm/boot/memory_map.h"

#define MB_SEARCH       8192
#define MB_HEADER_MAGIC 0x1badb002u
#define MB_ENTRY_MAGIC  0x2badb002u
#define MB_SIZE_MINIMAL 12
#define MB_SIZE_ADDRESS 32

/* Header flags, section 3.1.2. Of bits 0 to 15, "requirements", one that is not known must stop the boot. */
#define MB_FLAG_ALIGN   0x00000001u
#define MB_FLAG_MEMORY  0x00000002u
#define MB_FLAG_VIDEO   0x00000004u
#define MB_FLAG_ADDRESS 0x00010000u
#define MB_REQUIREMENTS 0x0000ffffu
#define MB_FULFILLED    (MB_FLAG_ALIGN | MB_FLAG_MEMORY)

/* Information structure, section 3.3: which fields are valid, and where they are. */
#define MB_INFO_SIZE       120
#define MB_INFO_MEMORY     0x001u
#define MB_INFO_CMDLINE    0x004u
#define MB_INFO_MAP        0x040u
#define MB_INFO_LOADER     0x200u
#define MB_MAP_ADDRESS     (BOOT_INFO_ADDRESS + 0x200)
#define MB_LOADER_ADDRESS  (BOOT_INFO_ADDRESS + 0x400)
#define MB_MAP_ENTRY_SIZE  24
#define MB_INFO_MODULES    0x008u
#define MB_MODULES_ADDRESS (BOOT_INFO_ADDRESS + 0x500)
#define MB_MODULE_ENTRY    16

/* Of a BIOS's data area: where COM1 is, and the size of conventional memory. Kernels that come through a PC's boot
 * loader find a BIOS's leavings there, and Xen takes a place for itself by them. */
#define BDA_COM1       0x400
#define BDA_BASE_KIB   0x413
#define BASE_KIB_LIMIT (PC_CONVENTIONAL_END / 1024)

#define ELF32_HEADER_SIZE 52
#define ELF32_PHDR_SIZE   32

struct multiboot_header {
    size_t offset; /* in the file */
    uint32_t flags;
};

/* Section 3.1: a longword boundary, all of it within the first 8192 bytes, magic + flags + checksum = 0. */
static bool find_header(const uint8_t *image, size_t length, struct multiboot_header *header)
{
    size_t limit = length < MB_SEARCH ? length : MB_SEARCH;
    for (size_t at = 0; at + MB_SIZE_MINIMAL <= limit; at += 4) {
        if (bytes_load(image + at, 4) != MB_HEADER_MAGIC)
            continue;
        uint32_t flags = (uint32_t)bytes_load(image + at + 4, 4);
        uint32_t checksum = (uint32_t)bytes_load(image + at + 8, 4);
        if ((uint32_t)(MB_HEADER_MAGIC + flags + checksum) != 0)
            continue;
        *header = (struct multiboot_header){.offset = at, .flags = flags};
        return true;
    }
    return false;
}

bool loader_is_multiboot1(const uint8_t *image, size_t length)
{
    struct multiboot_header header;
    return find_header(image, length, &header);
}

/* By the header's own address fields, section 3.1.3. */
static int place_by_address(struct loader *loader, const struct multiboot_header *header, uint32_t *entry)
{
    size_t limit = loader->length < MB_SEARCH ? loader->length : MB_SEARCH;
    if (limit - header->offset < MB_SIZE_ADDRESS)
        return loader_fail(loader, "the Multiboot header at offset 0x%zx is cut short", header->offset);
    const uint8_t *fields = loader->image + header->offset;
    uint32_t header_address = (uint32_t)bytes_load(fields + 12, 4);
    uint32_t load = (uint32_t)bytes_load(fields + 16, 4);
    uint32_t load_end = (uint32_t)bytes_load(fields + 20, 4);
    uint32_t bss_end = (uint32_t)bytes_load(fields + 24, 4);
    *entry = (uint32_t)bytes_load(fields + 28, 4);
    if (load > header_address || header_address - load > header->offset)
        return loader_fail(loader,
                           "the Multiboot load address 0x%x does not fit a header at offset 0x%zx, address 0x%x", load,
                           header->offset, header_address);
    uint64_t offset = header->offset - (header_address - load);
    uint64_t file_size = load_end != 0 ? (uint64_t)load_end - load : loader->length - offset;
    if (load_end != 0 && load_end < load)
        return loader_fail(loader, "the Multiboot load end 0x%x lies below the load address 0x%x", load_end, load);
    uint64_t memory_size = bss_end != 0 ? (uint64_t)bss_end - load : file_size;
    if (bss_end != 0 && (bss_end < load || memory_size < file_size))
        return loader_fail(loader, "the Multiboot bss end 0x%x lies below the end of what is loaded at 0x%x", bss_end,
                           load);
    struct loader_segment whole = {
        .address = load, .memory_size = memory_size, .file_offset = offset, .file_size = file_size, .executable = true};
    return loader_place(loader, &whole);
}

static int place_by_elf32(struct loader *loader, uint32_t *entry)
{
    const uint8_t *image = loader->image;
    /* Class 1 (32-bit), little-endian, type 2 (executable), machine 3 (80386): System V ABI, chapter 4. */
    if (loader->length < ELF32_HEADER_SIZE || memcmp(image, "\177ELF\1\1", 6) != 0 || bytes_load(image + 16, 2) != 2 ||
        bytes_load(image + 18, 2) != 3)
        return loader_fail(loader, "the Multiboot header gives no addresses, and the file is no ELF32 executable");
    *entry = (uint32_t)bytes_load(image + 24, 4);
    uint64_t table = bytes_load(image + 28, 4);
    unsigned entry_size = (unsigned)bytes_load(image + 42, 2);
    unsigned count = (unsigned)bytes_load(image + 44, 2);
    if (entry_size != ELF32_PHDR_SIZE)
        return loader_fail(loader, "program headers of %u bytes instead of %u", entry_size, ELF32_PHDR_SIZE);
    if (count == 0 || count > LOADER_SEGMENTS)
        return loader_fail(loader, "%u program headers; 1 to %u are possible", count, LOADER_SEGMENTS);
    if (table > loader->length || (uint64_t)count * ELF32_PHDR_SIZE > loader->length - table)
        return loader_fail(loader, "the %u program headers at offset 0x%llx lie beyond the file's %zu bytes", count,
                           (unsigned long long)table, loader->length);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *phdr = image + table + (size_t)i * ELF32_PHDR_SIZE;
        if (bytes_load(phdr, 4) != 1) /* PT_LOAD */
            continue;
        struct loader_segment segment = {.number = i,
                                         .address = bytes_load(phdr + 12, 4),
                                         .memory_size = bytes_load(phdr + 20, 4),
                                         .file_offset = bytes_load(phdr + 4, 4),
                                         .file_size = bytes_load(phdr + 16, 4),
                                         .executable = (bytes_load(phdr + 24, 4) & 1) != 0}; /* PF_X */
        if (loader_place(loader, &segment) != 0)
            return -1;
    }
    return 0;
}

/* Returns the length of the map in bytes. */
static uint32_t put_memory_map(struct loader *loader)
{
    struct memory_range ranges[MEMORY_MAP_RANGES];
    unsigned count = memory_map(loader->ram->size, ranges);
    uint8_t map[MEMORY_MAP_RANGES * MB_MAP_ENTRY_SIZE];
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = map + i * MB_MAP_ENTRY_SIZE;
        bytes_store(entry, 4, MB_MAP_ENTRY_SIZE - 4); /* the size field does not count itself */
        bytes_store(entry + 4, 8, ranges[i].start);
        bytes_store(entry + 12, 8, ranges[i].end - ranges[i].start);
        bytes_store(entry + 20, 4, ranges[i].type);
    }
    CHECK(ram_write(loader->ram, MB_MAP_ADDRESS, map, count * MB_MAP_ENTRY_SIZE));
    return count * MB_MAP_ENTRY_SIZE;
}

/* Section 3.3, mods_count and mods_addr: start, end and command line of each. */
static int put_modules(struct loader *loader)
{
    for (unsigned i = 0; i < loader->module_count; i++) {
        const struct boot_module *module = &loader->modules[i];
        uint64_t address = 0, text = 0;
        uint8_t entry[MB_MODULE_ENTRY] = {0};
        if (loader_put_module_text(loader, i, &text) != 0 ||
            loader_place_module(loader, i, BOOT_MAPPED_END, &address) != 0)
            return -1;
        bytes_store(entry, 4, address);
        bytes_store(entry + 4, 4, address + module->length);
        bytes_store(entry + 8, 4, text);
        bool whole = ram_write(loader->ram, MB_MODULES_ADDRESS + i * MB_MODULE_ENTRY, entry, sizeof entry);
        CHECK(whole);
    }
    return 0;
}

static void put_information(struct loader *loader)
{
    uint64_t size = loader->ram->size;
    uint64_t lower = size < PC_CONVENTIONAL_END ? size : PC_CONVENTIONAL_END;
    uint64_t upper = size > PC_EXTENDED_START ? size - PC_EXTENDED_START : 0;
    uint64_t upper_kib = upper / 1024;
    uint8_t info[MB_INFO_SIZE] = {0};
    bytes_store(info, 4,
                MB_INFO_MEMORY | MB_INFO_CMDLINE | MB_INFO_MAP | MB_INFO_LOADER |
                    (loader->module_count ? MB_INFO_MODULES : 0));
    bytes_store(info + 4, 4, lower / 1024);
    bytes_store(info + 8, 4, upper_kib < UINT32_MAX ? upper_kib : UINT32_MAX);
    bytes_store(info + 16, 4, BOOT_CMDLINE_PAGE);
    bytes_store(info + 20, 4, loader->module_count);
    bytes_store(info + 24, 4, loader->module_count ? MB_MODULES_ADDRESS : 0);
    bytes_store(info + 44, 4, put_memory_map(loader));
    bytes_store(info + 48, 4, MB_MAP_ADDRESS);
    bytes_store(info + 64, 4, MB_LOADER_ADDRESS);
    bool whole = ram_write(loader->ram, BOOT_INFO_ADDRESS, info, sizeof info);
    CHECK(whole);
    loader_put_string(loader, MB_LOADER_ADDRESS, "Encore");
    loader_put_string(loader, BOOT_CMDLINE_PAGE, loader->cmdline);
}

static void put_bios_data(struct loader *loader)
{
    uint64_t kib = loader->ram->size / 1024;
    uint8_t word[2];

    bytes_store(word, 2, BOOT_PORT_UART);
    bool whole = ram_write(loader->ram, BDA_COM1, word, sizeof word);
    bytes_store(word, 2, kib < BASE_KIB_LIMIT ? kib : BASE_KIB_LIMIT);
    whole = whole && ram_write(loader->ram, BDA_BASE_KIB, word, sizeof word);
    CHECK(whole);
}

int loader_multiboot1(struct loader *loader)
{
    struct multiboot_header header;
    if (!find_header(loader->image, loader->length, &header))
        return loader_fail(loader, "no Multiboot 1 header in the first 8192 bytes");
    uint32_t unknown = header.flags & MB_REQUIREMENTS & ~MB_FULFILLED;
    if (unknown & MB_FLAG_VIDEO)
        return loader_fail(loader, "the Multiboot header requires a video mode; this machine has no display");
    if (unknown != 0)
        return loader_fail(loader, "the Multiboot header requires what is not known here (flags 0x%x)", unknown);
    if (loader_reserve_low(loader) != 0 || loader_reserve_firmware(loader) != 0)
        return -1;
    put_bios_data(loader);
    uint32_t entry = 0;
    int placed =
        header.flags & MB_FLAG_ADDRESS ? place_by_address(loader, &header, &entry) : place_by_elf32(loader, &entry);
    if (placed != 0 || loader_check_elf(loader) != 0)
        return -1;
    if (!loader_is_code(loader, entry))
        return loader_fail(loader, "the entry point 0x%x lies in no executable segment", entry);
    put_information(loader);
    if (put_modules(loader) != 0)
        return -1;
    loader_protected_mode(loader, entry);
    loader->cpu->gprs[GPR_RAX] = MB_ENTRY_MAGIC;
    loader->cpu->gprs[GPR_RBX] = BOOT_INFO_ADDRESS;
    return 0;
}
