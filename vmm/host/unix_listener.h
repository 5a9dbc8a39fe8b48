/*
 * A Unix-domain stream socket that waits for clients at a path (unix(7)). Only its owner may connect; what a run that
 * was killed left behind at the path is replaced, and what belongs to anybody else is not.
 */
#ifndef ENCORE_VMM_HOST_UNIX_LISTENER_H
#define ENCORE_VMM_HOST_UNIX_LISTENER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"

struct unix_listener {
    int fd; /* -1: closed; otherwise it does not block */
    struct sockaddr_un where;
    bool bound; /* the socket file was made, as `device` and `inode` */
    dev_t device;
    ino_t inode;
};

/* Puts the path into an address; `what` ("console socket") is for messages. */
int unix_address(struct sockaddr_un *where, const char *path, const char *what, struct error *error);

/* Listens. Returns 0, or -1 with the error; the listener is to be closed either way. */
int unix_listener_open(struct unix_listener *listener, const char *path, const char *what, struct error *error);

/* The next client, which does not block; -1 when none waits. */
int unix_listener_accept(const struct unix_listener *listener);

/* Closes the socket and removes its file. */
void unix_listener_close(struct unix_listener *listener);

#endif
