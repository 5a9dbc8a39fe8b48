/* What the tests of the consoles share. */
#ifndef ENCORE_TESTS_UNIT_CONSOLE_TESTING_H
#define ENCORE_TESTS_UNIT_CONSOLE_TESTING_H

#include "tests/unit/host_testing.h"

#include <poll.h>

#include "vmm/host/console.h"

static inline struct console *open_console(const char *specification)
{
    struct error error = {0};
    struct console *console = console_open(NULL, specification, &error);

    if (!console)
        fail_msg("%s", error.text);
    return console;
}

static inline void refuses(const char *specification, enum error_kind kind, const char *words)
{
    struct error error = {0};

    assert_null(console_open(NULL, specification, &error));
    assert_int_equal(error.kind, kind);
    if (!strstr(error.text, words))
        fail_msg("%s", error.text);
}

static inline bool readable(int fd, int patience)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, patience) == 1;
}

static inline void put(struct console *console, const void *bytes, size_t length)
{
    struct error error = {0};

    if (console_write(console, bytes, length, &error) < 0)
        fail_msg("%s", error.text);
}

/* The next bytes from the guest's user are these; they may come in pieces. */
static inline void expect_input(struct console *console, const void *expected, size_t length)
{
    uint8_t bytes[256];
    size_t done = 0;

    assert_true(length <= sizeof bytes);
    while (done < length) {
        assert_true(readable(console_poll_fd(console), PATIENCE));
        done += console_read(console, bytes + done, length - done);
    }
    assert_memory_equal(bytes, expected, length);
}

/* Handles what there is until nothing is; all of it must be comings and goings, and no bytes. */
static inline void expect_quiet(struct console *console)
{
    uint8_t byte;

    for (unsigned turn = 0; readable(console_poll_fd(console), 0); turn++) {
        assert_true(turn < 10);
        assert_int_equal(console_read(console, &byte, 1), 0);
    }
}

/* The next bytes that come out of a descriptor are these. */
static inline void expect_output(int fd, const void *expected, size_t length)
{
    uint8_t bytes[256];
    size_t done = 0;

    assert_true(length <= sizeof bytes);
    while (done < length) {
        assert_true(readable(fd, PATIENCE));
        ssize_t got = read(fd, bytes + done, length - done);
        assert_true(got > 0);
        done += (size_t)got;
    }
    assert_memory_equal(bytes, expected, length);
}

#endif
