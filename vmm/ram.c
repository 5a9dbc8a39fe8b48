/* Guest memory; see ram.h. */
#include "vmm/ram.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

int ram_create(struct ram *ram, uint64_t size, struct error *error)
{
    *ram = (struct ram){0};
    if (size == 0 || size % RAM_PAGE_SIZE != 0 || size > PTRDIFF_MAX)
        return error_set(error, ERROR_INPUT, "guest memory of %llu bytes is not a positive multiple of 4096",
                         (unsigned long long)size);
    /* MAP_NORESERVE: a guest may be given more than it will ever touch. */
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return error_errno(error, "cannot map %llu bytes of guest memory", (unsigned long long)size);
    /* Dirty pages are counted in 4 KiB; huge pages behind them would only make the first touch dearer. */
    (void)madvise(bytes, size, MADV_NOHUGEPAGE);
    uint64_t pages = size >> RAM_PAGE_SHIFT;
    size_t words = (size_t)((pages + 63) / 64);
    uint64_t *dirty = calloc(words, sizeof *dirty);
    if (!dirty) {
        munmap(bytes, size);
        return error_set(error, ERROR_HOST, "no memory for the dirty bitmap of %llu pages", (unsigned long long)pages);
    }
    *ram = (struct ram){.bytes = bytes, .size = size, .dirty = dirty, .dirty_words = words};
    return 0;
}

void ram_destroy(struct ram *ram)
{
    if (ram->bytes)
        munmap(ram->bytes, ram->size);
    free(ram->dirty);
    *ram = (struct ram){0};
}

uint8_t *ram_pointer(const struct ram *ram, uint64_t address, uint64_t length)
{
    /* Subtraction, not addition: address + length may wrap. */
    if (address > ram->size || length > ram->size - address)
        return NULL;
    return ram->bytes + address;
}

bool ram_write(struct ram *ram, uint64_t address, const void *from, uint64_t length)
{
    uint8_t *to = ram_pointer(ram, address, length);
    if (!to)
        return false;
    if (length == 0)
        return true;
    memcpy(to, from, length);
    ram_mark(ram, address, length);
    return true;
}

bool ram_read(const struct ram *ram, uint64_t address, void *to, uint64_t length)
{
    const uint8_t *from = ram_pointer(ram, address, length);
    if (!from)
        return false;
    if (length != 0)
        memcpy(to, from, length);
    return true;
}

bool ram_fill(struct ram *ram, uint64_t address, uint8_t byte, uint64_t length)
{
    uint8_t *to = ram_pointer(ram, address, length);
    if (!to)
        return false;
    if (length == 0)
        return true;
    memset(to, byte, length);
    ram_mark(ram, address, length);
    return true;
}

bool ram_forget_page(struct ram *ram, uint64_t address)
{
    uint8_t *page = ram_pointer(ram, address, RAM_PAGE_SIZE);

    CHECK(address % RAM_PAGE_SIZE == 0);
    if (!page)
        return false;
    /* Anonymous memory reads zero afterwards. Whether it is that, and whether the host did it, is not taken on trust.
     */
    (void)madvise(page, RAM_PAGE_SIZE, MADV_DONTNEED);
    if (page[0] || memcmp(page, page + 1, RAM_PAGE_SIZE - 1) != 0)
        memset(page, 0, RAM_PAGE_SIZE);
    ram_mark(ram, address, RAM_PAGE_SIZE);
    return true;
}

void ram_mark(struct ram *ram, uint64_t address, uint64_t length)
{
    CHECK(ram_pointer(ram, address, length) != NULL);
    if (length == 0)
        return;
    uint64_t last = (address + length - 1) >> RAM_PAGE_SHIFT;
    for (uint64_t page = address >> RAM_PAGE_SHIFT; page <= last; page++)
        ram->dirty[page / 64] |= UINT64_C(1) << (page % 64);
}

bool ram_is_dirty(const struct ram *ram, uint64_t address)
{
    if (address >= ram->size)
        return false;
    uint64_t page = address >> RAM_PAGE_SHIFT;
    return (ram->dirty[page / 64] >> (page % 64)) & 1;
}

void ram_clear_dirty(struct ram *ram)
{
    memset(ram->dirty, 0, ram->dirty_words * sizeof *ram->dirty);
}
