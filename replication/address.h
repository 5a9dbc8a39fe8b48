/* Addresses of machines: ipc://PATH and tcp://HOST:PORT (docs/replication.md). */
#ifndef ENCORE_REPLICATION_ADDRESS_H
#define ENCORE_REPLICATION_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/error.h"

#define ADDRESS_MAX   256 /* bytes of an address as text */
#define ADDRESS_FOUND 4   /* of a host with several addresses so many are tried */

struct address {
    struct sockaddr_storage where;
    socklen_t length;
};

/* The path of an ipc:// address; NULL for another. */
const char *address_path(const char *text);

/* Checks an address and looks its host up, which may take a while; `listen`: to bind to, where the host may be "*".
 * Returns how many were found (1 to ADDRESS_FOUND), or -1 with the error. */
int address_find(const char *text, bool listen, struct address found[ADDRESS_FOUND], struct error *error);

/* Whether it may be used without a key: a socket in a directory that is ours and nobody else's (mode 0700), or a
 * loopback address. Otherwise -1 with an ERROR_INPUT that says what to do. */
int address_is_private(const char *text, struct error *error);

/* Who is at the other end of a connected socket, for people: "10.0.0.2:41234", "process 4711". */
void address_name_peer(int fd, char *name, size_t size);

#endif
