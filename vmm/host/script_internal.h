/*
 * The parsed form of an input script, between its parser (script_parse.c) and its player (script.c).
 *
 * A script stays a program: repeats are played, not unrolled, so that a small file cannot become a large memory. The
 * rounds' numbers are put into a text when its step is reached.
 */
#ifndef ENCORE_VMM_HOST_SCRIPT_INTERNAL_H
#define ENCORE_VMM_HOST_SCRIPT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/files.h"
#include "vmm/host/script.h"

enum script_kind {
    SCRIPT_SEND, /* "send" and "line" */
    SCRIPT_WAIT,
    SCRIPT_FILE,
    SCRIPT_REPEAT,
    SCRIPT_END,
};

/* Bytes with holes for the round's number. */
struct script_text {
    uint8_t *bytes;
    size_t length;
    uint32_t *holes; /* offsets into bytes, in order, before which the number goes */
    size_t hole_count;
};

struct script_bytes {
    uint8_t *bytes;
    size_t length;
};

struct script_step {
    enum script_kind kind;
    unsigned line;
    struct script_text text;    /* SEND, WAIT; FILE: the path */
    struct script_bytes *files; /* FILE: the contents; one for each round if the path has holes */
    size_t file_count;
    uint32_t rounds; /* REPEAT: how often; END: as its REPEAT */
    size_t start;    /* END: its REPEAT */
};

struct script_program {
    struct script_step *steps;
    size_t count;
    size_t capacity;
};

/* Parses `length` bytes of text and reads the files it names; `path` names the script, for messages and for relative
 * paths. Returns 0, or -1 with an ERROR_INPUT (ERROR_HOST: memory); the program is to be freed in both cases. */
int script_parse(struct script_program *program, struct files *files, const char *path, const uint8_t *text,
                 size_t length, struct error *error);
void script_program_free(struct script_program *program);

/* The bytes that a text has at most once the numbers of rounds up to `rounds` are in it. */
size_t script_text_room(const struct script_text *text, uint32_t rounds);
/* Writes the text with the round's number in its holes to `to`; returns the length. */
size_t script_text_render(const struct script_text *text, uint32_t round, uint8_t *to);

#endif
