/*
 * The linux32 protocol: a bzImage without a 64-bit entry, such as a 32-bit Linux or memtest86+. It is entered in 32-bit
 * protected mode without paging, at the start of its protected-mode part, ESI at boot_params (Linux,
 * Documentation/x86/boot.rst, "32-bit boot protocol").
 *
 * The header must be of protocol 2.10 (Linux 2.6.31), which says where the kernel wants to be. What has an older one is
 * seldom a kernel that this entry would do for: ipxe.lkrn and memdisk are real-mode programs that call the BIOS.
 */
#include "vmm/boot/boot_info.h"
#include "vmm/boot/linux.h"

#define VERSION_NEEDED 0x020a

bool loader_is_linux32(const uint8_t *image, size_t length)
{
    return linux_has_header(image, length) && !linux_has_64bit_entry(image);
}

int loader_linux32(struct loader *loader)
{
    uint64_t address = 0;

    if (!linux_has_header(loader->image, loader->length))
        return loader_fail(loader, "no Linux kernel: no boot protocol header");
    unsigned version = linux_version(loader->image);
    if (version < VERSION_NEEDED)
        return loader_fail(loader, "a Linux kernel of boot protocol %u.%02u; the 32-bit entry here needs 2.10",
                           version >> 8, version & 0xff);
    if (linux_place(loader, &address) != 0)
        return -1;
    loader_protected_mode(loader, (uint32_t)address);
    loader_segments(loader, false, LOADER_LINUX_CODE, LOADER_LINUX_DATA);
    loader->cpu->gprs[GPR_RSI] = BOOT_INFO_ADDRESS;
    return 0;
}
