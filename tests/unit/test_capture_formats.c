/* What other programs read of a replay: pcap files and asciicasts, byte for byte. */
#include "tests/unit/log_samples.h"

#include "replay/asciicast.h"
#include "replay/pcap.h"

static void a_capture_file_is_as_documented(void **state)
{
    static const uint8_t expected[] = {
        0x4d, 0x3c, 0xb2, 0xa1, 2,    0,    4,    0,    0,   0,   0,   0,
        0,    0,    0,    0,    0xff, 0xff, 0,    0,    1,   0,   0,   0, /* the file's header */
        0x02, 0,    0,    0,    0x15, 0xcd, 0x5b, 0x07,                   /* 2 seconds, 123456789 nanoseconds */
        3,    0,    0,    0,    3,    0,    0,    0,    'a', 'b', 'c',
    };
    struct bytes_writer out = bytes_writer(1000);

    (void)state;
    pcap_begin(&out);
    pcap_frame(&out, 2123456789, (const uint8_t *)"abc", 3);
    assert_int_equal(out.length, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    bytes_writer_free(&out);
}

/* Feeds output in pieces, and compares what the lines say; each piece is a line. */
static void expect_cast(const char *const *pieces, const char *expected)
{
    struct bytes_writer out = bytes_writer(4096);
    struct asciicast cast = {0};

    for (uint64_t n = 0; pieces[n]; n++)
        asciicast_output(&cast, &out, 1500000000 * n, (const uint8_t *)pieces[n], strlen(pieces[n]));
    bytes_put_uint(&out, 1, 0);
    assert_string_equal((const char *)out.data, expected);
    bytes_writer_free(&out);
}

static void an_asciicast_is_text(void **state)
{
    struct bytes_writer out = bytes_writer(4096);
    struct asciicast cast;

    (void)state;
    asciicast_begin(&cast, &out, 1700000000);
    bytes_put_uint(&out, 1, 0);
    assert_string_equal((const char *)out.data,
                        "{\"version\": 2, \"width\": 80, \"height\": 25, \"timestamp\": 1700000000}\n");
    bytes_writer_free(&out);
    expect_cast((const char *const[]){"a\r\n", "\"\\\x1b[0m", NULL},
                "[0.000000000, \"o\", \"a\\u000d\\u000a\"]\n[1.500000000, \"o\", \"\\u0022\\u005c\\u001b[0m\"]\n");
    /* A character in two pieces, and bytes that are none: alone, too long a form, a surrogate, cut off by another. */
    expect_cast(
        (const char *const[]){"\xc3", "\xa9\xf0\x9f", "\x98\x80", NULL},
        "[0.000000000, \"o\", \"\"]\n[1.500000000, \"o\", \"\xc3\xa9\"]\n[3.000000000, \"o\", \"\xf0\x9f\x98\x80\"]\n");
    expect_cast((const char *const[]){"\x80z\xc0\xaf\xff", NULL},
                "[0.000000000, \"o\", \"\\ufffdz\\ufffd\\ufffd\\ufffd\"]\n");
    expect_cast((const char *const[]){"\xed\xa0\x80\xe2\x82z\xf4\x90", NULL},
                "[0.000000000, \"o\", \"\\ufffd\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\"]\n");
}

/* Whatever a guest prints, each line is JSON. */
static void any_output_is_json(void **state)
{
    struct dice dice = {.state = 21};

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        struct bytes_writer out = bytes_writer(1 << 16);
        struct asciicast cast = {0};
        uint8_t bytes[64];
        json_error_t error;
        fill(&dice, bytes, sizeof bytes);
        for (unsigned n = 0; n < sizeof bytes; n++)
            bytes[n] = dice_below(&dice, 2) ? bytes[n] | 0x80 : bytes[n];
        asciicast_output(&cast, &out, round, bytes, 40);
        size_t first = out.length;
        asciicast_output(&cast, &out, round, bytes + 40, 24);
        for (unsigned half = 0; half < 2; half++) {
            json_t *line = json_loadb((const char *)out.data + (half ? first : 0), half ? out.length - first : first,
                                      JSON_ALLOW_NUL, &error);
            if (!line)
                fail_msg("round %u: %s", round, error.text);
            assert_int_equal(json_array_size(line), 3);
            json_decref(line);
        }
        bytes_writer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_capture_file_is_as_documented),
        cmocka_unit_test(an_asciicast_is_text),
        cmocka_unit_test(any_output_is_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
