/* The GDT and the TSS; see descriptors.h. */
#include "guests/runtime/descriptors.h"

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map; /* beyond the limit: no port is open to CPL 3 */
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104, "a 64-bit TSS has 104 bytes");

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* Accessed bits are set beforehand, so that the processor has nothing to write here but the TSS's busy bit. */
static uint64_t gdt[7] = {
    0,
    0x00af9b000000ffff, /* kernel code: L, DPL 0 */
    0x00cf93000000ffff, /* kernel data */
    0x00cff3000000ffff, /* user data: DPL 3 */
    0x00affb000000ffff, /* user code: L, DPL 3 */
};

static struct tss tss;
static uint8_t double_fault_stack[4096] __attribute__((aligned(16)));

static void set_tss_descriptor(void)
{
    uint64_t base = (uint64_t)&tss;
    uint64_t limit = sizeof tss - 1;
    /* Type 9, an available 64-bit TSS; present. */
    gdt[SELECTOR_TSS / 8] = limit | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 | ((base >> 24) & 0xff) << 56;
    gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
}

void descriptors_start(void)
{
    tss.io_map = sizeof tss;
    tss.ist[IST_DOUBLE_FAULT - 1] = (uint64_t)(double_fault_stack + sizeof double_fault_stack);
    set_tss_descriptor();
    struct table_pointer pointer = {.limit = sizeof gdt - 1, .base = (uint64_t)gdt};
    __asm__ volatile("lgdt %0\n\t"
                     "mov %w1, %%ds\n\t"
                     "mov %w1, %%es\n\t"
                     "mov %w1, %%ss\n\t"
                     "pushq %2\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "ltr %w3"
                     :
                     : "m"(pointer), "r"(SELECTOR_KERNEL_DATA), "i"(SELECTOR_KERNEL_CODE), "r"(SELECTOR_TSS)
                     : "rax", "memory");
}

void descriptors_set_kernel_stack(uint64_t top)
{
    tss.rsp[0] = top;
}
