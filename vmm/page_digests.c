/* See page_digests.h. */
#include "vmm/page_digests.h"

#include <stdlib.h>
#include <string.h>

int page_digests_create(struct page_digests *digests, const struct ram *ram, struct error *error)
{
    *digests = (struct page_digests){0};
    digests->pages = calloc(ram->size >> RAM_PAGE_SHIFT, sizeof *digests->pages);
    digests->changed = calloc(ram->dirty_words, sizeof *digests->changed);
    if (!digests->pages || !digests->changed) {
        page_digests_destroy(digests);
        return error_set(error, ERROR_HOST, "out of memory for the digests of guest memory");
    }
    return 0;
}

void page_digests_destroy(struct page_digests *digests)
{
    free(digests->pages);
    free(digests->changed);
    *digests = (struct page_digests){0};
}

bool page_is_zero(const uint8_t *page)
{
    /* Each byte equals the next, and the first is zero. */
    return page[0] == 0 && memcmp(page, page + 1, RAM_PAGE_SIZE - 1) == 0;
}

static void update_page(struct page_digests *digests, const struct ram *ram, uint64_t page)
{
    const uint8_t *bytes = ram->bytes + (page << RAM_PAGE_SHIFT);
    struct digest now = {0};

    if (!page_is_zero(bytes))
        now = digest_of(bytes, RAM_PAGE_SIZE, page);
    digests->sum = digest_add(digest_subtract(digests->sum, digests->pages[page]), now);
    digests->pages[page] = now;
}

/* The pages that one word of the bitmap marks. */
static void update_word(struct page_digests *digests, struct ram *ram, size_t word)
{
    uint64_t marks = ram->dirty[word];

    if (!marks)
        return;
    digests->changed[word] |= marks;
    if (digests->watched)
        digests->watched[word] |= marks;
    ram->dirty[word] = 0;
    for (; marks; marks &= marks - 1)
        update_page(digests, ram, word * 64 + (unsigned)__builtin_ctzll(marks));
}

void page_digests_update(struct page_digests *digests, struct ram *ram)
{
    page_digests_update_some(digests, ram, 0, ram->size >> RAM_PAGE_SHIFT);
}

void page_digests_update_some(struct page_digests *digests, struct ram *ram, uint64_t first, uint64_t count)
{
    for (size_t word = first / 64; word < ram->dirty_words && word * 64 < first + count; word++)
        update_word(digests, ram, word);
}

void page_digests_forget_changes(struct page_digests *digests, const struct ram *ram)
{
    memset(digests->changed, 0, ram->dirty_words * sizeof *digests->changed);
}
