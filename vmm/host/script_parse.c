/* From a script's text to its steps. Every byte of the text is hostile; every fault is told with its line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/file.h"
#include "vmm/host/script_internal.h"

struct parser {
    struct script_program *program;
    struct files *files;
    const char *path;
    const char *at; /* the rest of the current line */
    const char *end;
    unsigned line;
    struct error *error;

    size_t depth;                    /* open repeats */
    size_t opened[SCRIPT_DEPTH_MAX]; /* their steps */
    /* The steps in one round of each open repeat so far, and those outside all repeats: [0]. */
    uint64_t counted[SCRIPT_DEPTH_MAX + 1];
    size_t file_bytes; /* of all files read so far */
    size_t file_count;
};

static int fault(struct parser *parser, const char *words)
{
    return error_set(parser->error, ERROR_INPUT, "%s:%u: %s", parser->path, parser->line, words);
}

static int no_memory(struct parser *parser)
{
    return error_set(parser->error, ERROR_HOST, "%s:%u: no memory for the script", parser->path, parser->line);
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\t'))
        parser->at++;
}

static int at_end_of_line(struct parser *parser)
{
    skip_blanks(parser);
    return parser->at == parser->end ? 0 : fault(parser, "there is something after the step");
}

static struct script_step *add_step(struct parser *parser, enum script_kind kind)
{
    struct script_program *program = parser->program;

    if (program->count == program->capacity) {
        size_t capacity = program->capacity ? program->capacity * 2 : 16;
        struct script_step *steps = realloc(program->steps, capacity * sizeof *steps);
        if (!steps) {
            no_memory(parser);
            return NULL;
        }
        program->steps = steps;
        program->capacity = capacity;
    }
    struct script_step *step = &program->steps[program->count++];
    *step = (struct script_step){.kind = kind, .line = parser->line};
    return step;
}

/* The rounds of the innermost open repeat; 0 outside repeats. */
static uint32_t rounds_here(const struct parser *parser)
{
    return parser->depth ? parser->program->steps[parser->opened[parser->depth - 1]].rounds : 0;
}

static int count_steps(struct parser *parser, uint64_t steps)
{
    parser->counted[parser->depth] += steps;
    if (parser->counted[parser->depth] > SCRIPT_STEPS_MAX)
        return error_set(parser->error, ERROR_INPUT, "%s:%u: the script has more than %u steps, repeats counted out",
                         parser->path, parser->line, SCRIPT_STEPS_MAX);
    return 0;
}

/* Room for a text of at most `length` bytes, of which every two may be a hole. */
static int begin_text(struct parser *parser, struct script_text *text, size_t length)
{
    text->bytes = malloc(length + 1);
    if (rounds_here(parser) > 0)
        text->holes = malloc((length / 2 + 1) * sizeof *text->holes);
    return text->bytes && (text->holes || rounds_here(parser) == 0) ? 0 : no_memory(parser);
}

/* Gives back the room that was not needed; when realloc cannot, the larger block serves as well. */
static void end_text(struct script_text *text)
{
    uint8_t *bytes = realloc(text->bytes, text->length + 1);

    if (bytes)
        text->bytes = bytes;
    if (text->hole_count == 0) {
        free(text->holes);
        text->holes = NULL;
        return;
    }
    uint32_t *holes = realloc(text->holes, text->hole_count * sizeof *holes);
    if (holes)
        text->holes = holes;
}

/* Takes "%d" in a repeat as a hole. Returns whether it was one. */
static bool take_hole(struct parser *parser, struct script_text *text)
{
    if (!text->holes || parser->end - parser->at < 2 || parser->at[0] != '%' || parser->at[1] != 'd')
        return false;
    text->holes[text->hole_count++] = (uint32_t)text->length;
    parser->at += 2;
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* What follows a backslash. */
static int take_escape(struct parser *parser, struct script_text *text)
{
    static const char names[] = "nrt\\\"", values[] = "\n\r\t\\\"";
    const char *name = parser->at < parser->end && *parser->at ? strchr(names, *parser->at) : NULL;

    if (name) {
        text->bytes[text->length++] = (uint8_t)values[name - names];
        parser->at++;
        return 0;
    }
    if (parser->at == parser->end || *parser->at != 'x')
        return fault(parser, "a backslash is followed by none of n r t \\ \" x");
    int high = parser->end - parser->at > 1 ? hex_digit(parser->at[1]) : -1;
    int low = parser->end - parser->at > 2 ? hex_digit(parser->at[2]) : -1;
    if (high < 0 || low < 0)
        return fault(parser, "\\x is not followed by two hexadecimal digits");
    text->bytes[text->length++] = (uint8_t)(high << 4 | low);
    parser->at += 3;
    return 0;
}

/* "TEXT", and nothing after it. */
static int parse_quoted(struct parser *parser, struct script_text *text)
{
    skip_blanks(parser);
    if (parser->at == parser->end || *parser->at != '"')
        return fault(parser, "the step's text is not in double quotes");
    parser->at++;
    if (begin_text(parser, text, (size_t)(parser->end - parser->at)) < 0)
        return -1;
    while (parser->at < parser->end && *parser->at != '"') {
        if (take_hole(parser, text))
            continue;
        char byte = *parser->at++;
        if (byte != '\\')
            text->bytes[text->length++] = (uint8_t)byte;
        else if (take_escape(parser, text) < 0)
            return -1;
    }
    if (parser->at == parser->end)
        return fault(parser, "the closing double quote is missing");
    parser->at++;
    end_text(text);
    return at_end_of_line(parser);
}

static int parse_send(struct parser *parser)
{
    struct script_step *step = add_step(parser, SCRIPT_SEND);

    return !step || parse_quoted(parser, &step->text) < 0 ? -1 : count_steps(parser, 1);
}

static int parse_line(struct parser *parser)
{
    struct script_step *step = add_step(parser, SCRIPT_SEND);

    /* One blank separates the word from the text; any more are the text's own. */
    if (parser->at < parser->end)
        parser->at++;
    if (!step || begin_text(parser, &step->text, (size_t)(parser->end - parser->at) + 1) < 0)
        return -1;
    while (parser->at < parser->end) {
        if (!take_hole(parser, &step->text))
            step->text.bytes[step->text.length++] = (uint8_t)*parser->at++;
    }
    step->text.bytes[step->text.length++] = '\n';
    end_text(&step->text);
    return count_steps(parser, 1);
}

static int parse_wait(struct parser *parser)
{
    struct script_step *step = add_step(parser, SCRIPT_WAIT);

    if (!step || parse_quoted(parser, &step->text) < 0)
        return -1;
    size_t room = script_text_room(&step->text, rounds_here(parser));
    if (room == 0)
        return fault(parser, "there is nothing to wait for in an empty text");
    if (room > SCRIPT_WAIT_MAX)
        return error_set(parser->error, ERROR_INPUT, "%s:%u: the text to wait for is longer than %u bytes",
                         parser->path, parser->line, SCRIPT_WAIT_MAX);
    return count_steps(parser, 1);
}

/* The file's path: relative to the script's directory, unless it is absolute. Returns memory, or NULL. */
static char *resolve(struct parser *parser, const struct script_text *text, uint32_t round)
{
    const char *slash = strrchr(parser->path, '/');
    size_t directory = slash ? (size_t)(slash - parser->path) + 1 : 0;
    char *path = malloc(directory + script_text_room(text, round) + 1);

    if (!path) {
        no_memory(parser);
        return NULL;
    }
    memcpy(path, parser->path, directory);
    size_t length = script_text_render(text, round, (uint8_t *)path + directory);
    path[directory + length] = 0;
    if (path[directory] == '/')
        memmove(path, path + directory, length + 1);
    return path;
}

static int load_file(struct parser *parser, const struct script_text *text, uint32_t round, struct script_bytes *file)
{
    char *path = resolve(parser, text, round);

    if (!path)
        return -1;
    int failed = host_file_read(parser->files, path, SCRIPT_FILES_MAX - parser->file_bytes, &file->bytes, &file->length,
                                parser->error);
    free(path);
    if (failed)
        return error_wrap(parser->error, "%s:%u", parser->path, parser->line);
    parser->file_bytes += file->length;
    return 0;
}

static int parse_file(struct parser *parser)
{
    struct script_step *step = add_step(parser, SCRIPT_FILE);

    if (!step || parse_quoted(parser, &step->text) < 0)
        return -1;
    if (step->text.length + step->text.hole_count == 0)
        return fault(parser, "the file's name is empty");
    if (memchr(step->text.bytes, 0, step->text.length))
        return fault(parser, "the file's name has a NUL in it");
    size_t count = step->text.hole_count ? rounds_here(parser) : 1;
    parser->file_count += count;
    if (parser->file_count > SCRIPT_STEPS_MAX)
        return error_set(parser->error, ERROR_INPUT, "%s:%u: the script sends more than %u different files",
                         parser->path, parser->line, SCRIPT_STEPS_MAX);
    step->files = calloc(count, sizeof *step->files);
    if (!step->files)
        return no_memory(parser);
    step->file_count = count;
    for (size_t i = 0; i < count; i++) {
        if (load_file(parser, &step->text, (uint32_t)i + 1, &step->files[i]) < 0)
            return -1;
    }
    return count_steps(parser, 1);
}

static int parse_repeat(struct parser *parser)
{
    uint64_t rounds = 0;
    struct script_step *step = add_step(parser, SCRIPT_REPEAT);

    if (!step)
        return -1;
    skip_blanks(parser);
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9' && rounds <= SCRIPT_STEPS_MAX)
        rounds = rounds * 10 + (uint64_t)(*parser->at++ - '0');
    skip_blanks(parser);
    if (parser->at < parser->end || rounds == 0 || rounds > SCRIPT_STEPS_MAX)
        return error_set(parser->error, ERROR_INPUT, "%s:%u: repeat is not followed by a number from 1 to %u",
                         parser->path, parser->line, SCRIPT_STEPS_MAX);
    if (parser->depth == SCRIPT_DEPTH_MAX)
        return error_set(parser->error, ERROR_INPUT, "%s:%u: repeats are nested more than %u deep", parser->path,
                         parser->line, SCRIPT_DEPTH_MAX);
    step->rounds = (uint32_t)rounds;
    parser->opened[parser->depth] = parser->program->count - 1;
    parser->depth++;
    parser->counted[parser->depth] = 0;
    return 0;
}

static int parse_end(struct parser *parser)
{
    struct script_step *step = add_step(parser, SCRIPT_END);

    if (!step || at_end_of_line(parser) < 0)
        return -1;
    if (parser->depth == 0)
        return fault(parser, "end without a repeat");
    uint64_t steps = parser->counted[parser->depth];
    /* Playing would spin through rounds that do nothing, up to 2^20 of them at each of eight depths. */
    if (steps == 0)
        return fault(parser, "there is no step between repeat and end");
    parser->depth--;
    step->start = parser->opened[parser->depth];
    step->rounds = parser->program->steps[step->start].rounds;
    return count_steps(parser, steps * step->rounds);
}

static int parse_step(struct parser *parser)
{
    static const struct {
        const char *word;
        int (*parse)(struct parser *parser);
    } steps[] = {
        {"send", parse_send}, {"line", parse_line},     {"wait", parse_wait},
        {"file", parse_file}, {"repeat", parse_repeat}, {"end", parse_end},
    };

    skip_blanks(parser);
    if (parser->at == parser->end || *parser->at == '#')
        return 0;
    const char *word = parser->at;
    while (parser->at < parser->end && *parser->at != ' ' && *parser->at != '\t')
        parser->at++;
    size_t length = (size_t)(parser->at - word);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strlen(steps[i].word) == length && memcmp(steps[i].word, word, length) == 0)
            return steps[i].parse(parser);
    }
    return fault(parser, "the line begins with none of send, line, wait, file, repeat, end");
}

int script_parse(struct script_program *program, struct files *files, const char *path, const uint8_t *text,
                 size_t length, struct error *error)
{
    struct parser parser = {.program = program, .files = files, .path = path, .error = error};
    const char *at = (const char *)text, *end = at + length;

    if (length >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    else if (length >= 2 && (memcmp(at, "\xff\xfe", 2) == 0 || memcmp(at, "\xfe\xff", 2) == 0))
        return error_set(error, ERROR_INPUT, "%s:1: the script is in UTF-16; it has to be in UTF-8 or plain bytes",
                         path);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        parser.line++;
        parser.at = at;
        parser.end = newline ? newline : end;
        if (parser.end > at && parser.end[-1] == '\r')
            parser.end--;
        if (parse_step(&parser) < 0)
            return -1;
        at = newline ? newline + 1 : end;
    }
    if (parser.depth > 0) {
        parser.line = program->steps[parser.opened[parser.depth - 1]].line;
        return fault(&parser, "the end of this repeat is missing");
    }
    return 0;
}

void script_program_free(struct script_program *program)
{
    for (size_t i = 0; i < program->count; i++) {
        struct script_step *step = &program->steps[i];
        free(step->text.bytes);
        free(step->text.holes);
        for (size_t f = 0; f < step->file_count; f++)
            free(step->files[f].bytes);
        free(step->files);
    }
    free(program->steps);
    *program = (struct script_program){0};
}
