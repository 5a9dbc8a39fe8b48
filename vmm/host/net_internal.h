/*
 * What the network's backends share. A backend is a structure that begins with a struct net, and a set of operations;
 * net.c finds it by its specification.
 */
#ifndef ENCORE_VMM_HOST_NET_INTERNAL_H
#define ENCORE_VMM_HOST_NET_INTERNAL_H

#include "vmm/host/net.h"

struct net_ops {
    size_t (*read)(struct net *net, uint8_t *frame);
    void (*write)(struct net *net, const uint8_t *frame, size_t length);
    /* Gives back everything the backend holds but its memory, however far its opening came. */
    void (*close)(struct net *net);
};

struct net {
    const struct net_ops *ops;
    int poll_fd; /* the backend's to close; -1: not open yet */
};

/* `argument` is what follows "KIND:" or "KIND,"; empty when nothing does. NULL with the error. */
struct net *net_open_tap(const char *argument, struct error *error);
struct net *net_open_user(const char *argument, struct error *error);
struct net *net_open_unix(const char *argument, struct error *error);
int net_check_tap(const char *argument, struct error *error);
int net_check_user(const char *argument, struct error *error);
int net_check_unix(const char *argument, struct error *error);

/* Allocates a backend's structure of `size` bytes, which begins with a struct net; zeros but for that. */
void *net_new(size_t size, const struct net_ops *ops, struct error *error);

#endif
