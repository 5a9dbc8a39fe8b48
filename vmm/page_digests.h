/*
 * The digest of all guest memory, kept up to date page by page.
 *
 * Memory's digest is the sum, modulo 2^128, of the digests of its pages, each seeded with the page's number; a page of
 * zeros counts as nothing. A sum does not depend on the order, so only pages written since the last time are hashed
 * again: their old digest is taken out, their new one put in.
 */
#ifndef ENCORE_VMM_PAGE_DIGESTS_H
#define ENCORE_VMM_PAGE_DIGESTS_H

#include "base/digest.h"
#include "base/error.h"
#include "vmm/ram.h"

struct page_digests {
    struct digest *pages; /* owned; one for each page */
    struct digest sum;
    uint64_t *changed; /* owned; a bit for each page written since page_digests_forget_changes */
    uint64_t *watched; /* not owned; NULL, or where bits of pages written are set too, for somebody else's purposes */
};

/* Digests for memory that is all zero. Returns 0, or -1 when memory is exhausted. */
int page_digests_create(struct page_digests *digests, const struct ram *ram, struct error *error);
void page_digests_destroy(struct page_digests *digests);

/* Hashes the pages that ram->dirty marks, unmarks them, and notes them as changed. */
void page_digests_update(struct page_digests *digests, struct ram *ram);

/* The same for some of the pages, while they are in the processor's cache: those of [first, first + count), and perhaps
 * a few beside them. */
void page_digests_update_some(struct page_digests *digests, struct ram *ram, uint64_t first, uint64_t count);

/* Starts a new list of changed pages. */
void page_digests_forget_changes(struct page_digests *digests, const struct ram *ram);

bool page_is_zero(const uint8_t *page);

#endif
