/* The IDT (Intel SDM volume 3, 6.14.1) and the 8259A pair (Intel 8259A data sheet); see interrupts.h. */
#include "guests/runtime/interrupts.h"

#include "guests/runtime/console.h"
#include "guests/runtime/cpu.h"
#include "guests/runtime/descriptors.h"
#include "guests/runtime/exit.h"

#define GATE_INTERRUPT 0x8e /* present, DPL 0, 64-bit interrupt gate */

#define PIC_MASTER        0x20
#define PIC_SLAVE         0xa0
#define PIC_ICW1          0x11 /* edge-triggered, cascaded, ICW4 follows */
#define PIC_ICW4          0x01 /* 8086 mode, normal end of interrupt */
#define PIC_OCW2_EOI      0x20
#define PIC_OCW3_READ_ISR 0x0b
#define PIC_CASCADE       2
#define PIC_SPURIOUS      7

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t zero;
};

_Static_assert(sizeof(struct gate) == 16, "a 64-bit gate has 16 bytes");

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern const uint8_t interrupt_stubs[]; /* 16 bytes for each vector */

/* The processor calls these without an argument of ours, hence statics. */
static struct gate idt[VECTORS];
static struct {
    interrupt_fn *handler;
    void *context;
} handlers[VECTORS];
static uint8_t irq_mask[2] = {0xff, 0xff}; /* master, slave */

static void set_masks(void)
{
    port_out8(PIC_MASTER + 1, irq_mask[0]);
    port_out8(PIC_SLAVE + 1, irq_mask[1]);
}

static void start_controllers(void)
{
    port_out8(PIC_MASTER, PIC_ICW1);
    port_out8(PIC_SLAVE, PIC_ICW1);
    port_out8(PIC_MASTER + 1, VECTOR_IRQ0);
    port_out8(PIC_SLAVE + 1, VECTOR_IRQ0 + 8);
    port_out8(PIC_MASTER + 1, 1 << PIC_CASCADE);
    port_out8(PIC_SLAVE + 1, PIC_CASCADE);
    port_out8(PIC_MASTER + 1, PIC_ICW4);
    port_out8(PIC_SLAVE + 1, PIC_ICW4);
    set_masks();
}

void interrupts_start(void)
{
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t stub = (uint64_t)(interrupt_stubs + 16 * vector);
        idt[vector] = (struct gate){.offset_low = (uint16_t)stub,
                                    .selector = SELECTOR_KERNEL_CODE,
                                    .ist = vector == VECTOR_DOUBLE_FAULT ? IST_DOUBLE_FAULT : 0,
                                    .type = GATE_INTERRUPT,
                                    .offset_middle = (uint16_t)(stub >> 16),
                                    .offset_high = (uint32_t)(stub >> 32)};
    }
    struct table_pointer pointer = {.limit = sizeof idt - 1, .base = (uint64_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
    start_controllers();
}

void interrupts_handle(unsigned vector, interrupt_fn *handler, void *context)
{
    handlers[vector].handler = handler;
    handlers[vector].context = context;
}

void interrupts_handle_irq(unsigned irq, interrupt_fn *handler, void *context)
{
    interrupts_handle(VECTOR_IRQ0 + irq, handler, context);
    irq_mask[irq / 8] &= (uint8_t) ~(1u << (irq % 8));
    if (irq >= 8)
        irq_mask[0] &= (uint8_t) ~(1u << PIC_CASCADE);
    set_masks();
}

/* A request that went away before it was acknowledged shows as the lowest priority, with its in-service bit clear; it
 * must not be given an end-of-interrupt (8259A data sheet, "IR7 default"). */
static int is_spurious(unsigned irq)
{
    if (irq % 8 != PIC_SPURIOUS)
        return 0;
    uint16_t chip = irq < 8 ? PIC_MASTER : PIC_SLAVE;
    port_out8(chip, PIC_OCW3_READ_ISR);
    return !(port_in8(chip) & (1 << PIC_SPURIOUS));
}

static void end_of_interrupt(unsigned irq)
{
    if (irq >= 8)
        port_out8(PIC_SLAVE, PIC_OCW2_EOI);
    port_out8(PIC_MASTER, PIC_OCW2_EOI);
}

struct frame *interrupts_dispatch(struct frame *frame)
{
    uint64_t vector = frame->vector;
    interrupt_fn *handler = handlers[vector].handler;
    if (vector < VECTOR_IRQ0) {
        if (handler)
            return handler(frame, handlers[vector].context);
        interrupts_panic(frame);
    }
    unsigned irq = (unsigned)(vector - VECTOR_IRQ0);
    if (is_spurious(irq))
        return frame;
    if (handler)
        frame = handler(frame, handlers[vector].context);
    end_of_interrupt(irq);
    return frame;
}

static const char *exception_name(uint64_t vector)
{
    static const char *const names[] = {"divide error",
                                        "debug",
                                        "NMI",
                                        "breakpoint",
                                        "overflow",
                                        "bound range",
                                        "invalid opcode",
                                        "no device",
                                        "double fault",
                                        "coprocessor overrun",
                                        "invalid TSS",
                                        "segment not present",
                                        "stack fault",
                                        "general protection",
                                        "page fault"};
    return vector < sizeof names / sizeof names[0] ? names[vector] : "exception";
}

void interrupts_panic(const struct frame *frame)
{
    uint64_t cr2 = read_cr2();
    console_print("panic: %s (vector %lu, error 0x%lx) at rip 0x%lx, cs 0x%lx\n", exception_name(frame->vector),
                  frame->vector, frame->error, frame->rip, frame->cs);
    console_print("panic: rsp 0x%lx rflags 0x%lx cr2 0x%lx rax 0x%lx\n", frame->rsp, frame->rflags, cr2, frame->rax);
    guest_exit(EXIT_PANIC);
}
