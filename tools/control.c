/* See control.h. */
#include "tools/control.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "replication/link.h"
#include "vmm/host/clock.h"

#define MILLISECOND UINT64_C(1000000)
#define PATIENCE    (2000 * MILLISECOND)

enum option_key { KEY_KEY = 0x800 };

static const struct argp_option options[] = {
    {"key", KEY_KEY, "FILE", 0, "The key of the machines (encore keygen)", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct control_options *to = state->input;

    switch (key) {
    case KEY_KEY:
        to->key = text;
        return 0;
    case ARGP_KEY_ARG:
        if (to->address)
            argp_error(state, "one address only: '%s' is one too many", text);
        to->address = text;
        return 0;
    case ARGP_KEY_END:
        if (!to->address)
            argp_error(state, "an address is needed");
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
        error_set(error, ERROR_INPUT, "%s", refusal);
    if (refusal) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

static json_t *converse(struct link *link, const char *command, struct error *error)
{
    uint64_t until = host_clock_now() + PATIENCE;
    const uint8_t *bytes;
    char request[100];
    size_t length;

    snprintf(request, sizeof request, "{\"command\": \"%s\"}", command);
    while (host_clock_now() < until) {
        struct pollfd fd = {.fd = link_poll_fd(link), .events = POLLIN};
        (void)poll(&fd, 1, 10);
        link_tend(link, host_clock_now(), 20 * MILLISECOND);
        link_flush(link);
        switch (link_receive(link, &bytes, &length, error)) {
        case LINK_UP:
            link_send(link, (const uint8_t *)request, strlen(request));
            break;
        case LINK_MESSAGE:
            return take_answer(bytes, length, error);
        case LINK_REFUSED:
            return NULL;
        case LINK_NOTHING:
        case LINK_DOWN:
            break;
        }
    }
    error_set(error, ERROR_HOST, "nobody answers there");
    return NULL;
}

json_t *control_ask(const struct control_options *to, const char *command, struct error *error)
{
    uint8_t key[SESSION_KEY];

    if (to->key && session_read_key(to->key, key, error) < 0)
        return NULL;
    struct link *link = link_connect(to->address, SESSION_CONTROL, to->key ? key : NULL, error);
    if (!link)
        return NULL;
    json_t *answer = converse(link, command, error);
    link_close(link);
    explicit_bzero(key, sizeof key);
    if (!answer)
        error_wrap(error, "%s", to->address);
    return answer;
}
