/*
 * One field list for everything that is state.
 *
 * Each part of the machine names its fields once, in one function `void NAME_state(struct NAME *, struct state *)`.
 * Saving, restoring, hashing and printing are four visitors over that same list, so they cannot drift apart.
 *
 * Saved form: a section is its name (u8 length, bytes), its version (u16) and its length (u32), then its fields in list
 * order, little-endian, without names. Hashing is the digest of the saved form. Restoring treats every byte as hostile:
 * a wrong name, version or length, or a value outside its stated range, makes the visit bad, and nothing that was
 * restored may then be used.
 *
 * A visit: state_save/state_restore/state_print, then any number of NAME_state calls, then state_end.
 */
#ifndef ENCORE_VMM_STATE_H
#define ENCORE_VMM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"

enum state_mode { STATE_SAVE, STATE_RESTORE, STATE_PRINT };

struct state {
    enum state_mode mode;
    struct bytes_writer *out; /* SAVE: the caller's */
    struct bytes_reader in;   /* RESTORE */
    FILE *stream;             /* PRINT */
    const char *section;      /* the section being visited, for messages */
    size_t section_start;     /* SAVE: offset of the section's first field; RESTORE: bytes left at its end */
    bool bad;
    struct error error; /* the first fault found, when bad */
};

struct state state_save(struct bytes_writer *out);
struct state state_restore(const void *data, size_t length);
struct state state_print(FILE *stream);

/* Begins a section; the one before it ends here. `version` rises whenever the list of fields changes. */
void state_section(struct state *state, const char *name, uint16_t version);

/* One field each. The `max` forms say the largest valid value; restoring anything above it makes the visit bad. */
void state_bool(struct state *state, const char *name, bool *field);
void state_u8(struct state *state, const char *name, uint8_t *field);
void state_u8_max(struct state *state, const char *name, uint8_t *field, uint8_t max);
void state_u16(struct state *state, const char *name, uint16_t *field);
void state_u32(struct state *state, const char *name, uint32_t *field);
void state_u32_max(struct state *state, const char *name, uint32_t *field, uint32_t max);
void state_u64(struct state *state, const char *name, uint64_t *field);
void state_bytes(struct state *state, const char *name, void *field, size_t length);

/* For rules that tie fields together: while restoring, makes the visit bad unless `valid`. */
void state_require(struct state *state, bool valid, const char *rule);

/* Ends the visit. Returns 0, or -1 with the error when it was bad or, restoring, when bytes are left over. */
int state_end(struct state *state, struct error *error);

#endif
