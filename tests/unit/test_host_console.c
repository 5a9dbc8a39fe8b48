/* The consoles into files and on sockets. */
#include "tests/unit/console_testing.h"
#include "vmm/host/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SPECIFICATION_ROOM (PATH_ROOM + 8)

static void refuses_bad_specifications(void **state)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];

    refuses("", ERROR_INPUT, "none of");
    refuses("stdi", ERROR_INPUT, "none of");
    refuses("stdio:", ERROR_INPUT, "none of");
    refuses("unix", ERROR_INPUT, "none of");
    refuses("unix:", ERROR_INPUT, "path is missing");
    refuses("file:", ERROR_INPUT, "path is missing");
    refuses("file:/tmp", ERROR_INPUT, "/tmp is a directory");
    refuses("file:/nonexistent/a", ERROR_INPUT, "No such file");
    refuses("unix:/nonexistent/a", ERROR_INPUT, "No such file");
    snprintf(specification, sizeof specification, "unix:/tmp/%0150d", 1);
    refuses(specification, ERROR_INPUT, "longer than 107 bytes");
    place_write(state, "f", "keep", 4, path);
    snprintf(specification, sizeof specification, "unix:%s", path);
    refuses(specification, ERROR_INPUT, "not a socket");
    place_remove(state, "f");
    console_close(NULL);
}

static void writes_a_file(void **state)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];
    uint8_t bytes[16];

    place_write(state, "f", "what was there before", 21, path);
    snprintf(specification, sizeof specification, "file:%s", path);
    struct console *console = open_console(specification);
    assert_int_equal(console_poll_fd(console), -1);
    assert_true(console_ended(console));
    assert_false(console_quit(console));
    assert_int_equal(console_read(console, bytes, sizeof bytes), 0);
    put(console, "a\r\n", 3);
    put(console, "", 0);
    put(console, "\0b", 2);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, bytes, sizeof bytes), 5);
    assert_memory_equal(bytes, "a\r\n\0b", 5);
    close(fd);
    console_close(console);
    place_remove(state, "f");
}

static void tells_what_cannot_be_written(void **state)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];
    struct error error = {0};
    struct console *console = open_console("file:/dev/full");

    assert_int_equal(console_write(console, (const uint8_t *)"a", 1, &error), -1);
    assert_int_equal(error.kind, ERROR_HOST);
    assert_non_null(strstr(error.text, "/dev/full: No space left"));
    console_close(console);

    /* A pipe without a reader is an error. */
    assert_int_equal(mkfifo(place_path(state, "fifo", path), 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    snprintf(specification, sizeof specification, "file:%s", path);
    console = open_console(specification);
    put(console, "a", 1);
    close(reader);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(console_write(console, (const uint8_t *)"a", 1, &error), -1);
        assert_int_equal(error.kind, ERROR_HOST);
        assert_non_null(strstr(error.text, "Broken pipe"));
    }
    console_close(console);
    place_remove(state, "fifo");
}

#define MUCH (1 << 20)

static void *hurry(void *console)
{
    console_hurry(console);
    return NULL;
}

/* A reader who does not read holds a write up only until the run is to end, whether that was said before or during. */
static void hurries(void **state)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];
    static uint8_t much[MUCH];

    assert_int_equal(mkfifo(place_path(state, "fifo", path), 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    snprintf(specification, sizeof specification, "file:%s", path);
    struct console *console = open_console(specification);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hurry, console), 0);
    put(console, much, sizeof much);
    pthread_join(thread, NULL);
    put(console, much, sizeof much);
    /* What fits is still written. */
    while (read(reader, much, sizeof much) > 0)
        continue;
    put(console, "last", 4);
    expect_output(reader, "last", 4);
    console_close(console);
    close(reader);
    place_remove(state, "fifo");
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    return address;
}

static int client_of(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static struct console *open_socket(void **state, char *path)
{
    char specification[SPECIFICATION_ROOM];

    snprintf(specification, sizeof specification, "unix:%s", place_path(state, "socket", path));
    return open_console(specification);
}

static void serves_clients_in_turn(void **state)
{
    char path[PATH_ROOM];
    struct console *console = open_socket(state, path);
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    int fd = console_poll_fd(console);
    assert_true(fd >= 0);
    assert_false(readable(fd, 0));
    put(console, "nobody hears this", 17);

    int first = client_of(path);
    expect_quiet(console);
    put(console, "hello", 5);
    expect_output(first, "hello", 5);
    send_text(first, "one\n");
    expect_input(console, "one\n", 4);
    expect_quiet(console);

    /* The second waits, and does not make the descriptor readable for ever. */
    int second = client_of(path);
    send_text(second, "two\n");
    expect_quiet(console);
    put(console, "x", 1);
    expect_output(first, "x", 1);
    send_text(first, "last words");
    close(first);
    expect_input(console, "last words", 10);
    expect_input(console, "two\n", 4);
    put(console, "y", 1);
    expect_output(second, "y", 1);
    close(second);
    expect_quiet(console);
    assert_int_equal(console_poll_fd(console), fd);
    assert_false(console_ended(console));
    console_close(console);
    assert_int_equal(access(path, F_OK), -1);
}

/* Input may come from a script: then only writes see clients come and go. */
static void serves_clients_by_writing_only(void **state)
{
    char path[PATH_ROOM];
    struct console *console = open_socket(state, path);

    for (unsigned i = 0; i < 3; i++) {
        int client = client_of(path);
        put(console, "a", 1);
        expect_output(client, "a", 1);
        close(client);
        put(console, "b", 1);
    }
    /* Last words are not lost by a write that finds the client gone. */
    int client = client_of(path);
    put(console, "a", 1);
    expect_output(client, "a", 1);
    send_text(client, "bye");
    close(client);
    put(console, "b", 1);
    expect_input(console, "bye", 3);
    expect_quiet(console);
    console_close(console);
}

static void half_closed_clients_get_output(void **state)
{
    char path[PATH_ROOM];
    struct console *console = open_socket(state, path);
    int client = client_of(path);

    send_text(client, "in");
    shutdown(client, SHUT_WR);
    expect_input(console, "in", 2);
    expect_quiet(console);
    put(console, "out", 3);
    expect_output(client, "out", 3);
    close(client);
    client = client_of(path);
    send_text(client, "next");
    expect_input(console, "next", 4);
    close(client);
    console_close(console);
}

static void *drain(void *argument)
{
    int fd = *(int *)argument;
    static uint8_t bytes[999];
    size_t total = 0;

    while (total < MUCH) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++, total++) {
            if (bytes[i] != (uint8_t)(total * 31 >> 4))
                return NULL;
        }
    }
    return total == MUCH ? argument : NULL;
}

static void waits_for_slow_clients(void **state)
{
    char path[PATH_ROOM];
    static uint8_t much[MUCH];
    struct console *console = open_socket(state, path);
    int client = client_of(path);
    pthread_t thread;
    void *complete;

    for (size_t i = 0; i < MUCH; i++)
        much[i] = (uint8_t)(i * 31 >> 4);
    assert_int_equal(pthread_create(&thread, NULL, drain, &client), 0);
    put(console, much, sizeof much);
    assert_int_equal(pthread_join(thread, &complete), 0);
    assert_non_null(complete);
    console_hurry(console);
    put(console, much, sizeof much); /* the client does not read any more */
    console_close(console);
    close(client);
}

static void keeps_away_from_what_is_not_its_own(void **state)
{
    char path[PATH_ROOM], specification[SPECIFICATION_ROOM];
    struct console *console = open_socket(state, path);

    snprintf(specification, sizeof specification, "unix:%s", path);
    refuses(specification, ERROR_INPUT, "in use");
    int client = client_of(path);
    send_text(client, "x");
    close(client);
    /* The probe of the refused console counts as a client that went away. */
    uint8_t byte = 0;
    while (console_read(console, &byte, 1) == 0)
        assert_true(readable(console_poll_fd(console), PATIENCE));
    assert_int_equal(byte, 'x');

    /* Another file that was put in the place of the socket is left alone. */
    place_remove(state, "socket");
    place_write(state, "socket", "", 0, path);
    console_close(console);
    place_remove(state, "socket");

    /* A socket on which nobody listens any more is replaced. */
    struct sockaddr_un address = address_of(path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    console = open_console(specification);
    client = client_of(path);
    send_text(client, "y");
    expect_input(console, "y", 1);
    close(client);
    console_close(console);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_specifications),
        cmocka_unit_test(writes_a_file),
        cmocka_unit_test(tells_what_cannot_be_written),
        cmocka_unit_test(hurries),
        cmocka_unit_test(serves_clients_in_turn),
        cmocka_unit_test(serves_clients_by_writing_only),
        cmocka_unit_test(half_closed_clients_get_output),
        cmocka_unit_test(waits_for_slow_clients),
        cmocka_unit_test(keeps_away_from_what_is_not_its_own),
    };

    alarm(PATIENCE / 1000);
    signals_ignore_write_faults();
    return cmocka_run_group_tests(tests, place_setup, place_teardown);
}
