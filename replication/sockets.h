/* Connecting without blocking. */
#ifndef ENCORE_REPLICATION_SOCKETS_H
#define ENCORE_REPLICATION_SOCKETS_H

#include <stdint.h>

#include "replication/address.h"

/* What we prefer of a connection: that nothing gathers before it is sent, and that what is not acknowledged for
 * `silence` ns ends it. */
void socket_prefer(int fd, uint64_t silence);

/* Begins to connect. Returns the socket, or -1. */
int socket_dial(const struct address *to);

enum socket_state { SOCKET_CONNECTING, SOCKET_CONNECTED, SOCKET_FAILED };
/* How far that has come. */
enum socket_state socket_dialled(int fd);

#endif
