/*
 * Checkpoints: a whole machine as bytes.
 *
 * A checkpoint is pages of RAM (all that are not zero, or only those that changed since a parent checkpoint), then the
 * state sections of the machine and of what stands beside it (the console's traffic, the engine's tick counter).
 * docs/log-format.md gives the layout. What it does not hold: the boot image (its digest is in the log's header) and
 * the host's side of the console.
 *
 * A page may stand in it more than once, and the last counts: so pages can be written while the machine runs, those
 * that it changed meanwhile again, and the few that are left when it is stopped at last (pre-copy).
 */
#ifndef ENCORE_REPLAY_CHECKPOINT_H
#define ENCORE_REPLAY_CHECKPOINT_H

#include <stdio.h>

#include "base/bytes.h"
#include "logs/reader.h"
#include "replay/traffic.h"
#include "vmm/machine.h"

/* A chain of parents is never longer, so that restoring stays bounded. */
#define CHECKPOINT_CHAIN_MAX 16

/* Where the bytes of a checkpoint go; returns 0 or -1 with the error. */
typedef int checkpoint_write_fn(void *context, const void *bytes, size_t length, struct error *error);

/* Pages gather to pieces of about this size, so that a checkpoint needs no memory of its own size. */
#define CHECKPOINT_PIECE (64u * 1024)

/* Writes a checkpoint bit by bit. */
struct checkpoint_writer {
    struct bytes_writer piece; /* owned */
    checkpoint_write_fn *write;
    void *context;
    uint64_t next;  /* number of the last page of this list, plus one */
    uint64_t pages; /* written so far */
};

struct checkpoint_writer checkpoint_writer(checkpoint_write_fn *write, void *context);
void checkpoint_writer_free(struct checkpoint_writer *writer);
/* A page, as it is now. At most CHECKPOINT_PAGES_MAX in all. */
int checkpoint_writer_page(struct checkpoint_writer *writer, const struct ram *ram, uint64_t page, struct error *error);
/* The state at this boundary, last. Pages that changed since they were written must have been written again. */
int checkpoint_writer_end(struct checkpoint_writer *writer, struct machine *machine, struct traffic *traffic,
                          struct error *error);

/* Writes the machine at this boundary. `whole`: every page that is not zero; otherwise the pages in
 * machine->digests.changed. machine_digest must have been called at this boundary. */
int checkpoint_save(struct machine *machine, struct traffic *traffic, bool whole, checkpoint_write_fn *write,
                    void *context, struct error *error);

/* Applies one checkpoint's bytes to a machine: a whole one to fresh RAM, or one with a parent after that parent. The
 * processor is set too. On failure the machine is not usable. */
int checkpoint_apply(struct machine *machine, struct traffic *traffic, const uint8_t *bytes, size_t length,
                     struct error *error);

/* The most pages that a checkpoint of a machine with so much RAM may have, and the most bytes: each page with its
 * number and kind, and the state. */
#define CHECKPOINT_PAGES_MAX(ram_size) (4 * ((ram_size) >> RAM_PAGE_SHIFT))
#define CHECKPOINT_BLOB_MAX(ram_size)  (CHECKPOINT_PAGES_MAX(ram_size) * (RAM_PAGE_SIZE + 13) + (1u << 20) + 64)

/* A page of a checkpoint; `bytes` is NULL for a page of zeros. */
typedef void checkpoint_page_fn(void *context, struct machine *machine, uint64_t page, const uint8_t *bytes);

/* Looks into a checkpoint's bytes without applying them: the processor's state, and each page. `machine` gives the size
 * of RAM and is not changed. Returns 0, or -1 with the error. */
int checkpoint_inspect(struct machine *machine, const uint8_t *bytes, size_t length, struct cpu_state *cpu,
                       checkpoint_page_fn *page, void *context, struct error *error);

/* Restores checkpoint `id` of a log, parents first, into a machine fresh from machine_create, and checks its digest.
 * The reader then stands just after the checkpoint's record. */
int checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                       struct error *error);

/* Prints all of the machine but its RAM, section by section, as a checkpoint holds it. */
int checkpoint_print(struct machine *machine, struct traffic *traffic, FILE *stream, struct error *error);

#endif
