/*
 * The network's pure parts: frames on a stream of bytes, the text of port forwards, and the queue between two threads.
 */
#include "tests/unit/log_samples.h"

#include <arpa/inet.h>
#include <poll.h>

#include "vmm/host/net.h"
#include "vmm/host/net_forward.h"
#include "vmm/host/net_queue.h"
#include "vmm/host/net_stream.h"

/* Gives the stream bytes in pieces of random lengths, and collects what it makes of them: lengths and bytes. */
static void feed(struct net_stream *stream, struct dice *dice, const uint8_t *bytes, size_t length,
                 struct bytes_writer *frames)
{
    uint8_t frame[FRAME_MAX];
    size_t room, got;

    while (length > 0) {
        uint8_t *to = net_stream_room(stream, &room);
        assert_true(room > 0);
        size_t piece = 1 + dice_below(dice, dice_below(dice, 4) ? 3000 : 70000);
        if (piece > length)
            piece = length;
        if (piece > room)
            piece = room;
        memcpy(to, bytes, piece);
        net_stream_received(stream, piece);
        bytes += piece;
        length -= piece;
        while ((got = net_stream_next(stream, frame)) > 0) {
            bytes_put_uint(frames, 2, got);
            bytes_put(frames, frame, got);
        }
        if (stream->bad)
            return;
    }
}

static void put_frame(struct bytes_writer *stream, const uint8_t *frame, size_t length)
{
    uint8_t header[NET_STREAM_HEADER];

    net_stream_header(header, length);
    bytes_put(stream, header, sizeof header);
    bytes_put(stream, frame, length);
}

static void frames_come_through_however_they_are_cut(void **state)
{
    static struct net_stream stream;
    static uint8_t frame[NET_STREAM_MAX];
    struct dice dice = {.state = 11};

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct bytes_writer sent = bytes_writer(1u << 24), expected = bytes_writer(1u << 24),
                            got = bytes_writer(1u << 24);
        unsigned count = 1 + (unsigned)dice_below(&dice, 60);
        for (unsigned n = 0; n < count; n++) {
            /* Some are no frames for a guest: too short, or too long. */
            size_t length = FRAME_MIN + dice_below(&dice, FRAME_MAX + 1 - FRAME_MIN);
            if (dice_below(&dice, 10) == 0)
                length = dice_below(&dice, 2) ? 1 + dice_below(&dice, FRAME_MIN - 1)
                                              : FRAME_MAX + 1 + dice_below(&dice, NET_STREAM_MAX - FRAME_MAX);
            fill(&dice, frame, length < 64 ? length : 64);
            put_frame(&sent, frame, length);
            if (length >= FRAME_MIN && length <= FRAME_MAX) {
                bytes_put_uint(&expected, 2, length);
                bytes_put(&expected, frame, length);
            }
        }
        net_stream_reset(&stream);
        feed(&stream, &dice, sent.data, sent.length, &got);
        assert_false(stream.bad);
        assert_int_equal(got.length, expected.length);
        if (got.length)
            assert_memory_equal(got.data, expected.data, got.length);
        bytes_writer_free(&sent);
        bytes_writer_free(&expected);
        bytes_writer_free(&got);
    }
}

static void nonsense_makes_the_stream_bad(void **state)
{
    static struct net_stream stream;
    struct dice dice = {.state = 12};
    static const uint32_t lengths[] = {0, NET_STREAM_MAX + 1, 0x80000000, UINT32_MAX, 0x48545450};

    (void)state;
    for (size_t n = 0; n < sizeof lengths / sizeof lengths[0]; n++) {
        struct bytes_writer sent = bytes_writer(4096), got = bytes_writer(4096);
        uint8_t frame[60] = {1};
        put_frame(&sent, frame, sizeof frame);
        for (unsigned byte = 0; byte < 4; byte++)
            bytes_put_uint(&sent, 1, lengths[n] >> (24 - 8 * byte) & 0xff);
        put_frame(&sent, frame, sizeof frame);
        net_stream_reset(&stream);
        feed(&stream, &dice, sent.data, sent.length, &got);
        assert_true(stream.bad);
        assert_int_equal(got.length, 62); /* the one before */
        net_stream_reset(&stream);
        assert_false(stream.bad);
        bytes_writer_free(&sent);
        bytes_writer_free(&got);
    }
}

/* Whatever comes, the stream neither stops taking bytes nor gives a frame of a wrong length. */
static void random_bytes_do_no_harm(void **state)
{
    static struct net_stream stream;
    struct dice dice = {.state = 13};

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        struct bytes_writer got = bytes_writer(1u << 24);
        uint8_t bytes[3000];
        fill(&dice, bytes, sizeof bytes);
        /* Lengths that can be ones. */
        for (size_t at = 0; at + 4 < sizeof bytes; at += 1 + dice_below(&dice, 300))
            bytes_store(bytes + at, 4, dice_below(&dice, 300) << 16);
        bytes_store(bytes, 4, 0x05000000);
        net_stream_reset(&stream);
        feed(&stream, &dice, bytes, sizeof bytes, &got);
        for (size_t at = 0; at < got.length;) {
            size_t length = bytes_load(got.data + at, 2);
            assert_true(length >= FRAME_MIN && length <= FRAME_MAX);
            at += 2 + length;
        }
        bytes_writer_free(&got);
    }
}

static void expect_forward(const char *text, bool udp, const char *host, unsigned host_port, const char *guest,
                           unsigned guest_port)
{
    struct net_forward forwards[NET_FORWARDS_MAX];
    struct error error;
    char address[INET_ADDRSTRLEN];

    if (net_forward_parse(text, forwards, &error) != 1)
        fail_msg("%s: %s", text, error.text);
    assert_int_equal(forwards[0].udp, udp);
    assert_string_equal(inet_ntop(AF_INET, &forwards[0].host, address, sizeof address), host);
    assert_string_equal(inet_ntop(AF_INET, &forwards[0].guest, address, sizeof address), guest);
    assert_int_equal(forwards[0].host_port, host_port);
    assert_int_equal(forwards[0].guest_port, guest_port);
}

static void reads_port_forwards(void **state)
{
    static const char *const wrong[] = {
        "hostfwd",
        "hostfwd=",
        "hostfwd=tcp",
        "hostfwd=tcp::1-:",
        "hostfwd=tcp::1",
        "hostfwd=tcp::0-:1",
        "hostfwd=tcp::1-:65536",
        "hostfwd=sctp::1-:1",
        "hostfwd=tcp:localhost:1-:1",
        "hostfwd=tcp::+1-:1",
        "hostfwd=tcp::1-: 1",
        "hostfwd=tcp::1-:1x",
        ",",
        "hostfwd=tcp::1-:1,,",
        "smb=/",
        "hostfwd=tcp:1.2.3:1-:1",
        "hostfwd=tcp::99999999999999999999-:1",
        "hostfwd=tcp::1-10.0.2.15",
    };
    struct net_forward forwards[NET_FORWARDS_MAX];
    struct error error;
    char many[1024] = "";

    (void)state;
    expect_forward("hostfwd=tcp:127.0.0.1:8080-:80", false, "127.0.0.1", 8080, "10.0.2.15", 80);
    expect_forward("hostfwd=udp::65535-10.0.2.99:1", true, "127.0.0.1", 65535, "10.0.2.99", 1);
    expect_forward("hostfwd=tcp:0.0.0.0:22-:22", false, "0.0.0.0", 22, "10.0.2.15", 22);
    assert_int_equal(net_forward_parse("", forwards, &error), 0);
    assert_int_equal(net_forward_parse("hostfwd=tcp::1-:1,hostfwd=udp::2-:2", forwards, &error), 2);
    assert_int_equal(forwards[1].host_port, 2);
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        if (net_forward_parse(wrong[n], forwards, &error) != -1 || error.kind != ERROR_INPUT)
            fail_msg("'%s' was taken for a port forward", wrong[n]);
    }
    for (unsigned n = 0; n <= NET_FORWARDS_MAX; n++)
        strcat(many, n ? ",hostfwd=tcp::1-:1" : "hostfwd=tcp::1-:1");
    assert_int_equal(net_forward_parse(many, forwards, &error), -1);
    assert_non_null(strstr(error.text, "more than 16"));
}

static bool readable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, 0) == 1;
}

static void a_queue_is_bounded(void **state)
{
    static struct net_queue queue;
    struct error error;
    uint8_t frame[FRAME_MAX] = {0};

    (void)state;
    assert_int_equal(net_queue_open(&queue, &error), 0);
    assert_int_equal(net_queue_take(&queue, frame), 0);
    for (unsigned round = 0; round < 3; round++) {
        assert_false(readable(queue.fd));
        for (unsigned n = 0; n < NET_QUEUE_FRAMES; n++) {
            bytes_store(frame, 4, n);
            assert_true(net_queue_put(&queue, frame, FRAME_MIN + n));
            assert_true(readable(queue.fd));
        }
        assert_false(net_queue_put(&queue, frame, FRAME_MIN));
        assert_int_equal(queue.dropped, round + 1);
        for (unsigned n = 0; n < NET_QUEUE_FRAMES; n++) {
            assert_true(readable(queue.fd));
            assert_int_equal(net_queue_take(&queue, frame), FRAME_MIN + n);
            assert_int_equal(bytes_load(frame, 4), n);
        }
    }
    net_queue_close(&queue);
}

static void specifications_are_checked(void **state)
{
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"", "none of"},
        {"tap", "none of"},
        {"tap:", "not the name"},
        {"tap:0123456789abcdef", "not the name"},
        {"tap:a/b", "not the name"},
        {"tap:tap%d", "not the name"},
        {"userx", "none of"},
        {"user,x", "is not hostfwd"},
        {"user:", "none of"},
        {"unix:", "path is missing"},
        {"unix:,listen", "path is missing"},
    };
    char path[200] = "unix:";
    struct error error;

    (void)state;
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        if (net_check(wrong[n].text, &error) == 0 || error.kind != ERROR_INPUT || !strstr(error.text, wrong[n].words))
            fail_msg("'%s': expected \"%s\" in \"%s\"", wrong[n].text, wrong[n].words, error.text);
    }
    memset(path + 5, 'x', 150);
    assert_int_equal(net_check(path, &error), -1);
    assert_non_null(strstr(error.text, "longer than 107 bytes"));
    assert_int_equal(net_check("user", &error), 0);
    assert_int_equal(net_check("user,hostfwd=tcp::1-:1", &error), 0);
    assert_int_equal(net_check("tap:t0", &error), 0);
    assert_int_equal(net_check("unix:/tmp/a", &error), 0);
    assert_int_equal(net_check("unix:/tmp/a,listen", &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_through_however_they_are_cut),
        cmocka_unit_test(nonsense_makes_the_stream_bad),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(reads_port_forwards),
        cmocka_unit_test(a_queue_is_bounded),
        cmocka_unit_test(specifications_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
