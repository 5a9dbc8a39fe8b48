/* See asciicast.h. */
#include "replay/asciicast.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NANOSECONDS UINT64_C(1000000000)
/* The size of the terminal that a player shows: the one that guests take a serial console for. */
#define COLUMNS 80
#define LINES   25

static void put_text(struct bytes_writer *out, const char *text)
{
    bytes_put(out, text, strlen(text));
}

void asciicast_begin(struct asciicast *cast, struct bytes_writer *out, int64_t start)
{
    char line[120];

    *cast = (struct asciicast){0};
    snprintf(line, sizeof line, "{\"version\": 2, \"width\": %d, \"height\": %d, \"timestamp\": %" PRId64 "}\n",
             COLUMNS, LINES, start);
    put_text(out, line);
}

/* How many bytes a character has that begins with this one (RFC 3629, section 4); 0: none does. */
static size_t character_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether `byte` may follow what there is of a character. */
static bool fits(const uint8_t *part, size_t length, uint8_t byte)
{
    if ((byte & 0xc0) != 0x80)
        return false;
    if (length > 1)
        return true;
    switch (part[0]) {
    case 0xe0: /* shorter forms exist */
        return byte >= 0xa0;
    case 0xed: /* surrogates */
        return byte < 0xa0;
    case 0xf0:
        return byte >= 0x90;
    case 0xf4: /* beyond U+10FFFF */
        return byte < 0x90;
    }
    return true;
}

static void put_character(struct bytes_writer *out, const uint8_t *bytes, size_t length)
{
    char escape[8];

    if (length == 1 && (bytes[0] < ' ' || bytes[0] == '"' || bytes[0] == '\\' || bytes[0] == 0x7f)) {
        snprintf(escape, sizeof escape, "\\u%04x", bytes[0]);
        put_text(out, escape);
        return;
    }
    bytes_put(out, bytes, length);
}

static void put_byte(struct asciicast *cast, struct bytes_writer *out, uint8_t byte)
{
    if (cast->part_length > 0 && !fits(cast->part, cast->part_length, byte)) {
        put_text(out, "\\ufffd");
        cast->part_length = 0;
    }
    if (cast->part_length == 0 && character_length(byte) == 0) {
        put_text(out, "\\ufffd");
        return;
    }
    cast->part[cast->part_length++] = byte;
    if (cast->part_length == character_length(cast->part[0])) {
        put_character(out, cast->part, cast->part_length);
        cast->part_length = 0;
    }
}

void asciicast_output(struct asciicast *cast, struct bytes_writer *out, uint64_t time, const uint8_t *bytes,
                      size_t length)
{
    char begin[60];

    snprintf(begin, sizeof begin, "[%" PRIu64 ".%09" PRIu64 ", \"o\", \"", time / NANOSECONDS, time % NANOSECONDS);
    put_text(out, begin);
    for (size_t n = 0; n < length; n++)
        put_byte(cast, out, bytes[n]);
    put_text(out, "\"]\n");
}
