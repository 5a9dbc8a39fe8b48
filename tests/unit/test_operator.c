/* An operator's orders: requests as text, however hostile, and the control socket that they come in on. */
#include "tests/unit/host_testing.h"

#include <poll.h>
#include <sys/socket.h>

#include "replay/operator.h"
#include "vmm/host/control.h"
#include "vmm/host/unix_listener.h"

static void expect_order(const char *text, uint16_t command, const void *bytes, size_t length)
{
    struct operator_order order;
    struct error error;

    if (operator_parse(text, strlen(text), &order, &error) < 0)
        fail_msg("%s: %s", text, error.text);
    assert_int_equal(order.command, command);
    assert_int_equal(order.length, length);
    if (length)
        assert_memory_equal(order.bytes, bytes, length);
}

static void requests_are_understood(void **state)
{
    char keys[200], codes[2 * OPERATOR_KEYS_MAX + 1];
    uint8_t zeros[OPERATOR_KEYS_MAX] = {0};

    (void)state;
    expect_order("{\"command\": \"power-button\"}", MACHINE_POWER_BUTTON, NULL, 0);
    expect_order("{\"command\": \"balloon\", \"bytes\": 1048576}", MACHINE_BALLOON, "\0\1\0\0", 4);
    expect_order("{\"command\": \"balloon\", \"bytes\": 0}", MACHINE_BALLOON, "\0\0\0\0", 4);
    expect_order("{\"command\": \"keys\", \"codes\": \"1e9e\"}", MACHINE_KEYS, "\x1e\x9e", 2);
    expect_order("{\"command\": \"new-generation\", \"id\": \"000102030405060708090a0b0c0d0e0f\"}",
                 MACHINE_NEW_GENERATION, "\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf", 16);
    expect_order("{\"command\": \"set-time\", \"seconds\": 258}", MACHINE_SET_TIME, "\2\1\0\0\0\0\0\0", 8);
    expect_order("{\"command\": \"set-time\", \"seconds\": -1}", MACHINE_SET_TIME, "\xff\xff\xff\xff\xff\xff\xff\xff",
                 8);
    memset(codes, '0', sizeof codes - 1);
    codes[sizeof codes - 1] = 0;
    snprintf(keys, sizeof keys, "{\"command\": \"keys\", \"codes\": \"%s\"}", codes);
    expect_order(keys, MACHINE_KEYS, zeros, sizeof zeros);
}

/* A balloon is no larger than the machine. */
static void orders_fit_the_machine(void **state)
{
    struct operator_order order = {.command = MACHINE_BALLOON, .length = 4, .bytes = {0, 1}};
    struct error error;

    (void)state;
    assert_int_equal(operator_check(&order, 1 << 20, &error), 0);
    order.bytes[0] = 1;
    assert_int_equal(operator_check(&order, 1 << 20, &error), -1);
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_string_equal(error.text, "balloon: the guest has 1 MiB of memory, and cannot give up 2 MiB");
    order.command = MACHINE_KEYS;
    assert_int_equal(operator_check(&order, 1 << 20, &error), 0);
}

static void nonsense_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        "{\"command\": 7}",
        "{\"command\": \"explode\"}",
        "{\"command\": \"balloon\"}",
        "{\"command\": \"balloon\", \"bytes\": -1}",
        "{\"command\": \"balloon\", \"bytes\": 1e3}",
        "{\"command\": \"balloon\", \"bytes\": 9223372036854775807}",
        "{\"command\": \"set-time\"}",
        "{\"command\": \"new-generation\"}",
        "{\"command\": \"new-generation\", \"id\": \"00\"}",
        "{\"command\": \"new-generation\", \"id\": \"000102030405060708090a0b0c0d0e0g\"}",
        "{\"command\": \"set-time\", \"seconds\": \"0\"}",
        "{\"command\": \"set-time\", \"seconds\": 253402300800}",
        "{\"command\": \"set-time\", \"seconds\": -62167219201}",
        "{\"command\": \"keys\"}",
        "{\"command\": \"keys\", \"codes\": \"\"}",
        "{\"command\": \"keys\", \"codes\": \"1\"}",
        "{\"command\": \"keys\", \"codes\": \"1E\"}",
        "{\"command\": \"keys\", \"codes\": \"g0\"}",
        "{\"command\": \"keys\", \"codes\": [30]}",
        "{\"command\": \"power-button\", \"command\": \"power-button\"}",
        "\xff\xfe{\"command\": \"power-button\"}",
    };
    struct operator_order order;
    struct error error;
    char keys[200], codes[2 * OPERATOR_KEYS_MAX + 3];

    (void)state;
    for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        error.kind = ERROR_NONE;
        if (operator_parse(wrong[n], strlen(wrong[n]), &order, &error) == 0 || error.kind != ERROR_INPUT)
            fail_msg("taken: %s", wrong[n]);
    }
    memset(codes, '0', sizeof codes - 1);
    codes[sizeof codes - 1] = 0;
    snprintf(keys, sizeof keys, "{\"command\": \"keys\", \"codes\": \"%s\"}", codes);
    assert_int_equal(operator_parse(keys, strlen(keys), &order, &error), -1);
    /* Nested as deep as a line is long. */
    char deep[CONTROL_LINE];
    memset(deep, '[', sizeof deep);
    assert_int_equal(operator_parse(deep, sizeof deep, &order, &error), -1);
}

static struct control *open_control(void **state)
{
    char path[PATH_ROOM], specification[PATH_ROOM + 8];
    struct error error;

    snprintf(specification, sizeof specification, "unix:%s", place_path(state, "ctl", path));
    struct control *control = control_open(specification, &error);
    if (!control)
        fail_msg("%s", error.text);
    return control;
}

static int connect_client(void **state)
{
    char path[PATH_ROOM];
    struct sockaddr_un where;
    struct error error;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(unix_address(&where, place_path(state, "ctl", path), "test", &error), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    return fd;
}

static bool readable(int fd, int patience)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, patience) == 1;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect_line(struct control *control, const char *line)
{
    size_t length = 0;
    const char *got;

    while (!(got = control_next(control, &length)))
        assert_true(readable(control_poll_fd(control), PATIENCE));
    assert_string_equal(got, line);
    assert_int_equal(length, strlen(line));
}

static void expect_nothing(struct control *control)
{
    size_t length;

    assert_null(control_next(control, &length));
    assert_false(readable(control_poll_fd(control), 0));
}

static void expect_answer(int fd, const char *text)
{
    char got[100] = "";

    assert_int_equal(recv(fd, got, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(got, text);
    assert_int_equal(recv(fd, got, 1, 0), 0); /* and then it is over */
    close(fd);
}

static void lines_are_answered(void **state)
{
    struct control *control = open_control(state);

    expect_nothing(control);
    int first = connect_client(state), second = connect_client(state);
    say(first, "hel");
    say(second, "second\nignored\n");
    expect_line(control, "second");
    control_answer(control, "2");
    expect_answer(second, "2\n");
    expect_nothing(control);
    say(first, "lo\n");
    expect_line(control, "hello");
    control_answer(control, "1");
    expect_answer(first, "1\n");
    expect_nothing(control);
    control_close(control);
}

static void hostile_clients_are_dropped(void **state)
{
    struct control *control = open_control(state);
    static char much[CONTROL_LINE + 1];
    int silent[20];
    size_t length;
    char byte;

    /* Silent ones do not keep others out. */
    for (unsigned n = 0; n < 20; n++) {
        silent[n] = connect_client(state);
        assert_null(control_next(control, &length));
    }
    int fd = connect_client(state);
    say(fd, "x\n");
    expect_line(control, "x");
    control_answer(control, "y");
    expect_answer(fd, "y\n");
    for (unsigned n = 0; n < 20; n++)
        close(silent[n]);
    assert_null(control_next(control, &length));
    expect_nothing(control);
    /* A line without an end. */
    memset(much, 'a', sizeof much);
    fd = connect_client(state);
    assert_int_equal(send(fd, much, sizeof much, MSG_NOSIGNAL), sizeof much);
    assert_null(control_next(control, &length));
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    /* Gone before the answer. */
    fd = connect_client(state);
    say(fd, "z\n");
    expect_line(control, "z");
    close(fd);
    control_answer(control, "y");
    expect_nothing(control);
    control_close(control);
}

static void bad_specifications_are_refused(void **state)
{
    struct error error;

    (void)state;
    assert_null(control_open("unix:", &error));
    assert_int_equal(error.kind, ERROR_INPUT);
    assert_null(control_open("tcp:1", &error));
    assert_null(control_open("", &error));
    assert_null(control_open("unix:/nonexistent/a", &error));
    control_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_understood),
        cmocka_unit_test(orders_fit_the_machine),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test_setup_teardown(lines_are_answered, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(hostile_clients_are_dropped, place_setup, place_teardown),
        cmocka_unit_test(bad_specifications_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
