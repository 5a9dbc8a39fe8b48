/* A bzImage's header, and boot_params; see linux.h. */
#include "vmm/boot/linux.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"
#include "vmm/boot/firmware_tables.h"
#include "vmm/boot/memory_map.h"

/* Fields of the setup header, as offsets in the file and in boot_params alike. */
enum {
    HEADER_START = 0x1f1,
    HEADER_SETUP_SECTORS = 0x1f1,
    HEADER_SYSSIZE = 0x1f4, /* of the protected-mode part, in paragraphs */
    HEADER_JUMP = 0x201,    /* the jump over the header: where it ends is 202h plus this */
    HEADER_MAGIC = 0x202,
    HEADER_VERSION = 0x206,
    HEADER_LOADER = 0x210,
    HEADER_LOAD_FLAGS = 0x211,
    HEADER_INITRD = 0x218,
    HEADER_INITRD_SIZE = 0x21c,
    HEADER_CMDLINE = 0x228,
    HEADER_INITRD_MAX = 0x22c,
    HEADER_XLOAD_FLAGS = 0x236,
    HEADER_CMDLINE_SIZE = 0x238,
    HEADER_PAYLOAD = 0x248, /* in the protected-mode part: the compressed kernel */
    HEADER_PAYLOAD_LENGTH = 0x24c,
    HEADER_PREFERRED = 0x258,
    HEADER_INIT_SIZE = 0x260,
    HEADER_NEEDED = 0x264, /* all of the above are there */
};

/* Fields of boot_params outside the header. */
enum { PARAMS_RSDP = 0x070, PARAMS_MAP_COUNT = 0x1e8, PARAMS_MAP = 0x2d0, PARAMS_SIZE = 0x1000 };
#define PARAMS_MAP_ENTRY 20

#define MAGIC            0x53726448u /* "HdrS" */
#define VERSION_SYSSIZE  0x0204      /* four bytes since then */
#define VERSION_PAYLOAD  0x0208
#define VERSION_64BIT    0x020c
#define XLOAD_KERNEL_64  0x0001
#define LOADER_UNDEFINED 0xff
#define SECTOR           512u
#define PARAGRAPH        16u

bool linux_has_header(const uint8_t *image, size_t length)
{
    return length >= HEADER_NEEDED && bytes_load(image + HEADER_MAGIC, 4) == MAGIC;
}

bool loader_is_cut_linux(const uint8_t *image, size_t length)
{
    return length >= HEADER_VERSION && length < HEADER_NEEDED && bytes_load(image + HEADER_MAGIC, 4) == MAGIC;
}

unsigned linux_version(const uint8_t *image)
{
    return (unsigned)bytes_load(image + HEADER_VERSION, 2);
}

bool linux_has_64bit_entry(const uint8_t *image)
{
    return linux_version(image) >= VERSION_64BIT && bytes_load(image + HEADER_XLOAD_FLAGS, 2) & XLOAD_KERNEL_64;
}

static int check_cmdline(struct loader *loader)
{
    unsigned most = (unsigned)bytes_load(loader->image + HEADER_CMDLINE_SIZE, 4);

    if (strlen(loader->cmdline) > most)
        return loader_fail(loader, "the kernel takes a command line of at most %u bytes", most);
    return 0;
}

/* Signatures may stand behind what the header tells of. The last paragraph need not be whole: memtest86+ has only as
 * much of it as it needs. */
static int check_length(struct loader *loader, uint64_t setup)
{
    const uint8_t *image = loader->image;
    unsigned version = linux_version(image);
    uint64_t needed = 0, payload = 0, slack = PARAGRAPH - 1;

    if (version >= VERSION_SYSSIZE)
        needed = setup + bytes_load(image + HEADER_SYSSIZE, 4) * PARAGRAPH;
    if (version >= VERSION_PAYLOAD && bytes_load(image + HEADER_PAYLOAD, 4))
        payload = setup + bytes_load(image + HEADER_PAYLOAD, 4) + bytes_load(image + HEADER_PAYLOAD_LENGTH, 4);
    if (needed > loader->length + slack || payload > loader->length)
        return loader_fail(loader, "the file is cut short: its header tells of %llu bytes, and it has %zu",
                           (unsigned long long)(needed > payload ? needed : payload), loader->length);
    return loader_check_signature(loader);
}

/* The kernel unpacks itself in place, and says how much memory that takes. */
static int place_kernel(struct loader *loader, uint64_t *address)
{
    const uint8_t *image = loader->image;
    unsigned sectors = image[HEADER_SETUP_SECTORS] ? image[HEADER_SETUP_SECTORS] : 4;
    uint64_t setup = (sectors + 1) * SECTOR;

    if (setup >= loader->length)
        return loader_fail(loader, "ends within its real-mode part");
    if (check_length(loader, setup) != 0)
        return -1;
    *address = bytes_load(image + HEADER_PREFERRED, 8);
    uint64_t size = loader->length - setup;
    uint64_t init_size = bytes_load(image + HEADER_INIT_SIZE, 4);
    struct loader_segment kernel = {.address = *address,
                                    .memory_size = init_size > size ? init_size : size,
                                    .file_offset = setup,
                                    .file_size = size,
                                    .executable = true};
    if (*address >= BOOT_MAPPED_END)
        return loader_fail(loader, "wants to be loaded at 0x%llx, above 4 GiB", (unsigned long long)*address);
    return loader_place(loader, &kernel);
}

static void put_map(struct loader *loader, uint8_t *params)
{
    struct memory_range ranges[MEMORY_MAP_RANGES];
    unsigned count = memory_map(loader->ram->size, ranges);

    params[PARAMS_MAP_COUNT] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = params + PARAMS_MAP + i * PARAMS_MAP_ENTRY;
        bytes_store(entry, 8, ranges[i].start);
        bytes_store(entry + 8, 8, ranges[i].end - ranges[i].start);
        bytes_store(entry + 16, 4, ranges[i].type);
    }
}

static int put_params(struct loader *loader)
{
    uint8_t params[PARAMS_SIZE] = {0};
    const uint8_t *image = loader->image;
    size_t end = (size_t)HEADER_MAGIC + image[HEADER_JUMP];
    uint64_t initrd = 0, initrd_size = 0;

    if (end > loader->length)
        end = loader->length;
    memcpy(params + HEADER_START, image + HEADER_START, end - HEADER_START);
    if (loader->module_count > 1)
        return loader_fail(loader, "a Linux kernel takes one initial RAM disk, not %u", loader->module_count);
    if (loader->module_count) {
        if (loader->modules[0].text[0])
            return loader_fail(loader, "an initial RAM disk takes no command line (\"%s\")", loader->modules[0].text);
        if (loader_check_initrd(loader, 0) != 0)
            return -1;
        uint64_t limit = bytes_load(image + HEADER_INITRD_MAX, 4) + 1;
        if (loader_place_module(loader, 0, limit, &initrd) != 0)
            return -1;
        initrd_size = loader->modules[0].length;
    }
    params[HEADER_LOADER] = LOADER_UNDEFINED;
    bytes_store(params + HEADER_INITRD, 4, initrd);
    bytes_store(params + HEADER_INITRD_SIZE, 4, initrd_size);
    bytes_store(params + HEADER_CMDLINE, 4, BOOT_CMDLINE_PAGE);
    bytes_store(params + PARAMS_RSDP, 8, FIRMWARE_RSDP);
    put_map(loader, params);
    bool whole = ram_write(loader->ram, BOOT_INFO_ADDRESS, params, sizeof params);
    CHECK(whole);
    return 0;
}

int linux_place(struct loader *loader, uint64_t *address)
{
    if (check_cmdline(loader) != 0 || loader_reserve_low(loader) != 0 || loader_reserve_firmware(loader) != 0 ||
        place_kernel(loader, address) != 0 || put_params(loader) != 0)
        return -1;
    loader_put_string(loader, BOOT_CMDLINE_PAGE, loader->cmdline);
    return 0;
}
