/*
 * Playing a script.
 *
 * Two cursors go through the same steps. The matcher stands at the next wait whose text the guest has not printed yet
 * and consumes the guest's output as it comes; the sender hands out bytes, and passes a wait when the matcher has left
 * it behind. So output that comes while the sender is still busy with earlier steps counts for later waits, and none of
 * it need be kept. What the script does depends on the stream of output alone, not on how it was cut into pieces.
 */
#include "vmm/host/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "vmm/host/file.h"
#include "vmm/host/script_internal.h"

struct cursor {
    size_t next;                       /* the step after the current one */
    const struct script_step *current; /* never a REPEAT or an END; NULL at the end */
    uint32_t depth;                    /* repeats around the current step */
    uint32_t round[SCRIPT_DEPTH_MAX];  /* of each, from 1 */
};

/* A text to look for in a stream, by Knuth, Morris and Pratt: `border[i]` is the length of the longest proper prefix of
 * the text that is also a suffix of its first i + 1 bytes. */
struct pattern {
    uint8_t text[SCRIPT_WAIT_MAX];
    uint16_t border[SCRIPT_WAIT_MAX];
    size_t length;
    size_t matched; /* the longest prefix of the text that the stream ends with */
};

/* A byte is shown as itself or as \xHH. */
#define SHOWN_MAX (SCRIPT_WAIT_MAX * 4 + 1)

struct script {
    struct script_program program;

    struct cursor matcher;
    struct pattern pattern;
    char shown[SHOWN_MAX]; /* the pattern for messages */
    uint64_t waits_matched;

    struct cursor sender;
    uint64_t waits_passed;
    const uint8_t *bytes; /* the current step's bytes not yet handed out */
    size_t bytes_left;
    uint8_t *rendered; /* room for any SEND with its round's number */
};

/* Moves to the next step that does something. A repeat always has such a step in it, so this takes at most a few turns
 * for each nested repeat. */
static void cursor_advance(const struct script_program *program, struct cursor *cursor)
{
    cursor->current = NULL;
    while (cursor->next < program->count) {
        const struct script_step *step = &program->steps[cursor->next++];
        if (step->kind == SCRIPT_REPEAT) {
            CHECK(cursor->depth < SCRIPT_DEPTH_MAX);
            cursor->round[cursor->depth++] = 1;
        } else if (step->kind == SCRIPT_END) {
            CHECK(cursor->depth > 0);
            if (cursor->round[cursor->depth - 1] < step->rounds) {
                cursor->round[cursor->depth - 1]++;
                cursor->next = step->start + 1;
            } else {
                cursor->depth--;
            }
        } else {
            cursor->current = step;
            return;
        }
    }
}

static uint32_t cursor_round(const struct cursor *cursor)
{
    return cursor->depth ? cursor->round[cursor->depth - 1] : 0;
}

static void pattern_prepare(struct pattern *pattern)
{
    size_t border = 0;

    pattern->matched = 0;
    pattern->border[0] = 0;
    for (size_t i = 1; i < pattern->length; i++) {
        while (border > 0 && pattern->text[border] != pattern->text[i])
            border = pattern->border[border - 1];
        border += pattern->text[border] == pattern->text[i];
        pattern->border[i] = (uint16_t)border;
    }
}

/* Returns whether the text is complete with this byte. */
static bool pattern_byte(struct pattern *pattern, uint8_t byte)
{
    while (pattern->matched > 0 && pattern->text[pattern->matched] != byte)
        pattern->matched = pattern->border[pattern->matched - 1];
    pattern->matched += pattern->text[pattern->matched] == byte;
    return pattern->matched == pattern->length;
}

static void show(const struct pattern *pattern, char *shown)
{
    for (size_t i = 0; i < pattern->length; i++) {
        uint8_t byte = pattern->text[i];
        if (byte >= ' ' && byte <= '~' && byte != '\\' && byte != '"')
            *shown++ = (char)byte;
        else if (byte == '\n')
            shown = stpcpy(shown, "\\n");
        else if (byte == '\\' || byte == '"')
            shown += sprintf(shown, "\\%c", byte);
        else
            shown += sprintf(shown, "\\x%02x", byte);
    }
    *shown = 0;
}

/* Moves the matcher to the next wait, if there is one. */
static void next_wait(struct script *script)
{
    struct cursor *cursor = &script->matcher;
    struct pattern *pattern = &script->pattern;

    do {
        cursor_advance(&script->program, cursor);
    } while (cursor->current && cursor->current->kind != SCRIPT_WAIT);
    if (!cursor->current)
        return;
    pattern->length = script_text_render(&cursor->current->text, cursor_round(cursor), pattern->text);
    pattern_prepare(pattern);
    show(pattern, script->shown);
}

/* Points at the bytes of the step at which the sender has arrived. */
static void load_bytes(struct script *script)
{
    const struct script_step *step = script->sender.current;

    if (step->kind == SCRIPT_FILE) {
        const struct script_bytes *file = &step->files[step->file_count > 1 ? cursor_round(&script->sender) - 1 : 0];
        script->bytes = file->bytes;
        script->bytes_left = file->length;
    } else if (step->text.hole_count) {
        script->bytes = script->rendered;
        script->bytes_left = script_text_render(&step->text, cursor_round(&script->sender), script->rendered);
    } else {
        script->bytes = step->text.bytes;
        script->bytes_left = step->text.length;
    }
}

static void sender_advance(struct script *script)
{
    cursor_advance(&script->program, &script->sender);
    if (script->sender.current && script->sender.current->kind != SCRIPT_WAIT)
        load_bytes(script);
}

/* Moves the sender on until it has bytes, stands at a wait that is not matched yet, or is at the end. */
static void settle(struct script *script)
{
    while (script->bytes_left == 0 && script->sender.current) {
        if (script->sender.current->kind == SCRIPT_WAIT) {
            if (script->waits_passed == script->waits_matched)
                return;
            script->waits_passed++;
        }
        sender_advance(script);
    }
}

static int start(struct script *script, struct error *error)
{
    size_t room = 0;

    for (size_t i = 0; i < script->program.count; i++) {
        const struct script_step *step = &script->program.steps[i];
        size_t needed = script_text_room(&step->text, SCRIPT_STEPS_MAX);
        if (step->kind == SCRIPT_SEND && step->text.hole_count && needed > room)
            room = needed;
    }
    script->rendered = malloc(room + 1);
    if (!script->rendered)
        return error_set(error, ERROR_HOST, "no memory for the input script");
    next_wait(script);
    sender_advance(script);
    settle(script);
    return 0;
}

struct script *script_open(struct files *files, const char *path, struct error *error)
{
    uint8_t *text = NULL;
    size_t length = 0;
    struct script *script = calloc(1, sizeof *script);

    if (!script) {
        error_set(error, ERROR_HOST, "no memory for the input script");
        return NULL;
    }
    bool standard = strcmp(path, "-") == 0;
    int failed = standard ? host_stdin_read(files, SCRIPT_TEXT_MAX, &text, &length, error)
                          : host_file_read(files, path, SCRIPT_TEXT_MAX, &text, &length, error);
    if (standard)
        path = HOST_STDIN_NAME;
    if (!failed)
        failed = script_parse(&script->program, files, path, text, length, error);
    free(text);
    if (failed || start(script, error) < 0) {
        script_free(script);
        return NULL;
    }
    return script;
}

void script_free(struct script *script)
{
    if (!script)
        return;
    script_program_free(&script->program);
    free(script->rendered);
    free(script);
}

size_t script_read(struct script *script, uint8_t *bytes, size_t length)
{
    size_t done = 0;

    while (done < length && script->bytes_left > 0) {
        size_t part = script->bytes_left < length - done ? script->bytes_left : length - done;
        memcpy(bytes + done, script->bytes, part);
        script->bytes += part;
        script->bytes_left -= part;
        done += part;
        settle(script);
    }
    return done;
}

bool script_ready(const struct script *script)
{
    return script->bytes_left > 0;
}

void script_output(struct script *script, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length && script->matcher.current; i++) {
        if (pattern_byte(&script->pattern, bytes[i])) {
            script->waits_matched++;
            next_wait(script);
        }
    }
    settle(script);
}

bool script_ended(const struct script *script)
{
    return !script->sender.current && script->bytes_left == 0;
}

const char *script_waiting(const struct script *script, unsigned *line)
{
    if (script->bytes_left > 0 || !script->sender.current)
        return NULL;
    *line = script->sender.current->line;
    return script->shown;
}
