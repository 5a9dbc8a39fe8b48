/*
 * Port forwards of the user network, as text: `hostfwd=tcp:ADDR:PORT-[GUEST]:PORT`, or udp; several are separated by
 * commas. ADDR is an IPv4 address of the host, and none is 127.0.0.1: to be reached by others takes saying so
 * (0.0.0.0). GUEST is the guest's address, and none is 10.0.2.15, which is what DHCP gives it.
 */
#ifndef ENCORE_VMM_HOST_NET_FORWARD_H
#define ENCORE_VMM_HOST_NET_FORWARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define NET_FORWARDS_MAX 16

struct net_forward {
    bool udp;
    struct in_addr host, guest;
    uint16_t host_port, guest_port; /* 1 to 65535 */
};

/* Reads a list, which may be empty. Returns how many, or -1 with an ERROR_INPUT. */
int net_forward_parse(const char *text, struct net_forward forwards[NET_FORWARDS_MAX], struct error *error);

#endif
