/*
 * Control registers, model-specific registers, CPUID and the time stamp counter.
 */
#ifndef ENCORE_VMM_SOFT_MSR_H
#define ENCORE_VMM_SOFT_MSR_H

#include "vmm/soft/soft.h"

/* Writes that raise #GP(0) where SDM volume 3, 2.5, says so. */
void soft_write_cr0(struct soft *cpu, const struct uop *u, uint64_t value);
void soft_write_cr3(struct soft *cpu, const struct uop *u, uint64_t value);
void soft_write_cr4(struct soft *cpu, const struct uop *u, uint64_t value);

/* False: #GP(0). */
bool soft_read_msr(struct soft *cpu, const struct uop *u, uint32_t index, uint64_t *value);
bool soft_write_msr(struct soft *cpu, const struct uop *u, uint32_t index, uint64_t value);

/* EAX, EBX, ECX, EDX of a leaf; docs/soft-engine.md tells the model. */
void soft_cpuid(const struct soft *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* The time stamp counter, at the instruction of `u`. */
uint64_t soft_tsc(const struct soft *cpu, const struct uop *u);

#endif
