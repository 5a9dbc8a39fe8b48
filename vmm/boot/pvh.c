/*
 * The pvh protocol: an ELF kernel with a Xen note that names a 32-bit entry (Xen, docs/misc/pvh.pandoc, and
 * public/arch-x86/hvm/start_info.h). Linux's vmlinux and other kernels have one.
 *
 * Entry is in 32-bit protected mode without paging, flat segments, EBX at struct hvm_start_info.
 */
#include "vmm/boot/loader.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"
#include "vmm/boot/firmware_tables.h"
#include "vmm/boot/memory_map.h"

/* The task register has a 32-bit TSS of base 0, as after reset, and this limit. */
#define TSS_LIMIT 0x67

#define NOTE_HEADER 12
#define NOTE_ENTRY  18 /* XEN_ELFNOTE_PHYS32_ENTRY */

/* start_info.h, version 1. */
#define START_MAGIC   0x336ec578u
#define START_SIZE    56
#define START_MAP     (BOOT_INFO_ADDRESS + 0x100)
#define MAP_ENTRY     24
#define START_MODULES (BOOT_INFO_ADDRESS + 0x200)
#define MODULE_ENTRY  32

static uint64_t aligned(uint64_t value)
{
    return (value + 3) & ~UINT64_C(3);
}

/* Looks for the entry among the notes of one segment. */
static bool find_in_notes(const uint8_t *notes, size_t length, uint32_t *entry)
{
    struct bytes_reader in = bytes_reader(notes, length);

    while (bytes_left(&in) >= NOTE_HEADER) {
        uint64_t name_size = bytes_get_uint(&in, 4), size = bytes_get_uint(&in, 4), type = bytes_get_uint(&in, 4);
        if (aligned(name_size) > bytes_left(&in))
            return false;
        const uint8_t *name = bytes_take(&in, aligned(name_size));
        if (size > bytes_left(&in))
            return false;
        if (type == NOTE_ENTRY && name_size == 4 && memcmp(name, "Xen", 4) == 0 && (size == 4 || size == 8)) {
            *entry = (uint32_t)bytes_get_uint(&in, 4);
            return true;
        }
        if (aligned(size) > bytes_left(&in))
            return false;
        bytes_take(&in, aligned(size));
    }
    return false;
}

static bool find_entry(const uint8_t *image, size_t length, uint32_t *entry)
{
    struct loader_segment segment;
    uint32_t type;

    for (unsigned i = 0; elf64_segment(image, length, i, &segment, &type); i++) {
        if (type == ELF64_NOTE && segment.file_offset <= length && segment.file_size <= length - segment.file_offset &&
            find_in_notes(image + segment.file_offset, segment.file_size, entry))
            return true;
    }
    return false;
}

bool loader_is_pvh(const uint8_t *image, size_t length)
{
    uint32_t entry;

    return find_entry(image, length, &entry);
}

static void put(struct loader *loader, uint64_t address, struct bytes_writer *bytes)
{
    bool whole = !bytes->failed && ram_write(loader->ram, address, bytes->data, bytes->length);

    bytes_writer_free(bytes);
    CHECK(whole);
}

static unsigned put_map(struct loader *loader)
{
    struct memory_range ranges[MEMORY_MAP_RANGES];
    unsigned count = memory_map(loader->ram->size, ranges);
    struct bytes_writer out = bytes_writer(MEMORY_MAP_RANGES * MAP_ENTRY);

    for (unsigned i = 0; i < count; i++) {
        bytes_put_uint(&out, 8, ranges[i].start);
        bytes_put_uint(&out, 8, ranges[i].end - ranges[i].start);
        bytes_put_uint(&out, 4, ranges[i].type);
        bytes_put_uint(&out, 4, 0);
    }
    put(loader, START_MAP, &out);
    return count;
}

static int put_modules(struct loader *loader)
{
    struct bytes_writer out = bytes_writer(BOOT_MODULES * MODULE_ENTRY);

    for (unsigned i = 0; i < loader->module_count; i++) {
        uint64_t address = 0, text = 0;
        if (loader_put_module_text(loader, i, &text) != 0 ||
            loader_place_module(loader, i, BOOT_MAPPED_END, &address) != 0) {
            bytes_writer_free(&out);
            return -1;
        }
        bytes_put_uint(&out, 8, address);
        bytes_put_uint(&out, 8, loader->modules[i].length);
        bytes_put_uint(&out, 8, text);
        bytes_put_uint(&out, 8, 0);
    }
    if (loader->module_count)
        put(loader, START_MODULES, &out);
    else
        bytes_writer_free(&out);
    return 0;
}

static void put_start_info(struct loader *loader)
{
    struct bytes_writer out = bytes_writer(START_SIZE);

    bytes_put_uint(&out, 4, START_MAGIC);
    bytes_put_uint(&out, 4, 1); /* version */
    bytes_put_uint(&out, 4, 0);
    bytes_put_uint(&out, 4, loader->module_count);
    bytes_put_uint(&out, 8, loader->module_count ? START_MODULES : 0);
    bytes_put_uint(&out, 8, BOOT_CMDLINE_PAGE);
    bytes_put_uint(&out, 8, FIRMWARE_RSDP);
    bytes_put_uint(&out, 8, START_MAP);
    bytes_put_uint(&out, 4, put_map(loader));
    bytes_put_uint(&out, 4, 0);
    put(loader, BOOT_INFO_ADDRESS, &out);
    loader_put_string(loader, BOOT_CMDLINE_PAGE, loader->cmdline);
}

int loader_pvh(struct loader *loader)
{
    uint64_t unused;
    uint32_t entry;

    if (!find_entry(loader->image, loader->length, &entry))
        return loader_fail(loader, "no ELF64 file with a Xen note that names a 32-bit entry");
    if (loader_reserve_low(loader) != 0 || loader_reserve_firmware(loader) != 0 ||
        loader_place_elf64(loader, &unused) != 0 || put_modules(loader) != 0)
        return -1;
    if (!loader_is_code(loader, entry))
        return loader_fail(loader, "the entry point 0x%x lies in no executable segment", entry);
    put_start_info(loader);
    loader_protected_mode(loader, entry);
    loader->cpu->tr.limit = TSS_LIMIT;
    loader->cpu->gprs[GPR_RBX] = BOOT_INFO_ADDRESS;
    return 0;
}
