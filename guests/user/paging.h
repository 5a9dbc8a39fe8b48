/*
 * Page tables of the user guest: the boot loader's identity map again, with the U bit on the user's pages only. Each
 * task has its own tables, in which only its own area is open to it.
 */
#ifndef GUEST_USER_PAGING_H
#define GUEST_USER_PAGING_H

#include <stdint.h>

/* A PML4, a PDPT and a page directory: enough for the first GiB. */
struct page_tables {
    uint64_t pml4[512];
    uint64_t pdpt[512];
    uint64_t directory[512];
} __attribute__((aligned(4096)));

/* Fills in the tables of a task whose memory is [area, area + length), both multiples of 2 MiB below 1 GiB. */
void paging_build(struct page_tables *tables, uint64_t area, uint64_t length);

/* Makes the processor use them. */
void paging_use(const struct page_tables *tables);

#endif
