/*
 * Exceptions and interrupt requests: one IDT of 48 vectors, the two 8259s remapped behind the exceptions, and a handler
 * for each vector that somebody wants.
 */
#ifndef GUEST_RUNTIME_INTERRUPTS_H
#define GUEST_RUNTIME_INTERRUPTS_H

#include <stddef.h>
#include <stdint.h>

#define VECTOR_INVALID_OPCODE 6
#define VECTOR_DOUBLE_FAULT   8
#define VECTOR_PAGE_FAULT     14
#define VECTOR_IRQ0           0x20
#define VECTORS               48

/* What is on the stack when a handler runs: stubs.S pushes the first part, the processor the second. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Returns the frame to resume: `frame` itself, or another that was interrupted before. Runs with interrupts off. */
typedef struct frame *interrupt_fn(struct frame *frame, void *context);

/* Loads the IDT and programs the interrupt controllers; every request is masked. */
void interrupts_start(void);

/* Sets a vector's handler. Without one, an exception is a panic. */
void interrupts_handle(unsigned vector, interrupt_fn *handler, void *context);

/* Sets a request's handler and unmasks it. The end-of-interrupt is sent after the handler. */
void interrupts_handle_irq(unsigned irq, interrupt_fn *handler, void *context);

/* Prints what happened and ends the run with EXIT_PANIC. */
_Noreturn void interrupts_panic(const struct frame *frame);

/* Called by stubs.S. */
struct frame *interrupts_dispatch(struct frame *frame);

#endif
