/*
 * Fuzzing what replication is told by others: frames, messages, console messages, sessions, and behind the parsers a
 * replica, a console's server and a console's client, each talked to by a peer who says whatever he likes.
 *
 * The first byte of the input chooses which of them; the rest is what they are told. What must hold: what a parser
 * takes is what encoding gives back; nobody who lacks the key gets a session or a message in; a replica takes no epoch
 * that it was not given; the console's server takes input without a gap.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "replication/console_client.h"
#include "replication/console_server.h"
#include "replication/frames.h"
#include "replication/message.h"
#include "replication/replica.h"
#include "replication/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of libsodium's: each run must be the same. */
static uint64_t random_state;

static const char *random_name(void)
{
    return "fuzz";
}

static uint32_t random_word(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 32);
}

static void random_bytes(void *to, size_t size)
{
    for (size_t n = 0; n < size; n++)
        ((uint8_t *)to)[n] = (uint8_t)random_word();
}

static void fuzz_message(const uint8_t *data, size_t size)
{
    struct bytes_writer again = bytes_writer(2 * MESSAGE_MAX);
    struct message message;
    struct error error;

    if (message_decode(data, size, &message, &error) == 0) {
        message_encode(&message, &again);
        CHECK(again.length == size && memcmp(again.data, data, size) == 0);
    }
    bytes_writer_free(&again);
}

static void fuzz_console_message(const uint8_t *data, size_t size)
{
    struct bytes_writer again = bytes_writer(2 * CONSOLE_MESSAGE_MAX);
    struct console_message message;
    struct error error;

    if (console_message_decode(data, size, &message, &error) == 0) {
        console_message_encode(&message, &again);
        CHECK(again.length == size && memcmp(again.data, data, size) == 0);
    }
    bytes_writer_free(&again);
}

/* The next piece of the input: a byte that tells how long, and as much of that as there is. */
static const uint8_t *next_piece(struct bytes_reader *input, size_t *length)
{
    size_t wanted = bytes_get_uint(input, 1);

    *length = wanted < bytes_left(input) ? wanted : bytes_left(input);
    return bytes_take(input, *length);
}

/* A copy of a message with some bits of it turned: those of `bits`. False when they turn none. The message itself
 * stays, for the same bits once more would make it true again. */
static bool alter(const struct bytes_writer *message, const uint8_t *bits, size_t length, struct bytes_writer *copy)
{
    bool altered = false;

    bytes_writer_clear(copy);
    bytes_put(copy, message->data, message->length);
    for (size_t n = 0; n < length && n < copy->length; n++) {
        copy->data[n] ^= bits[n];
        altered |= bits[n] != 0;
    }
    return altered;
}

/* A client and a server with a key; in between somebody who sends pieces of the input, and true messages altered by
 * them, to either. */
static void fuzz_session(struct bytes_reader *input)
{
    static const uint8_t master[KEY_SIZE] = "nobody else has it";
    struct bytes_writer way[] = {bytes_writer(1024), bytes_writer(1024)}, out = bytes_writer(1024);
    struct bytes_writer sent = bytes_writer(1024);
    struct error error;
    struct keys keys;

    CHECK(keys_derive(master, &keys, &error) == 0);
    struct session *sides[] = {session_client(SESSION_LINK, &keys), session_server(&keys)};
    CHECK(sides[0] && sides[1]);
    session_begin(sides[0], &way[1]);
    while (bytes_left(input) > 1) {
        unsigned what = (unsigned)bytes_get_uint(input, 1), to = what & 1;
        size_t length;
        const uint8_t *piece = next_piece(input, &length);
        bool altered = true;
        if (what & 2) { /* the true message that is under way; perhaps altered */
            altered = (what & 4) && alter(&way[to], piece, length, &sent);
            piece = altered ? sent.data : way[to].data;
            length = way[to].length;
        }
        bool up = session_is_up(sides[to]);
        enum session_input came = session_receive(sides[to], piece, length, &out, &error);
        CHECK(!altered || (came != SESSION_UP && came != SESSION_CONTENTS));
        CHECK(up || came != SESSION_CONTENTS);
        CHECK(session_is_up(sides[to]) == (came == SESSION_UP || came == SESSION_CONTENTS));
        bytes_writer_clear(&way[!to]);
        if (came != SESSION_CONTENTS && out.length)
            bytes_put(&way[!to], out.data, out.length);
        else if (session_is_up(sides[to]))
            session_seal(sides[to], (const uint8_t *)"true", 4, &way[!to]);
    }
    for (unsigned n = 0; n < 2; n++) {
        session_free(sides[n]);
        bytes_writer_free(&way[n]);
    }
    bytes_writer_free(&out);
    bytes_writer_free(&sent);
}

/* A stream of bytes that arrives in pieces: what comes out as frames is what is in it, however it was cut, and no more
 * is held than is allowed. */
static void fuzz_frames(struct bytes_reader *input)
{
    enum { LIMIT = 200, PIECE = 64 };
    struct frames frames_read = frames(LIMIT);
    struct bytes_writer stream = bytes_writer(1 << 20);
    size_t taken = 0;
    enum frames_result result = FRAMES_NONE;

    while (bytes_left(input) > 0 && result != FRAMES_BAD) {
        size_t size = 1 + bytes_get_uint(input, 1) % PIECE, length;
        size_t wanted = bytes_left(input) < size ? bytes_left(input) : size;
        uint8_t *room = frames_room(&frames_read, PIECE);
        const uint8_t *bytes;
        CHECK(room);
        bytes_put(&stream, input->at, wanted);
        bytes_get(input, room, wanted);
        frames_filled(&frames_read, PIECE, wanted);
        while ((result = frames_next(&frames_read, &bytes, &length)) == FRAMES_WHOLE) {
            CHECK(length > 0 && length <= LIMIT && bytes_load(stream.data + taken, FRAMES_PREFIX) == length);
            CHECK(memcmp(stream.data + taken + FRAMES_PREFIX, bytes, length) == 0);
            taken += FRAMES_PREFIX + length;
        }
        CHECK(frames_read.held.length <= LIMIT + FRAMES_PREFIX + PIECE);
    }
    uint64_t next = stream.length - taken < FRAMES_PREFIX ? 1 : bytes_load(stream.data + taken, FRAMES_PREFIX);
    CHECK((result == FRAMES_BAD) == (next == 0 || next > LIMIT));
    frames_free(&frames_read);
    bytes_writer_free(&stream);
}

/* A number that may matter: small, or near `known`, or anything. */
static uint64_t pick(struct bytes_reader *input, uint64_t known)
{
    uint64_t choice = bytes_get_uint(input, 1);

    if (choice < 100)
        return known;
    if (choice < 200)
        return known + choice - 150;
    return choice < 250 ? choice - 200 : bytes_get_uint(input, 8);
}

static void make_event(struct bytes_reader *input, const struct replica_status *status, struct replica_event *event,
                       struct message *message)
{
    size_t length;

    event->kind = (enum replica_event_kind)(bytes_get_uint(input, 1) % (REPLICA_EVENT_ENDED + 1));
    event->now += bytes_get_uint(input, 1) * 1000000;
    event->answer = (enum replica_answer)(bytes_get_uint(input, 1) % 3);
    event->offset = pick(input, status->stream_end);
    event->bytes = next_piece(input, &length);
    event->length = length;
    *message = (struct message){
        .kind = (enum message_kind)(1 + bytes_get_uint(input, 1) % MESSAGE_JOINING),
        .epoch = pick(input, status->epoch),
        .node = pick(input, status->peer ? status->peer : 2),
        .stream = pick(input, status->stream),
        .offset = pick(input, status->stream_end),
        .safe = pick(input, status->safe),
        .replayed = pick(input, status->replayed),
        .ready = event->answer == REPLICA_WON,
    };
    message->bytes = event->bytes;
    message->length = length;
    event->message = message;
}

/* What a peer says goes through its parser, as it would. */
static bool is_possible(const struct message *message, struct bytes_writer *bytes, struct message *decoded)
{
    struct error error;

    bytes_writer_clear(bytes);
    message_encode(message, bytes);
    return message_decode(bytes->data, bytes->length, decoded, &error) == 0;
}

static void fuzz_replica(struct bytes_reader *input)
{
    struct replica_config config = replica_config_default();
    struct bytes_writer bytes = bytes_writer(2 * MESSAGE_MAX);
    static struct replica_actions actions;
    struct replica_event event = {.now = 1};
    struct message said, message;
    bool asked = false;
    uint64_t given = 0;

    config.node = 1;
    config.backup = bytes_get_uint(input, 1) & 1;
    config.window = 64;
    config.backlog_max = 4096;
    struct replica *replica = replica_create(&config);
    CHECK(replica);
    while (bytes_left(input) > 1) {
        struct replica_status before = replica_status(replica, event.now);
        make_event(input, &before, &event, &said);
        if (event.kind == REPLICA_EVENT_MESSAGE && !is_possible(&said, &bytes, &message))
            continue;
        event.message = &message;
        /* The machine and the arbiter are ours: they answer what they were asked, and grow what there is. */
        if ((event.kind == REPLICA_EVENT_ARBITER && !asked) || (event.kind == REPLICA_EVENT_STREAM && !event.length) ||
            (event.kind >= REPLICA_EVENT_LIVE && event.kind != REPLICA_EVENT_HANDOVER))
            continue;
        if (event.kind == REPLICA_EVENT_ARBITER) {
            asked = false;
            given += event.answer == REPLICA_WON;
        }
        replica_step(replica, &event, &actions);
        for (size_t n = 0; n < actions.count; n++) {
            enum replica_action_kind kind = actions.list[n].kind;
            CHECK(kind != REPLICA_GO_LIVE || given > 0);
            CHECK(kind != REPLICA_START || given > 0);
            CHECK((kind != REPLICA_CLAIM && kind != REPLICA_VERIFY) || !asked);
            asked |= kind == REPLICA_CLAIM || kind == REPLICA_VERIFY;
        }
    }
    replica_free(replica);
    bytes_writer_free(&bytes);
}

static void make_console_message(struct bytes_reader *input, const struct console_client *client,
                                 struct console_message *message)
{
    *message = (struct console_message){
        .kind = (enum console_kind)(1 + bytes_get_uint(input, 1) % CONSOLE_LEAVE),
        .epoch = pick(input, client->epoch),
        .client = pick(input, client->id),
        .input = pick(input, client->input),
        .output = pick(input, client->output),
        .wish = (enum console_wish)(bytes_get_uint(input, 1) % 3),
        .writes = bytes_get_uint(input, 1) & 1,
    };
    message->bytes = next_piece(input, &message->length);
}

/* A client and a server who are told the same nonsense, from three seats. */
static void fuzz_console(struct bytes_reader *input)
{
    struct console_client *client = malloc(sizeof *client);
    struct console_server *server = calloc(1, sizeof *server);
    struct bytes_writer bytes = bytes_writer(1 << 20);
    struct output_gate gate;
    struct console_message said, message;
    const uint8_t *output;
    struct error error;
    uint64_t now = 1, owner;
    uint8_t taken[64];
    size_t length;
    unsigned link;

    CHECK(client && server && output_gate_create(&gate, 0, &error) == 0);
    console_client_init(client, 5, 2, true, CONSOLE_WRITE);
    console_server_live(server, 1, 0, 0, now);
    while (bytes_left(input) > 1) {
        make_console_message(input, client, &said);
        now += bytes_get_uint(input, 1) * 1000000;
        bytes_writer_clear(&bytes);
        console_message_encode(&said, &bytes);
        if (console_message_decode(bytes.data, bytes.length, &message, &error) < 0)
            continue;
        uint64_t before = client->output;
        uint64_t accepted = server->input;
        console_client_type(client, taken, message.length % 9);
        console_client_receive(client, now & 1, &message, now, &output, &length);
        CHECK(length == 0 || client->output >= before + length);
        CHECK(client->sent <= client->kept_length && client->kept_length <= CLIENT_KEEP);
        bytes_writer_clear(&bytes);
        for (unsigned n = 0; n < 20 && console_client_next(client, now, &link, &bytes); n++)
            ;
        unsigned seat = (unsigned)bytes_get_uint(input, 1) % 3;
        console_server_receive(server, seat, &message, now, &gate, &bytes);
        CHECK(message.kind != CONSOLE_INPUT || server->input <= accepted + message.length);
        CHECK(server->pending_length <= CONSOLE_PENDING_MAX);
        CHECK(server->seats[seat].received <= server->seats[seat].sent && server->writer <= CONSOLE_SEATS);
        CHECK(server->writer == 0 || server->seats[server->writer - 1].taken);
        console_server_take(server, taken, message.length % sizeof taken, &owner);
        for (unsigned n = 0; n < 20 && console_server_next(server, seat, &gate, server->input, &bytes); n++)
            ;
        console_server_tend(server, now);
        console_server_congested(server, &gate, now);
    }
    output_gate_destroy(&gate);
    bytes_writer_free(&bytes);
    free(server);
    free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static randombytes_implementation ours = {
        .implementation_name = random_name, .random = random_word, .buf = random_bytes};
    struct bytes_reader input = bytes_reader(data, size);
    unsigned choice = (unsigned)bytes_get_uint(&input, 1);

    randombytes_set_implementation(&ours);
    CHECK(sodium_init() >= 0);
    random_state = 1;
    switch (choice % 8) {
    case 0:
        fuzz_message(input.at, bytes_left(&input));
        break;
    case 1:
        fuzz_console_message(input.at, bytes_left(&input));
        break;
    case 2:
        fuzz_frames(&input);
        break;
    case 3:
        fuzz_session(&input);
        break;
    case 4:
    case 5:
        fuzz_replica(&input);
        break;
    default:
        fuzz_console(&input);
        break;
    }
    return 0;
}
