/*
 * Bundles: a log and everything that its replay needs in one file (docs/bundle.md).
 *
 * A reader holds the index in memory and reads a chunk when somebody asks for bytes of it. It trusts nothing: a chunk's
 * checksum and length are checked each time, and there are no paths in a bundle.
 */
#ifndef ENCORE_LOGS_BUNDLE_H
#define ENCORE_LOGS_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/image_digest.h"
#include "logs/source.h"

#define BUNDLE_MODULES 8u
#define BUNDLE_DISKS   4u

/* The numbers stand in bundles. */
enum bundle_kind { BUNDLE_LOG = 1, BUNDLE_IMAGE = 2, BUNDLE_MODULE = 3, BUNDLE_DISK = 4 };

struct bundle_member {
    enum bundle_kind kind;
    unsigned number; /* of the module or disk; else 0 */
    uint64_t size;   /* bytes, at least 1 */
    enum digest_kind digest_kind;
    struct digest digest;
};

struct bundle;

/* Whether the bytes at the start of a source are a bundle's magic. 1 or 0, or -1 with the error. */
int bundle_is_one(const struct log_source *source, struct error *error);

/* Opens a bundle. The source is copied, and closed with the bundle or when opening fails; `name` stands for it in
 * errors. NULL with the error: ERROR_INPUT when it is no whole bundle. */
struct bundle *bundle_open(const struct log_source *source, const char *name, struct error *error);
/* NULL is allowed. */
void bundle_close(struct bundle *bundle);

/* What the bundle holds, in order: NULL for an index beyond the last. The bundle's. */
const struct bundle_member *bundle_member(const struct bundle *bundle, unsigned index);
/* The one of this kind and number, or NULL. */
const struct bundle_member *bundle_find(const struct bundle *bundle, enum bundle_kind kind, unsigned number);

/* Copies up to `length` bytes of a member from `offset`; *got tells how many: fewer only at its end. May be called from
 * any thread. Returns 0, or -1 with the error (ERROR_INPUT: the bundle is damaged). */
int bundle_read(struct bundle *bundle, const struct bundle_member *member, uint64_t offset, void *to, size_t length,
                size_t *got, struct error *error);

/* How many bytes from `offset` on are of one sort: all in a hole (zeros that take nothing), or none; at least 1 below
 * the member's size. */
uint64_t bundle_extent(const struct bundle *bundle, const struct bundle_member *member, uint64_t offset, bool *hole);

/* Reads all of a member and compares it with its digest. Returns 0, or -1 with the error. */
int bundle_verify(struct bundle *bundle, const struct bundle_member *member, struct error *error);

/* The bundle at `path`, an input of the run `files`. NULL with the error; or with no error (ERROR_NONE), if there is a
 * file that is no bundle. */
struct bundle *bundle_open_file(struct files *files, const char *path, struct error *error);

/* The log at `path`, which is a file of its own or in a bundle: as log_source_file. */
int log_source_open(struct files *files, const char *path, struct log_source *source, struct error *error);

/* The log in the bundle as a source, whose close closes the bundle. */
struct log_source bundle_log(struct bundle *bundle);

#endif
