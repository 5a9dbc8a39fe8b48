/*
 * The network on a tap interface (Linux, Documentation/networking/tuntap.rst): each read and each write of the
 * descriptor is one frame. The interface is the user's: a bridge, addresses and rules are set up outside, and it must
 * be up for frames to pass. The kernel keeps a bounded queue for the guest and drops what does not fit.
 *
 * The interface is opened without offloads (no IFF_VNET_HDR), so frames have their checksums, and none is longer than
 * the interface's MTU says.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/host/net_internal.h"

/* So many frames that are not for the guest are passed over in one net_read. */
#define READ_TRIES 16

static size_t tap_read(struct net *net, uint8_t *frame)
{
    uint8_t whole[FRAME_MAX + 1];

    for (unsigned n = 0; n < READ_TRIES; n++) {
        ssize_t got = read(net->poll_fd, whole, sizeof whole);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        /* A frame too long for the guest comes from an MTU above 1500; it is dropped, as a wire would. */
        if (got < FRAME_MIN || got > FRAME_MAX)
            continue;
        memcpy(frame, whole, (size_t)got);
        return (size_t)got;
    }
    return 0;
}

/* While the interface is down (EIO), or its queue full, frames are lost. */
static void tap_write(struct net *net, const uint8_t *frame, size_t length)
{
    while (write(net->poll_fd, frame, length) < 0 && errno == EINTR)
        ;
}

static void tap_close(struct net *net)
{
    if (net->poll_fd >= 0)
        close(net->poll_fd);
}

int net_check_tap(const char *argument, struct error *error)
{
    size_t length = strlen(argument);

    if (length == 0 || length >= IFNAMSIZ || strchr(argument, '%') || strchr(argument, '/'))
        return error_set(error, ERROR_INPUT, "network tap:%s: is not the name of an interface (1 to %d characters)",
                         argument, IFNAMSIZ - 1);
    return 0;
}

static int tap_open(struct net *net, const char *name, struct error *error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    net->poll_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (net->poll_fd < 0)
        return error_errno(error, "network tap:%s: /dev/net/tun", name);
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(net->poll_fd, TUNSETIFF, &request) == 0)
        return 0;
    if (errno == EBUSY)
        return error_set(error, ERROR_HOST, "network tap:%s: somebody else has this interface open", name);
    if (errno == EPERM)
        return error_set(error, ERROR_HOST,
                         "network tap:%s: not permitted: the interface must belong to the user "
                         "(ip tuntap add %s mode tap user NAME)",
                         name, name);
    return error_errno(error, "network tap:%s", name);
}

struct net *net_open_tap(const char *argument, struct error *error)
{
    static const struct net_ops ops = {.read = tap_read, .write = tap_write, .close = tap_close};
    struct net *net = net_new(sizeof *net, &ops, error);

    if (net && tap_open(net, argument, error) < 0) {
        net_close(net);
        return NULL;
    }
    return net;
}
