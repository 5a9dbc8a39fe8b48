/*
 * mbhello: a 32-bit Multiboot 1 guest. Prints what its boot loader told it, and exits with 0 when that was sound: the
 * magic number, the memory size, and a memory map that agrees with it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"

#define MULTIBOOT_MAGIC 0x2badb002u
#define INFO_MEMORY     0x001u
#define INFO_CMDLINE    0x004u
#define INFO_MAP        0x040u
#define INFO_LOADER     0x200u

#define UART_THR      (BOOT_PORT_UART + 0)
#define UART_LSR      (BOOT_PORT_UART + 5)
#define LSR_THR_EMPTY 0x20

/* Multiboot Specification 0.6.96, section 3.3. */
struct multiboot_info {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KiB */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count, mods_addr;
    uint32_t symbols[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
};

struct map_entry {
    uint32_t size; /* of what follows */
    uint64_t base;
    uint64_t length;
    uint32_t type; /* 1: available */
} __attribute__((packed));

static void put(const char *text)
{
    for (; *text; text++) {
        while (!(port_in8(UART_LSR) & LSR_THR_EMPTY))
            ;
        port_out8(UART_THR, (uint8_t)*text);
    }
}

static void put_number(uint32_t value)
{
    char digits[11];
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(at);
}

/* KiB available at and above 1 MiB, by the memory map. */
static uint32_t mapped_upper(const struct multiboot_info *info)
{
    uint32_t kib = 0;
    uint32_t end = info->mmap_addr + info->mmap_length;
    for (uint32_t at = info->mmap_addr; at < end;) {
        const struct map_entry *entry = (const struct map_entry *)(uintptr_t)at;
        if (entry->type == 1 && entry->base >= 0x100000 && entry->base < 0x100000000)
            kib += (uint32_t)(entry->length / 1024);
        at += entry->size + 4;
    }
    return kib;
}

_Noreturn void mbhello_main(uint32_t magic, const struct multiboot_info *info);

void mbhello_main(uint32_t magic, const struct multiboot_info *info)
{
    const uint32_t wanted = INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER;
    put("mbhello: hello from protected mode\n");
    if (magic != MULTIBOOT_MAGIC || (info->flags & wanted) != wanted) {
        put("mbhello: not booted by a Multiboot 1 loader, or told too little\n");
        guest_exit(EXIT_FAILURE);
    }
    put("mbhello: loader ");
    put((const char *)(uintptr_t)info->boot_loader_name);
    put(", command line \"");
    put((const char *)(uintptr_t)info->cmdline);
    put("\"\nmbhello: memory ");
    put_number(info->mem_lower);
    put(" + ");
    put_number(info->mem_upper);
    put(" KiB\n");
    uint32_t mapped = mapped_upper(info);
    if (mapped == info->mem_upper)
        guest_exit(EXIT_SUCCESS);
    put("mbhello: the memory map says ");
    put_number(mapped);
    put(" KiB\n");
    guest_exit(EXIT_FAILURE);
}
