/* See port.h. One mutex guards everything; it is held for moments only. */
#include "replication/port.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* What a slow replay may leave here. An honest primary waits for it long before (WAITING_MAX in node.c). */
#define STREAM_MAX (UINT64_C(256) << 20)

struct port {
    pthread_mutex_t mutex;
    pthread_cond_t changed;    /* orders or stream bytes, for the machine's thread */
    pthread_cond_t news_taken; /* for a machine's thread that has told too much */
    int news_fd, orders_fd;
    struct bytes_writer news, taken; /* the one fills while the node reads the other */
    bool woken;                      /* the node has been woken for what is in `news` */
    struct port_orders orders;
    struct bytes_writer stream;
    bool pushed; /* the machine has not been woken for the last of `stream` */
    uint8_t input[PORT_INPUT_MAX];
    size_t input_length;
    uint64_t owner; /* of the input from its first byte on; 0: as before */
    bool has_order;
    uint64_t ram_size;
    struct operator_order order;
    struct engine *engine;
};

struct port *port_create(struct error *error)
{
    struct port *port = calloc(1, sizeof *port);
    pthread_condattr_t monotonic;

    if (!port) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&port->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&port->changed, &monotonic);
    pthread_cond_init(&port->news_taken, NULL);
    pthread_condattr_destroy(&monotonic);
    port->news = bytes_writer(2 * (size_t)PORT_NEWS_MAX);
    port->taken = bytes_writer(2 * (size_t)PORT_NEWS_MAX);
    port->stream = bytes_writer(STREAM_MAX);
    port->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    port->orders_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->news_fd < 0 || port->orders_fd < 0) {
        error_errno(error, "cannot create an eventfd");
        port_free(port);
        return NULL;
    }
    return port;
}

void port_free(struct port *port)
{
    if (!port)
        return;
    if (port->news_fd >= 0)
        close(port->news_fd);
    if (port->orders_fd >= 0)
        close(port->orders_fd);
    bytes_writer_free(&port->news);
    bytes_writer_free(&port->taken);
    bytes_writer_free(&port->stream);
    pthread_cond_destroy(&port->news_taken);
    pthread_cond_destroy(&port->changed);
    pthread_mutex_destroy(&port->mutex);
    free(port);
}

static void signal_fd(int fd)
{
    uint64_t one = 1;

    /* It cannot fail but when it is signalled already. */
    CHECK(write(fd, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

static void drain_fd(int fd)
{
    uint64_t count;

    CHECK(read(fd, &count, sizeof count) == sizeof count || errno == EAGAIN);
}

int port_news_fd(const struct port *port)
{
    return port->news_fd;
}

int port_orders_fd(const struct port *port)
{
    return port->orders_fd;
}

void port_drain_orders(struct port *port)
{
    drain_fd(port->orders_fd);
}

static void tell(struct port *port, const struct port_item *item, bool wake)
{
    pthread_mutex_lock(&port->mutex);
    if (port->news.length > PORT_NEWS_MAX && !port->woken)
        signal_fd(port->news_fd);
    while (port->news.length > PORT_NEWS_MAX && !port->orders.stop)
        pthread_cond_wait(&port->news_taken, &port->mutex);
    wake |= port->orders.prompt;
    bool signal = wake && !port->woken;
    port->woken |= wake;
    bytes_put_uint(&port->news, 1, item->news);
    bytes_put_uint(&port->news, 4, item->stream);
    bytes_put_uint(&port->news, 1, item->halted);
    bytes_put_uint(&port->news, 8, item->a);
    bytes_put_uint(&port->news, 8, item->b);
    bytes_put_uint(&port->news, 8, item->length);
    bytes_put(&port->news, item->bytes, item->length);
    CHECK(!port->news.failed);
    pthread_mutex_unlock(&port->mutex);
    if (signal)
        signal_fd(port->news_fd);
}

void port_tell(struct port *port, const struct port_item *item)
{
    tell(port, item, true);
}

void port_mention(struct port *port, const struct port_item *item)
{
    tell(port, item, false);
}

struct bytes_reader port_take_news(struct port *port)
{
    drain_fd(port->news_fd);
    bytes_writer_clear(&port->taken);
    pthread_mutex_lock(&port->mutex);
    struct bytes_writer full = port->news;
    port->news = port->taken;
    port->taken = full;
    port->woken = false;
    pthread_cond_signal(&port->news_taken);
    pthread_mutex_unlock(&port->mutex);
    return bytes_reader(port->taken.data, port->taken.length);
}

bool port_next_item(struct bytes_reader *news, struct port_item *item)
{
    if (bytes_left(news) == 0)
        return false;
    *item = (struct port_item){.news = (enum port_news)bytes_get_uint(news, 1)};
    item->stream = (uint32_t)bytes_get_uint(news, 4);
    item->halted = bytes_get_uint(news, 1) != 0;
    item->a = bytes_get_uint(news, 8);
    item->b = bytes_get_uint(news, 8);
    item->length = bytes_get_uint(news, 8);
    item->bytes = bytes_take(news, item->length);
    CHECK(!news->bad);
    return true;
}

/* With the mutex held. */
static void wake_machine(struct port *port)
{
    pthread_cond_signal(&port->changed);
    pthread_cond_signal(&port->news_taken);
    signal_fd(port->orders_fd);
}

static bool differ(const struct port_orders *a, const struct port_orders *b)
{
    return a->stop != b->stop || a->end != b->end || a->quiet != b->quiet || a->wait != b->wait ||
           a->start != b->start || a->live != b->live || a->join != b->join || a->reset != b->reset ||
           a->throttle != b->throttle;
}

void port_order(struct port *port, const struct port_orders *orders)
{
    pthread_mutex_lock(&port->mutex);
    if (orders->reset != port->orders.reset)
        bytes_writer_clear(&port->stream);
    bool urgent = orders->stop != port->orders.stop || orders->reset != port->orders.reset;
    bool new = differ(&port->orders, orders);
    /* What was only mentioned so far counts now. */
    bool overdue = orders->prompt && !port->orders.prompt && port->news.length > 0 && !port->woken;
    port->orders = *orders;
    if (overdue) {
        port->woken = true;
        signal_fd(port->news_fd);
    }
    if (urgent && port->engine)
        engine_kick(port->engine);
    if (new)
        wake_machine(port);
    else if (port->pushed)
        pthread_cond_signal(&port->changed);
    port->pushed = false;
    pthread_mutex_unlock(&port->mutex);
}

bool port_push_stream(struct port *port, const uint8_t *bytes, size_t length)
{
    pthread_mutex_lock(&port->mutex);
    bytes_put(&port->stream, bytes, length);
    bool kept = !port->stream.failed;
    port->pushed = true;
    pthread_mutex_unlock(&port->mutex);
    return kept;
}

size_t port_input_room(struct port *port)
{
    pthread_mutex_lock(&port->mutex);
    /* A change of owner has to wait until the input before it has been taken. */
    size_t room = port->owner ? 0 : sizeof port->input - port->input_length;
    pthread_mutex_unlock(&port->mutex);
    return room;
}

void port_push_input(struct port *port, const uint8_t *bytes, size_t length, uint64_t owner)
{
    pthread_mutex_lock(&port->mutex);
    CHECK(!port->owner && length <= sizeof port->input - port->input_length);
    CHECK(!owner || port->input_length == 0);
    memcpy(port->input + port->input_length, bytes, length);
    port->input_length += length;
    port->owner = owner;
    wake_machine(port);
    pthread_mutex_unlock(&port->mutex);
}

size_t port_take_input(struct port *port, uint8_t *bytes, size_t length, uint64_t *owner)
{
    pthread_mutex_lock(&port->mutex);
    size_t taken = length < port->input_length ? length : port->input_length;
    memcpy(bytes, port->input, taken);
    memmove(port->input, port->input + taken, port->input_length - taken);
    bool was_full = port->input_length == sizeof port->input || port->owner;
    port->input_length -= taken;
    *owner = port->owner;
    port->owner = 0;
    pthread_mutex_unlock(&port->mutex);
    /* The node may have more. */
    if (was_full)
        signal_fd(port->news_fd);
    return taken;
}

void port_set_ram_size(struct port *port, uint64_t bytes)
{
    pthread_mutex_lock(&port->mutex);
    port->ram_size = bytes;
    pthread_mutex_unlock(&port->mutex);
}

uint64_t port_ram_size(struct port *port)
{
    pthread_mutex_lock(&port->mutex);
    uint64_t bytes = port->ram_size;
    pthread_mutex_unlock(&port->mutex);
    return bytes;
}

bool port_push_order(struct port *port, const struct operator_order *order)
{
    pthread_mutex_lock(&port->mutex);
    bool room = !port->has_order;
    if (room) {
        port->order = *order;
        port->has_order = true;
        wake_machine(port);
    }
    pthread_mutex_unlock(&port->mutex);
    return room;
}

bool port_take_order(struct port *port, struct operator_order *order)
{
    pthread_mutex_lock(&port->mutex);
    bool taken = port->has_order;
    *order = port->order;
    port->has_order = false;
    pthread_mutex_unlock(&port->mutex);
    return taken;
}

struct port_orders port_orders(struct port *port)
{
    pthread_mutex_lock(&port->mutex);
    struct port_orders orders = port->orders;
    pthread_mutex_unlock(&port->mutex);
    return orders;
}

struct port_orders port_wait(struct port *port, const struct port_orders *known, uint64_t until)
{
    struct timespec end = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};

    pthread_mutex_lock(&port->mutex);
    while (!differ(&port->orders, known) && port->stream.length == 0) {
        if (until == UINT64_MAX)
            pthread_cond_wait(&port->changed, &port->mutex);
        else if (pthread_cond_timedwait(&port->changed, &port->mutex, &end) == ETIMEDOUT)
            break;
    }
    struct port_orders orders = port->orders;
    pthread_mutex_unlock(&port->mutex);
    return orders;
}

void port_take_stream(struct port *port, uint32_t reset, struct bytes_writer *to)
{
    pthread_mutex_lock(&port->mutex);
    if (port->orders.reset == reset) {
        bytes_put(to, port->stream.data, port->stream.length);
        bytes_writer_clear(&port->stream);
    }
    pthread_mutex_unlock(&port->mutex);
}

size_t port_stream_waiting(struct port *port)
{
    pthread_mutex_lock(&port->mutex);
    size_t waiting = port->stream.length;
    pthread_mutex_unlock(&port->mutex);
    return waiting;
}

void port_set_engine(struct port *port, struct engine *engine)
{
    pthread_mutex_lock(&port->mutex);
    port->engine = engine;
    pthread_mutex_unlock(&port->mutex);
}
