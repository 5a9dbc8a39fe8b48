/*
 * The elf64 protocol: a static ELF64 x86-64 executable, entered in 64-bit mode.
 *
 * Segments go to their physical addresses (p_paddr). The machine then stands at e_entry, CPL 0, interrupts off, with
 * the first 4 GiB identity-mapped, flat segments, a small stack, and RDI at the boot-info page; boot_info.h gives the
 * addresses. ELF fields are as in the System V ABI, chapter 4 and 5, and its AMD64 supplement.
 */
#include "vmm/boot/loader.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"
#include "vmm/boot/firmware_tables.h"

#define ELF_HEADER_SIZE 64
#define ELF_PHDR_SIZE   56
#define ELF_CLASS_64    2
#define ELF_DATA_LITTLE 1
#define ELF_TYPE_EXEC   2
#define ELF_TYPE_DYN    3
#define ELF_MACHINE_AMD 62
#define ELF_PT_LOAD     1
#define ELF_PT_INTERP   3
#define ELF_PF_X        1u
#define ELF_PN_XNUM     0xffff

bool loader_is_elf64(const uint8_t *image, size_t length)
{
    return length >= 5 && memcmp(image, "\177ELF", 4) == 0 && image[4] == ELF_CLASS_64;
}

/* What of the ELF header matters beyond the identification. */
struct elf64_header {
    uint64_t entry;
    uint64_t table; /* file offset of the program headers */
    unsigned count;
};

static int read_header(struct loader *loader, struct elf64_header *header)
{
    const uint8_t *image = loader->image;
    if (loader->length < ELF_HEADER_SIZE)
        return loader_fail(loader, "the file's %zu bytes are too short for an ELF64 header", loader->length);
    if (!loader_is_elf64(image, loader->length))
        return loader_fail(loader, "not an ELF64 file");
    if (image[5] != ELF_DATA_LITTLE || bytes_load(image + 18, 2) != ELF_MACHINE_AMD)
        return loader_fail(loader, "an ELF64 file for another processor than x86-64 (machine %u)",
                           (unsigned)bytes_load(image + 18, 2));
    unsigned type = (unsigned)bytes_load(image + 16, 2);
    if (type == ELF_TYPE_DYN)
        return loader_fail(loader, "a position-independent or shared ELF file; link it with -static -no-pie");
    if (type != ELF_TYPE_EXEC)
        return loader_fail(loader, "not an ELF executable (type %u)", type);
    *header = (struct elf64_header){.entry = bytes_load(image + 24, 8),
                                    .table = bytes_load(image + 32, 8),
                                    .count = (unsigned)bytes_load(image + 56, 2)};
    unsigned entry_size = (unsigned)bytes_load(image + 54, 2);
    if (entry_size != ELF_PHDR_SIZE)
        return loader_fail(loader, "program headers of %u bytes instead of %u", entry_size, ELF_PHDR_SIZE);
    if (header->count == 0 || header->count == ELF_PN_XNUM || header->count > LOADER_SEGMENTS)
        return loader_fail(loader, "%u program headers; 1 to %u are possible", header->count, LOADER_SEGMENTS);
    uint64_t bytes = (uint64_t)header->count * ELF_PHDR_SIZE;
    if (header->table > loader->length || bytes > loader->length - header->table)
        return loader_fail(loader, "the %u program headers at offset 0x%llx lie beyond the file's %zu bytes",
                           header->count, (unsigned long long)header->table, loader->length);
    return 0;
}

bool elf64_segment(const uint8_t *image, size_t length, unsigned index, struct loader_segment *segment, uint32_t *type)
{
    if (length < ELF_HEADER_SIZE || !loader_is_elf64(image, length))
        return false;
    uint64_t table = bytes_load(image + 32, 8);
    uint64_t offset = (uint64_t)index * ELF_PHDR_SIZE;
    if (index >= bytes_load(image + 56, 2) || table > length || offset + ELF_PHDR_SIZE > length - table)
        return false;
    const uint8_t *phdr = image + table + offset;
    *type = (uint32_t)bytes_load(phdr, 4);
    *segment = (struct loader_segment){.number = index,
                                       .address = bytes_load(phdr + 24, 8),
                                       .memory_size = bytes_load(phdr + 40, 8),
                                       .file_offset = bytes_load(phdr + 8, 8),
                                       .file_size = bytes_load(phdr + 32, 8),
                                       .executable = (bytes_load(phdr + 4, 4) & ELF_PF_X) != 0};
    return true;
}

static int place_segments(struct loader *loader)
{
    struct loader_segment segment;
    uint32_t type;

    for (unsigned i = 0; elf64_segment(loader->image, loader->length, i, &segment, &type); i++) {
        if (type == ELF_PT_INTERP)
            return loader_fail(loader, "asks for a program interpreter; link it with -static");
        if (type == ELF_PT_LOAD && loader_place(loader, &segment) != 0)
            return -1;
    }
    return 0;
}

int loader_place_elf64(struct loader *loader, uint64_t *entry)
{
    struct elf64_header header = {0};

    if (read_header(loader, &header) != 0)
        return -1;
    *entry = header.entry;
    return place_segments(loader) != 0 ? -1 : loader_check_elf(loader);
}

static void put_boot_info(struct loader *loader)
{
    struct boot_info info = {
        .magic = BOOT_INFO_MAGIC,
        .version = BOOT_INFO_VERSION,
        .size = sizeof info,
        .ram_size = loader->ram->size,
        .cmdline_address = BOOT_CMDLINE_PAGE,
        .cmdline_length = (uint32_t)strlen(loader->cmdline),
        .uart_port = BOOT_PORT_UART,
        .debug_exit_port = BOOT_PORT_DEBUG_EXIT,
        .entropy_port = BOOT_PORT_ENTROPY,
        .reserved_count = 6,
        .reserved = {
            {.address = BOOT_INFO_ADDRESS, .length = RAM_PAGE_SIZE, .kind = BOOT_RESERVED_INFO},
            {.address = BOOT_CMDLINE_PAGE, .length = RAM_PAGE_SIZE, .kind = BOOT_RESERVED_CMDLINE},
            {.address = BOOT_GDT_ADDRESS, .length = RAM_PAGE_SIZE, .kind = BOOT_RESERVED_GDT},
            {.address = BOOT_PML4_ADDRESS,
             .length = BOOT_STACK_BOTTOM - BOOT_PML4_ADDRESS,
             .kind = BOOT_RESERVED_PAGE_TABLES},
            {.address = BOOT_STACK_BOTTOM, .length = BOOT_STACK_TOP - BOOT_STACK_BOTTOM, .kind = BOOT_RESERVED_STACK},
            {.address = FIRMWARE_START, .length = FIRMWARE_END - FIRMWARE_START, .kind = BOOT_RESERVED_FIRMWARE},
        }};
    uint64_t start, end;
    bool loaded = loader_extent(loader, &start, &end);
    CHECK(loaded);
    unsigned at = info.reserved_count++;
    for (; at > 0 && info.reserved[at - 1].address > start; at--)
        info.reserved[at] = info.reserved[at - 1];
    info.reserved[at] = (struct boot_info_range){.address = start, .length = end - start, .kind = BOOT_RESERVED_IMAGE};
    loader_put_string(loader, BOOT_CMDLINE_PAGE, loader->cmdline);
    bool whole = ram_write(loader->ram, BOOT_INFO_ADDRESS, &info, sizeof info);
    CHECK(whole);
}

int loader_elf64(struct loader *loader)
{
    uint64_t entry = 0;

    if (loader_reserve_low(loader) != 0 || loader_reserve_firmware(loader) != 0 ||
        loader_place_elf64(loader, &entry) != 0)
        return -1;
    if (loader->module_count)
        return loader_fail(loader, "this boot protocol (elf64) has no modules and no initial RAM disk");
    if (!loader_is_code(loader, entry) || entry >= BOOT_MAPPED_END)
        return loader_fail(loader, "the entry point 0x%llx lies in no executable segment below 4 GiB",
                           (unsigned long long)entry);
    put_boot_info(loader);
    loader_long_mode(loader, entry);
    loader->cpu->gprs[GPR_RDI] = BOOT_INFO_ADDRESS;
    return 0;
}
