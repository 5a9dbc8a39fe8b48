/* See scan_codes.h. The codes are those of the IBM PC/AT Technical Reference, keyboard, scan code set 1. */
#include "tools/scan_codes.h"

#include <string.h>

#define LEFT_SHIFT 0x2a
#define RELEASED   0x80

/* Keys that lie side by side have codes that follow each other: for each row the first code, and what the keys give
 * without and with shift. */
static const struct row {
    uint8_t first;
    const char *plain, *shifted;
} rows[] = {
    {0x01, "\x1b", ""},
    {0x02, "1234567890-=\b\t", "!@#$%^&*()_+"},
    {0x10, "qwertyuiop[]\n", "QWERTYUIOP{}"},
    {0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
    {0x39, " ", ""},
};

size_t scan_codes_of(char character, uint8_t codes[SCAN_CODES_MAX])
{
    for (size_t n = 0; character && n < sizeof rows / sizeof rows[0]; n++) {
        const char *plain = strchr(rows[n].plain, character);
        const char *shifted = strchr(rows[n].shifted, character);
        if (plain) {
            codes[0] = (uint8_t)(rows[n].first + (plain - rows[n].plain));
            codes[1] = codes[0] | RELEASED;
            return 2;
        }
        if (shifted) {
            codes[0] = LEFT_SHIFT;
            codes[1] = (uint8_t)(rows[n].first + (shifted - rows[n].shifted));
            codes[2] = codes[1] | RELEASED;
            codes[3] = LEFT_SHIFT | RELEASED;
            return 4;
        }
    }
    return 0;
}
