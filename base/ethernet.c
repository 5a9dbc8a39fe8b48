/* See ethernet.h. */
#include "base/ethernet.h"

#include <stdio.h>
#include <string.h>

char *mac_text(const uint8_t mac[MAC_BYTES], char *text)
{
    snprintf(text, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return text;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) % 16 : -1;
}

int mac_parse(const char *text, uint8_t mac[MAC_BYTES])
{
    static const uint8_t zeros[MAC_BYTES];

    if (strlen(text) != MAC_TEXT - 1)
        return -1;
    for (unsigned n = 0; n < MAC_BYTES; n++, text += 3) {
        int high = hex_digit(text[0]), low = hex_digit(text[1]);
        if (high < 0 || low < 0 || (text[2] != ':' && n < MAC_BYTES - 1))
            return -1;
        mac[n] = (uint8_t)(high << 4 | low);
    }
    /* The lowest bit of the first byte is a group's (IEEE 802.3, 3.2.3). */
    return mac[0] & 1 || memcmp(mac, zeros, sizeof zeros) == 0 ? -1 : 0;
}
