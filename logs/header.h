/*
 * The header of a log: what it is, which format, which machine.
 *
 * Layout, little-endian:
 *    0  8 bytes  magic LOG_MAGIC
 *    8  u16      format version
 *   10  u16      zero
 *   12  u32      length of the whole header, checksum included
 *   16  16 bytes log id, random
 *   32  ...      the machine's description, a JSON object in UTF-8
 *  end  u64      XXH3-64 of everything before it, seed 0
 * The first ten bytes mean the same in every version, so that an old reader can say what it met.
 */
#ifndef ENCORE_LOGS_HEADER_H
#define ENCORE_LOGS_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define LOG_MAGIC          "\211ENCORE\n" /* no text file begins so, and newline translation breaks it visibly */
#define LOG_FORMAT_VERSION 1

#define LOG_MACHINE_MAX  (64u * 1024) /* bytes of the machine's description */
#define LOG_HEADER_FIXED 40u          /* bytes of a header without the description */
#define LOG_HEADER_MAX   (LOG_HEADER_FIXED + LOG_MACHINE_MAX)

/* Tells one log from all others; random bytes that the caller gets from the host. */
struct log_id {
    uint8_t bytes[16];
};

struct log_header {
    struct log_id id;
    char *machine; /* JSON text, NUL-terminated; see the functions for who owns it */
};

/*
 * Appends the header to `out`. Borrows header->machine, which must be the text of a JSON object of at most
 * LOG_MACHINE_MAX bytes. Returns 0, or -1: ERROR_INPUT when the description is not that, ERROR_HOST when memory or the
 * writer's limit is exhausted.
 */
int log_header_encode(const struct log_header *header, struct bytes_writer *out, struct error *error);

/*
 * Reads a header from the beginning of a log, of which `length` bytes are at hand. Returns 1 with the header (to be
 * released with log_header_free) and its length in *used; 0 when more bytes are needed; -1 with the error when this is
 * not an Encore log, or one of a newer format, or a damaged one.
 */
int log_header_decode(const uint8_t *bytes, size_t length, struct log_header *header, size_t *used,
                      struct error *error);

/* Releases the description of a decoded header. */
void log_header_free(struct log_header *header);

#endif
