/* See message.h. One table says which fields a kind has; encoding and decoding both walk it. */
#include "replication/message.h"

#include <inttypes.h>

enum field { STREAM = 1, OFFSET = 2, PROGRESS = 4, GUEST_TIME = 8, BYTES = 16, LEFT = 32, TIMES = 64 };

static const struct {
    const char *name;
    unsigned fields;
} kinds[] = {
    [MESSAGE_HELLO] = {"HELLO", STREAM | OFFSET},
    [MESSAGE_WELCOME] = {"WELCOME", STREAM | OFFSET},
    [MESSAGE_REFUSE] = {"REFUSE", BYTES},
    [MESSAGE_LOG] = {"LOG", STREAM | OFFSET | BYTES},
    [MESSAGE_MEMBER] = {"MEMBER", STREAM | OFFSET},
    [MESSAGE_ACK] = {"ACK", STREAM | OFFSET | PROGRESS | GUEST_TIME | TIMES},
    [MESSAGE_BEAT] = {"BEAT", STREAM | OFFSET | GUEST_TIME | TIMES},
    [MESSAGE_DIVERGED] = {"DIVERGED", STREAM | OFFSET},
    [MESSAGE_HANDOVER] = {"HANDOVER", STREAM | OFFSET},
    [MESSAGE_TAKEN] = {"TAKEN", STREAM},
    [MESSAGE_BYE] = {"BYE", STREAM | OFFSET},
    [MESSAGE_KEPT] = {"KEPT", STREAM | OFFSET | BYTES},
    [MESSAGE_JOINING] = {"JOINING", STREAM | OFFSET | LEFT},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

const char *message_name(enum message_kind kind)
{
    return kind > 0 && kind < KINDS ? kinds[kind].name : "?";
}

void message_encode(const struct message *message, struct bytes_writer *to)
{
    unsigned fields = kinds[message->kind].fields;

    bytes_put_uint(to, 1, MESSAGE_VERSION);
    bytes_put_uint(to, 1, message->kind);
    bytes_put_varint(to, message->epoch);
    bytes_put_uint(to, 8, message->node);
    if (fields & STREAM)
        bytes_put_varint(to, message->stream);
    if (fields & OFFSET)
        bytes_put_varint(to, message->offset);
    if (fields & PROGRESS) {
        bytes_put_varint(to, message->safe);
        bytes_put_varint(to, message->replayed);
        bytes_put_uint(to, 1, message->ready);
    }
    if (fields & GUEST_TIME)
        bytes_put_varint(to, message->guest_time);
    if (fields & TIMES) {
        bytes_put_varint(to, message->clock);
        bytes_put_varint(to, message->echo);
        bytes_put_varint(to, message->held);
        bytes_put_varint(to, message->patience);
    }
    if (fields & LEFT) {
        bytes_put_varint(to, message->round);
        bytes_put_varint(to, message->left);
    }
    if (fields & BYTES)
        bytes_put(to, message->bytes, message->length);
}

static void decode_fields(struct bytes_reader *from, unsigned fields, struct message *message)
{
    if (fields & STREAM)
        message->stream = bytes_get_varint(from);
    if (fields & OFFSET)
        message->offset = bytes_get_varint(from);
    if (fields & PROGRESS) {
        message->safe = bytes_get_varint(from);
        message->replayed = bytes_get_varint(from);
        uint64_t ready = bytes_get_uint(from, 1);
        message->ready = ready == 1;
        if (ready > 1 || message->safe > message->offset || message->replayed > message->offset)
            from->bad = true;
    }
    if (fields & GUEST_TIME)
        message->guest_time = bytes_get_varint(from);
    if (fields & TIMES) {
        message->clock = bytes_get_varint(from);
        message->echo = bytes_get_varint(from);
        message->held = bytes_get_varint(from);
        message->patience = bytes_get_varint(from);
    }
    if (fields & LEFT) {
        message->round = bytes_get_varint(from);
        message->left = bytes_get_varint(from);
    }
    if (fields & BYTES) {
        message->length = bytes_left(from);
        message->bytes = bytes_take(from, message->length);
        if (message->length == 0 || message->length > MESSAGE_BYTES_MAX ||
            message->offset > UINT64_MAX - MESSAGE_BYTES_MAX)
            from->bad = true;
    }
}

int message_decode(const uint8_t *bytes, size_t length, struct message *message, struct error *error)
{
    struct bytes_reader from = bytes_reader(bytes, length);
    uint64_t version = bytes_get_uint(&from, 1);
    uint64_t kind = bytes_get_uint(&from, 1);

    *message = (struct message){0};
    if (from.bad)
        return error_set(error, ERROR_INPUT, "a message of %zu bytes is too short", length);
    if (version != MESSAGE_VERSION)
        return error_set(error, ERROR_INPUT, "the peer speaks version %" PRIu64 " of the protocol, this is version %d",
                         version, MESSAGE_VERSION);
    if (kind == 0 || kind >= KINDS)
        return error_set(error, ERROR_INPUT, "a message of unknown kind %" PRIu64, kind);
    message->kind = (enum message_kind)kind;
    message->epoch = bytes_get_varint(&from);
    message->node = bytes_get_uint(&from, 8);
    decode_fields(&from, kinds[kind].fields, message);
    if (from.bad || bytes_left(&from) > 0 || message->node == 0)
        return error_set(error, ERROR_INPUT, "a malformed %s message of %zu bytes", kinds[kind].name, length);
    return 0;
}
