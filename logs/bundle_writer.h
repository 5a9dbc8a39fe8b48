/*
 * Writing a bundle (docs/bundle.md), from front to back.
 *
 * Order of calls: create; for each member, in the order of kind and number, the log first: begin, then add and
 * add_zeros as its bytes come, then end; finish; free. An error is final: nothing more is to be called but free.
 */
#ifndef ENCORE_LOGS_BUNDLE_WRITER_H
#define ENCORE_LOGS_BUNDLE_WRITER_H

#include "logs/bundle.h"
#include "logs/writer.h"

struct bundle_writer;

/* Bytes go to the sink's `write`; its other functions are not called. NULL with the error. */
struct bundle_writer *bundle_writer_create(const struct log_sink *sink, struct error *error);

/* The member's size is that of the bytes that come; its digest is made here, of the kind that is asked for. */
int bundle_writer_begin(struct bundle_writer *writer, enum bundle_kind kind, unsigned number,
                        enum digest_kind digest_kind, struct error *error);
int bundle_writer_add(struct bundle_writer *writer, const void *bytes, size_t length, struct error *error);
/* Zeros, which cost nothing. */
int bundle_writer_add_zeros(struct bundle_writer *writer, uint64_t length, struct error *error);
/* `digest` gets the member's; NULL is allowed. */
int bundle_writer_end(struct bundle_writer *writer, struct digest *digest, struct error *error);

int bundle_writer_finish(struct bundle_writer *writer, struct error *error);
/* NULL is allowed. */
void bundle_writer_free(struct bundle_writer *writer);

#endif
