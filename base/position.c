#include "base/position.h"

#include <inttypes.h>
#include <stdio.h>

bool position_equal(const struct position *a, const struct position *b)
{
    if (a->kind != b->kind || a->exits != b->exits)
        return false;
    switch (a->kind) {
    case AT_EXIT:
        return true;
    case AT_TICK:
        return a->ticks == b->ticks && a->rip == b->rip;
    case AT_LANDMARK:
        return a->rip == b->rip && digest_equal(a->registers, b->registers) && digest_equal(a->ram, b->ram);
    }
    return false;
}

char *position_text(const struct position *position, char *text)
{
    switch (position->kind) {
    case AT_EXIT:
        snprintf(text, POSITION_TEXT, "exit %" PRIu64, position->exits);
        break;
    case AT_TICK:
        snprintf(text, POSITION_TEXT, "exit %" PRIu64 ", tick %" PRIu64 " at 0x%" PRIx64, position->exits,
                 position->ticks, position->rip);
        break;
    case AT_LANDMARK:
        snprintf(text, POSITION_TEXT, "exit %" PRIu64 ", landmark at 0x%" PRIx64, position->exits, position->rip);
        break;
    }
    return text;
}
