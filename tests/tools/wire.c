/*
 * The network between some namespaces, for tests: an Ethernet switch that can be made bad.
 *
 *     wire SEED NAMESPACE...      (names under /run/netns; as root)
 *
 * Each namespace gets a card "eth0" (a TAP device, down and without an address: that is for the caller), and what it
 * sends reaches the others. So the namespaces' own TCP has to cope with whatever happens here; this host's network is
 * not touched. (The kernel's netem would do as well, but not every kernel has it.)
 *
 * Prints "ready" when all cards are there. Orders come on standard input, a line each; namespaces are numbers from 0:
 *     cut FROM TO       nothing that FROM sends reaches TO (one way), until `mend`
 *     delay MS          every frame takes so many milliseconds, each way
 *     loss PERCENT      so many of a hundred frames are lost, by a random sequence that SEED begins
 *     mend              everything is good again
 * Each order is answered by "ok". Ends, and the cards with it, at the end of its input. A failure is told on standard
 * error, exit code 1.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define HOSTS     8
#define FRAME_MAX 2048
/* What is under way at a time; a switch that is full drops. */
#define QUEUE_MAX 8192
#define MAC       6

struct frame {
    uint64_t due; /* ms */
    size_t length;
    unsigned to;
    uint8_t bytes[FRAME_MAX];
};

struct wire {
    unsigned hosts;
    int cards[HOSTS];
    uint8_t macs[HOSTS][MAC];
    bool cut[HOSTS][HOSTS]; /* from, to */
    uint64_t delay;         /* ms */
    unsigned loss;          /* in a hundred */
    uint64_t random;
    struct frame *queue; /* a ring, in the order of `due` */
    size_t first, count;
    uint64_t last_due;
};

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static int fail(const char *what)
{
    perror(what);
    return -1;
}

/* A card within a namespace. It stays there though we go on to the next. */
static int add_card(struct wire *wire, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "eth0"};
    char path[256];

    snprintf(path, sizeof path, "/run/netns/%s", name);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
        return fail(path);
    close(ns);
    int card = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (card < 0 || ioctl(card, TUNSETIFF, &request) < 0 || ioctl(card, SIOCGIFHWADDR, &request) < 0)
        return fail("/dev/net/tun");
    memcpy(wire->macs[wire->hosts], request.ifr_hwaddr.sa_data, MAC);
    wire->cards[wire->hosts++] = card;
    return 0;
}

/* xorshift64* (Marsaglia; Vigna) */
static unsigned dice(struct wire *wire, unsigned sides)
{
    wire->random ^= wire->random >> 12;
    wire->random ^= wire->random << 25;
    wire->random ^= wire->random >> 27;
    return (unsigned)((wire->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % sides;
}

/* A card that is down takes nothing; what is sent to it is lost. */
static void put(struct wire *wire, const struct frame *frame)
{
    ssize_t ignored = write(wire->cards[frame->to], frame->bytes, frame->length);

    (void)ignored;
}

static void send_to(struct wire *wire, unsigned from, unsigned to, const uint8_t *bytes, size_t length)
{
    if (from == to || wire->cut[from][to] || (wire->loss && dice(wire, 100) < wire->loss) || wire->count == QUEUE_MAX)
        return;
    struct frame *frame = &wire->queue[(wire->first + wire->count++) % QUEUE_MAX];
    frame->due = now() + wire->delay;
    /* Frames do not overtake each other when the delay changes. */
    if (frame->due < wire->last_due)
        frame->due = wire->last_due;
    wire->last_due = frame->due;
    frame->to = to;
    frame->length = length;
    memcpy(frame->bytes, bytes, length);
}

static void take(struct wire *wire, unsigned from)
{
    uint8_t bytes[FRAME_MAX];
    ssize_t length;

    while ((length = read(wire->cards[from], bytes, sizeof bytes)) >= 2 * MAC) {
        for (unsigned to = 0; to < wire->hosts; to++) {
            if ((bytes[0] & 1) || memcmp(bytes, wire->macs[to], MAC) == 0)
                send_to(wire, from, to, bytes, (size_t)length);
        }
    }
}

/* Delivers what is due. Returns for how long nothing else will be, in ms; -1: for ever. */
static int deliver(struct wire *wire)
{
    uint64_t time = now();

    while (wire->count > 0 && wire->queue[wire->first].due <= time) {
        put(wire, &wire->queue[wire->first]);
        wire->first = (wire->first + 1) % QUEUE_MAX;
        wire->count--;
    }
    return wire->count ? (int)(wire->queue[wire->first].due - time) : -1;
}

static bool obey(struct wire *wire, const char *line)
{
    unsigned a, b;

    if (sscanf(line, "cut %u %u", &a, &b) == 2 && a < wire->hosts && b < wire->hosts) {
        wire->cut[a][b] = true;
    } else if (sscanf(line, "delay %u", &a) == 1) {
        wire->delay = a;
    } else if (sscanf(line, "loss %u", &a) == 1 && a <= 100) {
        wire->loss = a;
    } else if (strncmp(line, "mend", 4) == 0) {
        memset(wire->cut, 0, sizeof wire->cut);
        wire->delay = wire->loss = 0;
    } else {
        fprintf(stderr, "wire: no such order: %s\n", line);
        return false;
    }
    return puts("ok") >= 0 && fflush(stdout) == 0;
}

/* Orders are short and come one at a time. */
static bool take_order(struct wire *wire)
{
    char line[128];
    ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);

    if (length <= 0)
        return false;
    line[length] = 0;
    return obey(wire, line);
}

static void run(struct wire *wire)
{
    struct pollfd fds[HOSTS + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};

    for (unsigned n = 0; n < wire->hosts; n++)
        fds[n + 1] = (struct pollfd){.fd = wire->cards[n], .events = POLLIN};
    for (;;) {
        int wait = deliver(wire);
        if (poll(fds, wire->hosts + 1, wait) < 0)
            return;
        if (fds[0].revents && !take_order(wire))
            return;
        for (unsigned n = 0; n < wire->hosts; n++) {
            if (fds[n + 1].revents & POLLIN)
                take(wire, n);
        }
    }
}

int main(int argc, char **argv)
{
    static struct wire wire;

    if (argc < 4 || argc - 2 > HOSTS) {
        fprintf(stderr, "Usage: wire SEED NAMESPACE NAMESPACE...\n");
        return 1;
    }
    wire.random = strtoull(argv[1], NULL, 10) * 2 + 1;
    wire.queue = calloc(QUEUE_MAX, sizeof *wire.queue);
    for (int n = 2; n < argc; n++) {
        if (!wire.queue || add_card(&wire, argv[n]) < 0)
            return 1;
    }
    puts("ready");
    fflush(stdout);
    run(&wire);
    return 0;
}
