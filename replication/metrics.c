/* See metrics.h. */
#include "replication/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 3))) put(struct bytes_writer *to, const char *format, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0)
        bytes_put(to, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

static void head(struct bytes_writer *to, const char *name, const char *type, const char *help)
{
    put(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_number(struct bytes_writer *to, const char *name, const char *type, const char *help, uint64_t value)
{
    head(to, name, type, help);
    put(to, "%s %" PRIu64 "\n", name, value);
}

static void put_seconds(struct bytes_writer *to, const char *name, const char *help, uint64_t nanoseconds)
{
    head(to, name, "gauge", help);
    put(to, "%s %" PRIu64 ".%09" PRIu64 "\n", name, nanoseconds / 1000000000, nanoseconds % 1000000000);
}

static void put_states(const struct node_status *status, struct bytes_writer *to)
{
    head(to, "encore_state", "gauge", "1 for the state that this side is in.");
    for (int state = 0; state < REPLICA_STATES; state++)
        put(to, "encore_state{state=\"%s\"} %d\n", replica_state_name((enum replica_state)state),
            (int)status->replica.state == state);
    head(to, "encore_state_seconds_total", "counter", "Time that this side has been in each state.");
    for (int state = 0; state < REPLICA_STATES; state++)
        put(to, "encore_state_seconds_total{state=\"%s\"} %" PRIu64 ".%09" PRIu64 "\n",
            replica_state_name((enum replica_state)state), status->time_in[state] / 1000000000,
            status->time_in[state] % 1000000000);
}

static void put_arbiter(const struct node_status *status, struct bytes_writer *to)
{
    enum replica_arbiter arbiter = status->replica.arbiter;

    put_number(to, "encore_arbiter_reachable", "gauge", "1 if the arbiter answered when it was asked last.",
               arbiter == REPLICA_ARBITER_ANSWERS || arbiter == REPLICA_ARBITER_FORGETFUL);
    put_number(to, "encore_arbiter_forgetful", "gauge", "1 if the arbiter has lost its memory of this machine.",
               arbiter == REPLICA_ARBITER_FORGETFUL);
}

void metrics_write(const struct node_status *status, struct bytes_writer *to)
{
    const struct replica_status *replica = &status->replica;

    head(to, "encore_role", "gauge", "1 for the role of this side: it runs the machine, or follows.");
    put(to, "encore_role{role=\"primary\"} %d\nencore_role{role=\"backup\"} %d\n", status->primary, !status->primary);
    put_states(status, to);
    put_number(to, "encore_epoch", "gauge", "The epoch that this side lives in.", replica->epoch);
    put_number(to, "encore_peer", "gauge", "1 if there is another side.", replica->peer != 0);
    put_seconds(to, "encore_peer_silence_seconds", "Time since the other side was heard.", replica->heard);
    put_seconds(to, "encore_round_trip_seconds", "Round trip to the other side; 0: not known.", replica->round_trip);
    put_seconds(to, "encore_suspect_after_seconds", "Silence after which the other side is taken for dead.",
                replica->patience);
    put_seconds(to, "encore_lag_seconds", "How long ago the primary wrote what its backup is to replay next.",
                replica->lag);
    put_number(to, "encore_throttle_permille", "gauge", "Thousandths of its time that the guest is held back.",
               replica->throttle);
    put_number(to, "encore_output_held_bytes", "gauge", "Output of the guest that waits for the backup.",
               status->output_held);
    put_number(to, "encore_joins_total", "counter", "Backups that have begun to join.", status->joins);
    put_seconds(to, "encore_join_pause_seconds", "How long the guest stood still for the last join.",
                status->join_pause);
    put_number(to, "encore_join_left_bytes", "gauge", "What a joining backup has still to get, about.",
               replica->join_left);
    put_number(to, "encore_takeovers_total", "counter", "Takeovers by this side.", status->takeovers);
    put_number(to, "encore_log_bytes", "gauge", "Length of the present stream of log.", replica->stream_end);
    put_number(to, "encore_log_replayed_bytes", "gauge", "How much of it the backup has replayed.", replica->replayed);
    put_number(to, "encore_link_sent_bytes", "gauge", "Bytes sent on the present links.", status->log_bytes);
    put_number(to, "encore_log_ended", "gauge", "1 if the log on disk ended although the guest goes on.",
               status->log_ended);
    put_seconds(to, "encore_guest_time_seconds", "What the guest's clock shows.", replica->guest_time);
    put_number(to, "encore_consoles", "gauge", "Clients at the console.", status->consoles);
    put_number(to, "encore_console_dropped_bytes_total", "counter",
               "Output that clients did not read in time, and were not given.", status->console_dropped);
    put_arbiter(status, to);
}

/* Past a field that ends with a space, which is the field's value; NULL: there is none. */
static const char *past(const char *at, const char *end, size_t *length)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));

    if (!space || space == at)
        return NULL;
    *length = (size_t)(space - at);
    return space + 1;
}

static bool is(const char *at, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(at, word, length) == 0;
}

/* METHOD SP TARGET SP HTTP/1.x */
static enum metrics_request judge_line(const char *line, size_t length)
{
    const char *end = line + length;
    size_t method = 0, target = 0;
    const char *where = past(line, end, &method);
    const char *version = where ? past(where, end, &target) : NULL;

    if (!version || end - version != 8 || memcmp(version, "HTTP/1.", 7) != 0 || version[7] < '0' || version[7] > '9' ||
        where[0] != '/')
        return METRICS_MALFORMED;
    if (!is(line, method, "GET"))
        return METRICS_ANOTHER;
    const char *query = memchr(where, '?', target);
    return is(where, query ? (size_t)(query - where) : target, "/metrics") ? METRICS_WANTED : METRICS_ELSEWHERE;
}

/* The end of the request's head, an empty line; NULL: it has not come. */
static const char *find_end(const char *bytes, size_t length)
{
    const char *at = bytes, *end = bytes + length, *line;

    while ((line = memchr(at, '\n', (size_t)(end - at)))) {
        if (line > bytes && (line == at || (line == at + 1 && *at == '\r')))
            return line;
        at = line + 1;
    }
    return NULL;
}

enum metrics_request metrics_request(const char *bytes, size_t length)
{
    const char *line = memchr(bytes, '\n', length);

    if (length > 0 && (bytes[0] < 'A' || bytes[0] > 'Z'))
        return METRICS_MALFORMED;
    if (!find_end(bytes, length))
        return length < METRICS_REQUEST_MAX ? METRICS_INCOMPLETE : METRICS_MALFORMED;
    size_t first = (size_t)(line - bytes);
    if (first > 0 && bytes[first - 1] == '\r')
        first--;
    return judge_line(bytes, first);
}

void metrics_respond(enum metrics_request request, const struct node_status *status, struct bytes_writer *to)
{
    static const char *const refusals[] = {
        [METRICS_INCOMPLETE] = "408 Request Timeout",
        [METRICS_ELSEWHERE] = "404 Not Found",
        [METRICS_ANOTHER] = "405 Method Not Allowed",
        [METRICS_MALFORMED] = "400 Bad Request",
    };

    if (request != METRICS_WANTED) {
        put(to, "HTTP/1.0 %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", refusals[request],
            request == METRICS_ANOTHER ? "Allow: GET\r\n" : "");
        return;
    }
    struct bytes_writer text = bytes_writer(METRICS_MAX);
    metrics_write(status, &text);
    put(to,
        "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n\r\n",
        text.length);
    bytes_put(to, text.data, text.length);
    to->failed |= text.failed;
    bytes_writer_free(&text);
}
