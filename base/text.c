/* See text.h. */
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The most bytes that one character takes, as it is or escaped. */
#define PIECE_MAX 16

/* The length in bytes of the UTF-8 character that begins here, and its number; 0 when there is none (RFC 3629). */
static size_t decode(const uint8_t *at, size_t left, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;

    if (length == 0 || length > left)
        return 0;
    *character = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t n = 1; n < length; n++) {
        if (at[n] >> 6 != 2)
            return 0;
        *character = *character << 6 | (at[n] & 0x3f);
    }
    bool surrogate = *character >= 0xd800 && *character <= 0xdfff;
    return *character < least[length] || *character > 0x10ffff || surrogate ? 0 : length;
}

static bool is_printable(uint32_t c)
{
    if (c < ' ' || (c >= 0x7f && c <= 0x9f))
        return false;
    /* The Unicode Standard, 23.2: separators, and the controls of bidirectional text. */
    return c != 0x061c && c != 0x200e && c != 0x200f && !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

/* Takes one character off the text, and writes what is shown of it into piece[PIECE_MAX]. Returns how long that is. */
static size_t take(const uint8_t **at, size_t *left, char *piece)
{
    uint32_t character;
    size_t length = decode(*at, *left, &character);
    bool shown = length && is_printable(character);
    size_t used = 0;

    if (length == 0)
        length = 1;
    for (size_t n = 0; n < length; n++) {
        if (shown)
            piece[used++] = (char)(*at)[n];
        else
            used += (size_t)snprintf(piece + used, PIECE_MAX + 1 - used, "\\x%02x", (*at)[n]);
    }
    *at += length;
    *left -= length;
    return used;
}

size_t text_escape(const void *text, size_t length, char *to, size_t size)
{
    const uint8_t *at = text;
    size_t used = 0;

    while (length > 0) {
        char piece[PIECE_MAX + 1];
        size_t more = take(&at, &length, piece);
        if (more >= size - used)
            break;
        memcpy(to + used, piece, more);
        used += more;
    }
    to[used] = 0;
    return used;
}

void text_print(const char *text, FILE *stream)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);

    while (left > 0) {
        char pieces[1024]; /* many at a time: standard error has no buffer */
        size_t used = 0;
        while (left > 0 && used + PIECE_MAX < sizeof pieces)
            used += take(&at, &left, pieces + used);
        fwrite(pieces, 1, used, stream);
    }
}
