/* See ballast.h. */
#include "guests/kv/ballast.h"

#include "guests/runtime/console.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"

#define MIB   0x100000u
#define FIRST (4u * MIB) /* above the guest itself */
#define WORDS (MIB / sizeof(uint64_t))

/* No two words are alike, so that nobody can make them shorter, or take one page for another. */
static void write_words(struct ballast *ballast, uint64_t count)
{
    for (; count > 0; count--) {
        uint64_t word = ++ballast->pattern * 0x9e3779b97f4a7c15u;
        ballast->words[ballast->next] = word ^ word >> 29;
        if (++ballast->next == ballast->count)
            ballast->next = 0;
    }
}

void ballast_start(struct ballast *ballast, const struct boot_info *info, unsigned hz)
{
    uint64_t size = option_number("ballast", 0, 0, 4000);
    uint64_t rate = option_number("rate", 0, 0, 4000);

    if (FIRST + size * MIB > info->ram_size) {
        console_print("option ballast: there are only %lu bytes of memory\n", info->ram_size);
        guest_exit(EXIT_USAGE);
    }
    *ballast = (struct ballast){.words = (uint64_t *)(uintptr_t)FIRST, .count = size * WORDS};
    write_words(ballast, ballast->count);
    ballast->a_tick = size ? rate * WORDS / hz : 0;
}

struct frame *ballast_tick(struct frame *frame, void *context)
{
    struct ballast *ballast = context;

    write_words(ballast, ballast->a_tick);
    return frame;
}
