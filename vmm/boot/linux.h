/*
 * What the two Linux protocols share: a bzImage and its header (Linux, Documentation/x86/boot.rst, and zero-page.rst
 * for struct boot_params).
 *
 * A bzImage is a real-mode part, whose header describes the rest, and the rest. The real-mode part is not run: what it
 * would have found out (memory map, where the ACPI tables are) is written into boot_params, of which the kernel gets
 * the address.
 */
#ifndef ENCORE_VMM_BOOT_LINUX_H
#define ENCORE_VMM_BOOT_LINUX_H

#include "vmm/boot/loader.h"

/* Whether the image has the header, with all fields that are used here. */
bool linux_has_header(const uint8_t *image, size_t length);

/* Its version, major * 256 + minor. */
unsigned linux_version(const uint8_t *image);

/* Whether it says that it can be entered in 64-bit mode. */
bool linux_has_64bit_entry(const uint8_t *image);

/* Places the kernel, an initial RAM disk if there is one, boot_params at BOOT_INFO_ADDRESS, and the command line.
 * `address` is where the kernel's protected-mode part is. */
int linux_place(struct loader *loader, uint64_t *address);

#endif
