/* The digest of a disk's image, as a log's description has it. */
#ifndef ENCORE_TOOLS_DISK_DIGEST_H
#define ENCORE_TOOLS_DISK_DIGEST_H

#include "base/image_digest.h"
#include "vmm/host/disk_file.h"

/* Reads the image, but for its holes, and shows how far that is; or, with `use_cache`, remembers it from a time when
 * the same file was read (vmm/host/digest_cache.h). Returns 0, or -1 with the error. */
int disk_digest(const struct disk_file *file, enum digest_kind kind, bool use_cache, struct digest *digest,
                struct error *error);

#endif
