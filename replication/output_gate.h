/*
 * The output gate: what the guest printed, kept until it may leave, and a while longer.
 *
 * Output is one stream of bytes, numbered from the machine's start. Three marks move along it: `end` (the guest has
 * printed so far), `open` (so far it may leave: the record that announces it is committed, see replica.h) and what a
 * client has confirmed, which is the client's own business (console_server.h). After a takeover the new primary does
 * not know what had left; so a backup too keeps the last GATE_KEEP bytes, and a client asks for what it lacks by
 * number.
 *
 * The same bookkeeping serves input: input up to a number is confirmed to its client when its record is committed.
 */
#ifndef ENCORE_REPLICATION_OUTPUT_GATE_H
#define ENCORE_REPLICATION_OUTPUT_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The last so many bytes of output are kept. A machine whose client reads more slowly than it prints waits for it a
 * little when half of this is unread (console_server.h); a client that lacks more than this has lost it. */
#define GATE_KEEP (4u << 20)

/* A list of "value v may be shown once the stream is committed up to offset o". Values and offsets never go back. When
 * it is full the newest entry is joined with the one before, which can only delay. */
#define GATE_MARKS 1024
struct gate_marks {
    struct gate_mark {
        uint64_t offset, value;
    } list[GATE_MARKS];
    size_t first, count;
    uint64_t shown; /* the highest value that may be shown */
};

/* The value becomes showable when the stream is committed up to `offset`. */
void gate_marks_add(struct gate_marks *marks, uint64_t offset, uint64_t value);
/* The stream is committed up to `offset` (UINT64_MAX: everything is). */
void gate_marks_commit(struct gate_marks *marks, uint64_t offset);
struct output_gate {
    uint8_t *kept;  /* a ring of GATE_KEEP bytes; owned */
    uint64_t start; /* number of the oldest byte kept */
    uint64_t end;
    struct gate_marks marks; /* marks.shown is `open` */
};

/* A gate for a machine that has printed `end` bytes so far, none of which are kept, all of which may have left. */
int output_gate_create(struct output_gate *gate, uint64_t end, struct error *error);
void output_gate_destroy(struct output_gate *gate);
/* The guest printed these bytes. */
void output_gate_put(struct output_gate *gate, const uint8_t *bytes, size_t length);
/* Output from before what is kept, which must reach up to it or beyond: as much of it as there is room for is kept too.
 * Returns false, and does nothing, when there is a gap. */
bool output_gate_put_before(struct output_gate *gate, uint64_t from, const uint8_t *bytes, size_t length);
/* Points at bytes that may leave, from number `from` (not before `start`): returns how many lie there in one piece. */
size_t output_gate_peek(const struct output_gate *gate, uint64_t from, const uint8_t **bytes);

#endif
