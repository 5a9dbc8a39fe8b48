/* Ethernet frames, as they go through cards, logs and the host's networks: from the destination's address on, without
 * the check sequence at the end (IEEE 802.3, 3.1). */
#ifndef ENCORE_BASE_ETHERNET_H
#define ENCORE_BASE_ETHERNET_H

/* The shortest frame that is one: its header of destination, source and type. (On a wire it would be padded.) */
#define FRAME_MIN 14

/* The longest: the header, a VLAN tag, and 1500 bytes of payload. */
#define FRAME_MAX 1518

#endif
