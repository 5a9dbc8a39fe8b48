/*
 * A device's way to guest memory.
 *
 * Addresses are the guest's and may be anything: each call is all or nothing, and false means that some byte of the
 * range is no memory. What is written is marked for the digest, and the engine is told, because it may hold code or
 * translations made from those bytes.
 */
#ifndef ENCORE_VMM_DMA_H
#define ENCORE_VMM_DMA_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/ram.h"

struct dma {
    struct ram *ram;
    /* Guest memory [address, address + length) has new contents; never called for no bytes. NULL: nobody to tell. */
    void (*written)(void *context, uint64_t address, uint64_t length);
    void *context;
};

static inline bool dma_read(const struct dma *dma, uint64_t address, void *to, uint64_t length)
{
    return ram_read(dma->ram, address, to, length);
}

static inline bool dma_write(const struct dma *dma, uint64_t address, const void *from, uint64_t length)
{
    if (!ram_write(dma->ram, address, from, length))
        return false;
    if (length && dma->written)
        dma->written(dma->context, address, length);
    return true;
}

/* Zeroes a page that the guest has given away; `address` is a multiple of RAM_PAGE_SIZE. */
static inline bool dma_forget_page(const struct dma *dma, uint64_t address)
{
    if (!ram_forget_page(dma->ram, address))
        return false;
    if (dma->written)
        dma->written(dma->context, address, RAM_PAGE_SIZE);
    return true;
}

#endif
