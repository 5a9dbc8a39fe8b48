/* See metrics_server.h. */
#include "replication/metrics_server.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "replication/address.h"
#include "replication/metrics.h"
#include "vmm/host/clock.h"
#include "vmm/host/unix_listener.h"

#define CONNECTIONS 8
/* A connection lasts so long, ns. */
#define PATIENCE UINT64_C(5000000000)

struct connection {
    int fd; /* -1: none */
    uint64_t until;
    char request[METRICS_REQUEST_MAX];
    size_t length;
    struct bytes_writer response; /* empty: the request is not complete */
    size_t sent;
};

struct metrics_server {
    struct unix_listener path; /* fd -1: it is a TCP port */
    int fd;                    /* that listens */
    int closing;               /* an eventfd */
    pthread_t thread;
    bool started;
    struct connection connections[CONNECTIONS];
    pthread_mutex_t mutex;
    struct node_status status; /* under the mutex */
};

static void end(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    bytes_writer_free(&connection->response);
    connection->fd = -1;
}

static void begin(struct metrics_server *server, int fd)
{
    struct connection *place = &server->connections[0];

    for (size_t n = 0; n < CONNECTIONS; n++) {
        struct connection *other = &server->connections[n];
        if (other->fd < 0 || (place->fd >= 0 && other->until < place->until))
            place = other;
    }
    end(place);
    place->fd = fd;
    place->until = host_clock_now() + PATIENCE;
    place->length = place->sent = 0;
    place->response = bytes_writer(METRICS_MAX + 512);
}

static void respond(struct metrics_server *server, struct connection *connection, enum metrics_request request)
{
    pthread_mutex_lock(&server->mutex);
    struct node_status status = server->status;
    pthread_mutex_unlock(&server->mutex);
    metrics_respond(request, &status, &connection->response);
    if (connection->response.failed)
        end(connection);
}

static void receive(struct metrics_server *server, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->request + connection->length,
                       sizeof connection->request - connection->length, MSG_DONTWAIT);

    if (got <= 0)
        return end(connection);
    connection->length += (size_t)got;
    enum metrics_request request = metrics_request(connection->request, connection->length);
    if (request != METRICS_INCOMPLETE)
        respond(server, connection, request);
}

static void deliver(struct connection *connection)
{
    ssize_t sent = send(connection->fd, connection->response.data + connection->sent,
                        connection->response.length - connection->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0)
        return end(connection);
    connection->sent += (size_t)sent;
    if (connection->sent == connection->response.length) {
        /* What the client says after its request is read by nobody, and must not turn the close into a reset. */
        shutdown(connection->fd, SHUT_WR);
        (void)recv(connection->fd, connection->request, sizeof connection->request, MSG_DONTWAIT);
        end(connection);
    }
}

static void serve(struct metrics_server *server, struct connection *connection, short events)
{
    if (events && connection->response.length == 0)
        receive(server, connection);
    else if (events)
        deliver(connection);
    if (connection->fd >= 0 && host_clock_now() >= connection->until)
        end(connection);
}

static void *metrics_thread(void *argument)
{
    struct metrics_server *server = argument;
    struct pollfd fds[CONNECTIONS + 2];
    bool pauses = false; /* a connection waits that cannot be taken now: no descriptor, no memory */

    for (;;) {
        for (size_t n = 0; n < CONNECTIONS; n++)
            fds[n] = (struct pollfd){.fd = server->connections[n].fd,
                                     .events = server->connections[n].response.length ? POLLOUT : POLLIN};
        fds[CONNECTIONS] = (struct pollfd){.fd = pauses ? -1 : server->fd, .events = POLLIN};
        fds[CONNECTIONS + 1] = (struct pollfd){.fd = server->closing, .events = POLLIN};
        (void)poll(fds, CONNECTIONS + 2, pauses ? 100 : 500);
        if (fds[CONNECTIONS + 1].revents)
            return NULL;
        for (size_t n = 0; n < CONNECTIONS; n++)
            if (fds[n].fd >= 0)
                serve(server, &server->connections[n], fds[n].revents);
        int fd = fds[CONNECTIONS].revents ? accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
        pauses = fds[CONNECTIONS].revents && fd < 0;
        if (fd >= 0)
            begin(server, fd);
    }
}

static int listen_on_port(struct metrics_server *server, const char *where, struct error *error)
{
    struct address found[ADDRESS_FOUND];
    char address[ADDRESS_MAX];
    int one = 1;

    snprintf(address, sizeof address, "tcp://%.200s", where);
    if (address_find(address, true, found, error) < 0)
        return -1;
    server->fd = socket(found[0].where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd < 0)
        return error_errno(error, "--metrics tcp:%s", where);
    (void)setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server->fd, (struct sockaddr *)&found[0].where, found[0].length) < 0 ||
        listen(server->fd, CONNECTIONS) < 0)
        return error_set(error, ERROR_INPUT, "--metrics tcp:%s: %m", where);
    return 0;
}

static int listen_at(struct metrics_server *server, const char *address, struct error *error)
{
    if (strncmp(address, "tcp:", 4) == 0)
        return listen_on_port(server, address + 4, error);
    if (strncmp(address, "unix:", 5) != 0 || !address[5])
        return error_set(error, ERROR_INPUT, "--metrics %.200s: unix:PATH or tcp:HOST:PORT is needed", address);
    if (unix_listener_open(&server->path, address + 5, "metrics socket", error) < 0)
        return -1;
    server->fd = server->path.fd;
    return 0;
}

struct metrics_server *metrics_server_open(const char *address, struct error *error)
{
    struct metrics_server *server = calloc(1, sizeof *server);

    if (!server) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    server->path.fd = server->fd = -1;
    for (size_t n = 0; n < CONNECTIONS; n++)
        server->connections[n].fd = -1;
    pthread_mutex_init(&server->mutex, NULL);
    server->closing = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->closing < 0)
        error_errno(error, "cannot create an eventfd");
    else if (listen_at(server, address, error) == 0 &&
             thread_start(&server->thread, metrics_thread, server, error) == 0)
        server->started = true;
    if (server->started)
        return server;
    metrics_server_close(server);
    return NULL;
}

void metrics_server_publish(struct metrics_server *server, const struct node_status *status)
{
    pthread_mutex_lock(&server->mutex);
    server->status = *status;
    pthread_mutex_unlock(&server->mutex);
}

void metrics_server_close(struct metrics_server *server)
{
    uint64_t one = 1;

    if (!server)
        return;
    if (server->started && write(server->closing, &one, sizeof one) == sizeof one)
        pthread_join(server->thread, NULL);
    for (size_t n = 0; n < CONNECTIONS; n++)
        end(&server->connections[n]);
    if (server->path.fd >= 0)
        unix_listener_close(&server->path);
    else if (server->fd >= 0)
        close(server->fd);
    if (server->closing >= 0)
        close(server->closing);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}
