/* The network cards of a machine, as options, and their ends on this host. */
#ifndef ENCORE_TOOLS_NETWORK_H
#define ENCORE_TOOLS_NETWORK_H

#include "vmm/host/net.h"
#include "vmm/machine.h"

struct network_options {
    unsigned count;
    char backends[MACHINE_CARDS_MAX][256]; /* specifications for net_open; or NETWORK_NONE */
    uint8_t macs[MACHINE_CARDS_MAX][MAC_BYTES];
};

/* A card whose cable is out here. */
#define NETWORK_NONE "none"

/* Another --net: a backend's specification and, where `with_mac`, perhaps ",mac=ADDRESS" behind it; otherwise a card's
 * address is 52:54:00:12:34:56 plus the card's number. Without `with_mac` NETWORK_NONE is allowed too. Returns 0, or -1
 * with an ERROR_INPUT. */
int network_options_add(struct network_options *options, const char *text, bool with_mac, struct error *error);

struct network {
    struct net *nets[MACHINE_CARDS_MAX]; /* NULL: no such card */
};

/* Opens all backends that are not open yet. Returns 0, or -1 with the error; network_close is to be called either way.
 */
int network_open(struct network *network, const struct network_options *options, struct error *error);
/* The guest is here from now on: what came before that is dropped, and its networks learn where its cards are. */
void network_arrive(struct network *network, const uint8_t macs[MACHINE_CARDS_MAX][MAC_BYTES]);
void network_close(struct network *network);

#endif
