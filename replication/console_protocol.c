/* See console_protocol.h. One table says which fields a kind has; encoding and decoding both walk it. */
#include "replication/console_protocol.h"

#include <inttypes.h>

enum field { CLIENT = 1, WISH = 2, WRITES = 4, INPUT = 8, OUTPUT = 16, STATUS = 32, BYTES = 64 };

static const struct {
    const char *name;
    unsigned fields;
} kinds[] = {
    [CONSOLE_HELLO] = {"HELLO", CLIENT | WISH | OUTPUT},
    [CONSOLE_WELCOME] = {"WELCOME", CLIENT | WRITES | INPUT | OUTPUT},
    [CONSOLE_STANDBY] = {"STANDBY", 0},
    [CONSOLE_OUTPUT] = {"OUTPUT", OUTPUT | BYTES},
    [CONSOLE_RECEIVED] = {"RECEIVED", OUTPUT},
    [CONSOLE_INPUT] = {"INPUT", INPUT | BYTES},
    [CONSOLE_CONFIRM] = {"CONFIRM", INPUT},
    [CONSOLE_ENDED] = {"ENDED", OUTPUT | STATUS},
    [CONSOLE_LEAVE] = {"LEAVE", 0},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

void console_message_encode(const struct console_message *message, struct bytes_writer *to)
{
    unsigned fields = kinds[message->kind].fields;

    bytes_put_uint(to, 1, CONSOLE_VERSION);
    bytes_put_uint(to, 1, message->kind);
    bytes_put_varint(to, message->epoch);
    if (fields & CLIENT)
        bytes_put_uint(to, 8, message->client);
    if (fields & WISH)
        bytes_put_uint(to, 1, message->wish);
    if (fields & WRITES)
        bytes_put_uint(to, 1, message->writes);
    if (fields & INPUT)
        bytes_put_varint(to, message->input);
    if (fields & OUTPUT)
        bytes_put_varint(to, message->output);
    if (fields & STATUS)
        bytes_put_uint(to, 1, message->status);
    if (fields & BYTES)
        bytes_put(to, message->bytes, message->length);
}

static void decode_bytes(struct bytes_reader *from, struct console_message *message)
{
    uint64_t number = message->kind == CONSOLE_INPUT ? message->input : message->output;

    message->length = bytes_left(from);
    message->bytes = bytes_take(from, message->length);
    if (message->length == 0 || message->length > CONSOLE_BYTES_MAX || number > UINT64_MAX - 2 * CONSOLE_BYTES_MAX)
        from->bad = true;
}

int console_message_decode(const uint8_t *bytes, size_t length, struct console_message *message, struct error *error)
{
    struct bytes_reader from = bytes_reader(bytes, length);
    uint64_t version = bytes_get_uint(&from, 1);
    uint64_t kind = bytes_get_uint(&from, 1);

    *message = (struct console_message){0};
    if (from.bad)
        return error_set(error, ERROR_INPUT, "a console message of %zu bytes is too short", length);
    if (version != CONSOLE_VERSION)
        return error_set(error, ERROR_INPUT,
                         "the peer speaks version %" PRIu64 " of the console protocol, this is version %d", version,
                         CONSOLE_VERSION);
    if (kind == 0 || kind >= KINDS)
        return error_set(error, ERROR_INPUT, "a console message of unknown kind %" PRIu64, kind);
    unsigned fields = kinds[kind].fields;
    message->kind = (enum console_kind)kind;
    message->epoch = bytes_get_varint(&from);
    if (fields & CLIENT)
        message->client = bytes_get_uint(&from, 8);
    uint64_t wish = fields & WISH ? bytes_get_uint(&from, 1) : 0;
    uint64_t writes = fields & WRITES ? bytes_get_uint(&from, 1) : 0;
    message->wish = (enum console_wish)wish;
    message->writes = writes == 1;
    if (fields & INPUT)
        message->input = bytes_get_varint(&from);
    if (fields & OUTPUT)
        message->output = bytes_get_varint(&from);
    if (fields & STATUS)
        message->status = (uint8_t)bytes_get_uint(&from, 1);
    if (fields & BYTES)
        decode_bytes(&from, message);
    if ((kind == CONSOLE_HELLO && message->client == 0) || wish > CONSOLE_TAKE || writes > 1)
        from.bad = true;
    if (from.bad || bytes_left(&from) > 0)
        return error_set(error, ERROR_INPUT, "a malformed console message %s of %zu bytes", kinds[kind].name, length);
    return 0;
}
