/* See page_walk.h: 32-bit, PAE and 4-level paging (SDM volume 3, chapter 4). */
#include "vmm/page_walk.h"

#include <string.h>

enum {
    PTE_P = 1,
    PTE_RW = 2,
    PTE_US = 4,
    PTE_PS = 0x80,
};
#define PTE_NX      (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* What the entries of a walk are taken from. */
struct source {
    const struct paging *paging;
    const struct ram *ram;
    uint64_t pdpte_reserved;
};

static uint64_t reserved_address_bits(const struct paging *paging)
{
    return UINT64_C(0x000fffffffffffff) & ~((UINT64_C(1) << paging->physical_bits) - 1);
}

/* Of the page-directory-pointer entries of PAE paging: SDM volume 3, table 4-8. */
static uint64_t pdpte_reserved(const struct paging *paging)
{
    return reserved_address_bits(paging) | UINT64_C(0xfff00000000001e6);
}

/* Memory outside RAM reads as all ones: such an entry has reserved bits set. */
static uint64_t read_entry(const struct ram *ram, uint64_t phys, unsigned size)
{
    uint64_t value = 0;

    if (phys > ram->size || size > ram->size - phys)
        return size == 4 ? UINT32_MAX : UINT64_MAX;
    memcpy(&value, ram->bytes + phys, size);
    return value;
}

static uint64_t take_entry(const struct source *from, struct page_walk *walk, uint64_t phys)
{
    uint64_t entry = read_entry(from->ram, phys, walk->entry_size);
    walk->entry_at[walk->count] = phys;
    walk->entries[walk->count++] = entry;
    if (!(entry & PTE_P))
        walk->absent = true;
    return entry;
}

/* Takes one more entry into account. */
static void restrict_rights(struct page_walk *walk, uint64_t entry)
{
    walk->write &= (entry & PTE_RW) != 0;
    walk->user &= (entry & PTE_US) != 0;
    walk->no_execute |= walk->entry_size == 8 && (entry & PTE_NX);
}

static void walk_32bit(const struct source *from, struct page_walk *walk, uint64_t linear)
{
    walk->entry_size = 4;
    uint64_t pde = take_entry(from, walk, (from->paging->cr3 & 0xfffff000) + ((linear >> 22) & 0x3ff) * 4);
    if (walk->absent)
        return;
    restrict_rights(walk, pde);
    if ((pde & PTE_PS) && (from->paging->cr4 & CR4_PSE)) {
        /* Without PSE-36, bits 21 to 13 are reserved. */
        walk->reserved = pde & 0x3fe000;
        walk->page = pde & 0xffc00000;
        walk->page_mask = 0x3fffff;
        return;
    }
    uint64_t pte = take_entry(from, walk, (pde & 0xfffff000) + ((linear >> 12) & 0x3ff) * 4);
    if (walk->absent)
        return;
    restrict_rights(walk, pte);
    walk->page = pte & 0xfffff000;
    walk->page_mask = 0xfff;
}

/* The two lowest levels, common to PAE and 4-level paging. */
static void walk_directory(const struct source *from, struct page_walk *walk, uint64_t directory, uint64_t linear,
                           uint64_t reserved)
{
    uint64_t pde = take_entry(from, walk, directory + ((linear >> 21) & 0x1ff) * 8);
    if (walk->absent)
        return;
    restrict_rights(walk, pde);
    if (pde & PTE_PS) {
        walk->reserved = pde & (reserved | 0x1fe000);
        walk->page = pde & PTE_ADDRESS & ~UINT64_C(0x1fffff);
        walk->page_mask = 0x1fffff;
        return;
    }
    walk->reserved = pde & reserved;
    if (walk->reserved)
        return;
    uint64_t pte = take_entry(from, walk, (pde & PTE_ADDRESS) + ((linear >> 12) & 0x1ff) * 8);
    if (walk->absent)
        return;
    restrict_rights(walk, pte);
    walk->reserved = pte & reserved;
    walk->page = pte & PTE_ADDRESS;
    walk->page_mask = 0xfff;
}

static void walk_pae(const struct source *from, struct page_walk *walk, uint64_t linear, uint64_t reserved)
{
    walk->entry_size = 8;
    uint64_t pdpte = take_entry(from, walk, (from->paging->cr3 & 0xffffffe0) + ((linear >> 30) & 3) * 8);
    if (walk->absent)
        return;
    /* These entries have no rights and no accessed bit. */
    walk->first = 1;
    walk->reserved = pdpte & from->pdpte_reserved;
    if (!walk->reserved)
        walk_directory(from, walk, pdpte & PTE_ADDRESS, linear, reserved | UINT64_C(0x7ff0000000000000));
}

static void walk_4level(const struct source *from, struct page_walk *walk, uint64_t linear, uint64_t reserved)
{
    walk->entry_size = 8;
    uint64_t table = from->paging->cr3 & PTE_ADDRESS;
    for (int shift = 39; shift >= 30; shift -= 9) {
        uint64_t entry = take_entry(from, walk, table + ((linear >> shift) & 0x1ff) * 8);
        if (walk->absent)
            return;
        restrict_rights(walk, entry);
        /* No 1 GiB pages: the page-size bit is reserved at both levels. */
        walk->reserved = entry & (reserved | PTE_PS);
        if (walk->reserved)
            return;
        table = entry & PTE_ADDRESS;
    }
    walk_directory(from, walk, table, linear, reserved);
}

bool page_walk_pdptes_valid(const struct paging *paging, const struct ram *ram, uint64_t cr3)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry = read_entry(ram, (cr3 & 0xffffffe0) + 8 * i, 8);
        if ((entry & PTE_P) && (entry & pdpte_reserved(paging)))
            return false;
    }
    return true;
}

void page_walk(const struct paging *paging, const struct ram *ram, uint64_t linear, struct page_walk *walk)
{
    const struct source from = {.paging = paging, .ram = ram, .pdpte_reserved = pdpte_reserved(paging)};

    *walk = (struct page_walk){.write = true, .user = true};
    if (!(paging->cr0 & CR0_PG)) {
        walk->page_mask = 0xffffffff;
        return;
    }
    uint64_t reserved = reserved_address_bits(paging) | (paging->efer & EFER_NXE ? 0 : PTE_NX);
    if (paging->efer & EFER_LMA)
        walk_4level(&from, walk, linear, reserved);
    else if (paging->cr4 & CR4_PAE)
        walk_pae(&from, walk, linear, reserved);
    else
        walk_32bit(&from, walk, linear);
}
