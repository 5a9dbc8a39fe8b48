/*
 * Filling much memory that nothing has touched yet.
 *
 * A write to a page that the host has not given us yet is a fault, in which the host takes a page and zeroes it, just
 * for us to write over it; that is most of what it takes to restore a machine. UFFDIO_COPY (userfaultfd(2)) puts a run
 * of pages with their contents there at once. Where the host does not let us, and for pages that are there already, the
 * bytes are copied.
 *
 * From the first page that is put until page_filler_flush nobody may touch the memory: a page that is not there yet is
 * then SIGBUS.
 */
#ifndef ENCORE_VMM_HOST_PAGE_FILLER_H
#define ENCORE_VMM_HOST_PAGE_FILLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILLER_PAGE ((size_t)4096)
/* Pages that follow each other, in memory and in what is put there, are written together, at most so many bytes at a
 * time: they are still in the cache when we tell of them. */
#define FILLER_RUN (16 * FILLER_PAGE)

/* Pages have been written: `length` bytes from `offset` on, which may be read again. */
typedef void page_filler_fn(void *context, size_t offset, size_t length);

struct page_filler {
    uint8_t *memory; /* borrowed; private and anonymous, aligned to a page */
    size_t length;
    page_filler_fn *written;
    void *context;
    int userfault;          /* -1: the host has none for us */
    bool registered;        /* pages that are not there are SIGBUS */
    size_t offset, waiting; /* where the run begins that waits, and its bytes so far */
    const uint8_t *run;     /* the bytes themselves; the caller's */
    uint64_t *there;        /* a bit for each page that was written already; owned */
};

/* For memory[length]. Returns false when memory is exhausted; then page_filler_destroy is harmless but not needed. */
bool page_filler_create(struct page_filler *filler, uint8_t *memory, size_t length, page_filler_fn *written,
                        void *context);
void page_filler_destroy(struct page_filler *filler);

/* The page at `offset`, a multiple of FILLER_PAGE within the memory, gets these FILLER_PAGE bytes; NULL: zeros. It may
 * be written at once or later, so they stay as they are until page_filler_write. */
void page_filler_put(struct page_filler *filler, size_t offset, const uint8_t *bytes);

/* All pages that were put are written. */
void page_filler_write(struct page_filler *filler);
/* ... and the memory is everybody's again. */
void page_filler_flush(struct page_filler *filler);

#endif
