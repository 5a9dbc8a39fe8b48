/*
 * The digest of a file that may be large and mostly holes. Its bytes come in order, and zeros may come by their number
 * alone.
 *
 * DIGEST_SPARSE is the sum of the digests of its pieces of 64 KiB, each seeded with its number, in which pieces of
 * zeros count nothing: so a hole costs nothing, and the result does not tell where the holes are. DIGEST_WHOLE is the
 * digest of the bytes as they are, for which zeros must be hashed like others.
 */
#ifndef ENCORE_BASE_IMAGE_DIGEST_H
#define ENCORE_BASE_IMAGE_DIGEST_H

#include "base/digest.h"
#include "base/error.h"

/* The numbers stand in bundles (docs/bundle.md). */
enum digest_kind { DIGEST_WHOLE = 0, DIGEST_SPARSE = 1 };

#define DIGEST_PIECE 65536u

struct image_digest;

/* NULL with the error when memory is exhausted. */
struct image_digest *image_digest_begin(enum digest_kind kind, struct error *error);
void image_digest_add(struct image_digest *image, const void *bytes, size_t length);
void image_digest_add_zeros(struct image_digest *image, uint64_t length);
/* Ends and releases it. */
struct digest image_digest_end(struct image_digest *image);

#endif
