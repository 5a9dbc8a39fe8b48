/* Addresses of machines: ipc://PATH and tcp://HOST:PORT, and the links that belong to them (link.h). */
#ifndef ENCORE_REPLICATION_ADDRESS_H
#define ENCORE_REPLICATION_ADDRESS_H

#include "replication/session.h"

#define ADDRESS_MAX 256

/* Checks an address and turns it into that of the link of one purpose: the backup's is the address itself, the
 * console's has ".console" appended or the next port, control's ".control" or the port after. Returns 0, or -1 with an
 * ERROR_INPUT. */
int address_of_link(const char *address, enum session_purpose purpose, char to[ADDRESS_MAX], struct error *error);

/* Whether it may be used without a key: a socket in a directory that is ours and nobody else's (mode 0700), or a
 * loopback address. Otherwise -1 with an ERROR_INPUT that says what to do. */
int address_is_private(const char *address, struct error *error);

#endif
