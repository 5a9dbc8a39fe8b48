/* See output_gate.h. */
#include "replication/output_gate.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static struct gate_mark *mark_at(struct gate_marks *marks, size_t n)
{
    return &marks->list[(marks->first + n) % GATE_MARKS];
}

void gate_marks_add(struct gate_marks *marks, uint64_t offset, uint64_t value)
{
    if (marks->count == GATE_MARKS)
        marks->count--;
    *mark_at(marks, marks->count++) = (struct gate_mark){.offset = offset, .value = value};
}

void gate_marks_commit(struct gate_marks *marks, uint64_t offset)
{
    while (marks->count && mark_at(marks, 0)->offset <= offset) {
        marks->shown = mark_at(marks, 0)->value;
        marks->first = (marks->first + 1) % GATE_MARKS;
        marks->count--;
    }
}

int output_gate_create(struct output_gate *gate, uint64_t end, struct error *error)
{
    *gate = (struct output_gate){.start = end, .end = end, .marks.shown = end};
    gate->kept = malloc(GATE_KEEP);
    return gate->kept ? 0 : error_set(error, ERROR_HOST, "out of memory");
}

void output_gate_destroy(struct output_gate *gate)
{
    free(gate->kept);
    *gate = (struct output_gate){0};
}

void output_gate_put(struct output_gate *gate, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t place = gate->end % GATE_KEEP;
        size_t piece = GATE_KEEP - place < length ? GATE_KEEP - place : length;
        memcpy(gate->kept + place, bytes, piece);
        gate->end += piece;
        bytes += piece;
        length -= piece;
    }
    if (gate->end - gate->start > GATE_KEEP)
        gate->start = gate->end - GATE_KEEP;
}

bool output_gate_put_before(struct output_gate *gate, uint64_t from, const uint8_t *bytes, size_t length)
{
    uint64_t oldest = gate->end > GATE_KEEP ? gate->end - GATE_KEEP : 0;

    if (from > gate->start || length < gate->start - from)
        return false;
    uint64_t first = from > oldest ? from : oldest;
    for (uint64_t number = first; number < gate->start; number++)
        gate->kept[number % GATE_KEEP] = bytes[number - from];
    if (first < gate->start)
        gate->start = first;
    return true;
}

size_t output_gate_peek(const struct output_gate *gate, uint64_t from, const uint8_t **bytes)
{
    uint64_t open = gate->marks.shown;

    CHECK(from >= gate->start);
    if (from >= open)
        return 0;
    size_t place = from % GATE_KEEP;
    uint64_t length = open - from;
    *bytes = gate->kept + place;
    return length < GATE_KEEP - place ? length : GATE_KEEP - place;
}
