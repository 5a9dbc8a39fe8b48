/*
 * The network's backends against a peer: Unix sockets, libslirp, and a tap interface in a network namespace of its own
 * (skipped where that is not allowed).
 */
#include "tests/unit/host_testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "vmm/host/net.h"
#include "vmm/host/net_stream.h"
#include "vmm/host/unix_listener.h"

#define SPECIFICATION_ROOM (PATH_ROOM + 16)

static struct net *open_net(const char *specification)
{
    struct error error;
    struct net *net = net_open(specification, &error);

    if (!net)
        fail_msg("%s", error.text);
    return net;
}

static struct net *open_unix(void **state, const char *suffix)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];

    snprintf(specification, sizeof specification, "unix:%s%s", place_path(state, "net", path), suffix);
    return open_net(specification);
}

static bool wait_readable(int fd, int patience)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, patience) == 1;
}

/* The next frame, waiting for it on the descriptor as the recorder does. */
static size_t next_frame(struct net *net, uint8_t *frame)
{
    size_t length;

    while ((length = net_read(net, frame)) == 0)
        assert_true(wait_readable(net_poll_fd(net), PATIENCE));
    return length;
}

static int connect_peer(void **state)
{
    char path[PATH_ROOM];
    struct sockaddr_un where;
    struct error error;
    int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(unix_address(&where, place_path(state, "net", path), "test", &error), 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&where, sizeof where), 0);
    return peer;
}

static void send_all(int peer, const void *bytes, size_t length)
{
    assert_int_equal(send(peer, bytes, length, MSG_NOSIGNAL), length);
}

static void send_frame(int peer, const uint8_t *frame, size_t length)
{
    uint8_t header[NET_STREAM_HEADER];

    net_stream_header(header, length);
    send_all(peer, header, sizeof header);
    send_all(peer, frame, length);
}

static void receive_all(int peer, void *bytes, size_t length)
{
    assert_int_equal(recv(peer, bytes, length, MSG_WAITALL), length);
}

static size_t receive_frame(int peer, uint8_t *frame)
{
    uint8_t header[NET_STREAM_HEADER];

    receive_all(peer, header, sizeof header);
    size_t length = (size_t)header[2] << 8 | header[3];
    assert_true(header[0] == 0 && header[1] == 0 && length <= FRAME_MAX);
    receive_all(peer, frame, length);
    return length;
}

/* Frames both ways, of several lengths, told apart by their first byte. */
static void converse(struct net *net, int peer)
{
    uint8_t frame[FRAME_MAX];
    static const size_t lengths[] = {FRAME_MIN, 60, 1514, FRAME_MAX};

    for (uint8_t n = 0; n < 4; n++) {
        memset(frame, n, sizeof frame);
        send_frame(peer, frame, lengths[n]);
        net_write(net, frame, lengths[n]);
    }
    for (uint8_t n = 0; n < 4; n++) {
        assert_int_equal(next_frame(net, frame), lengths[n]);
        assert_int_equal(frame[0], n);
        assert_int_equal(receive_frame(peer, frame), lengths[n]);
        assert_int_equal(frame[lengths[n] - 1], n);
    }
    assert_int_equal(net_read(net, frame), 0);
    assert_false(wait_readable(net_poll_fd(net), 0));
}

static void listens(void **state)
{
    struct net *net = open_unix(state, ",listen");
    uint8_t frame[FRAME_MAX] = {0};

    /* Nobody is there: what is sent is lost. */
    net_write(net, frame, 60);
    for (unsigned n = 0; n < 3; n++) {
        int peer = connect_peer(state);
        int next = connect_peer(state); /* waits its turn, and does not keep the descriptor readable */
        assert_true(wait_readable(net_poll_fd(net), PATIENCE));
        assert_int_equal(net_read(net, frame), 0);
        assert_false(wait_readable(net_poll_fd(net), 0));
        converse(net, peer);
        close(peer);
        assert_true(wait_readable(net_poll_fd(net), PATIENCE));
        assert_int_equal(net_read(net, frame), 0);
        converse(net, next);
        close(next);
        assert_int_equal(net_read(net, frame), 0);
    }
    net_close(net);
}

static void connects(void **state)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];
    struct unix_listener listener;
    struct error error;
    uint8_t frame[FRAME_MAX] = {0};

    snprintf(specification, sizeof specification, "unix:%s", place_path(state, "net", path));
    assert_null(net_open(specification, &error));
    assert_int_equal(error.kind, ERROR_HOST);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(unix_listener_open(&listener, path, "test", &error), 0);
    struct net *net = open_net(specification);
    int peer = unix_listener_accept(&listener);
    assert_int_equal(fcntl(peer, F_SETFL, 0), 0);
    converse(net, peer);
    /* The peer goes; the cable is out, and nothing keeps the descriptor readable. */
    close(peer);
    assert_true(wait_readable(net_poll_fd(net), PATIENCE));
    assert_int_equal(net_read(net, frame), 0);
    net_write(net, frame, 60);
    assert_int_equal(net_read(net, frame), 0);
    assert_false(wait_readable(net_poll_fd(net), 0));
    net_close(net);
    unix_listener_close(&listener);
}

/* Whatever is sent to a peer that does not read, what it gets in the end are whole frames, and the last begun one is
 * finished without more being sent. */
static void a_peer_that_does_not_read_loses_whole_frames(void **state)
{
    struct net *net = open_unix(state, ",listen");
    int peer = connect_peer(state);
    uint8_t frame[FRAME_MAX];
    int small = 5000;
    unsigned got = 0;

    assert_int_equal(net_read(net, frame), 0);
    for (unsigned n = 0; n < 1000; n++) {
        memset(frame, (int)n, sizeof frame);
        net_write(net, frame, 1000 + n % 500);
    }
    setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    while (wait_readable(peer, 0)) {
        size_t length = receive_frame(peer, frame);
        assert_true(length >= 1000 && length < 1500);
        for (size_t at = 1; at < length; at++)
            assert_int_equal(frame[at], frame[0]);
        got++;
        assert_int_equal(net_read(net, frame), 0); /* as the recorder does when the descriptor says so */
    }
    assert_true(got > 0 && got < 1000);
    net_write(net, frame, 60);
    assert_int_equal(receive_frame(peer, frame), 60);
    close(peer);
    net_close(net);
}

/* Nonsense costs the peer its connection, and nobody else anything. */
static void a_hostile_peer_is_dropped(void **state)
{
    struct net *net = open_unix(state, ",listen");
    uint8_t frame[FRAME_MAX] = {0};
    static uint8_t zeros[60000];

    for (unsigned n = 0; n < 40; n++) {
        int peer = connect_peer(state);
        send_frame(peer, frame, 60);
        send_all(peer, zeros, n % 2 ? 4 : sizeof zeros);
        assert_int_equal(next_frame(net, frame), 60);
        assert_int_equal(net_read(net, frame), 0);
        assert_true(wait_readable(peer, PATIENCE));
        assert_true(recv(peer, frame, 1, 0) <= 0);
        close(peer);
    }
    int peer = connect_peer(state);
    converse(net, peer);
    /* Frames that are too long are passed over a piece at a time; net_read comes back in between. */
    net_stream_header(frame, NET_STREAM_MAX);
    for (unsigned n = 0; n < 20; n++) {
        send_all(peer, frame, NET_STREAM_HEADER);
        send_all(peer, zeros, sizeof zeros);
        assert_int_equal(net_read(net, zeros), 0);
        memset(zeros, 0, FRAME_MAX);
        send_all(peer, zeros, NET_STREAM_MAX - sizeof zeros);
    }
    converse(net, peer);
    close(peer);
    net_close(net);
}

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

/* An ARP request (RFC 826) from the guest. */
static void ask_who_has(struct net *net, const char *guest, const char *whom)
{
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

    memcpy(frame + 6, guest_mac, 6);
    memcpy(frame + 22, guest_mac, 6);
    inet_pton(AF_INET, guest, frame + 28);
    inet_pton(AF_INET, whom, frame + 38);
    net_write(net, frame, sizeof frame);
}

static bool is_arp(const uint8_t *frame, size_t length, uint8_t operation)
{
    return length >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == operation;
}

/* A port of the host that nobody has; somebody might take it before we do, but not on a quiet host. */
static unsigned free_port(void)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof where;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof where), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &length), 0);
    close(fd);
    return ntohs(where.sin_port);
}

static void libslirp_answers_and_forwards(void **state)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port = free_port();
    uint8_t frame[FRAME_MAX];
    char specification[100];
    struct error error;
    size_t length;

    (void)state;
    snprintf(specification, sizeof specification, "user,hostfwd=tcp:127.0.0.1:%u-:7", port);
    struct net *net = open_net(specification);
    assert_null(net_open(specification, &error)); /* the port is taken */
    assert_int_equal(error.kind, ERROR_HOST);
    do {
        ask_who_has(net, "10.0.2.15", "10.0.2.2");
        length = next_frame(net, frame);
    } while (!is_arp(frame, length, 2));
    assert_memory_equal(frame, guest_mac, 6);
    /* Somebody connects to the host's port: the guest gets a SYN for its port 7. */
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    where.sin_port = htons((uint16_t)port);
    assert_true(connect(client, (struct sockaddr *)&where, sizeof where) == 0 || errno == EINPROGRESS);
    do
        length = next_frame(net, frame);
    while (length < 54 || frame[12] != 8 || frame[13] != 0 || frame[23] != IPPROTO_TCP);
    assert_int_equal(frame[36] << 8 | frame[37], 7);
    assert_int_equal(frame[47] & 0x12, 0x02);
    close(client);
    /* Far more frames than anybody takes. */
    for (unsigned n = 0; n < 5000; n++)
        ask_who_has(net, "10.0.2.15", "10.0.2.2");
    net_close(net);
}

/* In the child: no way back to the namespace we came from is needed. */
static int try_tap(void)
{
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct ifreq request = {.ifr_name = "enctest0"};
    struct error error;
    uint8_t frame[FRAME_MAX], got[FRAME_MAX];
    ssize_t length;

    if (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0)
        return 77;
    struct net *net = net_open("tap:enctest0", &error);
    if (!net && strstr(error.text, "not permitted"))
        return 77;
    if (!net || net_open("tap:enctest0", &error) || !strstr(error.text, "somebody else"))
        return 1;
    memset(frame, 0xa5, sizeof frame);
    net_write(net, frame, 60); /* the interface is down: lost */
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    request.ifr_flags = IFF_UP;
    if (ioctl(control, SIOCSIFFLAGS, &request) < 0 || ioctl(control, SIOCGIFINDEX, &request) < 0)
        return 2;
    where.sll_ifindex = request.ifr_ifindex;
    if (bind(packet, (struct sockaddr *)&where, sizeof where) < 0)
        return 3;
    net_write(net, frame, 1514);
    do
        length = recv(packet, got, sizeof got, 0);
    while (length > 0 && (length != 1514 || memcmp(got, frame, 1514) != 0));
    memset(frame, 0x5a, 12);
    if (length != 1514 || send(packet, frame, 700, 0) != 700)
        return 4;
    /* The kernel may have something of its own to say on a new interface. */
    do {
        length = wait_readable(net_poll_fd(net), PATIENCE) ? (ssize_t)net_read(net, got) : -1;
    } while (length >= 0 && (length != 700 || memcmp(got, frame, 700) != 0));
    if (length != 700)
        return 5;
    net_close(net);
    return ioctl(control, SIOCGIFINDEX, &request) < 0 ? 0 : 6; /* it went with its owner */
}

static void a_tap_interface_carries_frames(void **state)
{
    int status;

    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(try_tap());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("SKIP: a tap interface carries frames: no right to make one here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(listens, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(connects, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_does_not_read_loses_whole_frames, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_hostile_peer_is_dropped, place_setup, place_teardown),
        cmocka_unit_test(libslirp_answers_and_forwards),
        cmocka_unit_test(a_tap_interface_carries_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
