/* See control.h. */
#include "tools/control.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replication/link.h"
#include "tools/command_line.h"
#include "vmm/host/clock.h"
#include "vmm/host/control.h"
#include "vmm/host/unix_listener.h"

#define MILLISECOND UINT64_C(1000000)
#define PATIENCE_MS 2000

#define SOCKET_PREFIX "unix:"

enum option_key { KEY_KEY = 0x800 };

static const struct argp_option options[] = {
    {"key", KEY_KEY, "FILE", 0, "An operator's key, or the master key (encore keygen)", 0},
    {0},
};

static bool is_socket(const char *address)
{
    return strncmp(address, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) == 0;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct control_options *to = state->input;

    switch (key) {
    case KEY_KEY:
        to->key = text;
        return 0;
    case ARGP_KEY_ARG:
        command_line_only(&to->address, text, state);
        return 0;
    case ARGP_KEY_END:
        if (!to->address)
            argp_error(state, "an address is needed");
        if (to->key && is_socket(to->address))
            argp_error(state,
                       "--key: a control socket (unix:PATH) is protected by its file's permissions, and has no key");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp control_argp = {.options = options, .parser = parse_option};

static json_t *take_answer(const uint8_t *bytes, size_t length, struct error *error)
{
    json_t *answer = json_loadb((const char *)bytes, length, 0, NULL);
    const char *refusal = json_string_value(json_object_get(answer, "error"));

    if (!answer)
        error_set(error, ERROR_INPUT, "the answer is not JSON");
    else if (refusal)
        /* "tried": it was not the request that was wrong. */
        error_set(error, json_is_true(json_object_get(answer, "tried")) ? ERROR_HOST : ERROR_INPUT, "%s", refusal);
    if (refusal) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

/* The host time until which an answer is waited for. */
static uint64_t end_of_patience(const struct control_options *to)
{
    return host_clock_now() + (to->patience_ms ? to->patience_ms : PATIENCE_MS) * MILLISECOND;
}

static json_t *converse(struct link *link, const struct control_options *to, const char *request, struct error *error)
{
    uint64_t until = end_of_patience(to);
    struct error trouble; /* of a connection; after it there is another */
    const uint8_t *bytes;
    size_t length;

    while (host_clock_now() < until) {
        struct pollfd fd;
        (void)poll(&fd, link_poll(link, &fd), 10);
        link_tend(link, host_clock_now());
        switch (link_receive(link, &bytes, &length, &trouble)) {
        case LINK_UP:
            link_send(link, (const uint8_t *)request, strlen(request));
            break;
        case LINK_MESSAGE:
            return take_answer(bytes, length, error);
        case LINK_REFUSED:
            *error = trouble;
            return NULL;
        case LINK_NOTHING:
        case LINK_DOWN:
            break;
        }
    }
    error_set(error, ERROR_HOST, "nobody answers there");
    return NULL;
}

/* Until the end of the answer's line, or of the connection, or of our patience. */
static json_t *receive_line(int fd, const struct control_options *to, struct error *error)
{
    uint64_t until = end_of_patience(to);
    char line[CONTROL_LINE + 2];
    size_t length = 0;

    while (host_clock_now() < until && length < sizeof line) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        (void)poll(&polled, 1, 10);
        ssize_t got = recv(fd, line + length, sizeof line - length, MSG_DONTWAIT);
        if (got > 0)
            length += (size_t)got;
        if (got == 0 || (length > 0 && line[length - 1] == '\n'))
            break;
    }
    if (length == 0) {
        error_set(error, ERROR_HOST, "nobody answers there");
        return NULL;
    }
    return take_answer((const uint8_t *)line, length, error);
}

/* One line there, one back. */
static json_t *ask_socket(const struct control_options *to, const char *request, struct error *error)
{
    const char *path = to->address + strlen(SOCKET_PREFIX);
    struct sockaddr_un where;
    json_t *answer = NULL;

    if (unix_address(&where, path, "control socket", error) < 0)
        return NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&where, sizeof where) < 0 ||
        send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0)
        error_errno(error, "nobody answers there");
    else
        answer = receive_line(fd, to, error);
    if (fd >= 0)
        close(fd);
    return answer;
}

static json_t *ask_link(const struct control_options *to, const char *request, struct error *error)
{
    struct keys keys;

    if (to->key && keys_read(NULL, to->key, KEY_OPERATOR, &keys, error) < 0)
        return NULL;
    struct link *link = link_connect(to->address, SESSION_CONTROL, to->key ? &keys : NULL, error);
    if (!link)
        return NULL;
    json_t *answer = converse(link, to, request, error);
    link_close(link);
    keys_forget(&keys);
    return answer;
}

json_t *control_request(const struct control_options *to, json_t *request, struct error *error)
{
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_t *answer = NULL;

    json_decref(request);
    if (!text)
        error_set(error, ERROR_HOST, "out of memory");
    else if (is_socket(to->address))
        answer = ask_socket(to, text, error);
    else
        answer = ask_link(to, text, error);
    free(text);
    if (!answer)
        error_wrap(error, "%s", to->address);
    return answer;
}

json_t *control_ask(const struct control_options *to, const char *command, struct error *error)
{
    return control_request(to, json_pack("{s:s}", "command", command), error);
}
