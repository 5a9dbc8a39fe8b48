/*
 * Page-table walks: 32-bit, PAE and 4-level paging (SDM volume 3, chapter 4).
 *
 * With PAE paging the four page-directory-pointer entries are checked when CR3 is loaded (4.4.1), and read from memory
 * at each walk; the architecture has the processor keep the copies that it took then, and a guest that changes the
 * entries in memory must load CR3 anew.
 */
#include "vmm/soft/memory.h"

enum {
    PTE_P = 1,
    PTE_RW = 2,
    PTE_US = 4,
    PTE_A = 0x20,
    PTE_D = 0x40,
    PTE_PS = 0x80,
};
#define PTE_NX       (UINT64_C(1) << 63)
#define PTE_ADDRESS  UINT64_C(0x000ffffffffff000)
#define PTE_RESERVED (UINT64_C(0x000fffffffffffff) & ~((UINT64_C(1) << PHYSICAL_BITS) - 1))
/* Of the page-directory-pointer entries of PAE paging: SDM volume 3, table 4-8. */
#define PDPTE_RESERVED (PTE_RESERVED | UINT64_C(0xfff00000000001e6))

#define LEVELS 4

struct walk {
    uint64_t entry_at[LEVELS]; /* physical addresses of the entries used */
    uint64_t entries[LEVELS];
    unsigned count;
    unsigned entry_size;
    bool write, user, no_execute;
    bool reserved, absent;
    uint64_t page, page_mask; /* of the page found */
};

/* Memory outside RAM reads as all ones: such an entry has reserved bits set. */
static uint64_t read_entry(struct soft *cpu, uint64_t phys, unsigned size)
{
    uint64_t value = UINT64_MAX;
    const uint8_t *bytes = soft_ram(cpu, phys, size);
    if (bytes) {
        value = 0;
        memcpy(&value, bytes, size);
        soft_mark_table(cpu, phys);
    } else if (size == 4) {
        value = UINT32_MAX;
    }
    return value;
}

static uint64_t take_entry(struct soft *cpu, struct walk *walk, uint64_t phys)
{
    uint64_t entry = read_entry(cpu, phys, walk->entry_size);
    walk->entry_at[walk->count] = phys;
    walk->entries[walk->count++] = entry;
    if (!(entry & PTE_P))
        walk->absent = true;
    return entry;
}

/* Takes the rights of one entry into account. */
static void restrict_rights(struct walk *walk, uint64_t entry)
{
    walk->write &= (entry & PTE_RW) != 0;
    walk->user &= (entry & PTE_US) != 0;
    walk->no_execute |= walk->entry_size == 8 && (entry & PTE_NX);
}

static void walk_32bit(struct soft *cpu, struct walk *walk, uint64_t linear)
{
    walk->entry_size = 4;
    uint64_t pde = take_entry(cpu, walk, (cpu->cr3 & 0xfffff000) + ((linear >> 22) & 0x3ff) * 4);
    if (walk->absent)
        return;
    restrict_rights(walk, pde);
    if ((pde & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
        /* Without PSE-36, bits 21 to 13 are reserved. */
        walk->reserved = pde & 0x3fe000;
        walk->page = pde & 0xffc00000;
        walk->page_mask = 0x3fffff;
        return;
    }
    uint64_t pte = take_entry(cpu, walk, (pde & 0xfffff000) + ((linear >> 12) & 0x3ff) * 4);
    if (walk->absent)
        return;
    restrict_rights(walk, pte);
    walk->page = pte & 0xfffff000;
    walk->page_mask = 0xfff;
}

/* The two lowest levels, common to PAE and 4-level paging. */
static void walk_directory(struct soft *cpu, struct walk *walk, uint64_t directory, uint64_t linear, uint64_t reserved)
{
    uint64_t pde = take_entry(cpu, walk, directory + ((linear >> 21) & 0x1ff) * 8);
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
    uint64_t pte = take_entry(cpu, walk, (pde & PTE_ADDRESS) + ((linear >> 12) & 0x1ff) * 8);
    if (walk->absent)
        return;
    restrict_rights(walk, pte);
    walk->reserved = pte & reserved;
    walk->page = pte & PTE_ADDRESS;
    walk->page_mask = 0xfff;
}

static void walk_pae(struct soft *cpu, struct walk *walk, uint64_t linear, uint64_t reserved)
{
    walk->entry_size = 8;
    uint64_t pdpte = take_entry(cpu, walk, (cpu->cr3 & 0xffffffe0) + ((linear >> 30) & 3) * 8);
    if (walk->absent)
        return;
    /* These entries have no rights and no accessed bit. */
    walk->count = 0;
    walk->reserved = pdpte & PDPTE_RESERVED;
    if (!walk->reserved)
        walk_directory(cpu, walk, pdpte & PTE_ADDRESS, linear, reserved | UINT64_C(0x7ff0000000000000));
}

static void walk_4level(struct soft *cpu, struct walk *walk, uint64_t linear, uint64_t reserved)
{
    walk->entry_size = 8;
    uint64_t table = cpu->cr3 & PTE_ADDRESS;
    for (int shift = 39; shift >= 30; shift -= 9) {
        uint64_t entry = take_entry(cpu, walk, table + ((linear >> shift) & 0x1ff) * 8);
        if (walk->absent)
            return;
        restrict_rights(walk, entry);
        /* No 1 GiB pages: the page-size bit is reserved at both levels. */
        walk->reserved = entry & (reserved | PTE_PS);
        if (walk->reserved)
            return;
        table = entry & PTE_ADDRESS;
    }
    walk_directory(cpu, walk, table, linear, reserved);
}

/* Whether the rights found let the access be made: SDM volume 3, 4.6.1. */
static bool permitted(const struct soft *cpu, const struct walk *walk, enum access access, bool user, bool implicit)
{
    if (access == ACCESS_FETCH && walk->no_execute)
        return false;
    if (user)
        return walk->user && (access != ACCESS_WRITE || walk->write);
    if (walk->user) {
        if (access == ACCESS_FETCH && (cpu->cr4 & CR4_SMEP))
            return false;
        if (access != ACCESS_FETCH && (cpu->cr4 & CR4_SMAP) && (implicit || !(cpu->rflags & RFLAGS_AC)))
            return false;
    }
    return access != ACCESS_WRITE || walk->write || !(cpu->cr0 & CR0_WP);
}

/* The tables in memory are the guest's to see, so they may even be executed: then this is a write to decoded code. */
static void set_bits(struct soft *cpu, const struct uop *u, const struct walk *walk, bool write)
{
    for (unsigned i = 0; i < walk->count; i++) {
        uint64_t at = walk->entry_at[i], entry = walk->entries[i] | PTE_A;
        if (write && i + 1 == walk->count)
            entry |= PTE_D;
        if (entry == walk->entries[i])
            continue;
        if (soft_holds_code(cpu, at, walk->entry_size)) {
            soft_alone(cpu, u);
            soft_drop_page(cpu, at >> 12);
        }
        memcpy(soft_ram(cpu, at, walk->entry_size), &entry, walk->entry_size);
        soft_mark_dirty(cpu, at);
    }
}

bool soft_pdptes_valid(struct soft *cpu, uint64_t cr3)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry = read_entry(cpu, (cr3 & 0xffffffe0) + 8 * i, 8);
        if ((entry & PTE_P) && (entry & PDPTE_RESERVED))
            return false;
    }
    return true;
}

bool soft_walk(struct soft *cpu, const struct uop *u, uint64_t linear, enum access access, bool user, bool implicit,
               uint64_t *phys, uint32_t *error_code)
{
    if (!(cpu->cr0 & CR0_PG)) {
        *phys = linear & 0xffffffff;
        return true;
    }
    struct walk walk = {.write = true, .user = true};
    uint64_t reserved = PTE_RESERVED | (cpu->efer & EFER_NXE ? 0 : PTE_NX);
    if (soft_long_mode(cpu))
        walk_4level(cpu, &walk, linear, reserved);
    else if (cpu->cr4 & CR4_PAE)
        walk_pae(cpu, &walk, linear, reserved);
    else
        walk_32bit(cpu, &walk, linear);
    bool present = !walk.absent;
    if (present && !walk.reserved && permitted(cpu, &walk, access, user, implicit)) {
        set_bits(cpu, u, &walk, access == ACCESS_WRITE);
        *phys = walk.page | (linear & walk.page_mask);
        return true;
    }
    *error_code = (present ? PF_PRESENT : 0) | (access == ACCESS_WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0);
    if (present && walk.reserved)
        *error_code |= PF_RESERVED;
    bool executes = (cpu->efer & EFER_NXE && cpu->cr4 & CR4_PAE) || cpu->cr4 & CR4_SMEP;
    if (access == ACCESS_FETCH && executes)
        *error_code |= PF_FETCH;
    return false;
}
