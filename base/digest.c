#include "base/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

struct digest digest_of(const void *data, size_t length, uint64_t seed)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(data, length, seed);

    return (struct digest){.low = hash.low64, .high = hash.high64};
}

/* The pointer is an XXH3_state_t, whose size and alignment are the library's business. */
struct digest_stream *digest_stream_begin(uint64_t seed)
{
    XXH3_state_t *state = XXH3_createState();

    if (state)
        XXH3_128bits_reset_withSeed(state, seed);
    return (struct digest_stream *)state;
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t length)
{
    XXH3_128bits_update((XXH3_state_t *)stream, data, length);
}

struct digest digest_stream_end(struct digest_stream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest((XXH3_state_t *)stream);

    XXH3_freeState((XXH3_state_t *)stream);
    return (struct digest){.low = hash.low64, .high = hash.high64};
}

bool digest_equal(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

struct digest digest_add(struct digest a, struct digest b)
{
    struct digest sum = {.low = a.low + b.low, .high = a.high + b.high};

    sum.high += sum.low < a.low;
    return sum;
}

struct digest digest_subtract(struct digest a, struct digest b)
{
    struct digest difference = {.low = a.low - b.low, .high = a.high - b.high};

    difference.high -= a.low < b.low;
    return difference;
}

char *digest_text(struct digest digest, char *text)
{
    snprintf(text, DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64, digest.high, digest.low);
    return text;
}

int digest_parse(const char *text, struct digest *digest)
{
    uint64_t half[2] = {0, 0};

    if (strlen(text) != DIGEST_TEXT - 1)
        return -1;
    for (unsigned i = 0; i < DIGEST_TEXT - 1; i++) {
        const char *digits = "0123456789abcdef";
        const char *found = strchr(digits, text[i]);
        if (!found || !*found)
            return -1;
        half[i / 16] = half[i / 16] << 4 | (uint64_t)(found - digits);
    }
    *digest = (struct digest){.low = half[1], .high = half[0]};
    return 0;
}
