/*
 * Boot loaders: from an image file's bytes to a machine about to execute the guest's first instruction.
 *
 * One loader per boot protocol, each in its own file: elf64 (our own, for 64-bit guests; boot_info.h), multiboot1 (the
 * Multiboot Specification 0.6.96), boot_sector (what a PC BIOS does), linux64 and linux32 (a bzImage) and pvh (an ELF
 * kernel with a Xen note), firmware (a PC's, which finds its guest itself). docs/boot.md describes them as a guest sees
 * them. An image is hostile: whatever is wrong with it is one sentence that names it, and never more than that.
 */
#ifndef ENCORE_VMM_BOOT_BOOT_H
#define ENCORE_VMM_BOOT_BOOT_H

#include <stddef.h>

#include "base/error.h"
#include "vmm/cpu_state.h"
#include "vmm/ram.h"

/* The values are written into logs: they never change. */
enum boot_protocol {
    BOOT_AUTO = 0, /* look at the image */
    BOOT_ELF64 = 1,
    BOOT_MULTIBOOT1 = 2,
    BOOT_SECTOR = 3,
    BOOT_LINUX64 = 4,
    BOOT_PVH = 5,
    BOOT_LINUX32 = 6,
    BOOT_FIRMWARE = 7, /* the image is the machine's firmware; never chosen by looking at it */
};

/* The longest command line, in bytes without its NUL. */
#define BOOT_CMDLINE_MAX 4000

/* A file that goes into memory with the guest: an initial RAM disk, or a Multiboot module. */
struct boot_module {
    const uint8_t *bytes; /* the caller's, not kept */
    size_t length;        /* at least 1 */
    const char *name;     /* of the file, for messages */
    const char *text;     /* the module's own command line; never NULL */
};

#define BOOT_MODULES 8

struct boot_options {
    const char *cmdline; /* for the guest; NULL is the same as "" */
    enum boot_protocol protocol;
    struct boot_module modules[BOOT_MODULES];
    unsigned module_count;
};

/*
 * Loads an image into memory and sets the processor to the protocol's entry state; the rest of the processor is as
 * after reset.
 *
 * ram         fresh memory (all zero); on failure it may hold part of the image
 * cpu         written in full; on failure its contents mean nothing
 * image       `length` bytes, the caller's, not kept
 * image_name  for messages, as the user knows it
 * options     BOOT_AUTO chooses: an ELF64 image with a Xen entry note is pvh, another ELF64 image elf64 (even with a
 *             multiboot header), else a multiboot header is multiboot1, else Linux's header is linux64 or
 *             linux32, as it says, else the signature 55 AA at byte 510 is a boot sector
 * chosen      the protocol used; may be NULL
 *
 * Returns 0, or -1 with an error of kind ERROR_INPUT.
 */
int boot_load(struct ram *ram, struct cpu_state *cpu, const void *image, size_t length, const char *image_name,
              const struct boot_options *options, enum boot_protocol *chosen, struct error *error);

/* "auto", "elf64", "multiboot1", "boot-sector", "linux64", "linux32", "pvh" or "firmware"; NULL for a number that is
 * none of them.
 */
const char *boot_protocol_name(enum boot_protocol protocol);

/* The reverse. Returns 0, or -1 when the name is none of these. */
int boot_protocol_parse(const char *name, enum boot_protocol *protocol);

#endif
