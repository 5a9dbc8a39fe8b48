/*
 * Translations for the guest's instructions: a page walk (vmm/page_walk.h) with what the processor does besides. The
 * pages whose contents were used as tables are marked, rights are checked, and accessed and dirty bits set.
 */
#include "vmm/page_walk.h"
#include "vmm/soft/breaks.h"
#include "vmm/soft/memory.h"
#include "vmm/soft/observe.h"

enum {
    PTE_A = 0x20,
    PTE_D = 0x40,
};

static struct paging paging_of(const struct soft *cpu)
{
    return (struct paging){
        .cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4, .efer = cpu->efer, .physical_bits = PHYSICAL_BITS};
}

static void mark_tables(struct soft *cpu, const struct page_walk *walk)
{
    for (unsigned i = 0; i < walk->count; i++)
        if (soft_ram(cpu, walk->entry_at[i], walk->entry_size))
            soft_mark_table(cpu, walk->entry_at[i]);
}

/* Whether the rights found let the access be made: SDM volume 3, 4.6.1. */
static bool permitted(const struct soft *cpu, const struct page_walk *walk, enum access access, bool user,
                      bool implicit)
{
    if (walk->count == 0) /* no paging */
        return true;
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
static void set_bits(struct soft *cpu, const struct uop *u, const struct page_walk *walk, bool write)
{
    for (unsigned i = walk->first; i < walk->count; i++) {
        uint64_t at = walk->entry_at[i], entry = walk->entries[i] | PTE_A;
        if (write && i + 1 == walk->count)
            entry |= PTE_D;
        if (entry == walk->entries[i])
            continue;
        if (soft_holds_code(cpu, at, walk->entry_size)) {
            soft_alone(cpu, u);
            soft_drop_page(cpu, at >> 12);
        }
        if (soft_breaks_access(cpu, ENGINE_NO_LINEAR, at, walk->entry_size, true)) {
            soft_alone(cpu, u);
            soft_breaks_note(cpu, ENGINE_NO_LINEAR, at, walk->entry_size, true);
        }
        soft_observe_access(cpu, u, ENGINE_NO_LINEAR, at, walk->entry_size, true);
        memcpy(soft_ram(cpu, at, walk->entry_size), &entry, walk->entry_size);
        soft_mark_dirty(cpu, at);
    }
}

bool soft_pdptes_valid(struct soft *cpu, uint64_t cr3)
{
    struct paging paging = paging_of(cpu);

    return page_walk_pdptes_valid(&paging, cpu->ram, cr3);
}

bool soft_look_up(const struct soft *cpu, uint64_t linear, enum access access, uint64_t *phys)
{
    struct paging paging = paging_of(cpu);
    struct page_walk walk;

    if (soft_long_mode(cpu) && !soft_canonical(linear))
        return false;
    page_walk(&paging, cpu->ram, linear, &walk);
    *phys = walk.page | (linear & walk.page_mask);
    return !walk.absent && !walk.reserved && permitted(cpu, &walk, access, cpu->cpl == 3, false);
}

bool soft_walk(struct soft *cpu, const struct uop *u, uint64_t linear, enum access access, bool user, bool implicit,
               uint64_t *phys, uint32_t *error_code)
{
    struct paging paging = paging_of(cpu);
    struct page_walk walk;

    page_walk(&paging, cpu->ram, linear, &walk);
    mark_tables(cpu, &walk);
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
