/*
 * Walking page tables as the processor does, without its side effects (SDM volume 3, chapter 4).
 *
 * With PAE paging the four page-directory-pointer entries are checked when CR3 is loaded (4.4.1), and read from memory
 * at each walk; the architecture has the processor keep the copies that it took then, and a guest that changes the
 * entries in memory must load CR3 anew.
 */
#ifndef ENCORE_VMM_PAGE_WALK_H
#define ENCORE_VMM_PAGE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/cpu_state.h"
#include "vmm/ram.h"

/* What a walk depends on, besides memory. */
struct paging {
    uint64_t cr0, cr3, cr4, efer;
    unsigned physical_bits; /* of a physical address: higher ones are reserved */
};

#define PAGE_WALK_LEVELS 4

struct page_walk {
    uint64_t entry_at[PAGE_WALK_LEVELS]; /* physical addresses of the entries that were read */
    uint64_t entries[PAGE_WALK_LEVELS];
    unsigned count;
    unsigned first; /* the entries before this one have no accessed bit */
    unsigned entry_size;
    bool write, user, no_execute; /* the rights of all entries together */
    bool reserved, absent;        /* there is no translation: a reserved bit is set, or an entry is not present */
    uint64_t page, page_mask;     /* the page found, and which bits of an address are within it */
};

void page_walk(const struct paging *paging, const struct ram *ram, uint64_t linear, struct page_walk *walk);

/* Whether the four page-directory-pointer entries that `cr3` leads to may be loaded: SDM volume 3, 4.4.1. */
bool page_walk_pdptes_valid(const struct paging *paging, const struct ram *ram, uint64_t cr3);

#endif
