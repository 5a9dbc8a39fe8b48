/*
 * A disk as the machine, its recorder and its checkpoints see it. Chips see vmm/disk.h.
 *
 * A disk is an image that nobody changes and the clusters of 4 KiB that the guest has written since, which the host
 * keeps in an overlay. Which clusters those are, and a digest of each, is here; their bytes are the host's to keep, and
 * the machine's digest has the digest of all of them: a sum that does not depend on the order, as for pages of memory
 * (vmm/page_digests.h), so that a write costs no more than the clusters that it touches.
 *
 * What a failing host leaves behind must be the same in a replay, whose host does not fail. So a read that failed gives
 * zeros; a write that failed leaves a cluster that was never written as the image has it; and one that had been written
 * before, which the host may have damaged, is lost: reading it fails, without asking the host, until it is written
 * whole. That is what a real disk does with a sector that it could not write. On a disk that is written in place the
 * image itself may have been damaged, and any such cluster is lost.
 */
#ifndef ENCORE_VMM_DISK_CONTENTS_H
#define ENCORE_VMM_DISK_CONTENTS_H

#include <stddef.h>

#include "base/digest.h"
#include "base/error.h"
#include "vmm/disk.h"
#include "vmm/door.h"
#include "vmm/state.h"

#define DISK_CLUSTER       4096
#define DISK_CLUSTER_SHIFT 12
/* Bytes; each cluster that is written costs 16 bytes of the host's memory. */
#define DISK_SIZE_MAX (UINT64_C(1) << 40)

/* The host's side: where the bytes are. The functions return 0, or -1 with the error. Ranges are on the disk; what is
 * read beyond the end of an image's file is zeros. */
struct disk_backing {
    void *context;
    int (*transfer)(void *context, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length,
                    struct error *error);
};

/* Which chip offers the disk to the guest. */
enum disk_interface { DISK_VIRTIO, DISK_IDE };

struct disk_config {
    uint64_t size;  /* bytes: whole sectors, at least one, at most DISK_SIZE_MAX */
    uint64_t quota; /* bytes that the guest may write clusters of; 0: as many as there are */
    bool read_only;
    bool in_place; /* the guest's writes go to the image itself */
    enum disk_interface interface;
    struct disk_backing backing; /* without a function: the bytes of clusters are nowhere, and nothing can be read */
};

struct disk {
    struct disk_config config;
    unsigned number;
    const struct door *door; /* the machine's */

    uint64_t clusters;      /* the last may be shorter */
    uint64_t quota;         /* clusters */
    uint64_t written;       /* how many are */
    size_t words;           /* of each bitmap */
    uint64_t *present;      /* owned, as are the others: a bit for each cluster that the guest has written */
    uint64_t *lost;         /* ... that cannot be read; all of them are present too */
    uint64_t *changed;      /* ... that changed since disk_forget_changes */
    uint64_t *watched;      /* not owned; NULL, or where bits of changed clusters are set too, for others' purposes */
    struct digest *digests; /* owned; of each cluster that is present */
    struct digest sum;
};

/* An unwritten disk. The door must outlive it. Returns 0, or -1 when memory is exhausted. */
int disk_create(struct disk *disk, unsigned number, const struct disk_config *config, const struct door *door,
                struct error *error);
void disk_destroy(struct disk *disk);

/* The field list, section "disk": what is present, by its digest. Restoring, the clusters come first. */
void disk_state(struct disk *disk, struct state *state);

/* How a cluster stands. */
enum disk_cluster { DISK_CLUSTER_IMAGE, DISK_CLUSTER_BYTES, DISK_CLUSTER_LOST };
enum disk_cluster disk_cluster(const struct disk *disk, uint64_t cluster);
/* Its length in bytes: DISK_CLUSTER, or what is left of the disk. */
size_t disk_cluster_length(const struct disk *disk, uint64_t cluster);
/* The digest of a cluster of these bytes. */
struct digest disk_cluster_digest(const struct disk *disk, uint64_t cluster, const void *bytes);

/* For checkpoints, at a boundary: the bytes of a cluster that is present and not lost, into bytes[DISK_CLUSTER]; and
 * putting one back (NULL: it is lost). Without a backing only its digest is kept. Return 0, or -1 with the error: the
 * host failed, or its overlay was changed by somebody else, or (putting) the disk has no room for it. */
int disk_save_cluster(const struct disk *disk, uint64_t cluster, uint8_t *bytes, struct error *error);
int disk_load_cluster(struct disk *disk, uint64_t cluster, const uint8_t *bytes, struct error *error);

/* Starts a new list of changed clusters. */
void disk_forget_changes(struct disk *disk);

/* For doors: does at the host what the guest's access needs. Returns 0, or -1 with the error. */
int disk_transfer(const struct disk *disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length,
                  struct error *error);

#endif
