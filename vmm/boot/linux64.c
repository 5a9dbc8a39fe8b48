/*
 * The linux64 protocol: a Linux bzImage, entered by the 64-bit boot protocol: in 64-bit mode, 200h bytes into the
 * kernel, RSI at boot_params (Linux, Documentation/x86/boot.rst, "64-bit boot protocol").
 */
#include "vmm/boot/boot_info.h"
#include "vmm/boot/linux.h"

#define ENTRY_OFFSET 0x200

bool loader_is_linux64(const uint8_t *image, size_t length)
{
    return linux_has_header(image, length) && linux_has_64bit_entry(image);
}

int loader_linux64(struct loader *loader)
{
    uint64_t address = 0;

    if (!linux_has_header(loader->image, loader->length))
        return loader_fail(loader, "no Linux kernel: no boot protocol header");
    unsigned version = linux_version(loader->image);
    if (!linux_has_64bit_entry(loader->image))
        return loader_fail(loader, "a Linux kernel without the 64-bit entry of boot protocol 2.12 (it has %u.%u)",
                           version >> 8, version & 0xff);
    if (linux_place(loader, &address) != 0)
        return -1;
    if (!loader_is_code(loader, address + ENTRY_OFFSET))
        return loader_fail(loader, "ends before its 64-bit entry");
    loader_long_mode(loader, address + ENTRY_OFFSET);
    loader_segments(loader, true, LOADER_LINUX_CODE, LOADER_LINUX_DATA);
    loader->cpu->gprs[GPR_RSI] = BOOT_INFO_ADDRESS;
    return 0;
}
