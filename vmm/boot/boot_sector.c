/*
 * The boot-sector protocol: what a PC's BIOS does with a disk's first sector.
 *
 * The whole image goes to 0x7c00, one sector or many, as long as it ends below 0x80000, where conventional memory may
 * end for the BIOS's own data. Entry is in real mode at 0000:7c00 with DL = 0x80, the first hard disk. There is no
 * BIOS behind it: the interrupt vectors are zero and interrupts are off.
 */
#include "vmm/boot/loader.h"

#include <string.h>

#define SECTOR_SIZE     512
#define SECTOR_ADDRESS  0x7c00u
#define SECTOR_END      0x80000u
#define SECTOR_DISK     0x80u
#define SECTOR_IVT_SIZE 0x400u

bool loader_is_boot_sector(const uint8_t *image, size_t length)
{
    return length >= SECTOR_SIZE && image[510] == 0x55 && image[511] == 0xaa;
}

static struct segment real_mode_segment(uint32_t type)
{
    return (struct segment){.limit = 0xffff, .attributes = SEGMENT_P | SEGMENT_S | type};
}

int loader_boot_sector(struct loader *loader)
{
    if (!loader_is_boot_sector(loader->image, loader->length))
        return loader_fail(loader, "not a boot sector: no signature 55 AA at byte 510");
    if (loader->length % SECTOR_SIZE != 0)
        return loader_fail(loader, "%zu bytes are not a whole number of 512-byte sectors", loader->length);
    if (loader->length > SECTOR_END - SECTOR_ADDRESS)
        return loader_fail(loader, "%zu bytes do not fit between 0x%x and 0x%x", loader->length, SECTOR_ADDRESS,
                           SECTOR_END);
    if (loader->module_count)
        return loader_fail(loader, "a boot sector has no modules and no initial RAM disk");
    struct loader_segment whole = {
        .address = SECTOR_ADDRESS, .memory_size = loader->length, .file_size = loader->length, .executable = true};
    if (loader_place(loader, &whole) != 0)
        return -1;

    struct cpu_state *cpu = loader->cpu;
    memset(cpu->gprs, 0, sizeof cpu->gprs);
    cpu->gprs[GPR_RDX] = SECTOR_DISK;
    cpu->gprs[GPR_RSP] = SECTOR_ADDRESS;
    cpu->rip = SECTOR_ADDRESS;
    cpu->cs = real_mode_segment(SEGMENT_TYPE_CODE);
    cpu->ds = cpu->es = cpu->fs = cpu->gs = cpu->ss = real_mode_segment(SEGMENT_TYPE_DATA);
    cpu->idtr = (struct descriptor_table){.limit = SECTOR_IVT_SIZE - 1};
    /* Caches on, as a BIOS leaves them. */
    cpu->cr0 = CR0_ET;
    return 0;
}
