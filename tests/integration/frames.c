/*
 * Frames through the door: a machine with a network card of the test's own gets frames from a peer on a Unix socket
 * while it is recorded, stores their bytes in memory, and sends frames back, many in one exit. Then the log is
 * replayed.
 *
 * The card is a chip on port 500h: reading gives the next byte of what was received, 0 when there is none; writing v
 * sends v frames at once, of that many different lengths, with the last received frame's bytes in them.
 *
 * Seen to fail: with a recorder that applies a frame without a record; with a
 * replayer that compares output only when the exit is over.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "logs/source.h"
#include "replay/recorder.h"
#include "replay/replayer.h"
#include "vmm/host/net_stream.h"
#include "vmm/host/unix_listener.h"
#include "vmm/soft/soft_engine.h"

#define CARD_PORT   0x500
#define CARD_FRAMES 8   /* the card's buffers */
#define FRAMES      400 /* that the peer sends */
#define BURST       150 /* that the guest sends in one exit; more than one record announces */
#define RAM_SIZE    (1u << 20)

/*
 * The guest, 16-bit code at 7C00h: stores what it reads at ES:DI in a window of 64 KiB, and answers each end of a frame
 * (the byte FFh) with BURST frames; after FRAMES of them it ends the run.
 */
static const uint8_t guest_code[] = {
    0x31, 0xc0,                      /*        xor ax, ax */
    0x8e, 0xd0,                      /*        mov ss, ax */
    0xbc, 0x00,         0x7c,        /*        mov sp, 7c00h */
    0xb8, 0x00,         0x20,        /*        mov ax, 2000h */
    0x8e, 0xc0,                      /*        mov es, ax */
    0x31, 0xff,                      /*        xor di, di */
    0xb9, FRAMES & 255, FRAMES >> 8, /*     mov cx, FRAMES */
    0xba, 0x00,         0x05,        /*        mov dx, 500h */
    0xec,                            /* next:  in al, dx */
    0x84, 0xc0,                      /*        test al, al */
    0x74, 0xfb,                      /*        jz next */
    0xaa,                            /*        stosb */
    0x3c, 0xff,                      /*        cmp al, ffh */
    0x75, 0xf6,                      /*        jne next */
    0xb0, BURST,                     /*        mov al, BURST */
    0xee,                            /*        out dx, al */
    0xe2, 0xf1,                      /*        loop next */
    0xb0, 0x10,                      /*        mov al, 10h */
    0xe6, 0xf4,                      /*        out f4h, al */
};

struct card {
    struct machine *machine;
    uint8_t frames[CARD_FRAMES][FRAME_MAX];
    size_t lengths[CARD_FRAMES];
    size_t first, count, at; /* `at`: the next byte of the first frame */
    uint8_t last[FRAME_MAX];
};

static size_t card_room(const void *context)
{
    const struct card *card = context;

    return CARD_FRAMES - card->count;
}

static void card_receive(void *context, const uint8_t *frame, size_t length)
{
    struct card *card = context;

    CHECK(card->count < CARD_FRAMES);
    size_t place = (card->first + card->count++) % CARD_FRAMES;
    memcpy(card->frames[place], frame, length);
    card->lengths[place] = length;
}

static uint64_t card_read(void *device, const struct bus_access *access)
{
    struct card *card = device;

    (void)access;
    if (card->count == 0)
        return 0;
    uint8_t byte = card->frames[card->first][card->at++];
    if (card->at == card->lengths[card->first]) {
        memcpy(card->last, card->frames[card->first], card->at);
        card->first = (card->first + 1) % CARD_FRAMES;
        card->count--;
        card->at = 0;
    }
    return byte;
}

static void card_write(void *device, const struct bus_access *access, uint64_t value)
{
    struct card *card = device;
    const struct door *door = &card->machine->door;

    (void)access;
    for (unsigned n = 0; n < value; n++)
        door->frame_output(door->context, 0, card->last, FRAME_MIN + n * 10);
}

struct specimen {
    struct engine *engine;
    struct machine machine;
    struct card card;
};

static void create(struct specimen *s, const struct door *door)
{
    const struct engine_host none = {0};
    const struct machine_config config = {.ram_size = RAM_SIZE, .boot.cmdline = ""};
    uint8_t sector[512] = {0};
    struct error error = {0};

    *s = (struct specimen){.engine = soft_engine_create(&none, &error)};
    CHECK(s->engine && machine_create(&s->machine, &config, s->engine, door, &error) == 0);
    s->card.machine = &s->machine;
    bus_claim(&s->machine.ports, (struct bus_range){"test card", CARD_PORT, 1, card_read, card_write, &s->card, false});
    s->machine.cards[0] = (struct machine_card){.room = card_room, .receive = card_receive, .card = &s->card};
    s->machine.card_count = 1;
    memcpy(sector, guest_code, sizeof guest_code);
    sector[510] = 0x55;
    sector[511] = 0xaa;
    CHECK(machine_boot(&s->machine, &config, sector, sizeof sector, "test", NULL, &error) == 0);
}

static void destroy(struct specimen *s)
{
    engine_destroy(s->engine);
    machine_destroy(&s->machine);
}

/* The peer: sends its frames as fast as the socket takes them, and counts what comes back. */
struct peer {
    char path[64];
    uint64_t sent, received, bad;
};

/* Bytes 1 to FEh, the last one FFh, so that the guest sees where a frame ends. */
static size_t make_frame(unsigned number, uint8_t *frame)
{
    size_t length = FRAME_MIN + (number * 7919) % (FRAME_MAX + 1 - FRAME_MIN);

    for (size_t n = 0; n < length - 1; n++)
        frame[n] = (uint8_t)(1 + (number * 31 + n) % 254);
    frame[length - 1] = 0xff;
    return length;
}

static void receive(struct peer *peer, struct net_stream *stream, int fd)
{
    uint8_t frame[FRAME_MAX];
    size_t room, length;
    uint8_t *to = net_stream_room(stream, &room);
    ssize_t got = recv(fd, to, room, MSG_DONTWAIT);

    if (got <= 0)
        return;
    net_stream_received(stream, (size_t)got);
    while ((length = net_stream_next(stream, frame)) > 0) {
        peer->received++;
        peer->bad += length < FRAME_MIN || (length - FRAME_MIN) % 10 != 0;
    }
    peer->bad += stream->bad;
}

static void *peer_thread(void *context)
{
    static struct net_stream stream;
    struct peer *peer = context;
    uint8_t packet[NET_STREAM_HEADER + FRAME_MAX];
    struct sockaddr_un where;
    struct error error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(unix_address(&where, peer->path, "test", &error) == 0);
    CHECK(connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    for (;;) {
        struct pollfd polled = {.fd = fd, .events = POLLIN | (peer->sent < FRAMES ? POLLOUT : 0)};
        CHECK(poll(&polled, 1, -1) == 1);
        if (polled.revents & (POLLERR | POLLHUP))
            break;
        if (polled.revents & POLLIN)
            receive(peer, &stream, fd);
        if (!(polled.revents & POLLOUT) || peer->sent == FRAMES)
            continue;
        size_t length = make_frame((unsigned)peer->sent, packet + NET_STREAM_HEADER);
        net_stream_header(packet, length);
        if (send(fd, packet, NET_STREAM_HEADER + length, MSG_NOSIGNAL) != (ssize_t)(NET_STREAM_HEADER + length))
            break;
        peer->sent++;
    }
    close(fd);
    return NULL;
}

static int write_bytes(void *context, const void *bytes, size_t length, struct error *error)
{
    bytes_put(context, bytes, length);
    return ((struct bytes_writer *)context)->failed ? error_set(error, ERROR_HOST, "too much") : 0;
}

static int report(bool good, const char *name, const char *why)
{
    printf("%s - frames: %s\n", good ? "ok" : "not ok", name);
    if (!good)
        printf("    %s\n", why);
    return !good;
}

/* Records a run into `log`. */
static int record(struct bytes_writer *log, struct recorder_result *result, struct error *error)
{
    char directory[] = "/tmp/encore-frames-XXXXXX", specification[80];
    struct log_header header = {.machine = (char *)"{}"};
    struct log_sink sink = {.write = write_bytes, .context = log};
    static struct specimen s;
    struct peer peer = {0};
    pthread_t thread;

    CHECK(mkdtemp(directory));
    snprintf(peer.path, sizeof peer.path, "%s/net", directory);
    snprintf(specification, sizeof specification, "unix:%s,listen", peer.path);
    struct recorder_options options = {.console = console_open(NULL, "file:/dev/null", error),
                                       .nets[0] = net_open(specification, error),
                                       .writer = log_writer_create(&sink, &header, NULL, error)};
    struct recorder *recorder = recorder_create(error);
    CHECK(options.console && options.nets[0] && options.writer && recorder);
    struct door door = recorder_door(recorder);
    create(&s, &door);
    CHECK(pthread_create(&thread, NULL, peer_thread, &peer) == 0);
    int status = recorder_run(recorder, &s.machine, &options, result, error);
    if (status == 0)
        status = log_writer_close(options.writer, error);
    net_close(options.nets[0]);
    pthread_join(thread, NULL);
    log_writer_free(options.writer);
    recorder_free(recorder);
    console_close(options.console);
    destroy(&s);
    rmdir(directory);
    printf("# the peer sent %llu frames and got %llu; the log has %zu bytes\n", (unsigned long long)peer.sent,
           (unsigned long long)peer.received, log->length);
    if (status == 0 && (peer.sent != FRAMES || peer.received == 0 || peer.bad))
        return error_set(error, ERROR_DIVERGED, "the peer sent %llu and got %llu, %llu of them bad",
                         (unsigned long long)peer.sent, (unsigned long long)peer.received,
                         (unsigned long long)peer.bad);
    return status;
}

struct seen {
    uint64_t frames, bytes;
};

static int count_output(void *context, uint8_t channel, const uint8_t *bytes, size_t length, struct error *error)
{
    struct seen *seen = context;
    struct bytes_reader reader = bytes_reader(bytes, length);
    const uint8_t *frame;
    size_t got;

    if (channel != LOG_CHANNEL_CARD)
        return error_set(error, ERROR_DIVERGED, "output on channel %u", channel);
    while ((got = outbox_next_frame(&reader, &frame)) > 0) {
        seen->frames++;
        seen->bytes += got;
    }
    return 0;
}

/* Replays `log`; `spoil`: the guest's own memory has another first byte. */
static enum replayer_step replay(const struct bytes_writer *log, bool spoil, struct seen *seen, struct digest *digest,
                                 struct error *error)
{
    struct log_memory memory = {.bytes = log->data, .length = log->length};
    struct log_source source = log_source_memory(&memory);
    static struct specimen s;
    struct replayer_options options = {.reader = log_reader_open_source(&source, "the log", false, error),
                                       .output = count_output,
                                       .output_context = seen};
    enum replayer_step step;

    CHECK(options.reader);
    struct replayer *replayer = replayer_create(&options, error);
    CHECK(replayer);
    struct door door = replayer_door(replayer);
    create(&s, &door);
    replayer_attach(replayer, &s.machine);
    if (spoil)
        s.machine.ram.bytes[0x7c00 + 35] = BURST - 1; /* the guest sends one frame less */
    do
        step = replayer_step(replayer, error);
    while (step == REPLAYER_MORE);
    if (step == REPLAYER_DIVERGED && !spoil)
        divergence_print(replayer_divergence(replayer), &s.machine, stdout);
    CHECK(machine_digest(&s.machine, digest, &(struct error){0}) == 0);
    replayer_free(replayer);
    log_reader_close(options.reader);
    destroy(&s);
    return step;
}

/* What the log says itself: all frames are there, in order, and some stops had several of them. */
static bool log_has_all(const struct bytes_writer *log, unsigned *together)
{
    struct log_memory memory = {.bytes = log->data, .length = log->length};
    struct log_source source = log_source_memory(&memory);
    struct error error;
    struct log_reader *reader = log_reader_open_source(&source, "the log", false, &error);
    struct log_record record;
    struct position last = {0};
    uint8_t frame[FRAME_MAX];
    unsigned number = 0;

    *together = 0;
    while (log_reader_next(reader, &record, &error) == LOG_READ_RECORD) {
        if (record.type != LOG_FRAME_IN)
            continue;
        size_t length = make_frame(number++, frame);
        if (record.channel != 0 || record.length != length || memcmp(record.bytes, frame, length) != 0)
            break;
        *together += position_equal(&record.at, &last);
        last = record.at;
    }
    log_reader_close(reader);
    return number == FRAMES;
}

int main(void)
{
    struct bytes_writer log = bytes_writer(64u << 20);
    struct recorder_result result = {0};
    struct digest digest;
    struct error error = {0};
    struct seen seen = {0};
    unsigned together;
    int failures = 0;

    int status = record(&log, &result, &error);
    failures += report(status == 0 && result.reason == LOG_END_DEBUG_EXIT, "a run with frames is recorded", error.text);
    if (failures)
        return 1;
    failures += report(log_has_all(&log, &together), "the log has every frame that came, in order", error.text);
    failures += report(together > 0, "several frames are applied at one stop", "never");
    enum replayer_step step = replay(&log, false, &seen, &digest, &error);
    failures +=
        report(step == REPLAYER_END && digest_equal(digest, result.digest), "the replay is identical", error.text);
    failures +=
        report(seen.frames == (uint64_t)FRAMES * BURST, "the replay sends every frame", "another number of them");
    step = replay(&log, true, &seen, &digest, &error);
    failures += report(step == REPLAYER_DIVERGED, "a guest that sends other frames is found out", "it was not");
    bytes_writer_free(&log);
    return failures > 0;
}
