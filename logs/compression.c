#include "logs/compression.h"

#include <lz4.h>
#include <zstd_errors.h>

#include "base/check.h"

/* Contents shorter than this are not offered to a compressor: records so few never became less, and it takes some
 * microseconds to say so. */
#define PACK_FROM 64u

void compression_free(struct compression_state *state)
{
    ZSTD_freeCCtx(state->compressor);
    ZSTD_freeDCtx(state->decompressor);
    *state = (struct compression_state){0};
}

static long pack_zstd(struct compression_state *state, int level, const void *raw, size_t length, uint8_t *to,
                      struct error *error)
{
    if (!state->compressor) {
        state->compressor = ZSTD_createCCtx();
        if (!state->compressor)
            return error_set(error, ERROR_HOST, "no memory for compression");
    }
    ZSTD_CCtx_setParameter(state->compressor, ZSTD_c_compressionLevel, level);
    size_t stored = ZSTD_compress2(state->compressor, to, length - 1, raw, length);
    if (!ZSTD_isError(stored))
        return (long)stored;
    if (ZSTD_getErrorCode(stored) == ZSTD_error_dstSize_tooSmall)
        return 0;
    return error_set(error, ERROR_HOST, "compression failed: %s", ZSTD_getErrorName(stored));
}

long compression_pack(struct compression_state *state, enum compression how, int level, const void *raw, size_t length,
                      uint8_t *to, struct error *error)
{
    if (length < PACK_FROM)
        return 0;
    if (how == COMPRESSION_ZSTD)
        return pack_zstd(state, level, raw, length, to, error);
    CHECK(how == COMPRESSION_LZ4 && length <= LZ4_MAX_INPUT_SIZE);
    /* 0: it does not fit into the room it is given. */
    return LZ4_compress_default(raw, (char *)to, (int)length, (int)length - 1);
}

static int check_length(size_t got, size_t expected, struct error *error)
{
    if (got == expected)
        return 0;
    return error_set(error, ERROR_INPUT, "the contents decompress to %zu bytes instead of %zu", got, expected);
}

static int unpack_zstd(struct compression_state *state, const uint8_t *stored, size_t stored_length, uint8_t *raw,
                       size_t raw_length, struct error *error)
{
    if (!state->decompressor) {
        state->decompressor = ZSTD_createDCtx();
        if (!state->decompressor)
            return error_set(error, ERROR_HOST, "no memory for decompression");
    }
    /* zstd takes several of its frames in a row for one; ours hold exactly one. */
    if (ZSTD_findFrameCompressedSize(stored, stored_length) != stored_length)
        return error_set(error, ERROR_INPUT, "the contents are not one zstd frame");
    size_t got = ZSTD_decompressDCtx(state->decompressor, raw, raw_length, stored, stored_length);
    if (ZSTD_isError(got))
        return error_set(error, ERROR_INPUT, "the contents do not decompress: %s", ZSTD_getErrorName(got));
    return check_length(got, raw_length, error);
}

int compression_unpack(struct compression_state *state, enum compression how, const uint8_t *stored,
                       size_t stored_length, uint8_t *raw, size_t raw_length, struct error *error)
{
    if (how == COMPRESSION_ZSTD)
        return unpack_zstd(state, stored, stored_length, raw, raw_length, error);
    CHECK(how == COMPRESSION_LZ4 && stored_length <= LZ4_MAX_INPUT_SIZE && raw_length <= LZ4_MAX_INPUT_SIZE);
    int got = LZ4_decompress_safe((const char *)stored, (char *)raw, (int)stored_length, (int)raw_length);
    if (got < 0)
        return error_set(error, ERROR_INPUT, "the contents do not decompress: they are not one LZ4 block of %zu bytes",
                         raw_length);
    return check_length((size_t)got, raw_length, error);
}
