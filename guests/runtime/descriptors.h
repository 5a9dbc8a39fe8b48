/* The GDT and the task-state segment (Intel SDM volume 3, 3.5.1 and 8.7). */
#ifndef GUEST_RUNTIME_DESCRIPTORS_H
#define GUEST_RUNTIME_DESCRIPTORS_H

#include <stdint.h>

#define SELECTOR_KERNEL_CODE 0x08u
#define SELECTOR_KERNEL_DATA 0x10u
#define SELECTOR_USER_DATA   0x1bu
#define SELECTOR_USER_CODE   0x23u
#define SELECTOR_TSS         0x28u

/* The interrupt stack (IST) of the double fault, which must not trust the stack at hand. */
#define IST_DOUBLE_FAULT 1

/* Loads our GDT, segment registers and task register. */
void descriptors_start(void);

/* The stack on which an interrupt from CPL 3 starts. */
void descriptors_set_kernel_stack(uint64_t top);

#endif
