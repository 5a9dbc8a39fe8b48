/*
 * The firmware protocol: no guest is loaded; the image is the firmware of a PC, such as SeaBIOS, which finds its guest
 * on a disk.
 *
 * A PC has its firmware's ROM below 4 GiB, with the last of it below 1 MiB too, and after a reset it is the firmware's
 * business to copy that into the RAM that lies at the same addresses (PAM registers of the 440FX). Here that has been
 * done: the last 256 KiB of the image, or all of a smaller one, are in RAM so that they end at 1 MiB, and the ROM
 * itself is not there. The processor is as after a reset, but for where its first instruction is: at F000:FFF0 in that
 * RAM.
 */
#include "vmm/boot/firmware_tables.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/memory_map.h"

#define UNIT       0x10000u /* images are made of whole pieces of 64 KiB */
#define SHADOW_MAX 0x40000u /* the RAM that can stand for ROM: C0000h to FFFFFh */
#define IMAGE_MAX  0x1000000u
#define MEMORY_MIN 0x400000u

#define RESET_SELECTOR 0xf000u
#define RESET_BASE     0xf0000u

int loader_firmware(struct loader *loader)
{
    if (loader->length == 0 || loader->length % UNIT != 0 || loader->length > IMAGE_MAX)
        return loader_fail(loader, "no firmware image: %zu bytes are not 64 KiB to 16 MiB in whole pieces of 64 KiB",
                           loader->length);
    if (loader->ram->size < MEMORY_MIN)
        return loader_fail(loader, "firmware needs %u MiB of memory", MEMORY_MIN >> 20);
    if (loader->module_count)
        return loader_fail(loader, "firmware has no modules and no initial RAM disk");
    uint64_t size = loader->length < SHADOW_MAX ? loader->length : SHADOW_MAX;
    struct loader_segment shadow = {.address = PC_EXTENDED_START - size,
                                    .memory_size = size,
                                    .file_offset = loader->length - size,
                                    .file_size = size,
                                    .executable = true};
    if (loader_place(loader, &shadow) != 0)
        return -1;
    loader->cpu->cs.selector = RESET_SELECTOR;
    loader->cpu->cs.base = RESET_BASE;
    return 0;
}
