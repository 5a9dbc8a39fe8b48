/* Choosing the boot protocol; see boot.h. */
#include "vmm/boot/boot.h"

#include <string.h>

#include "base/check.h"
#include "vmm/boot/loader.h"

static const char *const protocol_names[] = {
    [BOOT_AUTO] = "auto",       [BOOT_ELF64] = "elf64", [BOOT_MULTIBOOT1] = "multiboot1", [BOOT_SECTOR] = "boot-sector",
    [BOOT_LINUX64] = "linux64", [BOOT_PVH] = "pvh",     [BOOT_LINUX32] = "linux32",       [BOOT_FIRMWARE] = "firmware"};

#define PROTOCOLS (sizeof protocol_names / sizeof protocol_names[0])

const char *boot_protocol_name(enum boot_protocol protocol)
{
    return (unsigned)protocol < PROTOCOLS ? protocol_names[protocol] : NULL;
}

int boot_protocol_parse(const char *name, enum boot_protocol *protocol)
{
    for (unsigned i = 0; i < PROTOCOLS; i++) {
        if (strcmp(name, protocol_names[i]) == 0) {
            *protocol = (enum boot_protocol)i;
            return 0;
        }
    }
    return -1;
}

/* BOOT_AUTO when the image is of no known kind. */
static enum boot_protocol detect(const uint8_t *image, size_t length)
{
    if (loader_is_pvh(image, length))
        return BOOT_PVH;
    if (loader_is_elf64(image, length))
        return BOOT_ELF64;
    if (loader_is_multiboot1(image, length))
        return BOOT_MULTIBOOT1;
    if (loader_is_linux64(image, length))
        return BOOT_LINUX64;
    if (loader_is_linux32(image, length))
        return BOOT_LINUX32;
    if (loader_is_boot_sector(image, length) && memcmp(image, "\177ELF", 4) != 0 && !loader_is_cut_linux(image, length))
        return BOOT_SECTOR;
    return BOOT_AUTO;
}

/* Refuses what is no guest image, if it can be told what it is instead: whatever protocol the user wants. */
static bool is_something_else(struct loader *loader, enum boot_protocol wanted)
{
    const uint8_t *image = loader->image;

    if (loader_is_packed(loader))
        return true;
    if (loader_is_cut_linux(image, loader->length))
        loader_fail(loader, "the file is cut short within its Linux header");
    else if (wanted != BOOT_AUTO)
        return false;
    else if (loader->length >= 4 && memcmp(image, "\177ELF", 4) == 0)
        loader_fail(loader, "an ELF file that is neither ELF64 nor has a Multiboot 1 header in its first 8192 bytes");
    else
        loader_fail(loader, "not a guest image: neither ELF64, nor Multiboot 1, nor Linux, nor a boot sector");
    return true;
}

static int load(struct loader *loader, enum boot_protocol protocol)
{
    switch (protocol) {
    case BOOT_ELF64:
        return loader_elf64(loader);
    case BOOT_MULTIBOOT1:
        return loader_multiboot1(loader);
    case BOOT_SECTOR:
        return loader_boot_sector(loader);
    case BOOT_LINUX64:
        return loader_linux64(loader);
    case BOOT_LINUX32:
        return loader_linux32(loader);
    case BOOT_FIRMWARE:
        return loader_firmware(loader);
    case BOOT_PVH:
        return loader_pvh(loader);
    case BOOT_AUTO:
        break;
    }
    return -1;
}

int boot_load(struct ram *ram, struct cpu_state *cpu, const void *image, size_t length, const char *image_name,
              const struct boot_options *options, enum boot_protocol *chosen, struct error *error)
{
    CHECK(boot_protocol_name(options->protocol) != NULL && options->module_count <= BOOT_MODULES);
    struct loader loader = {.ram = ram,
                            .cpu = cpu,
                            .image = image,
                            .length = length,
                            .name = image_name,
                            .cmdline = options->cmdline ? options->cmdline : "",
                            .modules = options->modules,
                            .module_count = options->module_count,
                            .error = error};
    if (strlen(loader.cmdline) > BOOT_CMDLINE_MAX)
        return loader_fail(&loader, "the command line has %zu bytes; at most %d are possible", strlen(loader.cmdline),
                           BOOT_CMDLINE_MAX);
    enum boot_protocol found = detect(image, length);
    enum boot_protocol protocol = options->protocol == BOOT_AUTO ? found : options->protocol;
    if (found == BOOT_AUTO && is_something_else(&loader, protocol))
        return -1;
    cpu_state_reset(cpu);
    if (load(&loader, protocol) != 0)
        return -1;
    if (chosen)
        *chosen = protocol;
    return 0;
}
