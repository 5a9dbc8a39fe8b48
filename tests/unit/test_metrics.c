/* What Prometheus is told, what is taken for a request for it, and a server that silent clients do not hold up. */
#include "tests/unit/host_testing.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "replication/metrics.h"
#include "replication/metrics_server.h"

static void expect_request(const char *text, enum metrics_request expected)
{
    if (metrics_request(text, strlen(text)) != expected)
        fail_msg("%s: not %d", text, (int)expected);
}

static void requests_are_understood(void **state)
{
    (void)state;
    expect_request("", METRICS_INCOMPLETE);
    expect_request("GET /metrics HTTP/1.0\r\n", METRICS_INCOMPLETE);
    expect_request("GET /metrics HTTP/1.0\r\n\r", METRICS_INCOMPLETE);
    expect_request("GET /metrics HTTP/1.0\r\n\r\n", METRICS_WANTED);
    expect_request("GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\nmore", METRICS_WANTED);
    expect_request("GET /metrics?x=y HTTP/1.1\n\n", METRICS_WANTED);
    expect_request("GET /metricsx HTTP/1.1\r\n\r\n", METRICS_ELSEWHERE);
    expect_request("GET / HTTP/1.1\r\n\r\n", METRICS_ELSEWHERE);
    expect_request("POST /metrics HTTP/1.1\r\n\r\n", METRICS_ANOTHER);
    expect_request("GET metrics HTTP/1.1\r\n\r\n", METRICS_MALFORMED);
    expect_request("GET /metrics HTTP/2.0\r\n\r\n", METRICS_MALFORMED);
    expect_request("GET /metrics\r\n\r\n", METRICS_MALFORMED);
    expect_request("GET  /metrics HTTP/1.0\r\n\r\n", METRICS_MALFORMED);
    expect_request("\r\n\r\n", METRICS_MALFORMED);
    expect_request("\x16\x03\x01", METRICS_MALFORMED);
    /* Where a piece ends does not matter, and no end is waited for for ever. */
    const char whole[] = "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
    for (size_t length = 0; length < sizeof whole - 1; length++)
        assert_int_equal(metrics_request(whole, length), METRICS_INCOMPLETE);
    char endless[METRICS_REQUEST_MAX];
    memset(endless, 'A', sizeof endless);
    assert_int_equal(metrics_request(endless, sizeof endless - 1), METRICS_INCOMPLETE);
    assert_int_equal(metrics_request(endless, sizeof endless), METRICS_MALFORMED);
    memset(endless, '\n', sizeof endless);
    endless[0] = 'G';
    assert_int_equal(metrics_request(endless, sizeof endless), METRICS_MALFORMED);
}

static struct node_status some_status(void)
{
    struct node_status status = {.primary = true,
                                 .output_held = 17,
                                 .joins = 3,
                                 .takeovers = 1,
                                 .replica = {.state = REPLICA_PRIMARY,
                                             .epoch = 9,
                                             .peer = 5,
                                             .lag = 1500000,
                                             .guest_time = UINT64_C(12000000345),
                                             .arbiter = REPLICA_ARBITER_FORGETFUL}};

    status.time_in[REPLICA_ALONE] = UINT64_C(2500000000);
    return status;
}

static void metrics_tell_the_status(void **state)
{
    static const char *const lines[] = {
        "encore_role{role=\"primary\"} 1\nencore_role{role=\"backup\"} 0\n",
        "encore_state{state=\"primary\"} 1\n",
        "encore_state{state=\"alone\"} 0\n",
        "encore_state_seconds_total{state=\"alone\"} 2.500000000\n",
        "\nencore_epoch 9\n",
        "\nencore_lag_seconds 0.001500000\n",
        "\nencore_guest_time_seconds 12.000000345\n",
        "\nencore_output_held_bytes 17\n",
        "\nencore_joins_total 3\n",
        "\nencore_takeovers_total 1\n",
        "\nencore_arbiter_reachable 1\n",
        "\nencore_arbiter_forgetful 1\n",
    };
    struct bytes_writer text = bytes_writer(METRICS_MAX), response = bytes_writer(2 * METRICS_MAX);
    struct node_status status = some_status();
    char length[64];

    (void)state;
    metrics_write(&status, &text);
    metrics_respond(METRICS_WANTED, &status, &response);
    assert_false(text.failed || response.failed);
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", text.length);
    assert_memory_equal(response.data + response.length - text.length, text.data, text.length);
    bytes_put(&text, "", 1);
    bytes_put(&response, "", 1);
    for (size_t n = 0; n < sizeof lines / sizeof lines[0]; n++)
        if (!strstr((const char *)text.data, lines[n]))
            fail_msg("%s is not in %s", lines[n], (const char *)text.data);
    assert_non_null(strstr((const char *)response.data, length));
    bytes_writer_free(&text);
    bytes_writer_free(&response);
}

static int dial(const char *path)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    snprintf(where.sun_path, sizeof where.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
    return fd;
}

static void expect_answer(const char *path, const char *request, const char *expected)
{
    char answer[4 * METRICS_MAX];
    size_t length = 0;
    ssize_t got;
    int fd = dial(path);

    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((got = recv(fd, answer + length, sizeof answer - 1 - length, 0)) > 0)
        length += (size_t)got;
    answer[length] = 0;
    close(fd);
    if (!strstr(answer, expected))
        fail_msg("%s: %s, and no %s", request, answer, expected);
}

static void silent_clients_hold_nobody_up(void **state)
{
    char directory[] = "/tmp/encore-metrics-XXXXXX", path[64], where[80];
    struct node_status status = some_status();
    struct error error;
    int silent[40];

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(where, sizeof where, "unix:%s", path);
    struct metrics_server *server = metrics_server_open(where, &error);
    assert_non_null(server);
    metrics_server_publish(server, &status);
    /* Some say nothing, some only half of it, and some do not listen. */
    for (size_t n = 0; n < sizeof silent / sizeof silent[0]; n++) {
        silent[n] = dial(path);
        const char *part = n % 3 == 0 ? "" : n % 3 == 1 ? "GET /metr" : "GET /metrics HTTP/1.0\r\n\r\n";
        (void)send(silent[n], part, strlen(part), MSG_NOSIGNAL);
        if (n % 10 == 9)
            expect_answer(path, "GET /metrics HTTP/1.0\r\n\r\n", "\nencore_epoch 9\n");
    }
    expect_answer(path, "GET /other HTTP/1.1\r\n\r\n", "HTTP/1.0 404 ");
    expect_answer(path, "DELETE /metrics HTTP/1.1\r\n\r\n", "HTTP/1.0 405 ");
    expect_answer(path, "hello\r\n\r\n", "HTTP/1.0 400 ");
    for (size_t n = 0; n < sizeof silent / sizeof silent[0]; n++)
        close(silent[n]);
    metrics_server_close(server);
    assert_int_equal(rmdir(directory), 0); /* the socket is gone */
}

static void other_addresses_are_refused(void **state)
{
    static const char *const addresses[] = {"",
                                            "unix:",
                                            "tcp:",
                                            "tcp:127.0.0.1",
                                            "tcp:127.0.0.1:0",
                                            "tcp:127.0.0.1:99999",
                                            "http://127.0.0.1:80",
                                            "unix:/nonexistent/directory/socket"};
    struct error error;

    (void)state;
    for (size_t n = 0; n < sizeof addresses / sizeof addresses[0]; n++) {
        assert_null(metrics_server_open(addresses[n], &error));
        assert_int_equal(error.kind, ERROR_INPUT);
        assert_true(error.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_understood),
        cmocka_unit_test(metrics_tell_the_status),
        cmocka_unit_test(silent_clients_hold_nobody_up),
        cmocka_unit_test(other_addresses_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
