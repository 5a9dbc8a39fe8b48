/*
 * What every elf64 guest of ours stands on: entry, console, interrupts, timer, options.
 *
 * A guest is one function, guest_main, called with console output, descriptors and exceptions ready, and interrupts
 * off. What it returns is the guest's exit value.
 */
#ifndef GUEST_RUNTIME_RUNTIME_H
#define GUEST_RUNTIME_RUNTIME_H

#include <stdint.h>

#include "vmm/boot/boot_info.h"

uint32_t guest_main(const struct boot_info *info);

/* Called by entry.S. */
_Noreturn void runtime_start(const struct boot_info *info);

#endif
