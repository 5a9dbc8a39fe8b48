/* See frame_gate.h. */
#include "replication/frame_gate.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

int frame_gate_create(struct frame_gate *gate, struct error *error)
{
    *gate = (struct frame_gate){.entries = calloc(FRAME_GATE_KEEP, sizeof *gate->entries)};
    return gate->entries ? 0 : error_set(error, ERROR_HOST, "out of memory");
}

void frame_gate_destroy(struct frame_gate *gate)
{
    free(gate->entries);
    *gate = (struct frame_gate){0};
}

static const struct frame_gate_entry *take_first(struct frame_gate *gate)
{
    const struct frame_gate_entry *entry = &gate->entries[gate->first];

    gate->first = (gate->first + 1) % FRAME_GATE_KEEP;
    gate->count--;
    return entry;
}

void frame_gate_put(struct frame_gate *gate, uint64_t offset, uint64_t now, uint8_t card, const uint8_t *frame,
                    size_t length)
{
    CHECK(length <= FRAME_MAX);
    if (gate->count == FRAME_GATE_KEEP)
        take_first(gate);
    struct frame_gate_entry *entry = &gate->entries[(gate->first + gate->count++) % FRAME_GATE_KEEP];
    entry->offset = offset;
    entry->since = now;
    entry->card = card;
    entry->length = (uint16_t)length;
    memcpy(entry->frame, frame, length);
}

const struct frame_gate_entry *frame_gate_take(struct frame_gate *gate, uint64_t committed, uint64_t now)
{
    while (gate->count > 0 && gate->entries[gate->first].offset <= committed) {
        const struct frame_gate_entry *entry = take_first(gate);
        if (now - entry->since <= FRAME_GATE_AGE)
            return entry;
    }
    return NULL;
}

size_t frame_gate_waiting(const struct frame_gate *gate)
{
    return gate->count;
}
