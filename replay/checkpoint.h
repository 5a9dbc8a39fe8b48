/*
 * Checkpoints: a whole machine as bytes.
 *
 * A checkpoint is pages of RAM (all that are not zero, or only those that changed since a parent checkpoint), clusters
 * of disks (all that the guest has written, or only those that changed), then the state sections of the machine and of
 * what stands beside it (the console's traffic, the engine's tick counter). docs/log-format.md gives the layout. What
 * it does not hold: the boot image and the images of disks (their digests are in the log's header) and the host's side
 * of the console.
 *
 * A page or cluster may stand in it more than once, and the last counts: so pages can be written while the machine
 * runs, those that it changed meanwhile again, and the few that are left when it is stopped at last (pre-copy).
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
    unsigned list;                       /* what is listed at present: 0 pages of RAM, n + 1 clusters of disk n */
    uint64_t next;                       /* number of the last page or cluster of this list, plus one */
    size_t run;                          /* where in the piece the length of its last run stands; 0: it cannot grow */
    uint64_t entries[MACHINE_DISKS + 1]; /* of pages, and of clusters of each disk, so far */
};

struct checkpoint_writer checkpoint_writer(checkpoint_write_fn *write, void *context);
void checkpoint_writer_free(struct checkpoint_writer *writer);
/* A page, as it is now. At most CHECKPOINT_PAGES_MAX in all. */
int checkpoint_writer_page(struct checkpoint_writer *writer, const struct ram *ram, uint64_t page, struct error *error);
/* A cluster of a disk that is present, as it is now. At most CHECKPOINT_CLUSTERS_MAX in all. */
int checkpoint_writer_cluster(struct checkpoint_writer *writer, const struct disk *disk, uint64_t cluster,
                              struct error *error);
/* The state at this boundary, last. What changed since it was written must have been written again. */
int checkpoint_writer_end(struct checkpoint_writer *writer, struct machine *machine, struct traffic *traffic,
                          struct error *error);

/* Writes the machine at this boundary. `whole`: every page that is not zero and every cluster that is present;
 * otherwise those that changed (machine_forget_changes). machine_digest must have been called at this boundary. */
int checkpoint_save(struct machine *machine, struct traffic *traffic, bool whole, checkpoint_write_fn *write,
                    void *context, struct error *error);

/* The most pages of memory that the checkpoints of a machine with so much RAM may mention. */
#define CHECKPOINT_PAGES_MAX(ram_size) (4 * ((ram_size) >> RAM_PAGE_SHIFT))
/* ... and clusters of a disk. */
#define CHECKPOINT_CLUSTERS_MAX(disk) (4 * (disk)->clusters)

/* What is found in a checkpoint, in the order of its bytes. The functions return 0, or -1 with the error. */
struct checkpoint_visitor {
    void *context;
    /* A page of RAM; `bytes` is NULL for a page of zeros. */
    int (*page)(void *context, struct machine *machine, uint64_t page, const uint8_t *bytes, struct error *error);
    /* A cluster of a disk; `bytes` is NULL for one that is lost. */
    int (*cluster)(void *context, struct disk *disk, uint64_t cluster, const uint8_t *bytes, struct error *error);
    /* The state sections, last. */
    int (*state)(void *context, struct machine *machine, const uint8_t *sections, size_t length, struct error *error);
    /* The bytes that were given so far are about to go away. May be NULL. */
    void (*bytes_go)(void *context);
};

/* Goes through checkpoint `id` of a log, which may be hostile, piece by piece. The machine only says what there can be
 * (checkpoint_reader.c). */
int checkpoint_visit(struct machine *machine, struct log_reader *reader, uint32_t id,
                     const struct checkpoint_visitor *visitor, struct error *error);

/* Restores checkpoint `id` of a log, parents first, into a machine fresh from machine_create, and checks its digest.
 * The reader then stands just after the checkpoint's record. */
int checkpoint_restore(struct machine *machine, struct traffic *traffic, struct log_reader *reader, uint32_t id,
                       struct error *error);

/* Prints all of the machine but its RAM, section by section, as a checkpoint holds it. */
int checkpoint_print(struct machine *machine, struct traffic *traffic, FILE *stream, struct error *error);

#endif
