/*
 * The network of libslirp: a router with DHCP (the guest gets 10.0.2.15, the router is 10.0.2.2) and DNS (10.0.2.3),
 * behind which the guest's connections become the host's own sockets. It needs no privilege. IPv4 only.
 *
 * libslirp has one thread at a time in it, and wants its sockets polled; so it lives in a thread of its own here, and
 * frames go through a queue each way.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/thread.h"
#include "vmm/host/clock.h"
#include "vmm/host/net_forward.h"
#include "vmm/host/net_internal.h"
#include "vmm/host/net_queue.h"

/* The most descriptors that are polled: connections beyond wait until others are gone. */
#define POLLED_MAX 4096
/* The places of our own descriptors among them. */
enum { POLL_FROM_GUEST, POLL_STOP, POLL_SLIRP };

struct user_net {
    struct net net;
    Slirp *slirp;
    struct net_queue to_guest, from_guest;
    int stop; /* an eventfd, readable when the thread is to end */
    pthread_t thread;
    bool started;
    struct pollfd polled[POLLED_MAX];
    size_t polled_count;
};

static ssize_t send_packet(const void *bytes, size_t length, void *context)
{
    struct user_net *at = context;

    /* A TCP of its own is behind it, which sends again what was dropped. */
    if (length >= FRAME_MIN && length <= FRAME_MAX)
        net_queue_put(&at->to_guest, bytes, length);
    return (ssize_t)length;
}

static void guest_error(const char *message, void *context)
{
    (void)message;
    (void)context;
}

static int64_t clock_get_ns(void *context)
{
    (void)context;
    return (int64_t)host_clock_now();
}

/* libslirp has one timer, for IPv6 router advertisements, which are off. */
static void *timer_new(SlirpTimerCb function, void *argument, void *context)
{
    (void)function;
    (void)argument;
    return context;
}

static void timer_free(void *timer, void *context)
{
    (void)timer;
    (void)context;
}

static void timer_mod(void *timer, int64_t when, void *context)
{
    (void)timer;
    (void)when;
    (void)context;
}

/* All descriptors are polled anew each time, by the only thread that is ever in libslirp. */
static void ignore_fd(int fd, void *context)
{
    (void)fd;
    (void)context;
}

static void notify(void *context)
{
    (void)context;
}

/* poll(2) and libslirp have names of their own for the same things. */
static const struct {
    int slirp;
    short poll;
} event_names[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};
#define EVENT_NAMES (sizeof event_names / sizeof event_names[0])

static int add_poll(int fd, int events, void *context)
{
    struct user_net *at = context;
    struct pollfd polled = {.fd = fd};

    if (at->polled_count == POLLED_MAX)
        return -1;
    for (size_t n = 0; n < EVENT_NAMES; n++) {
        if (events & event_names[n].slirp)
            polled.events |= event_names[n].poll;
    }
    at->polled[at->polled_count] = polled;
    return (int)at->polled_count++;
}

static int get_revents(int place, void *context)
{
    struct user_net *at = context;
    int events = 0;

    if (place < 0)
        return 0;
    for (size_t n = 0; n < EVENT_NAMES; n++) {
        if (at->polled[place].revents & event_names[n].poll)
            events |= event_names[n].slirp;
    }
    return events;
}

/* At most a queue's worth at a time, so that a guest that only sends cannot keep libslirp from its sockets. */
static void take_from_guest(struct user_net *at)
{
    uint8_t frame[FRAME_MAX];

    for (unsigned n = 0; n < NET_QUEUE_FRAMES; n++) {
        size_t length = net_queue_take(&at->from_guest, frame);
        if (length == 0)
            return;
        slirp_input(at->slirp, frame, (int)length);
    }
}

static void *user_thread(void *argument)
{
    struct user_net *at = argument;

    for (;;) {
        uint32_t wait = 1000;
        at->polled[POLL_FROM_GUEST] = (struct pollfd){.fd = at->from_guest.fd, .events = POLLIN};
        at->polled[POLL_STOP] = (struct pollfd){.fd = at->stop, .events = POLLIN};
        at->polled_count = POLL_SLIRP;
        slirp_pollfds_fill(at->slirp, &wait, add_poll, at);
        int count = poll(at->polled, at->polled_count, (int)wait);
        CHECK(count >= 0 || errno == EINTR || errno == ENOMEM);
        if (count >= 0 && at->polled[POLL_STOP].revents)
            return NULL;
        slirp_pollfds_poll(at->slirp, count < 0, get_revents, at);
        take_from_guest(at);
    }
}

static size_t user_read(struct net *net, uint8_t *frame)
{
    struct user_net *at = (struct user_net *)net;

    return net_queue_take(&at->to_guest, frame);
}

static void user_write(struct net *net, const uint8_t *frame, size_t length)
{
    struct user_net *at = (struct user_net *)net;

    net_queue_put(&at->from_guest, frame, length);
}

static void user_close(struct net *net)
{
    struct user_net *at = (struct user_net *)net;

    if (at->started) {
        int failed = eventfd_write(at->stop, 1);
        CHECK(failed == 0);
        pthread_join(at->thread, NULL);
    }
    if (at->slirp)
        slirp_cleanup(at->slirp);
    if (at->stop >= 0)
        close(at->stop);
    net_queue_close(&at->to_guest);
    net_queue_close(&at->from_guest);
}

int net_check_user(const char *argument, struct error *error)
{
    struct net_forward forwards[NET_FORWARDS_MAX];

    return net_forward_parse(argument, forwards, error) < 0 ? -1 : 0;
}

static struct in_addr address(unsigned host)
{
    return (struct in_addr){.s_addr = htonl(0x0a000200u + host)};
}

static int start_slirp(struct user_net *at, const char *argument, struct error *error)
{
    static const SlirpCb callbacks = {
        .send_packet = send_packet,
        .guest_error = guest_error,
        .clock_get_ns = clock_get_ns,
        .timer_new = timer_new,
        .timer_free = timer_free,
        .timer_mod = timer_mod,
        .register_poll_fd = ignore_fd,
        .unregister_poll_fd = ignore_fd,
        .notify = notify,
    };
    const SlirpConfig config = {
        .version = 1,
        .in_enabled = true,
        .vnetwork = address(0),
        .vnetmask.s_addr = htonl(0xffffff00u),
        .vhost = address(2),
        .vnameserver = address(3),
        .vdhcp_start = address(15),
    };
    struct net_forward forwards[NET_FORWARDS_MAX];
    int count = net_forward_parse(argument, forwards, error);

    if (count < 0)
        return -1;
    at->slirp = slirp_new(&config, &callbacks, at);
    if (!at->slirp)
        return error_set(error, ERROR_HOST, "network user: libslirp does not start");
    for (int n = 0; n < count; n++) {
        const struct net_forward *forward = &forwards[n];
        if (slirp_add_hostfwd(at->slirp, forward->udp, forward->host, forward->host_port, forward->guest,
                              forward->guest_port) < 0)
            return error_set(error, ERROR_HOST, "network user: the host's port %u cannot be had", forward->host_port);
    }
    return 0;
}

static int user_open(struct user_net *at, const char *argument, struct error *error)
{
    int opened = net_queue_open(&at->to_guest, error);

    if (net_queue_open(&at->from_guest, error) < 0 || opened < 0)
        return -1;
    at->net.poll_fd = at->to_guest.fd;
    at->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (at->stop < 0)
        return error_errno(error, "network user");
    if (start_slirp(at, argument, error) < 0 || thread_start(&at->thread, user_thread, at, error) < 0)
        return -1;
    at->started = true;
    return 0;
}

struct net *net_open_user(const char *argument, struct error *error)
{
    static const struct net_ops ops = {.read = user_read, .write = user_write, .close = user_close};
    struct user_net *at = net_new(sizeof *at, &ops, error);

    if (!at)
        return NULL;
    at->stop = -1;
    if (user_open(at, argument, error) < 0) {
        net_close(&at->net);
        return NULL;
    }
    return &at->net;
}
