#include "vmm/state.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

struct state state_save(struct bytes_writer *out)
{
    return (struct state){.mode = STATE_SAVE, .out = out};
}

struct state state_restore(const void *data, size_t length)
{
    return (struct state){.mode = STATE_RESTORE, .in = bytes_reader(data, length)};
}

struct state state_print(FILE *stream)
{
    return (struct state){.mode = STATE_PRINT, .stream = stream};
}

static void state_fail(struct state *state, const char *what)
{
    if (state->bad)
        return;
    state->bad = true;
    error_set(&state->error, ERROR_INPUT, "state section %s: %s", state->section ? state->section : "(none)", what);
}

static void section_finish(struct state *state)
{
    if (!state->section || state->bad)
        return;
    if (state->mode == STATE_SAVE) {
        size_t length = state->out->length - state->section_start;
        if (!state->out->failed)
            bytes_store(state->out->data + state->section_start - 4, 4, length);
    } else if (state->mode == STATE_RESTORE && bytes_left(&state->in) != state->section_start) {
        state_fail(state, "its length does not fit its fields");
    }
}

static void section_restore(struct state *state, const char *name, uint16_t version)
{
    char found[256] = "";
    size_t length = bytes_get_uint(&state->in, 1);

    bytes_get(&state->in, found, length);
    if (state->in.bad) {
        state_fail(state, "missing");
        return;
    }
    if (length != strlen(name) || memcmp(found, name, length) != 0) {
        state_fail(state, "another section stands in its place");
        return;
    }
    uint64_t found_version = bytes_get_uint(&state->in, 2);
    uint64_t field_bytes = bytes_get_uint(&state->in, 4);
    if (found_version != version)
        state_fail(state, "of a version that this encore does not know");
    else if (state->in.bad || field_bytes > bytes_left(&state->in))
        state_fail(state, "cut short");
    else
        state->section_start = bytes_left(&state->in) - field_bytes;
}

void state_section(struct state *state, const char *name, uint16_t version)
{
    section_finish(state);
    state->section = name;
    if (state->bad)
        return;
    switch (state->mode) {
    case STATE_SAVE:
        bytes_put_uint(state->out, 1, strlen(name));
        bytes_put(state->out, name, strlen(name));
        bytes_put_uint(state->out, 2, version);
        bytes_put_uint(state->out, 4, 0);
        state->section_start = state->out->length;
        break;
    case STATE_RESTORE:
        section_restore(state, name, version);
        break;
    case STATE_PRINT:
        fprintf(state->stream, "[%s] version %u\n", name, version);
        break;
    }
}

/* Visits one integer; returns the value that the field shall have afterwards. */
static uint64_t state_uint(struct state *state, const char *name, unsigned width, uint64_t value, uint64_t max)
{
    if (state->bad)
        return value;
    switch (state->mode) {
    case STATE_SAVE:
        bytes_put_uint(state->out, width, value);
        return value;
    case STATE_PRINT:
        fprintf(state->stream, "  %s = 0x%" PRIx64 "\n", name, value);
        return value;
    case STATE_RESTORE:
        break;
    }
    uint64_t restored = bytes_get_uint(&state->in, width);
    if (state->in.bad) {
        state_fail(state, "cut short");
        return value;
    }
    if (restored > max) {
        char what[96];
        snprintf(what, sizeof what, "%s is out of range", name);
        state_fail(state, what);
        return value;
    }
    return restored;
}

void state_bool(struct state *state, const char *name, bool *field)
{
    *field = state_uint(state, name, 1, *field, 1) != 0;
}

void state_u8(struct state *state, const char *name, uint8_t *field)
{
    state_u8_max(state, name, field, UINT8_MAX);
}

void state_u8_max(struct state *state, const char *name, uint8_t *field, uint8_t max)
{
    *field = (uint8_t)state_uint(state, name, 1, *field, max);
}

void state_u16(struct state *state, const char *name, uint16_t *field)
{
    *field = (uint16_t)state_uint(state, name, 2, *field, UINT16_MAX);
}

void state_u32(struct state *state, const char *name, uint32_t *field)
{
    state_u32_max(state, name, field, UINT32_MAX);
}

void state_u32_max(struct state *state, const char *name, uint32_t *field, uint32_t max)
{
    *field = (uint32_t)state_uint(state, name, 4, *field, max);
}

void state_u64(struct state *state, const char *name, uint64_t *field)
{
    *field = state_uint(state, name, 8, *field, UINT64_MAX);
}

void state_bytes(struct state *state, const char *name, void *field, size_t length)
{
    if (state->bad)
        return;
    switch (state->mode) {
    case STATE_SAVE:
        bytes_put(state->out, field, length);
        break;
    case STATE_PRINT:
        fprintf(state->stream, "  %s =", name);
        for (size_t i = 0; i < length; i++)
            fprintf(state->stream, "%s%02x", i % 32 == 0 && length > 32 ? "\n    " : " ", ((const uint8_t *)field)[i]);
        fputc('\n', state->stream);
        break;
    case STATE_RESTORE: {
        const uint8_t *from = bytes_take(&state->in, length);
        if (from)
            memcpy(field, from, length);
        else
            state_fail(state, "cut short");
        break;
    }
    }
}

void state_require(struct state *state, bool valid, const char *rule)
{
    if (state->mode == STATE_RESTORE && !valid)
        state_fail(state, rule);
}

int state_end(struct state *state, struct error *error)
{
    section_finish(state);
    if (!state->bad && state->mode == STATE_RESTORE && bytes_left(&state->in) != 0)
        state_fail(state, "bytes are left over after it");
    if (!state->bad && state->mode == STATE_SAVE && state->out->failed)
        return error_set(error, ERROR_HOST, "out of memory while saving the machine");
    if (state->bad) {
        *error = state->error;
        return -1;
    }
    return 0;
}
