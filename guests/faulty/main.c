/*
 * faulty: does one thing wrong, to see what becomes of it. The command line says which:
 *
 *   wild=ADDRESS  writes 8 bytes there
 *   divide        divides by zero
 *   ud2           executes an undefined instruction
 *   stack         recurses until the stack is used up; a guard page is below it, so that is a double fault
 *   triple        makes a fault with no IDT: the processor shuts down
 *   port          reads and writes a port that no device claims, and exits with 0
 *   mmio          the same with an address where nothing is, just below 4 GiB - 16 MiB
 *   wide          compares and exchanges 16 bytes at once, which is right, but not known to the emulator in some hosts'
 * KVM halt          halts with interrupts off, for ever
 *
 * Exceptions end in the runtime's panic (exit value 100). Without an option: usage, and exit value 2.
 */
#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"

#define UNCLAIMED_PORT 0x2f0
#define UNCLAIMED_MMIO 0xfeff0000u

#define PAGE_PRESENT_WRITE_ACCESSED_DIRTY 0x63u

extern uint8_t boot_stack_guard[]; /* entry.S: the page below the stack */

static void fault_wild(void)
{
    uint64_t address = option_number("wild", 0, 0, UINT64_MAX);
    console_print("faulty: writing to 0x%lx\n", address);
    *(volatile uint64_t *)address = 0x0badc0de0badc0de;
    console_print("faulty: written\n");
}

static void fault_divide(void)
{
    console_print("faulty: dividing by zero\n");
    __asm__ volatile("div %0" : : "r"(0u), "a"(1u), "d"(0u));
}

static void fault_ud2(void)
{
    console_print("faulty: executing ud2\n");
    __asm__ volatile("ud2");
}

/* Splits the boot loader's first 2 MiB page, so that the page under the stack can be taken away. */
static void unmap_stack_guard(void)
{
    static uint64_t table[512] __attribute__((aligned(4096)));
    for (uint64_t page = 0; page < 512; page++)
        table[page] = page << 12 | PAGE_PRESENT_WRITE_ACCESSED_DIRTY;
    table[(uint64_t)boot_stack_guard >> 12] = 0;
    *(volatile uint64_t *)(uintptr_t)BOOT_PD_ADDRESS = (uint64_t)table | PAGE_PRESENT_WRITE_ACCESSED_DIRTY;
    write_cr3(read_cr3());
}

static uint64_t recurse(volatile uint64_t depth)
{
    return depth == UINT64_MAX ? depth : depth + recurse(depth + 1);
}

static void fault_stack(void)
{
    console_print("faulty: overflowing the stack\n");
    unmap_stack_guard();
    console_print("faulty: %lu\n", recurse(0));
}

static void fault_triple(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    console_print("faulty: triple fault\n");
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void fault_port(void)
{
    port_out8(UNCLAIMED_PORT, 0x5a);
    console_print("faulty: port 0x%x reads 0x%02x\n", UNCLAIMED_PORT, port_in8(UNCLAIMED_PORT));
}

static void fault_mmio(void)
{
    volatile uint32_t *address = (volatile uint32_t *)(uintptr_t)UNCLAIMED_MMIO;
    *address = 0x5a5a5a5a;
    console_print("faulty: address 0x%x reads 0x%08x\n", UNCLAIMED_MMIO, *address);
}

static void fault_wide(void)
{
    static uint64_t pair[2] __attribute__((aligned(16))) = {1, 2};
    uint64_t low = 1, high = 2;
    console_print("faulty: cmpxchg16b\n");
    __asm__ volatile("lock cmpxchg16b %0" : "+m"(pair), "+a"(low), "+d"(high) : "b"(3UL), "c"(4UL) : "memory", "cc");
    console_print("faulty: now %lu and %lu\n", pair[0], pair[1]);
}

static void fault_halt(void)
{
    console_print("faulty: halting for ever\n");
    interrupts_off();
    for (;;)
        __asm__ volatile("hlt");
}

uint32_t guest_main(const struct boot_info *info)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } faults[] = {{"wild", fault_wild},   {"divide", fault_divide}, {"ud2", fault_ud2},
                  {"stack", fault_stack}, {"triple", fault_triple}, {"port", fault_port},
                  {"mmio", fault_mmio},   {"wide", fault_wide},     {"halt", fault_halt}};
    (void)info;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (option_given(faults[i].name)) {
            faults[i].run();
            return EXIT_SUCCESS;
        }
    }
    console_print("usage: wild=ADDRESS | divide | ud2 | stack | triple | port | mmio | wide | halt\n");
    return EXIT_USAGE;
}
