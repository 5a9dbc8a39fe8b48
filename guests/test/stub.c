/*
 * stub: the elf64 boot protocol as a Multiboot 1 kernel, so that our guests run under monitors that do not know the
 * protocol:
 *
 *   qemu-system-x86_64 -kernel stub -initrd "kv some=option"
 *
 * The guest is the first module, and what follows its file name in the module's string is the command line. This loader
 * is for trying guests that we have built ourselves: unlike vmm/boot/elf64.c it believes the image.
 */
#include <stdbool.h>
#include <stdint.h>

#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"

#define MULTIBOOT_MAGIC 0x2badb002u
#define STUB_ADDRESS    0x4000000u /* stub.ld; memory from here on is not the guest's */
#define PT_LOAD         1u

#define PAGE_TABLE 0x23u /* present, writable, accessed */
#define PAGE_LARGE 0xe3u /* and dirty, 2 MiB */

/* stub_entry.S has these in its own words. */
_Static_assert(BOOT_INFO_ADDRESS == 0x1000 && BOOT_GDT_ADDRESS == 0x3000 && BOOT_PML4_ADDRESS == 0x4000 &&
                   BOOT_STACK_TOP == 0x10000 && BOOT_SELECTOR_CODE == 0x08 && BOOT_SELECTOR_DATA == 0x10,
               "stub_entry.S agrees with boot_info.h");

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
};

struct module {
    uint32_t start, end, string, reserved;
};

struct elf_header {
    uint8_t identification[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
} __attribute__((packed));

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
} __attribute__((packed));

_Noreturn void stub_enter(uint32_t entry);
_Noreturn void stub_main(uint32_t magic, const struct multiboot_info *info);

static void copy(uint8_t *to, const uint8_t *from, uint32_t length)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
}

static void clear(uint8_t *to, uint32_t length)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(0) : "memory");
}

/* Returns the entry point. */
static uint32_t load_elf(const uint8_t *image)
{
    const struct elf_header *header = (const void *)image;
    for (unsigned i = 0; i < header->phnum; i++) {
        const struct program_header *segment = (const void *)(image + (uint32_t)header->phoff + i * header->phentsize);
        if (segment->type != PT_LOAD)
            continue;
        uint8_t *to = (uint8_t *)(uint32_t)segment->paddr;
        copy(to, image + (uint32_t)segment->offset, (uint32_t)segment->filesz);
        clear(to + (uint32_t)segment->filesz, (uint32_t)(segment->memsz - segment->filesz));
    }
    return (uint32_t)header->entry;
}

static void build_tables(void)
{
    volatile uint64_t *pml4 = (uint64_t *)BOOT_PML4_ADDRESS;
    volatile uint64_t *pdpt = (uint64_t *)BOOT_PDPT_ADDRESS;
    volatile uint64_t *pd = (uint64_t *)BOOT_PD_ADDRESS;
    volatile uint64_t *gdt = (uint64_t *)BOOT_GDT_ADDRESS;
    clear((uint8_t *)BOOT_LOW_START, BOOT_LOW_END - BOOT_LOW_START);
    pml4[0] = BOOT_PDPT_ADDRESS | PAGE_TABLE;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (BOOT_PD_ADDRESS + i * 4096u) | PAGE_TABLE;
    for (unsigned i = 0; i < 2048; i++)
        pd[i] = (uint64_t)i << 21 | PAGE_LARGE;
    gdt[BOOT_SELECTOR_CODE / 8] = 0x00af9b000000ffff;
    gdt[BOOT_SELECTOR_DATA / 8] = 0x00cf93000000ffff;
}

static void build_info(const char *string)
{
    struct boot_info *info = (struct boot_info *)BOOT_INFO_ADDRESS;
    char *cmdline = (char *)BOOT_CMDLINE_PAGE;
    while (*string && *string != ' ')
        string++;
    while (*string == ' ')
        string++;
    uint32_t length = 0;
    while (length < 4000 && string[length]) {
        cmdline[length] = string[length];
        length++;
    }
    *info = (struct boot_info){.magic = BOOT_INFO_MAGIC,
                               .version = BOOT_INFO_VERSION,
                               .size = sizeof *info,
                               .ram_size = STUB_ADDRESS,
                               .cmdline_address = BOOT_CMDLINE_PAGE,
                               .cmdline_length = length,
                               .uart_port = BOOT_PORT_UART,
                               .debug_exit_port = BOOT_PORT_DEBUG_EXIT,
                               .entropy_port = BOOT_PORT_ENTROPY};
}

void stub_main(uint32_t magic, const struct multiboot_info *info)
{
    if (magic != MULTIBOOT_MAGIC || info->mods_count == 0)
        guest_exit(EXIT_NO_INFO);
    /* The Multiboot structures may lie in the low memory that the protocol wants: take what matters, and keep the
     * string, before that is overwritten. */
    static char string[512];
    struct module module = *(const struct module *)info->mods_addr;
    const char *from = (const char *)module.string;
    for (unsigned i = 0; i + 1 < sizeof string && from[i]; i++)
        string[i] = from[i];
    build_tables();
    build_info(string);
    stub_enter(load_elf((const uint8_t *)module.start));
}
