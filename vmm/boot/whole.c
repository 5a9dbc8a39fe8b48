/*
 * Whether an image's file is all there, as far as its format says how long it is: ELF by its program headers, its
 * sections and their table (System V ABI, chapters 4 and 5), a bzImage by its setup header (linux.c) and, since it is a
 * PE file, too, by where its signatures are ("PE Format", certificate table). A file that a download or a full disk cut
 * short may still have every segment that is loaded, or be entered and fail long after.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "vmm/boot/loader.h"

/* Where the fields of an ELF file are, and how wide its addresses and offsets. */
struct elf_layout {
    unsigned width, header;
    unsigned phoff, phentsize, phnum, shoff, shentsize, shnum; /* of the file's header */
    unsigned p_offset, p_filesz, segment;                      /* of a program header, and its size */
    unsigned sh_offset, sh_size, section;
};

static const struct elf_layout layouts[] = {
    {4, 52, 28, 42, 44, 32, 46, 48, 4, 16, 32, 16, 20, 40},
    {8, 64, 32, 54, 56, 40, 58, 60, 8, 32, 56, 24, 32, 64},
};

#define SECTION_TYPE   4
#define SECTION_NULL   0u
#define SECTION_NOBITS 8u

static int fail_cut(struct loader *loader, const char *what, uint64_t offset, uint64_t size)
{
    return loader_fail(loader, "the file is cut short: its %s ends at byte %" PRIu64 ", and it has %zu", what,
                       size > UINT64_MAX - offset ? UINT64_MAX : offset + size, loader->length);
}

static bool is_there(const struct loader *loader, uint64_t offset, uint64_t size)
{
    return offset <= loader->length && size <= loader->length - offset;
}

static int check_part(struct loader *loader, const char *kind, uint64_t number, uint64_t offset, uint64_t size)
{
    char what[48];

    if (size == 0 || is_there(loader, offset, size))
        return 0;
    snprintf(what, sizeof what, "%s %" PRIu64, kind, number);
    return fail_cut(loader, what, offset, size);
}

static int check_segments(struct loader *loader, const struct elf_layout *elf)
{
    uint64_t table = bytes_load(loader->image + elf->phoff, elf->width);
    uint64_t count = bytes_load(loader->image + elf->phnum, 2);

    if (bytes_load(loader->image + elf->phentsize, 2) != elf->segment)
        return 0;
    if (!is_there(loader, table, count * elf->segment))
        return fail_cut(loader, "table of program headers", table, count * elf->segment);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *segment = loader->image + table + i * elf->segment;
        if (check_part(loader, "segment", i, bytes_load(segment + elf->p_offset, elf->width),
                       bytes_load(segment + elf->p_filesz, elf->width)) != 0)
            return -1;
    }
    return 0;
}

/* Where there are too many sections for the header's field, it is 0, and section 0 has their number for its size. */
static int check_sections(struct loader *loader, const struct elf_layout *elf)
{
    uint64_t table = bytes_load(loader->image + elf->shoff, elf->width);
    uint64_t count = bytes_load(loader->image + elf->shnum, 2);

    if (table == 0 || bytes_load(loader->image + elf->shentsize, 2) != elf->section)
        return 0;
    if (count == 0 && is_there(loader, table, elf->section))
        count = bytes_load(loader->image + table + elf->sh_size, elf->width);
    uint64_t bytes = count < UINT64_MAX / elf->section ? count * elf->section : UINT64_MAX;
    if (!is_there(loader, table, bytes))
        return fail_cut(loader, "table of sections", table, bytes);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *section = loader->image + table + i * elf->section;
        uint64_t type = bytes_load(section + SECTION_TYPE, 4);
        if (type != SECTION_NULL && type != SECTION_NOBITS &&
            check_part(loader, "section", i, bytes_load(section + elf->sh_offset, elf->width),
                       bytes_load(section + elf->sh_size, elf->width)) != 0)
            return -1;
    }
    return 0;
}

int loader_check_elf(struct loader *loader)
{
    const uint8_t *image = loader->image;

    if (loader->length < 5 || memcmp(image, "\177ELF", 4) != 0 || image[4] < 1 || image[4] > 2)
        return 0;
    const struct elf_layout *elf = &layouts[image[4] - 1];
    if (loader->length < elf->header)
        return loader_fail(loader, "the file is cut short within its ELF header");
    return check_segments(loader, elf) != 0 ? -1 : check_sections(loader, elf);
}

/* Fields of a PE file, from its signature "PE\0\0" on. */
enum {
    PE_OFFSET = 0x3c, /* from the file's start: where the signature is */
    PE_OPTIONAL = 24, /* the "optional" header; its magic says how wide addresses are */
    PE_DIRECTORIES_32 = PE_OPTIONAL + 92,
    PE_DIRECTORIES_64 = PE_OPTIONAL + 108,
    PE_CERTIFICATES = 4, /* the number of that data directory */
};

int loader_check_signature(struct loader *loader)
{
    const uint8_t *image = loader->image;

    if (loader->length < PE_OFFSET + 4 || memcmp(image, "MZ", 2) != 0)
        return 0;
    uint64_t pe = bytes_load(image + PE_OFFSET, 4);
    if (!is_there(loader, pe, PE_DIRECTORIES_64 + 4) || memcmp(image + pe, "PE\0\0", 4) != 0)
        return 0;
    uint64_t at = pe + (bytes_load(image + pe + PE_OPTIONAL, 2) == 0x20b ? PE_DIRECTORIES_64 : PE_DIRECTORIES_32);
    uint64_t entry = at + 4 + PE_CERTIFICATES * 8;
    if (bytes_load(image + at, 4) <= PE_CERTIFICATES || !is_there(loader, entry, 8))
        return 0;
    uint64_t offset = bytes_load(image + entry, 4), size = bytes_load(image + entry + 4, 4);
    return size == 0 || is_there(loader, offset, size) ? 0 : fail_cut(loader, "signature", offset, size);
}
