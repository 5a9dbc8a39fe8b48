/*
 * What is said when a replay does not do what its log says: which record, what was expected and what happened, the
 * registers (side by side where the log knows what they were), the pages that differ (where it knows them too), and the
 * last inputs before.
 *
 * A log knows registers and pages at its checkpoints only; at other records it knows digests.
 */
#ifndef ENCORE_REPLAY_DIVERGENCE_H
#define ENCORE_REPLAY_DIVERGENCE_H

#include <stdio.h>

#include "logs/reader.h"
#include "vmm/machine.h"

#define DIVERGENCE_INPUTS 8
#define DIVERGENCE_PAGES  16

struct divergence {
    bool happened;
    uint32_t checkpoint;      /* the id of the record that disagreed, if it is a CHECKPOINT */
    char record[RECORD_TEXT]; /* in words: its bytes belong to the reader, and are gone when the report is made */
    struct log_place place;
    char expected[200];
    char got[200];

    char inputs[DIVERGENCE_INPUTS][RECORD_TEXT]; /* a ring of the last inputs applied, as text */
    uint64_t input_count;

    bool has_registers; /* `registers` are those that the log's checkpoint holds */
    struct cpu_state registers;
    uint64_t pages[DIVERGENCE_PAGES]; /* the first pages that differ, by number */
    uint64_t page_count;              /* how many differ in all, of those the checkpoint holds */
    uint64_t cluster_count;           /* as many clusters of disks differ */
    uint64_t cluster;                 /* the first of them, and its disk */
    unsigned disk;
};

/* Notes that `record`, of which the bytes are still there, disagreed. Only the first is kept. */
void divergence_note(struct divergence *divergence, const struct log_record *record, struct log_place place,
                     const char *expected, const char *got);

/* Keeps an applied input for the report. */
void divergence_note_input(struct divergence *divergence, const struct log_record *record);

/* At a CHECKPOINT record that disagreed: finds what differs from the log's own copy of the machine. */
void divergence_compare(struct divergence *divergence, struct machine *machine, struct log_reader *reader);

/* How the guest came to stop where it should not have. */
const char *divergence_stop_text(enum engine_stop stop);

/* Prints the report. */
void divergence_print(const struct divergence *divergence, struct machine *machine, FILE *stream);

#endif
