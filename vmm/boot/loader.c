/* Placing an image's segments, and the flat segments at entry; see loader.h. */
#include "vmm/boot/loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"

int loader_fail(struct loader *loader, const char *format, ...)
{
    char words[sizeof loader->error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return error_set(loader->error, ERROR_INPUT, "%s: %s", loader->name, words);
}

/* "the GDT", "segment 3". */
static const char *range_text(const struct loader_range *range, char *text, size_t size)
{
    if (range->label)
        snprintf(text, size, "%s", range->label);
    else
        snprintf(text, size, "segment %u", range->number);
    return text;
}

static const struct loader_range *find_overlap(const struct loader *loader, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < loader->range_count; i++) {
        const struct loader_range *range = &loader->ranges[i];
        if (start < range->end && range->start < end)
            return range;
    }
    return NULL;
}

static void claim(struct loader *loader, struct loader_range range)
{
    CHECK(loader->range_count < LOADER_RANGES);
    loader->ranges[loader->range_count++] = range;
}

int loader_reserve(struct loader *loader, const char *label, uint64_t start, uint64_t length)
{
    if (!ram_pointer(loader->ram, start, length))
        return loader_fail(loader, "memory of %llu bytes has no room for %s at 0x%llx",
                           (unsigned long long)loader->ram->size, label, (unsigned long long)start);
    CHECK(length != 0 && !find_overlap(loader, start, start + length));
    claim(loader, (struct loader_range){.label = label, .start = start, .end = start + length});
    return 0;
}

/* The checks that need the file and memory only. */
static int check_bounds(struct loader *loader, const struct loader_segment *segment)
{
    if (segment->file_size > segment->memory_size)
        return loader_fail(loader, "segment %u has 0x%llx bytes in the file but only 0x%llx in memory", segment->number,
                           (unsigned long long)segment->file_size, (unsigned long long)segment->memory_size);
    if (segment->file_offset > loader->length || segment->file_size > loader->length - segment->file_offset)
        return loader_fail(loader, "segment %u (0x%llx bytes at offset 0x%llx) lies beyond the file's %zu bytes",
                           segment->number, (unsigned long long)segment->file_size,
                           (unsigned long long)segment->file_offset, loader->length);
    if (!ram_pointer(loader->ram, segment->address, segment->memory_size))
        return loader_fail(loader, "segment %u (0x%llx bytes at 0x%llx) lies beyond the memory of 0x%llx bytes",
                           segment->number, (unsigned long long)segment->memory_size,
                           (unsigned long long)segment->address, (unsigned long long)loader->ram->size);
    return 0;
}

int loader_place(struct loader *loader, const struct loader_segment *segment)
{
    if (segment->memory_size == 0 && segment->file_size == 0)
        return 0;
    if (check_bounds(loader, segment) != 0)
        return -1;
    uint64_t end = segment->address + segment->memory_size;
    const struct loader_range *other = find_overlap(loader, segment->address, end);
    if (other) {
        char text[64];
        return loader_fail(loader, "segment %u [0x%llx, 0x%llx) overlaps %s [0x%llx, 0x%llx)", segment->number,
                           (unsigned long long)segment->address, (unsigned long long)end,
                           range_text(other, text, sizeof text), (unsigned long long)other->start,
                           (unsigned long long)other->end);
    }
    claim(loader,
          (struct loader_range){
              .number = segment->number, .start = segment->address, .end = end, .executable = segment->executable});
    bool whole =
        ram_write(loader->ram, segment->address, loader->image + segment->file_offset, segment->file_size) &&
        ram_fill(loader->ram, segment->address + segment->file_size, 0, segment->memory_size - segment->file_size);
    CHECK(whole);
    return 0;
}

bool loader_is_code(const struct loader *loader, uint64_t address)
{
    for (unsigned i = 0; i < loader->range_count; i++) {
        const struct loader_range *range = &loader->ranges[i];
        if (!range->label && range->executable && address >= range->start && address < range->end)
            return true;
    }
    return false;
}

bool loader_extent(const struct loader *loader, uint64_t *start, uint64_t *end)
{
    *start = UINT64_MAX;
    *end = 0;
    for (unsigned i = 0; i < loader->range_count; i++) {
        const struct loader_range *range = &loader->ranges[i];
        if (range->label)
            continue;
        if (range->start < *start)
            *start = range->start;
        if (range->end > *end)
            *end = range->end;
    }
    return *end != 0;
}

void loader_put_string(struct loader *loader, uint64_t address, const char *text)
{
    bool whole = ram_write(loader->ram, address, text, strlen(text) + 1);
    CHECK(whole);
}

/* A descriptor of base 0 and limit 4 GiB - 1 (SDM volume 3, 3.4.5): attributes in bits 40-47 and 52-55. */
static uint64_t flat_descriptor(uint32_t attributes)
{
    uint64_t low = attributes & 0xff;
    uint64_t high = (attributes >> 12) & 0xf;
    return UINT64_C(0x000f00000000ffff) | low << 40 | high << 52;
}

void loader_flat_segments(struct loader *loader, bool long_mode)
{
    const uint32_t common = SEGMENT_P | SEGMENT_S | SEGMENT_G;
    /* L and D are exclusive; a 64-bit code segment has L set and D clear (SDM volume 3, 3.4.5). */
    uint32_t code = common | SEGMENT_TYPE_CODE | (long_mode ? SEGMENT_L : SEGMENT_DB);
    uint32_t data = common | SEGMENT_TYPE_DATA | SEGMENT_DB;
    /* The accessed bits are set in memory too, so that a later load of a selector leaves memory as it is. */
    uint8_t gdt[24] = {0};
    bytes_store(gdt + BOOT_SELECTOR_CODE, 8, flat_descriptor(code));
    bytes_store(gdt + BOOT_SELECTOR_DATA, 8, flat_descriptor(data));
    bool whole = ram_write(loader->ram, BOOT_GDT_ADDRESS, gdt, sizeof gdt);
    CHECK(whole);

    struct cpu_state *cpu = loader->cpu;
    cpu->gdtr = (struct descriptor_table){.base = BOOT_GDT_ADDRESS, .limit = sizeof gdt - 1};
    cpu->idtr = (struct descriptor_table){0};
    cpu->cs = (struct segment){.selector = BOOT_SELECTOR_CODE, .limit = UINT32_MAX, .attributes = code};
    cpu->ds = (struct segment){.selector = BOOT_SELECTOR_DATA, .limit = UINT32_MAX, .attributes = data};
    cpu->es = cpu->fs = cpu->gs = cpu->ss = cpu->ds;
}
