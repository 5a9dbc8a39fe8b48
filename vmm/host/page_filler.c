/* See page_filler.h. */
#include "vmm/host/page_filler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

/* UFFD_USER_MODE_ONLY needs no privilege. With the feature SIGBUS nobody has to answer faults: should one come, it is
 * our mistake, and not to hang is all that can be done about it. */
static int open_userfault(void)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

bool page_filler_create(struct page_filler *filler, uint8_t *memory, size_t length, page_filler_fn *written,
                        void *context)
{
    *filler = (struct page_filler){.memory = memory, .length = length, .written = written, .context = context};
    filler->there = calloc(length / FILLER_PAGE / 64 + 1, sizeof *filler->there);
    filler->userfault = -1;
    if (!filler->there)
        return false;
    filler->userfault = open_userfault();
    return true;
}

/* Does without. */
static void give_up(struct page_filler *filler)
{
    /* Closing it ends the registration, too. */
    if (filler->userfault >= 0)
        close(filler->userfault);
    filler->userfault = -1;
    filler->registered = false;
}

void page_filler_destroy(struct page_filler *filler)
{
    give_up(filler);
    free(filler->there);
    *filler = (struct page_filler){.userfault = -1};
}

static void claim_memory(struct page_filler *filler)
{
    struct uffdio_register claim = {.range = {(uintptr_t)filler->memory, filler->length},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};

    if (filler->registered || filler->userfault < 0)
        return;
    filler->registered = true;
    if (ioctl(filler->userfault, UFFDIO_REGISTER, &claim) < 0)
        give_up(filler);
}

/* Writes `length` bytes at `to`, where no page is yet. Returns how many it could. */
static size_t place(struct page_filler *filler, uint8_t *to, const uint8_t *from, size_t length)
{
    struct uffdio_copy copy = {
        .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = length, .mode = UFFDIO_COPY_MODE_DONTWAKE};

    if (ioctl(filler->userfault, UFFDIO_COPY, &copy) == 0)
        return length;
    /* After some of the pages the rest may not have worked; -EEXIST: the first was there already. */
    if (copy.copy > 0)
        return (size_t)copy.copy;
    if (copy.copy != -EEXIST)
        give_up(filler);
    return 0;
}

static bool is_there(const struct page_filler *filler, size_t offset)
{
    return filler->there[offset / FILLER_PAGE / 64] >> offset / FILLER_PAGE % 64 & 1;
}

/* How many bytes from `offset` on, up to `end`, lie in pages that were written before, or in pages that were not. */
static size_t span(const struct page_filler *filler, size_t offset, size_t end)
{
    size_t at = offset + FILLER_PAGE;

    while (at < end && is_there(filler, at) == is_there(filler, offset))
        at += FILLER_PAGE;
    return at - offset;
}

/* Writes some of the bytes for `offset` on, at most up to `end`. Returns how many. */
static size_t write_some(struct page_filler *filler, size_t offset, size_t end, const uint8_t *from)
{
    size_t length = span(filler, offset, end);
    size_t placed = 0;

    if (filler->userfault >= 0 && !is_there(filler, offset)) {
        placed = place(filler, filler->memory + offset, from, length);
        /* Somebody wrote that page before us. */
        if (placed == 0 && filler->userfault >= 0)
            length = FILLER_PAGE;
    }
    if (placed == 0)
        memcpy(filler->memory + offset, from, length);
    return placed ? placed : length;
}

void page_filler_write(struct page_filler *filler)
{
    size_t offset = filler->offset, end = offset + filler->waiting;

    for (size_t at = offset; at < end;) {
        size_t done = write_some(filler, at, end, filler->run + (at - offset));
        for (size_t to = at + done; at < to; at += FILLER_PAGE)
            filler->there[at / FILLER_PAGE / 64] |= UINT64_C(1) << at / FILLER_PAGE % 64;
    }
    filler->waiting = 0;
    if (end > offset)
        filler->written(filler->context, offset, end - offset);
}

void page_filler_put(struct page_filler *filler, size_t offset, const uint8_t *bytes)
{
    static const uint8_t zeros[FILLER_RUN];
    size_t waiting = filler->waiting;

    CHECK(offset % FILLER_PAGE == 0 && offset < filler->length);
    claim_memory(filler);
    bool goes_on = waiting > 0 && waiting < FILLER_RUN && offset == filler->offset + waiting &&
                   (bytes ? bytes == filler->run + waiting : filler->run == zeros);
    if (!goes_on) {
        page_filler_write(filler);
        filler->offset = offset;
        filler->run = bytes ? bytes : zeros;
    }
    filler->waiting += FILLER_PAGE;
}

void page_filler_flush(struct page_filler *filler)
{
    struct uffdio_range range = {(uintptr_t)filler->memory, filler->length};

    page_filler_write(filler);
    if (filler->registered && ioctl(filler->userfault, UFFDIO_UNREGISTER, &range) < 0)
        give_up(filler);
    filler->registered = false;
}
