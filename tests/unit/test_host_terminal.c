/* The consoles on a pseudo-terminal and on standard input and output; the latter in a child, whose descriptors can be
 * anything. */
#include "tests/unit/console_testing.h"
#include "vmm/host/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>

/* Opens a pty console; its name is what it says on standard error. */
static struct console *open_pty(char *name)
{
    int ends[2], before = dup(STDERR_FILENO);
    char line[PATH_ROOM];

    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    struct console *console = open_console("pty");
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    ssize_t length = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    assert_true(length > 0);
    line[length] = 0;
    assert_int_equal(sscanf(line, "encore: the console is %255s\n", name), 1);
    return console;
}

static void pty_carries_bytes(void **unused)
{
    (void)unused;
    static uint8_t much[1 << 18];
    char name[PATH_ROOM];
    struct console *console = open_pty(name);

    /* Nobody is there: output is dropped, and nothing is to be read again and again. */
    put(console, much, sizeof much);
    expect_quiet(console);
    assert_false(console_ended(console));
    for (unsigned i = 0; i < 3; i++) {
        int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(slave >= 0);
        tcflush(slave, TCIFLUSH);
        assert_int_equal(write(slave, "a\r\n\x03\x04\x01x", 7), 7);
        expect_input(console, "a\r\n\x03\x04\x01x", 7);
        expect_quiet(console);
        put(console, "login\r\n", 7);
        expect_output(slave, "login\r\n", 7);
        expect_quiet(console); /* no echo */
        assert_int_equal(write(slave, "last", 4), 4);
        close(slave);
        expect_input(console, "last", 4);
        expect_quiet(console);
        put(console, much, sizeof much);
        expect_quiet(console);
    }
    assert_false(console_quit(console));
    console_close(console);
}

/* What a short read leaves behind makes the descriptor readable again. */
static void pty_is_read_in_pieces(void **unused)
{
    (void)unused;
    char name[PATH_ROOM];
    struct console *console = open_pty(name);
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

    assert_int_equal(write(slave, "abcdef", 6), 6);
    for (unsigned i = 0; i < 6; i++)
        expect_input(console, &"abcdef"[i], 1);
    expect_quiet(console);
    close(slave);
    console_close(console);
}

static void pty_hurries(void **unused)
{
    (void)unused;
    static uint8_t much[1 << 18];
    char name[PATH_ROOM];
    struct console *console = open_pty(name);
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

    console_hurry(console);
    put(console, much, sizeof much);
    console_close(console);
    close(slave);
}

/* The child's exit codes. */
enum {
    CHILD_ENDED = 10,
    CHILD_QUIT,
    CHILD_WRITE_FAILED,
    CHILD_NO_CONSOLE,
};

/* Echoes what comes, until it ends, the user quits, or nobody reads the echo. */
static int echo(void)
{
    struct error error = {0};
    struct console *console = console_open(NULL, "stdio", &error);
    int code = 0;

    if (!console)
        return CHILD_NO_CONSOLE;
    while (!code) {
        uint8_t bytes[5];
        struct pollfd polled = {.fd = console_poll_fd(console), .events = POLLIN};
        if (console_read(console, bytes, 0) != 0)
            break;
        size_t length = console_read(console, bytes, sizeof bytes);
        if (length && console_write(console, bytes, length, &error) < 0)
            code = error.kind == ERROR_HOST ? CHILD_WRITE_FAILED : 1;
        else if (console_quit(console))
            code = CHILD_QUIT;
        else if (console_ended(console))
            code = CHILD_ENDED;
        else if (!length)
            poll(&polled, 1, -1);
    }
    console_close(console);
    return code;
}

/* Starts the echo on these descriptors (-1: closed). */
static pid_t start_echo(int input, int output)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child)
        return child;
    alarm(PATIENCE / 1000);
    if (input >= 0)
        dup2(input, STDIN_FILENO);
    else
        close(STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    closefrom(STDERR_FILENO + 1);
    _exit(echo());
}

static void expect_exit(pid_t child, int code)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void stdio_on_pipes(void **unused)
{
    (void)unused;
    int in[2], out[2];

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t child = start_echo(in[0], out[1]);
    /* On a pipe, Ctrl-A is a byte like any other. */
    assert_int_equal(write(in[1], "hello\x01x\x01\x01\n", 10), 10);
    expect_output(out[0], "hello\x01x\x01\x01\n", 10);
    assert_int_equal(write(in[1], "\0", 1), 1);
    expect_output(out[0], "\0", 1);
    assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    close(in[1]);
    expect_exit(child, CHILD_ENDED);
    close(in[0]);
    close(out[0]);
    close(out[1]);
}

static void stdio_tells_that_the_reader_went_away(void **unused)
{
    (void)unused;
    int in[2], out[2];

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t child = start_echo(in[0], out[1]);
    close(out[1]);
    close(out[0]);
    assert_int_equal(write(in[1], "x", 1), 1);
    expect_exit(child, CHILD_WRITE_FAILED);
    close(in[0]);
    close(in[1]);
}

static void stdio_on_files(void **state)
{
    char path[PATH_ROOM];
    int out[2];

    assert_int_equal(pipe(out), 0);
    place_write(state, "f", "from a file", 11, path);
    int file = open(path, O_RDONLY), null = open("/dev/null", O_RDONLY), directory = open("/tmp", O_RDONLY);
    expect_exit(start_echo(file, out[1]), CHILD_ENDED);
    expect_output(out[0], "from a file", 11);
    expect_exit(start_echo(null, out[1]), CHILD_ENDED);
    expect_exit(start_echo(directory, out[1]), CHILD_ENDED);
    expect_exit(start_echo(-1, out[1]), CHILD_ENDED);
    assert_false(readable(out[0], 0));
    close(file);
    close(null);
    close(directory);
    close(out[0]);
    close(out[1]);
    place_remove(state, "f");
}

static void expect_settings(int terminal, const struct termios *expected)
{
    struct termios now;

    assert_int_equal(tcgetattr(terminal, &now), 0);
    assert_int_equal(now.c_iflag, expected->c_iflag);
    assert_int_equal(now.c_oflag, expected->c_oflag);
    assert_int_equal(now.c_cflag, expected->c_cflag);
    assert_int_equal(now.c_lflag, expected->c_lflag);
}

static void stdio_on_a_terminal(void **unused)
{
    (void)unused;
    struct termios before, raw;
    int out[2], master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(tcgetattr(slave, &before), 0);
    assert_true(before.c_lflag & ICANON);
    pid_t child = start_echo(slave, out[1]);
    /* The terminal may not be raw yet, so the first byte is one that ends a line. */
    assert_int_equal(write(master, "\n", 1), 1);
    expect_output(out[0], "\n", 1);
    assert_int_equal(tcgetattr(slave, &raw), 0);
    assert_false(raw.c_lflag & (ICANON | ECHO | ISIG | IEXTEN));
    assert_false(raw.c_iflag & (ICRNL | IXON));
    assert_int_equal(raw.c_oflag, before.c_oflag);

    assert_int_equal(write(master, "ab\r\x03\x11", 5), 5);
    expect_output(out[0], "ab\r\x03\x11", 5);
    /* Ctrl-A twice is one Ctrl-A, Ctrl-A and another key is nothing, and the two may come apart. */
    assert_int_equal(write(master, "1\x01\x01x\x01y2\x01", 8), 8);
    expect_output(out[0], "1\x01x2", 4);
    assert_int_equal(write(master, "\x01\x33", 2), 2);
    expect_output(out[0], "\x01\x33", 2);
    assert_int_equal(write(master, "4\x01x5", 4), 4);
    expect_exit(child, CHILD_QUIT);
    expect_output(out[0], "4", 1);
    assert_false(readable(out[0], 0));
    expect_settings(slave, &before);
    close(slave);
    close(master);
    close(out[0]);
    close(out[1]);
}

/* The terminal's other end is closed: its input is at an end. */
static void stdio_on_a_terminal_that_goes(void **unused)
{
    (void)unused;
    int out[2], master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(pipe(out), 0);
    pid_t child = start_echo(slave, out[1]);
    assert_int_equal(write(master, "\n", 1), 1);
    expect_output(out[0], "\n", 1);
    close(slave);
    close(master);
    expect_exit(child, CHILD_ENDED);
    close(out[0]);
    close(out[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pty_carries_bytes),
        cmocka_unit_test(pty_is_read_in_pieces),
        cmocka_unit_test(pty_hurries),
        cmocka_unit_test(stdio_on_pipes),
        cmocka_unit_test(stdio_tells_that_the_reader_went_away),
        cmocka_unit_test(stdio_on_files),
        cmocka_unit_test(stdio_on_a_terminal),
        cmocka_unit_test(stdio_on_a_terminal_that_goes),
    };

    alarm(PATIENCE / 1000);
    signals_ignore_write_faults();
    return cmocka_run_group_tests(tests, place_setup, place_teardown);
}
