/*
 * What the loaders share, private to vmm/boot: the image at hand, the placing of its segments, and the processor states
 * that protocols start with.
 */
#ifndef ENCORE_VMM_BOOT_LOADER_H
#define ENCORE_VMM_BOOT_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "vmm/boot/boot.h"
#include "vmm/cpu_state.h"
#include "vmm/ram.h"

/* Program headers or segments an image may have; a kernel has fewer than ten. */
#define LOADER_SEGMENTS 64
/* And what the loader claims for itself: low memory, the firmware's tables, modules. */
#define LOADER_OWN    6
#define LOADER_RANGES (LOADER_SEGMENTS + LOADER_OWN + BOOT_MODULES)

/* Memory that is spoken for. `label` is a static string for what is the loader's own, and NULL for segment `number` of
 * the image. */
struct loader_range {
    const char *label;
    unsigned number;
    uint64_t start;
    uint64_t end; /* exclusive; start < end */
    bool executable;
};

struct loader {
    struct ram *ram;
    struct cpu_state *cpu;
    const uint8_t *image;
    size_t length;
    const char *name;    /* of the image, for messages */
    const char *cmdline; /* never NULL; at most BOOT_CMDLINE_MAX bytes */
    const struct boot_module *modules;
    unsigned module_count;
    struct error *error;
    struct loader_range ranges[LOADER_RANGES];
    unsigned range_count;
};

/* One piece of an image, as a header describes it: any value is possible in any field. */
struct loader_segment {
    unsigned number; /* in the image, for messages */
    uint64_t address;
    uint64_t memory_size;
    uint64_t file_offset;
    uint64_t file_size;
    bool executable;
};

/* Sets the error to "<image name>: <words>"; returns -1. */
int loader_fail(struct loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Claims [start, start + length) for the loader itself; label is a static string with its article ("the GDT"). Fails
 * when it is not all memory. The loader's own ranges do not overlap, by construction. */
int loader_reserve(struct loader *loader, const char *label, uint64_t start, uint64_t length);

/* Checks a segment against the file, memory and every range claimed so far; then copies it, zeroes the rest of it, and
 * claims its range. A segment without memory is nothing. Returns 0, or -1 with the error. */
int loader_place(struct loader *loader, const struct loader_segment *segment);

/* Whether `address` lies in a segment of the image that may be executed. */
bool loader_is_code(const struct loader *loader, uint64_t address);

/* The lowest address and the highest end of the image's segments; false when it has none. */
bool loader_extent(const struct loader *loader, uint64_t *start, uint64_t *end);

/* Writes a string and its NUL; the range must have been reserved. */
void loader_put_string(struct loader *loader, uint64_t address, const char *text);

/* Places module `index` at a whole page, as high as it goes below `limit` and above the first MiB. */
int loader_place_module(struct loader *loader, unsigned index, uint64_t limit, uint64_t *address);

/* Writes the command line of module `index` behind the kernel's and those of the modules before it, in the same page.
 */
int loader_put_module_text(struct loader *loader, unsigned index, uint64_t *address);

/* entry.c. Claims what the protocols themselves use in low memory; the firmware's tables. */
int loader_reserve_low(struct loader *loader);
int loader_reserve_firmware(struct loader *loader);

/* Writes a GDT at BOOT_GDT_ADDRESS, which must be reserved, with flat segments under these selectors, and loads GDTR
 * and all segment registers accordingly: 64-bit code, or 32-bit code of 4 GiB. IDTR is empty. */
void loader_segments(struct loader *loader, bool long_mode, unsigned code_selector, unsigned data_selector);

/* What Linux's protocol asks for. */
#define LOADER_LINUX_CODE 0x10u
#define LOADER_LINUX_DATA 0x18u

/* Sets the processor to 64-bit mode with the first 4 GiB identity-mapped, a small stack, flat segments, and all general
 * registers but RSP zero; or to 32-bit protected mode without paging, likewise without a stack. */
void loader_long_mode(struct loader *loader, uint64_t entry);
void loader_protected_mode(struct loader *loader, uint32_t entry);

/* elf64.c. Segment `index` of an ELF64 file, as hostile as the file; false when there is none. */
#define ELF64_NOTE 4u
bool elf64_segment(const uint8_t *image, size_t length, unsigned index, struct loader_segment *segment, uint32_t *type);
/* Checks the file and places its segments. */
int loader_place_elf64(struct loader *loader, uint64_t *entry);

/* whole.c. Refuse a file that is not as long as its own headers say: an ELF file, if it is one; one with a signature at
 * its end. Return 0, or -1 with the error. */
int loader_check_elf(struct loader *loader);
int loader_check_signature(struct loader *loader);

/* initrd.c. The same for module `index`, an initial RAM disk for Linux. */
int loader_check_initrd(struct loader *loader, unsigned index);

/* packed.c. Whether the image is compressed; the error then says how to unpack it. */
bool loader_is_packed(struct loader *loader);

/* The protocols. The processor was reset before; each returns 0, or -1 with the error. */
int loader_elf64(struct loader *loader);
int loader_multiboot1(struct loader *loader);
int loader_boot_sector(struct loader *loader);
int loader_linux64(struct loader *loader);
int loader_linux32(struct loader *loader);
int loader_firmware(struct loader *loader);
int loader_pvh(struct loader *loader);

/* Whether the image is of the kind that a protocol loads, as boot_load's BOOT_AUTO asks; no check of the rest. */
bool loader_is_elf64(const uint8_t *image, size_t length);
bool loader_is_multiboot1(const uint8_t *image, size_t length);
bool loader_is_boot_sector(const uint8_t *image, size_t length);
/* As loader_is_linux64, but only as much of the header is there as says what it is. */
bool loader_is_cut_linux(const uint8_t *image, size_t length);
bool loader_is_linux64(const uint8_t *image, size_t length);
bool loader_is_linux32(const uint8_t *image, size_t length);
bool loader_is_pvh(const uint8_t *image, size_t length);

#endif
