/* Placing an image's segments and modules; see loader.h. */
#include "vmm/boot/loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"
#include "vmm/boot/memory_map.h"

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

int loader_place_module(struct loader *loader, unsigned index, uint64_t limit, uint64_t *address)
{
    const struct boot_module *module = &loader->modules[index];
    uint64_t end = limit < loader->ram->size ? limit : loader->ram->size;

    for (;;) {
        uint64_t start = end < module->length ? 0 : (end - module->length) & ~(RAM_PAGE_SIZE - 1);
        if (start < PC_EXTENDED_START)
            return loader_fail(loader, "memory of %llu bytes has no room for the %zu bytes of %s",
                               (unsigned long long)loader->ram->size, module->length, module->name);
        const struct loader_range *other = find_overlap(loader, start, start + module->length);
        if (!other) {
            claim(loader, (struct loader_range){.label = "a module", .start = start, .end = start + module->length});
            bool whole = ram_write(loader->ram, start, module->bytes, module->length);
            CHECK(whole);
            *address = start;
            return 0;
        }
        end = other->start;
    }
}

int loader_put_module_text(struct loader *loader, unsigned index, uint64_t *address)
{
    const char *text = loader->modules[index].text;

    *address = BOOT_CMDLINE_PAGE + strlen(loader->cmdline) + 1;
    for (unsigned i = 0; i < index; i++)
        *address += strlen(loader->modules[i].text) + 1;
    if (strlen(text) >= BOOT_CMDLINE_PAGE + RAM_PAGE_SIZE - *address)
        return loader_fail(loader, "the command lines of kernel and modules are longer than a page");
    loader_put_string(loader, *address, text);
    return 0;
}
