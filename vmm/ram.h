/*
 * Guest memory, and the one way to it.
 *
 * Guest-physical memory is one contiguous range, [0, size). Whoever wants to touch it by a guest's address asks here,
 * and is told no when any byte of the range lies outside; nobody else adds a guest's number to a host pointer.
 *
 * Every write made on the monitor's side (a loader, a device's DMA) is marked in a bitmap of 4 KiB pages, so that the
 * digest of all memory costs only the pages written since the last one. What the processor writes is the engine's to
 * report.
 */
#ifndef ENCORE_VMM_RAM_H
#define ENCORE_VMM_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define RAM_PAGE_SHIFT 12
#define RAM_PAGE_SIZE  (UINT64_C(1) << RAM_PAGE_SHIFT)

struct ram {
    uint8_t *bytes;     /* host address of guest-physical 0, aligned to a page; owned */
    uint64_t size;      /* bytes; a multiple of RAM_PAGE_SIZE */
    uint64_t *dirty;    /* bit n % 64 of word n / 64: page n was written through here; owned */
    size_t dirty_words; /* words in `dirty` */
};

/* Zeroed memory of `size` bytes, a non-zero multiple of RAM_PAGE_SIZE; no page is dirty. Pages are the host's to
 * allocate as they are touched. Returns 0, or -1 with the error; then ram_destroy is harmless but not needed. */
int ram_create(struct ram *ram, uint64_t size, struct error *error);

/* Releases what ram_create took, and zeroes the struct. */
void ram_destroy(struct ram *ram);

/* The host address of guest-physical [address, address + length), or NULL unless all of it is memory. A length of 0 is
 * good anywhere in [0, size]. Whoever writes through the pointer calls ram_mark. */
uint8_t *ram_pointer(const struct ram *ram, uint64_t address, uint64_t length);

/* Copy in, copy out, and fill; all or nothing: false, and nothing done, unless the whole range is memory. */
bool ram_write(struct ram *ram, uint64_t address, const void *from, uint64_t length);
bool ram_read(const struct ram *ram, uint64_t address, void *to, uint64_t length);
bool ram_fill(struct ram *ram, uint64_t address, uint8_t byte, uint64_t length);

/* Zeroes the page at `address`, a multiple of RAM_PAGE_SIZE, and lets the host have its memory back. False outside
 * memory. */
bool ram_forget_page(struct ram *ram, uint64_t address);

/* Marks the pages of [address, address + length) dirty. The range must be memory: a broken invariant otherwise. */
void ram_mark(struct ram *ram, uint64_t address, uint64_t length);

/* Whether the page that holds `address` is dirty; false outside memory. */
bool ram_is_dirty(const struct ram *ram, uint64_t address);

/* Forgets all marks. */
void ram_clear_dirty(struct ram *ram);

#endif
