/*
 * speed: a Multiboot 1 guest that does one kind of work so many times and nothing else, for measuring how fast a
 * processor in software is. Encore and `qemu-system-x86_64 -kernel` both boot it.
 *
 * The command line names the kernel and how often: `kernel=sieve count=100`. It runs in 64-bit mode, and the guest ends
 * by writing 0 to port 0xf4. This part, in 32-bit mode, chooses the kernel and makes the tables.
 */
#include "guests/speed/speed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"

struct descriptor_pointer {
    uint16_t limit;
    uint32_t base;
    uint16_t unused;
} __attribute__((packed));

struct speed_setup {
    struct descriptor_pointer gdtr, idtr;
    uint32_t cr3, kernel, count;
};

_Static_assert(offsetof(struct speed_setup, idtr) == SETUP_IDTR && offsetof(struct speed_setup, cr3) == SETUP_CR3 &&
                   offsetof(struct speed_setup, kernel) == SETUP_KERNEL &&
                   offsetof(struct speed_setup, count) == SETUP_COUNT,
               "speed.h agrees");

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

_Noreturn void speed_enter(const struct speed_setup *setup);
_Noreturn void speed_main(const struct multiboot_info *info);
extern uint8_t stack_top[], page_fault[];

#define KERNELS(X)                                                                                                     \
    X(integer) X(sieve) X(interpreter) X(copy_rep) X(copy_loop) X(sse2) X(x87) X(syscalls) X(faults) X(smc)

#define DECLARE(name) extern uint8_t kernel_##name[];
KERNELS(DECLARE)

#define ENTRY(name) {#name, kernel_##name},
static const struct {
    const char *name;
    const uint8_t *code;
} kernels[] = {KERNELS(ENTRY)};

#define TABLE __attribute__((aligned(4096)))
static uint64_t pml4[512] TABLE, pdpt[512] TABLE, directory[512] TABLE, region_directory[512] TABLE;
uint64_t region_table[512] TABLE;
static uint64_t gdt[8], idt[32];
static uint32_t tss[26];

/* The text after `key` in the command line; NULL when it is not there. */
static const char *option(const char *line, const char *key)
{
    for (; *line; line++) {
        size_t i = 0;
        while (key[i] && line[i] == key[i])
            i++;
        if (!key[i])
            return line + i;
    }
    return NULL;
}

static bool is_word(const char *text, const char *word)
{
    while (*word && *text == *word)
        text++, word++;
    return !*word && (!*text || *text == ' ');
}

static uint32_t number(const char *text)
{
    uint32_t value = 0;
    for (; text && *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint32_t)(*text - '0');
    return value;
}

/* All of it may be used at every privilege, so that user code can lie beside the kernel's. */
static void make_page_tables(void)
{
    const uint64_t table = 0x7, large = 0x87; /* present, writable, user; and 2 MiB */
    pml4[0] = (uintptr_t)pdpt | table;
    pdpt[0] = (uintptr_t)directory | table;
    pdpt[REGION >> 30] = (uintptr_t)region_directory | table;
    region_directory[0] = (uintptr_t)region_table | table;
    for (uint32_t i = 0; i < 32; i++)
        directory[i] = (uint64_t)i << 21 | large;
}

static void make_descriptors(void)
{
    uint32_t at = (uintptr_t)tss, handler = (uintptr_t)page_fault;
    gdt[SELECTOR_CODE / 8] = 0x00af9b000000ffff;
    gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffff;
    gdt[SELECTOR_USER_DATA / 8] = 0x00cff3000000ffff;
    gdt[SELECTOR_USER_CODE / 8] = 0x00affb000000ffff;
    gdt[SELECTOR_TSS / 8] = (uint64_t)(at >> 24) << 56 | 0x0000890000000000 | (uint64_t)(at & 0xffffff) << 16 | 103;
    tss[1] = (uintptr_t)stack_top; /* RSP0 */
    idt[2 * 14] = (uint64_t)(handler >> 16) << 48 | 0x00008e0000000000 | SELECTOR_CODE << 16 | (handler & 0xffff);
}

void speed_main(const struct multiboot_info *info)
{
    const char *line = info->flags & 4 ? (const char *)(uintptr_t)info->cmdline : "";
    const char *name = option(line, "kernel="), *count = option(line, "count=");
    struct speed_setup setup = {
        .gdtr = {sizeof gdt - 1, (uintptr_t)gdt, 0},
        .idtr = {sizeof idt - 1, (uintptr_t)idt, 0},
        .cr3 = (uintptr_t)pml4,
        .count = number(count),
    };

    for (size_t i = 0; name && i < sizeof kernels / sizeof kernels[0]; i++)
        if (is_word(name, kernels[i].name))
            setup.kernel = (uintptr_t)kernels[i].code;
    if (!setup.kernel || !count)
        guest_exit(EXIT_FAILURE);
    make_page_tables();
    make_descriptors();
    speed_enter(&setup);
}
