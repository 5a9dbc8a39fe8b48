/*
 * What the protocols' entry states have in common: low memory, descriptors, page tables, modes; see loader.h.
 *
 * Page tables have their accessed and dirty bits set from the start, so that memory does not depend on which of the
 * tables' entries a processor happens to have walked.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/boot/boot_info.h"
#include "vmm/boot/firmware_tables.h"
#include "vmm/boot/loader.h"

#define PAGE_PRESENT  0x01u
#define PAGE_WRITE    0x02u
#define PAGE_ACCESSED 0x20u
#define PAGE_DIRTY    0x40u
#define PAGE_LARGE    0x80u
#define PAGE_2M       (UINT64_C(1) << 21)

int loader_reserve_low(struct loader *loader)
{
    if (loader_reserve(loader, "the boot-info page", BOOT_INFO_ADDRESS, RAM_PAGE_SIZE) != 0 ||
        loader_reserve(loader, "the command line", BOOT_CMDLINE_PAGE, RAM_PAGE_SIZE) != 0 ||
        loader_reserve(loader, "the boot GDT", BOOT_GDT_ADDRESS, RAM_PAGE_SIZE) != 0 ||
        loader_reserve(loader, "the boot page tables", BOOT_PML4_ADDRESS, BOOT_STACK_BOTTOM - BOOT_PML4_ADDRESS) != 0)
        return -1;
    return loader_reserve(loader, "the boot stack", BOOT_STACK_BOTTOM, BOOT_STACK_TOP - BOOT_STACK_BOTTOM);
}

int loader_reserve_firmware(struct loader *loader)
{
    return loader_reserve(loader, "the firmware's tables", FIRMWARE_START, FIRMWARE_END - FIRMWARE_START);
}

/* A descriptor of base 0 and limit 4 GiB - 1 (SDM volume 3, 3.4.5): attributes in bits 40-47 and 52-55. */
static uint64_t flat_descriptor(uint32_t attributes)
{
    uint64_t low = attributes & 0xff;
    uint64_t high = (attributes >> 12) & 0xf;
    return UINT64_C(0x000f00000000ffff) | low << 40 | high << 52;
}

void loader_segments(struct loader *loader, bool long_mode, unsigned code_selector, unsigned data_selector)
{
    const uint32_t common = SEGMENT_P | SEGMENT_S | SEGMENT_G;
    /* L and D are exclusive; a 64-bit code segment has L set and D clear (SDM volume 3, 3.4.5). */
    uint32_t code = common | SEGMENT_TYPE_CODE | (long_mode ? SEGMENT_L : SEGMENT_DB);
    uint32_t data = common | SEGMENT_TYPE_DATA | SEGMENT_DB;
    /* The accessed bits are set in memory too, so that a later load of a selector leaves memory as it is. */
    uint8_t gdt[32] = {0};
    unsigned size = data_selector + 8;
    CHECK(size <= sizeof gdt && code_selector < data_selector);
    bytes_store(gdt + code_selector, 8, flat_descriptor(code));
    bytes_store(gdt + data_selector, 8, flat_descriptor(data));
    bool whole = ram_write(loader->ram, BOOT_GDT_ADDRESS, gdt, size);
    CHECK(whole);

    struct cpu_state *cpu = loader->cpu;
    cpu->gdtr = (struct descriptor_table){.base = BOOT_GDT_ADDRESS, .limit = (uint16_t)(size - 1)};
    cpu->idtr = (struct descriptor_table){0};
    cpu->cs = (struct segment){.selector = (uint16_t)code_selector, .limit = UINT32_MAX, .attributes = code};
    cpu->ds = (struct segment){.selector = (uint16_t)data_selector, .limit = UINT32_MAX, .attributes = data};
    cpu->es = cpu->fs = cpu->gs = cpu->ss = cpu->ds;
}

static void put_entry(struct loader *loader, uint64_t table, unsigned index, uint64_t entry)
{
    uint8_t bytes[8];
    bytes_store(bytes, 8, entry);
    bool whole = ram_write(loader->ram, table + 8 * (uint64_t)index, bytes, sizeof bytes);
    CHECK(whole);
}

static void put_page_tables(struct loader *loader)
{
    const uint64_t table = PAGE_PRESENT | PAGE_WRITE | PAGE_ACCESSED;
    put_entry(loader, BOOT_PML4_ADDRESS, 0, BOOT_PDPT_ADDRESS | table);
    for (unsigned i = 0; i < 4; i++)
        put_entry(loader, BOOT_PDPT_ADDRESS, i, (BOOT_PD_ADDRESS + i * RAM_PAGE_SIZE) | table);
    /* The four page directories are contiguous: one table of 2048 entries. */
    for (unsigned i = 0; i < BOOT_MAPPED_END / PAGE_2M; i++)
        put_entry(loader, BOOT_PD_ADDRESS, i, i * PAGE_2M | table | PAGE_DIRTY | PAGE_LARGE);
}

void loader_long_mode(struct loader *loader, uint64_t entry)
{
    struct cpu_state *cpu = loader->cpu;

    put_page_tables(loader);
    memset(cpu->gprs, 0, sizeof cpu->gprs);
    cpu->gprs[GPR_RSP] = BOOT_STACK_TOP;
    cpu->rip = entry;
    loader_segments(loader, true, BOOT_SELECTOR_CODE, BOOT_SELECTOR_DATA);
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr3 = BOOT_PML4_ADDRESS;
    /* SSE is usable at once, since every x86-64 compiler takes it for granted. */
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = EFER_LME | EFER_LMA;
    /* As after FNINIT: all exceptions masked, all registers empty. */
    cpu->fcw = 0x37f;
    cpu->ftw = 0;
}

void loader_protected_mode(struct loader *loader, uint32_t entry)
{
    struct cpu_state *cpu = loader->cpu;

    memset(cpu->gprs, 0, sizeof cpu->gprs);
    cpu->rip = entry;
    loader_segments(loader, false, BOOT_SELECTOR_CODE, BOOT_SELECTOR_DATA);
    cpu->cr0 = CR0_PE | CR0_ET;
}
