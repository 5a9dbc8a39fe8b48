/* See control.h. */
#include "vmm/host/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "vmm/host/unix_listener.h"

#define CLIENTS 8
#define PREFIX  "unix:"
/* At most so many clients are looked at in one control_next that have nothing to say. */
#define TRIES (2 * CLIENTS)

struct client {
    int fd; /* -1: none */
    char line[CONTROL_LINE + 1];
    size_t length;
};

struct control {
    struct unix_listener listener;
    int epoll;
    struct client clients[CLIENTS];
    unsigned next;       /* the place that the next client gets */
    struct client *asks; /* whose line is to be answered; NULL: none */
};

static void drop(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->length = 0;
}

/* Takes a new client, in the place of the oldest. */
static bool accept_client(struct control *control)
{
    struct client *client = &control->clients[control->next];
    struct epoll_event event = {.events = EPOLLIN};
    int fd = unix_listener_accept(&control->listener);

    if (fd < 0)
        return false;
    control->next = (control->next + 1) % CLIENTS;
    drop(client);
    client->fd = fd;
    if (epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        drop(client);
    return true;
}

/* Whether the client has a whole line. One that is gone, or says too much, is dropped. */
static bool has_line(struct client *client)
{
    if (client->fd < 0)
        return false;
    ssize_t got = recv(client->fd, client->line + client->length, sizeof client->line - client->length, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        drop(client);
        return false;
    }
    char *end = memchr(client->line + client->length, '\n', (size_t)got);
    client->length += (size_t)got;
    if (end) {
        *end = 0;
        client->length = (size_t)(end - client->line);
        return true;
    }
    if (client->length == sizeof client->line)
        drop(client);
    return false;
}

const char *control_next(struct control *control, size_t *length)
{
    CHECK(!control->asks);
    for (unsigned tries = 0; tries < TRIES; tries++) {
        for (unsigned n = 0; n < CLIENTS; n++) {
            struct client *client = &control->clients[n];
            if (!has_line(client))
                continue;
            control->asks = client;
            *length = client->length;
            return client->line;
        }
        if (!accept_client(control))
            break;
    }
    return NULL;
}

/* A line fits into a socket that nothing was sent to before. */
void control_answer(struct control *control, const char *line)
{
    struct client *client = control->asks;
    char text[CONTROL_LINE + 2];

    CHECK(client);
    control->asks = NULL;
    size_t length = strnlen(line, CONTROL_LINE);
    memcpy(text, line, length);
    text[length] = '\n';
    (void)send(client->fd, text, length + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    drop(client);
}

int control_poll_fd(const struct control *control)
{
    return control->epoll;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    for (unsigned n = 0; n < CLIENTS; n++)
        drop(&control->clients[n]);
    unix_listener_close(&control->listener);
    if (control->epoll >= 0)
        close(control->epoll);
    free(control);
}

static int open_at(struct control *control, const char *path, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (unix_listener_open(&control->listener, path, "control socket", error) < 0)
        return -1;
    control->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (control->epoll < 0 || epoll_ctl(control->epoll, EPOLL_CTL_ADD, control->listener.fd, &event) < 0)
        return error_errno(error, "control socket %s", path);
    return 0;
}

struct control *control_open(const char *specification, struct error *error)
{
    size_t prefix = strlen(PREFIX);

    if (strncmp(specification, PREFIX, prefix) != 0 || !specification[prefix]) {
        error_set(error, ERROR_INPUT, "control %s: is not unix:PATH", specification);
        return NULL;
    }
    struct control *control = calloc(1, sizeof *control);
    if (!control) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    control->epoll = control->listener.fd = -1;
    for (unsigned n = 0; n < CLIENTS; n++)
        control->clients[n].fd = -1;
    if (open_at(control, specification + prefix, error) < 0) {
        control_close(control);
        return NULL;
    }
    return control;
}
