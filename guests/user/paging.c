/* Page tables (Intel SDM volume 3, 4.5); see paging.h. */
#include "guests/user/paging.h"

#include "guests/runtime/cpu.h"
#include "guests/user/layout.h"

#define PAGE_2M 0x200000ull

/* Accessed and dirty are set from the start, so that walking the tables never changes memory. */
#define ENTRY_PRESENT  0x01ull
#define ENTRY_WRITE    0x02ull
#define ENTRY_USER     0x04ull
#define ENTRY_ACCESSED 0x20ull
#define ENTRY_DIRTY    0x40ull
#define ENTRY_LARGE    0x80ull

void paging_build(struct page_tables *tables, uint64_t area, uint64_t length)
{
    /* The U bit counts at every level: the upper ones allow, the pages decide. */
    const uint64_t table = ENTRY_PRESENT | ENTRY_WRITE | ENTRY_USER | ENTRY_ACCESSED;
    tables->pml4[0] = (uint64_t)tables->pdpt | table;
    tables->pdpt[0] = (uint64_t)tables->directory | table;
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t address = i * PAGE_2M;
        uint64_t entry = address | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_ACCESSED | ENTRY_DIRTY | ENTRY_LARGE;
        if (address == USER_PROGRAM)
            entry = (entry | ENTRY_USER) & ~ENTRY_WRITE;
        else if (address >= area && address - area < length)
            entry |= ENTRY_USER;
        tables->directory[i] = entry;
    }
}

void paging_use(const struct page_tables *tables)
{
    write_cr3((uint64_t)tables);
}
