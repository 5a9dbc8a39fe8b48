/*
 * What has come in on the console: how many bytes, and from whom.
 *
 * A single machine has no use for these numbers. A replicated one has: after a takeover a console client asks how much
 * of its input the machine has (replication/console_protocol.h), and the answer must be part of the state that both
 * machines share. The owner comes in by an OPERATOR record, INPUTS_OWNER with the client's number.
 */
#ifndef ENCORE_REPLAY_INPUTS_H
#define ENCORE_REPLAY_INPUTS_H

#include <stdint.h>

#include "logs/record.h"
#include "vmm/state.h"

/* An OPERATOR record's command: the console has a new owner; its 8 bytes are the owner's number, little-endian. */
#define INPUTS_OWNER 1

struct inputs {
    uint64_t total; /* bytes on COM1 since the machine started */
    uint64_t owner; /* who sends them; 0: nobody in particular */
};

/* Takes note of a record that is applied. Returns false when it is an OPERATOR record that is not known. */
bool inputs_note(struct inputs *inputs, const struct log_record *record);

/* The field list, section "inputs". */
void inputs_state(struct inputs *inputs, struct state *state);

#endif
