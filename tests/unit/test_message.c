/* The messages of replication, and those of consoles: each kind there and back, and nothing malformed is let in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replication/console_protocol.h"
#include "replication/message.h"

static const uint8_t some_bytes[] = "some bytes";

/* One of each kind. */
static const struct message messages[] = {
    {.kind = MESSAGE_HELLO, .epoch = 1, .node = 7, .stream = 9, .offset = 300},
    {.kind = MESSAGE_WELCOME, .epoch = UINT64_MAX, .node = UINT64_MAX, .stream = UINT64_MAX, .offset = UINT64_MAX},
    {.kind = MESSAGE_REFUSE, .epoch = 3, .node = 7, .bytes = some_bytes, .length = sizeof some_bytes},
    {.kind = MESSAGE_LOG, .epoch = 3, .node = 7, .stream = 1, .offset = 5, .bytes = some_bytes, .length = 1},
    {.kind = MESSAGE_MEMBER, .epoch = 3, .node = 7, .stream = 1, .offset = 128},
    {.kind = MESSAGE_ACK,
     .epoch = 3,
     .node = 7,
     .stream = 1,
     .offset = 300,
     .safe = 200,
     .replayed = 100,
     .guest_time = 1u << 30,
     .clock = 1000,
     .echo = 300,
     .held = 128,
     .patience = 75000000,
     .ready = true},
    {.kind = MESSAGE_BEAT,
     .epoch = 3,
     .node = 7,
     .stream = 1,
     .offset = 2,
     .guest_time = UINT64_MAX,
     .clock = UINT64_MAX},
    {.kind = MESSAGE_DIVERGED, .epoch = 3, .node = 7, .stream = 1, .offset = 2},
    {.kind = MESSAGE_HANDOVER, .epoch = 3, .node = 7, .stream = 1, .offset = 2},
    {.kind = MESSAGE_TAKEN, .epoch = 3, .node = 7, .stream = 1},
    {.kind = MESSAGE_BYE, .epoch = 3, .node = 7, .stream = 1, .offset = 2},
    {.kind = MESSAGE_KEPT, .epoch = 3, .node = 7, .stream = 1, .offset = 2, .bytes = some_bytes, .length = 4},
    {.kind = MESSAGE_JOINING, .epoch = 3, .node = 7, .stream = 1, .offset = 2, .round = 3, .left = 1u << 30},
};
#define MESSAGES (sizeof messages / sizeof messages[0])

static const struct console_message console_messages[] = {
    {.kind = CONSOLE_HELLO, .epoch = 2, .client = 5, .wish = CONSOLE_TAKE, .output = CONSOLE_FROM_NOW},
    {.kind = CONSOLE_WELCOME, .epoch = 2, .client = 5, .writes = true, .input = 300, .output = 2},
    {.kind = CONSOLE_STANDBY, .epoch = UINT64_MAX},
    {.kind = CONSOLE_OUTPUT, .epoch = 2, .output = 300, .bytes = some_bytes, .length = sizeof some_bytes},
    {.kind = CONSOLE_RECEIVED, .epoch = 2, .output = 300},
    {.kind = CONSOLE_INPUT, .epoch = 2, .input = 300, .bytes = some_bytes, .length = 1},
    {.kind = CONSOLE_CONFIRM, .epoch = 2, .input = 300},
    {.kind = CONSOLE_ENDED, .epoch = 2, .output = 300, .status = 201},
    {.kind = CONSOLE_LEAVE, .epoch = 2},
};
#define CONSOLE_MESSAGES (sizeof console_messages / sizeof console_messages[0])

/* Message n of both lists: its bytes, in `to`. */
static void encode(size_t n, struct bytes_writer *to)
{
    bytes_writer_clear(to);
    if (n < MESSAGES)
        message_encode(&messages[n], to);
    else
        console_message_encode(&console_messages[n - MESSAGES], to);
    assert_false(to->failed);
}

/* Decodes bytes as the list of message n has it. What is refused must say why, in one line. */
static bool decodes(size_t n, const uint8_t *bytes, size_t length, struct error *error)
{
    struct message message;
    struct console_message console;

    error->text[0] = 0;
    int status = n < MESSAGES ? message_decode(bytes, length, &message, error)
                              : console_message_decode(bytes, length, &console, error);
    if (status == 0)
        return true;
    assert_int_equal(error->kind, ERROR_INPUT);
    assert_true(error->text[0]);
    assert_null(strchr(error->text, '\n'));
    return false;
}

static void every_kind_goes_there_and_back(void **state)
{
    struct bytes_writer bytes = bytes_writer(MESSAGE_MAX);
    struct error error;

    (void)state;
    for (size_t n = 0; n < MESSAGES; n++) {
        const struct message *sent = &messages[n];
        struct message got;
        encode(n, &bytes);
        assert_int_equal(message_decode(bytes.data, bytes.length, &got, &error), 0);
        assert_int_equal(got.length, sent->length);
        if (sent->length)
            assert_memory_equal(got.bytes, sent->bytes, sent->length);
        got.bytes = sent->bytes;
        assert_memory_equal(&got, sent, sizeof got);
        assert_int_equal(sent->kind, n + 1); /* none is forgotten here */
    }
    assert_string_equal(message_name((enum message_kind)(MESSAGES + 1)), "?");
    bytes_writer_free(&bytes);
}

static void every_console_kind_goes_there_and_back(void **state)
{
    struct bytes_writer bytes = bytes_writer(CONSOLE_MESSAGE_MAX);
    struct error error;

    (void)state;
    for (size_t n = 0; n < CONSOLE_MESSAGES; n++) {
        const struct console_message *sent = &console_messages[n];
        struct console_message got;
        encode(MESSAGES + n, &bytes);
        assert_int_equal(console_message_decode(bytes.data, bytes.length, &got, &error), 0);
        assert_int_equal(got.length, sent->length);
        if (sent->length)
            assert_memory_equal(got.bytes, sent->bytes, sent->length);
        got.bytes = sent->bytes;
        assert_memory_equal(&got, sent, sizeof got);
        assert_int_equal(sent->kind, n + 1);
    }
    bytes_writer_free(&bytes);
}

/* Node 0 is nobody: as what a record that is not there says, it would be taken for the owner of any epoch. */
static void nobody_says_anything(void **state)
{
    struct bytes_writer bytes = bytes_writer(MESSAGE_MAX);
    struct error error;

    (void)state;
    for (size_t n = 0; n < MESSAGES; n++) {
        struct message message = messages[n];
        message.node = 0;
        bytes_writer_clear(&bytes);
        message_encode(&message, &bytes);
        assert_false(decodes(n, bytes.data, bytes.length, &error));
    }
    bytes_writer_free(&bytes);
}

/* Cut short anywhere, or with something behind them. Where bytes are the last field, their number is what is there. */
static void lengths_are_exact(void **state)
{
    struct bytes_writer bytes = bytes_writer(MESSAGE_MAX);
    struct error error;

    (void)state;
    for (size_t n = 0; n < MESSAGES + CONSOLE_MESSAGES; n++) {
        size_t last = n < MESSAGES ? messages[n].length : console_messages[n - MESSAGES].length;
        encode(n, &bytes);
        for (size_t length = 0; length < bytes.length - (last ? last - 1 : 0); length++)
            assert_false(decodes(n, bytes.data, length, &error));
        bytes_put_uint(&bytes, 1, 0);
        assert_int_equal(decodes(n, bytes.data, bytes.length, &error), last > 0);
    }
    bytes_writer_free(&bytes);
}

static void other_versions_and_kinds_are_named(void **state)
{
    static const size_t firsts[] = {0, MESSAGES};
    struct bytes_writer bytes = bytes_writer(MESSAGE_MAX);
    struct error error;

    (void)state;
    for (unsigned list = 0; list < 2; list++) {
        encode(firsts[list], &bytes);
        bytes.data[0]++;
        assert_false(decodes(firsts[list], bytes.data, bytes.length, &error));
        assert_non_null(strstr(error.text, "version 3"));
        bytes.data[0]--;
        for (unsigned kind = 0; kind < 256; kind++) {
            bool known = kind > 0 && kind <= (list ? CONSOLE_MESSAGES : MESSAGES);
            bytes.data[1] = (uint8_t)kind;
            bool good = decodes(firsts[list], bytes.data, bytes.length, &error);
            assert_true(known || (!good && strstr(error.text, "unknown kind")));
        }
    }
    bytes_writer_free(&bytes);
}

static void too_many_bytes_are_refused(void **state)
{
    static uint8_t many[MESSAGE_BYTES_MAX + 1];
    struct bytes_writer bytes = bytes_writer(4 * MESSAGE_MAX);
    struct message message = messages[MESSAGE_LOG - 1];
    struct console_message console = console_messages[CONSOLE_INPUT - 1];
    struct error error;

    (void)state;
    message.bytes = console.bytes = many;
    for (size_t over = 0; over < 2; over++) {
        bytes_writer_clear(&bytes);
        message.length = MESSAGE_BYTES_MAX + over;
        message_encode(&message, &bytes);
        assert_int_equal(decodes(0, bytes.data, bytes.length, &error), over == 0);
        bytes_writer_clear(&bytes);
        console.length = CONSOLE_BYTES_MAX + over;
        console_message_encode(&console, &bytes);
        assert_int_equal(decodes(MESSAGES, bytes.data, bytes.length, &error), over == 0);
    }
    bytes_writer_free(&bytes);
}

/* Values that would make a fool of the arithmetic behind. */
static void impossible_values_are_refused(void **state)
{
    struct bytes_writer bytes = bytes_writer(MESSAGE_MAX);
    struct error error;

    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        struct message message = messages[n == 3 ? MESSAGE_LOG - 1 : MESSAGE_ACK - 1];
        bytes_writer_clear(&bytes);
        if (n == 0)
            message.safe = message.offset + 1;
        else if (n == 1)
            message.replayed = message.offset + 1;
        else if (n == 3)
            message.offset = UINT64_MAX - 1;
        message_encode(&message, &bytes);
        assert_int_equal(decodes(0, bytes.data, bytes.length, &error), n == 2);
    }
    static const enum console_kind kinds[] = {CONSOLE_HELLO, CONSOLE_INPUT, CONSOLE_OUTPUT, CONSOLE_HELLO};
    for (unsigned n = 0; n < 4; n++) {
        struct console_message message = console_messages[kinds[n] - 1];
        bytes_writer_clear(&bytes);
        if (n == 0)
            message.client = 0;
        else if (n == 3)
            message.wish = (enum console_wish)(CONSOLE_TAKE + 1);
        else
            message.input = message.output = UINT64_MAX - 1;
        console_message_encode(&message, &bytes);
        assert_false(decodes(MESSAGES, bytes.data, bytes.length, &error));
    }
    bytes_writer_free(&bytes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_goes_there_and_back),
        cmocka_unit_test(every_console_kind_goes_there_and_back),
        cmocka_unit_test(nobody_says_anything),
        cmocka_unit_test(lengths_are_exact),
        cmocka_unit_test(other_versions_and_kinds_are_named),
        cmocka_unit_test(too_many_bytes_are_refused),
        cmocka_unit_test(impossible_values_are_refused),
    };

    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
