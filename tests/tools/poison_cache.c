/* Puts a wrong digest of a file into a cache of digests: poison_cache DIRECTORY FILE. What believes the cache will then
 * take the file for another. */
#include <stdio.h>

#include "vmm/host/digest_cache.h"

int main(int argc, char **argv)
{
    struct stat status;

    if (argc != 3 || stat(argv[2], &status) < 0) {
        fprintf(stderr, "usage: %s DIRECTORY FILE\n", argv[0]);
        return 2;
    }
    digest_cache_put(argv[1], &status, DIGEST_SPARSE, (struct digest){.low = 1, .high = 2});
    return 0;
}
