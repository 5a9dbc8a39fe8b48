/*
 * Digests of large images, remembered from one run to the next: in a file under the user's cache directory, each with
 * the device, inode, size and times (modified, changed, in nanoseconds) of the image that it is of.
 *
 * A digest is believed while all of these are as they were. That is safe only where they cannot stay the same when the
 * contents change. So nothing is remembered of a file that changed less than DIGEST_CACHE_SETTLED before it was read (a
 * clock's tick may hide a second change, and what is written through a mapping shows in the times only when pages that
 * are dirty already have been written back), or on a file system whose times are another host's or do not follow
 * mappings at all.
 *
 * The cache is nobody's duty: whatever is wrong with it, somebody else's, damaged, not writable, is passed over in
 * silence. It has a bounded number of entries; the oldest go first.
 */
#ifndef ENCORE_VMM_HOST_DIGEST_CACHE_H
#define ENCORE_VMM_HOST_DIGEST_CACHE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "base/image_digest.h"

#define DIGEST_CACHE_ENTRIES 1024
#define DIGEST_CACHE_SETTLED 60 /* seconds */

/* Where the cache is: $XDG_CACHE_HOME/encore, or $HOME/.cache/encore. To be freed; NULL when there is no such place. */
char *digest_cache_directory(void);

/* Whether what is behind `fd` is on a file system that the above holds for. */
bool digest_cache_suits(int fd);

/* Whether a digest may be remembered that was made between `before` and `after`, as the file was then; `began` is the
 * wall clock's time at `before`. */
bool digest_cache_is_safe(const struct stat *before, const struct stat *after, time_t began);

/* Looks for a file's digest of that kind. */
bool digest_cache_find(const char *directory, const struct stat *file, enum digest_kind kind, struct digest *digest);

/* Remembers it. */
void digest_cache_put(const char *directory, const struct stat *file, enum digest_kind kind, struct digest digest);

#endif
