/* Text on its way to a terminal (base/text.h), and every error's text, which goes through it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants those first */
#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"
#include "replication/replica_internal.h"

static void expect(const char *text, const char *shown)
{
    char to[200];

    assert_int_equal(text_escape(text, strlen(text), to, sizeof to), strlen(shown));
    assert_string_equal(to, shown);
    assert_int_equal(text_escape(shown, strlen(shown), to, sizeof to), strlen(shown));
    assert_string_equal(to, shown);
}

static void test_printable_text_stays(void **state)
{
    (void)state;
    expect("", "");
    expect("/tmp/a b'c\"d\\e", "/tmp/a b'c\"d\\e");
    expect("Gr\xc3\xbc\xc3\x9f"
           "e, \xe2\x82\xac, \xe6\xbc\xa2, \xf0\x9f\x98\x80",
           "Gr\xc3\xbc\xc3\x9f"
           "e, \xe2\x82\xac, \xe6\xbc\xa2, \xf0\x9f\x98\x80");
    expect("\xc2\xa0\xc3\xbf", "\xc2\xa0\xc3\xbf");
}

static void test_what_steers_is_escaped(void **state)
{
    (void)state;
    expect("\x1b[2J", "\\x1b[2J");
    expect("a\tb\nc\rd\a", "a\\x09b\\x0ac\\x0dd\\x07");
    expect("\x7f", "\\x7f");
    expect("\xc2\x9b"
           "31m",
           "\\xc2\\x9b31m");
    expect("\x9b"
           "31m",
           "\\x9b31m");
    expect("\xe2\x80\xae"
           "txt",
           "\\xe2\\x80\\xaetxt");
    expect("\xe2\x80\xa8\xe2\x81\xa6", "\\xe2\\x80\\xa8\\xe2\\x81\\xa6");
    expect("\xd8\x9c", "\\xd8\\x9c");
}

static void test_what_is_not_utf8_is_escaped(void **state)
{
    (void)state;
    expect("\xff\xfe", "\\xff\\xfe");
    expect("\xc3", "\\xc3");
    expect("\xc3(", "\\xc3(");
    expect("\xe2\x82", "\\xe2\\x82");
    expect("\xc0\xaf", "\\xc0\\xaf");                   /* overlong */
    expect("\xe0\x80\x9b", "\\xe0\\x80\\x9b");          /* overlong */
    expect("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
    expect("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
    expect("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80");
}

static void test_bytes_with_a_zero(void **state)
{
    char to[20];

    (void)state;
    assert_int_equal(text_escape("a\0b", 3, to, sizeof to), 6);
    assert_string_equal(to, "a\\x00b");
}

static void test_cut_at_a_piece(void **state)
{
    char to[9];

    (void)state;
    for (size_t size = 1; size <= sizeof to; size++) {
        memset(to, '!', sizeof to);
        size_t length = text_escape("\x1b\x1b", 2, to, size);
        assert_int_equal(length, (size - 1) / 4 * 4);
        assert_int_equal(strlen(to), length);
    }
    assert_int_equal(text_escape("a\xc3\xbc", 3, to, 3), 1);
    assert_int_equal(text_escape("a\xc3\xbc", 3, to, 4), 3);
}

static void test_any_bytes_come_out_printable(void **state)
{
    uint8_t bytes[64];
    char once[1024], twice[1024];

    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        for (size_t n = 0; n < sizeof bytes; n++)
            bytes[n] = (uint8_t)rand();
        size_t length = text_escape(bytes, sizeof bytes, once, sizeof once);
        for (size_t n = 0; n < length; n++)
            assert_true((uint8_t)once[n] >= ' ' && once[n] != 0x7f);
        assert_int_equal(text_escape(once, length, twice, sizeof twice), length);
        assert_memory_equal(once, twice, length);
    }
}

static void test_errors_are_escaped(void **state)
{
    struct error error;
    char path[1000];

    (void)state;
    error_set(&error, ERROR_INPUT, "%s is no log", "\x1b[2Jx");
    assert_string_equal(error.text, "\\x1b[2Jx is no log");
    error_wrap(&error, "%s", "a\nb");
    assert_string_equal(error.text, "a\\x0ab: \\x1b[2Jx is no log");
    errno = ENOENT;
    error_errno(&error, "%s", "\xff");
    assert_string_equal(error.text, "\\xff: No such file or directory");
    memset(path, 0x1b, sizeof path);
    path[sizeof path - 1] = 0;
    error_set(&error, ERROR_INPUT, "%s", path);
    assert_int_equal(strlen(error.text), (sizeof error.text - 1) / 4 * 4);
}

static void test_a_refusal_is_escaped(void **state)
{
    static const uint8_t words[] = "no\x1b]0;\a\xff";
    const struct message refusal = {.kind = MESSAGE_REFUSE, .bytes = words, .length = sizeof words - 1};
    char text[100];

    (void)state;
    replica_quote(&refusal, text, sizeof text);
    assert_string_equal(text, "no\\x1b]0;\\x07\\xff");
    replica_quote(&refusal, text, 8);
    assert_string_equal(text, "no\\x1b]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printable_text_stays),
        cmocka_unit_test(test_what_steers_is_escaped),
        cmocka_unit_test(test_what_is_not_utf8_is_escaped),
        cmocka_unit_test(test_bytes_with_a_zero),
        cmocka_unit_test(test_cut_at_a_piece),
        cmocka_unit_test(test_any_bytes_come_out_printable),
        cmocka_unit_test(test_errors_are_escaped),
        cmocka_unit_test(test_a_refusal_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
