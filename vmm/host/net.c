#include "vmm/host/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "vmm/host/net_internal.h"

struct net_kind {
    const char *prefix; /* of the specification; what follows is the argument */
    struct net *(*open)(const char *argument, struct error *error);
    int (*check)(const char *argument, struct error *error);
};

static const struct net_kind kinds[] = {
    {"tap:", net_open_tap, net_check_tap},
    {"user,", net_open_user, net_check_user},
    {"unix:", net_open_unix, net_check_unix},
};

static const struct net_kind *find_kind(const char *specification, const char **argument, struct error *error)
{
    /* The one that may stand alone. */
    if (strcmp(specification, "user") == 0)
        specification = "user,";
    for (size_t n = 0; n < sizeof kinds / sizeof kinds[0]; n++) {
        size_t length = strlen(kinds[n].prefix);
        if (strncmp(specification, kinds[n].prefix, length) == 0) {
            *argument = specification + length;
            return &kinds[n];
        }
    }
    error_set(error, ERROR_INPUT, "network %s: is none of tap:NAME, user[,hostfwd=...], unix:PATH[,listen]",
              specification);
    return NULL;
}

void *net_new(size_t size, const struct net_ops *ops, struct error *error)
{
    struct net *net = calloc(1, size);

    if (!net) {
        error_errno(error, "cannot open the network");
        return NULL;
    }
    *net = (struct net){.ops = ops, .poll_fd = -1};
    return net;
}

int net_check(const char *specification, struct error *error)
{
    const char *argument;
    const struct net_kind *kind = find_kind(specification, &argument, error);

    return kind ? kind->check(argument, error) : -1;
}

struct net *net_open(const char *specification, struct error *error)
{
    const char *argument;
    const struct net_kind *kind = find_kind(specification, &argument, error);

    return kind && kind->check(argument, error) == 0 ? kind->open(argument, error) : NULL;
}

void net_close(struct net *net)
{
    if (!net)
        return;
    net->ops->close(net);
    free(net);
}

int net_poll_fd(const struct net *net)
{
    return net->poll_fd;
}

size_t net_read(struct net *net, uint8_t frame[FRAME_MAX])
{
    return net->ops->read(net, frame);
}

void net_write(struct net *net, const uint8_t *frame, size_t length)
{
    CHECK(length >= FRAME_MIN && length <= FRAME_MAX);
    net->ops->write(net, frame, length);
}

/* A reverse ARP request (RFC 903) to everybody: bridges learn from its source, and hardly anybody answers. */
void net_announce(struct net *net, const uint8_t mac[MAC_BYTES])
{
    static const uint8_t request[] = {0x80, 0x35, 0, 1, 8, 0, MAC_BYTES, 4, 0, 3};
    uint8_t frame[60] = {0};

    memset(frame, 0xff, MAC_BYTES);
    memcpy(frame + MAC_BYTES, mac, MAC_BYTES);
    memcpy(frame + 12, request, sizeof request);
    memcpy(frame + 22, mac, MAC_BYTES); /* of the sender, and of the one that is asked for */
    memcpy(frame + 32, mac, MAC_BYTES);
    net_write(net, frame, sizeof frame);
}
