/*
 * The host's end of a network card: where the guest's Ethernet frames go to, and where they come from.
 *
 *   tap:NAME             a tap interface of Linux, which is made if it does not exist
 *   user[,hostfwd=...]   a small network of its own behind the host's sockets (libslirp), with DHCP and DNS; hostfwd
 *                        takes connections for the guest (net_forward.h)
 *   unix:PATH[,listen]   a stream socket, on which each frame is preceded by its length as 32 bits, big-endian: what
 *                        `passt` and QEMU's `-netdev stream` speak. Connects to PATH, or listens there
 *
 * A network may lose frames and repeat them, and that is how whatever can go wrong here later shows: a frame for which
 * there is no room is dropped, and so is all of it while nobody is connected.
 *
 * net_read may be called from one thread and net_write from another.
 */
#ifndef ENCORE_VMM_HOST_NET_H
#define ENCORE_VMM_HOST_NET_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ethernet.h"

struct net;

/* Opens a backend by its specification as above. NULL with an error (ERROR_INPUT for a bad specification). */
struct net *net_open(const char *specification, struct error *error);
/* NULL is allowed. */
void net_close(struct net *net);

/* Whether a specification can be one, without opening it. Returns 0, or -1 with an ERROR_INPUT. */
int net_check(const char *specification, struct error *error);

/* A descriptor that polls readable when net_read, which has returned 0 before, has something to do again; the same for
 * the backend's whole life. */
int net_poll_fd(const struct net *net);

/* Reads one frame without waiting. Returns its length, from FRAME_MIN to FRAME_MAX; 0 when there is none now. */
size_t net_read(struct net *net, uint8_t frame[FRAME_MAX]);

/* Lets the network know that a card with this address is here now. */
void net_announce(struct net *net, const uint8_t mac[MAC_BYTES]);

/* Sends one frame, or drops it. Never waits. */
void net_write(struct net *net, const uint8_t *frame, size_t length);

#endif
