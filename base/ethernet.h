/* Ethernet frames, as they go through cards, logs and the host's networks: from the destination's address on, without
 * the check sequence at the end (IEEE 802.3, 3.1); and the addresses in them. */
#ifndef ENCORE_BASE_ETHERNET_H
#define ENCORE_BASE_ETHERNET_H

#include <stdint.h>

/* The shortest frame that is one: its header of destination, source and type. (On a wire it would be padded.) */
#define FRAME_MIN 14

/* The longest: the header, a VLAN tag, and 1500 bytes of payload. */
#define FRAME_MAX 1518

#define MAC_BYTES 6
#define MAC_TEXT  18 /* "52:54:00:12:34:56", with the zero */

/* Writes the address into text[MAC_TEXT] and returns it. */
char *mac_text(const uint8_t mac[MAC_BYTES], char *text);

/* Reads an address that a card can have: not a group's, and not all zeros. Returns 0, or -1. */
int mac_parse(const char *text, uint8_t mac[MAC_BYTES]);

#endif
