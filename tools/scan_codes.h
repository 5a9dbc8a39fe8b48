/* A keyboard's scan codes for text. */
#ifndef ENCORE_TOOLS_SCAN_CODES_H
#define ENCORE_TOOLS_SCAN_CODES_H

#include <stddef.h>
#include <stdint.h>

/* The most bytes for one character. */
#define SCAN_CODES_MAX 4

/* The keys of a US keyboard that give the character, pressed and let go: scan codes of set 1 into `codes`. Returns how
 * many; 0 for a character that it does not have. */
size_t scan_codes_of(char character, uint8_t codes[SCAN_CODES_MAX]);

#endif
