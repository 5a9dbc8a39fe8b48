/* See network.h. */
#include "tools/network.h"

#include <string.h>

#define MAC_OPTION ",mac="
/* More frames than a backend keeps for a guest that does not read: a tap has a queue of 500. */
#define STALE_MAX 1024

static const uint8_t first_mac[MAC_BYTES] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

int network_options_add(struct network_options *options, const char *text, bool with_mac, struct error *error)
{
    const char *mac = strstr(text, MAC_OPTION);
    size_t length = mac ? (size_t)(mac - text) : strlen(text);

    if (options->count == MACHINE_CARDS_MAX)
        return error_set(error, ERROR_INPUT, "more than %d network cards", MACHINE_CARDS_MAX);
    if (mac && !with_mac)
        return error_set(error, ERROR_INPUT, "'%s': the card's address is the primary's", mac + 1);
    char *backend = options->backends[options->count];
    uint8_t *to = options->macs[options->count];
    if (length >= sizeof options->backends[0])
        return error_set(error, ERROR_INPUT, "'%.60s...' is too long", text);
    memcpy(backend, text, length);
    backend[length] = 0;
    memcpy(to, first_mac, MAC_BYTES);
    to[MAC_BYTES - 1] = (uint8_t)(to[MAC_BYTES - 1] + options->count);
    if (mac && mac_parse(mac + strlen(MAC_OPTION), to) < 0)
        return error_set(error, ERROR_INPUT, "'%s' is not the address of a card, such as 52:54:00:12:34:56", mac + 1);
    bool none = !with_mac && strcmp(backend, NETWORK_NONE) == 0;
    if (!none && net_check(backend, error) < 0)
        return -1;
    options->count++;
    return 0;
}

int network_open(struct network *network, const struct network_options *options, struct error *error)
{
    for (unsigned card = 0; card < options->count; card++) {
        if (network->nets[card] || strcmp(options->backends[card], NETWORK_NONE) == 0)
            continue;
        network->nets[card] = net_open(options->backends[card], error);
        if (!network->nets[card])
            return -1;
    }
    return 0;
}

void network_arrive(struct network *network, const uint8_t macs[MACHINE_CARDS_MAX][MAC_BYTES])
{
    uint8_t frame[FRAME_MAX];

    for (unsigned card = 0; card < MACHINE_CARDS_MAX; card++) {
        struct net *net = network->nets[card];
        if (!net)
            continue;
        for (unsigned n = 0; n < STALE_MAX && net_read(net, frame) > 0; n++)
            ;
        net_announce(net, macs[card]);
    }
}

void network_close(struct network *network)
{
    for (unsigned card = 0; card < MACHINE_CARDS_MAX; card++)
        net_close(network->nets[card]);
    *network = (struct network){0};
}
