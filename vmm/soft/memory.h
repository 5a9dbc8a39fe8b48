/*
 * Memory as the guest's instructions see it: linear addresses, translated, in RAM or outside it.
 *
 * `u` is the micro-operation on whose behalf the access is made; faults are raised there. NULL means that the processor
 * itself makes the access at a boundary (it delivers an event). Functions named soft_system_ access with supervisor
 * rights whatever the privilege level, as loads of descriptors do (SDM volume 3, 4.6.1).
 */
#ifndef ENCORE_VMM_SOFT_MEMORY_H
#define ENCORE_VMM_SOFT_MEMORY_H

#include <string.h>

#include "vmm/soft/soft.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* Bits of the page-fault error code, SDM volume 3, 4.7. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16 };

/* paging.c: walks the tables for the instruction of `u`. Returns true with the physical address, or false with the
 * page-fault error code. Accessed and dirty bits are set only when the translation succeeds. `implicit`: the
 * processor's own access to a descriptor or TSS. */
bool soft_walk(struct soft *cpu, const struct uop *u, uint64_t linear, enum access access, bool user, bool implicit,
               uint64_t *phys, uint32_t *error_code);

/* As a guest's access at the present privilege level, but without any effect, or fault: false where there would be one.
 */
bool soft_look_up(const struct soft *cpu, uint64_t linear, enum access access, uint64_t *phys);

/* Whether the four page-directory-pointer entries that `cr3` leads to may be loaded: SDM volume 3, 4.4.1. */
bool soft_pdptes_valid(struct soft *cpu, uint64_t cr3);

/* The physical address of `linear`; raises #PF, #GP or #SS. */
uint64_t soft_translate(struct soft *cpu, const struct uop *u, uint64_t linear, enum access access, bool system);

/* Reads and writes of 1 to 8 bytes at any linear address. A write is all or nothing. */
uint64_t soft_load(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size);
void soft_store(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size, uint64_t value);
uint64_t soft_system_load(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size);
void soft_system_store(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned size, uint64_t value);

/* As above for up to 512 bytes. */
void soft_load_bytes(struct soft *cpu, const struct uop *u, uint64_t linear, void *bytes, unsigned length);
void soft_store_bytes(struct soft *cpu, const struct uop *u, uint64_t linear, const void *bytes, unsigned length);

/* Notes which I/O breakpoints an access to `port` hits. */
void soft_watch_port(struct soft *cpu, uint16_t port, unsigned size);
/* Raises #AC where alignment is checked and `length` bytes at `linear` are not aligned. */
void soft_check_alignment(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length);

/* Raises whatever a read, or a write, of `length` bytes would raise; after it the access cannot fail. */
void soft_probe_read(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length);
void soft_probe_write(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length);
void soft_system_probe_write(struct soft *cpu, const struct uop *u, uint64_t linear, unsigned length);

/* The linear address of the memory operand of `u`, with segment checks; `size` bytes are accessed. */
uint64_t soft_address(struct soft *cpu, const struct uop *u, unsigned size, enum access access);
/* The linear address of `offset` in a segment, likewise. */
uint64_t soft_segment_address(struct soft *cpu, const struct uop *u, unsigned seg, uint64_t offset, unsigned size,
                              enum access access);
/* The effective address alone. */
uint64_t soft_offset(const struct soft *cpu, const struct uop *u);

/* Physical accesses, for the walker and the decoder: NULL outside RAM. */
uint8_t *soft_ram(const struct soft *cpu, uint64_t phys, uint64_t length);
/* Notes that the processor writes a page by itself. */
void soft_mark_dirty(struct soft *cpu, uint64_t phys);
/* Notes that a translation depends on this page. */
void soft_mark_table(struct soft *cpu, uint64_t phys);
/* Notes that blocks were decoded from [phys, phys + length) of one page. */
void soft_mark_code(struct soft *cpu, uint64_t phys, unsigned length);
/* Whether decoded code lies in [phys, phys + length), in one page. */
bool soft_holds_code(const struct soft *cpu, uint64_t phys, uint64_t length);
/* The host or the processor writes [phys, phys + length): forget what depends on it. */
void soft_ram_changed(struct soft *cpu, uint64_t phys, uint64_t length);

/* Exits: what leaves the processor. Made by the last instruction of a block only. */
uint64_t soft_exit_read(struct soft *cpu, enum engine_space space, uint64_t address, unsigned size);
void soft_exit_write(struct soft *cpu, enum engine_space space, uint64_t address, unsigned size, uint64_t value);

/* Notes that the exit just counted belongs to the instruction being executed. */
void soft_exit_done(struct soft *cpu);

/* Forgets all translations. */
void soft_flush_tlb(struct soft *cpu);
/* Forgets the writable ones, so that the next write to each page is seen. */
void soft_flush_writes(struct soft *cpu);

/* A pointer to `size` bytes at `linear` through the TLB, or NULL when the access must go the long way. */
static inline uint8_t *soft_fast(const struct tlb_entry *entries, uint64_t linear, unsigned size)
{
    const struct tlb_entry *entry = &entries[tlb_index(linear)];
    if (__builtin_expect((linear ^ entry->tag) <= 4096 - size, 1))
        return (uint8_t *)(uintptr_t)(entry->addend + linear);
    return NULL;
}

#endif
