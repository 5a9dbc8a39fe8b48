/*
 * Checkpoints: a whole machine as bytes.
 *
 * A checkpoint is the state sections of the machine and of what stands beside it (outputs, the engine's tick counter),
 * then pages of RAM: all that are not zero, or only those that changed since a parent checkpoint. docs/log-format.md
 * gives the layout. What it does not hold: the boot image (its digest is in the log's header) and the host's side of
 * the console.
 */
#ifndef ENCORE_REPLAY_CHECKPOINT_H
#define ENCORE_REPLAY_CHECKPOINT_H

#include <stdio.h>

#include "base/bytes.h"
#include "logs/reader.h"
#include "replay/outputs.h"
#include "vmm/machine.h"

/* A chain of parents is never longer, so that restoring stays bounded. */
#define CHECKPOINT_CHAIN_MAX 16

/* Where the bytes of a checkpoint go; returns 0 or -1 with the error. */
typedef int checkpoint_write_fn(void *context, const void *bytes, size_t length, struct error *error);

/* Writes the machine at this boundary. `whole`: every page that is not zero; otherwise the pages in
 * machine->digests.changed. machine_digest must have been called at this boundary. */
int checkpoint_save(struct machine *machine, struct outputs *outputs, bool whole, checkpoint_write_fn *write,
                    void *context, struct error *error);

/* Applies one checkpoint's bytes to a machine: a whole one to fresh RAM, or one with a parent after that parent. The
 * processor is set too. On failure the machine is not usable. */
int checkpoint_apply(struct machine *machine, struct outputs *outputs, const uint8_t *bytes, size_t length,
                     struct error *error);

/* The most bytes that a checkpoint of a machine with so much RAM can have: each page with its number and kind, and the
 * state. */
#define CHECKPOINT_BLOB_MAX(ram_size) ((ram_size) + ((ram_size) >> RAM_PAGE_SHIFT) * 11 + (1u << 20) + 64)

/* A page of a checkpoint; `bytes` is NULL for a page of zeros. */
typedef void checkpoint_page_fn(void *context, struct machine *machine, uint64_t page, const uint8_t *bytes);

/* Looks into a checkpoint's bytes without applying them: the processor's state, and each page. `machine` gives the size
 * of RAM and is not changed. Returns 0, or -1 with the error. */
int checkpoint_inspect(struct machine *machine, const uint8_t *bytes, size_t length, struct cpu_state *cpu,
                       checkpoint_page_fn *page, void *context, struct error *error);

/* Restores checkpoint `id` of a log, parents first, into a machine fresh from machine_create, and checks its digest.
 * The reader then stands just after the checkpoint's record. */
int checkpoint_restore(struct machine *machine, struct outputs *outputs, struct log_reader *reader, uint32_t id,
                       struct error *error);

/* Prints all of the machine but its RAM, section by section, as a checkpoint holds it. */
int checkpoint_print(struct machine *machine, struct outputs *outputs, FILE *stream, struct error *error);

#endif
