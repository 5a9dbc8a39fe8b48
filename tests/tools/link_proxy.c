/*
 * A link that can be made bad: passes TCP connections on, message by message, and does to them what it is told.
 *
 *     link_proxy PORT TARGET_PORT      listens on loopback, connects to loopback
 *
 * Orders come on standard input, a line each, and hold until the next one:
 *     good          pass everything on at once
 *     delay MS      ... after so many milliseconds
 *     drop N        drop each N-th message
 *     twice N       pass each N-th message on twice
 *     alter N       flip a bit in each N-th message
 *     stall         take everything and pass nothing on; it goes on when another order comes
 *     deaf          ... only of what goes to the target
 *     cut           break all connections, and each new one
 *     rate KBIT     pass on so many thousands of bits a second each way, and take no more than waits for that
 *     vanish        ... hold all connections, and each new one, without a word, as when a cable is pulled
 *
 * On the wire (replication/frames.h) a message is a u32 length and so many bytes. Ends at the end of its input. Prints
 * nothing; a failure is told on standard error.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define PREFIX      4
#define PIECE_MAX   (1u << 20)
/* A slow link has a queue, and it is not long: so many bytes each way. */
#define QUEUE_MAX (32u << 10)

enum order { GOOD, DELAY, DROP, TWICE, ALTER, STALL, DEAF, CUT, VANISH, RATE, ORDERS };

static const char *const names[ORDERS] = {"good",  "delay", "drop", "twice",  "alter",
                                          "stall", "deaf",  "cut",  "vanish", "rate"};

struct piece {
    struct piece *next;
    uint64_t due;
    size_t length, sent;
    uint8_t bytes[];
};

/* One direction of a connection. */
struct way {
    int from, to;
    bool to_target;
    bool gone;                   /* the connection is held, and never moves again */
    uint8_t gathered[PIECE_MAX]; /* of the message that is arriving */
    size_t length;
    struct piece *first, **last;
    size_t queued;    /* bytes of them */
    uint64_t sent_at; /* under a rate: when the allowance was made last, ms */
    uint64_t allowed; /* bytes, in thousandths */
};

struct connection {
    struct way ways[2];
    bool open;
};

struct proxy {
    int listening;
    uint16_t target;
    enum order order;
    unsigned number; /* the order's */
    uint64_t messages;
    struct connection *connections;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void put(struct way *way, const uint8_t *bytes, size_t length, uint64_t due)
{
    struct piece *piece = malloc(sizeof *piece + length);

    if (!piece)
        fail("link_proxy");
    *piece = (struct piece){.due = due, .length = length};
    memcpy(piece->bytes, bytes, length);
    *way->last = piece;
    way->last = &piece->next;
    way->queued += length;
}

/* A whole message, with its length before it. */
static void pass(struct proxy *proxy, struct way *way, uint8_t *bytes, size_t length)
{
    uint64_t due = now_ms() + (proxy->order == DELAY ? proxy->number : 0);
    bool chosen = proxy->number && ++proxy->messages % proxy->number == 0;

    if (chosen && proxy->order == DROP)
        return;
    if (chosen && proxy->order == ALTER && length > PREFIX)
        bytes[length - 1] ^= 1;
    put(way, bytes, length, due);
    if (chosen && proxy->order == TWICE)
        put(way, bytes, length, due);
}

/* Passes on what is whole of the bytes that have gathered. */
static void split(struct proxy *proxy, struct way *way)
{
    size_t done = 0;

    for (;;) {
        size_t left = way->length - done;
        uint32_t length;
        if (left < PREFIX)
            break;
        memcpy(&length, way->gathered + done, PREFIX);
        size_t whole = PREFIX + (size_t)le32toh(length);
        if (whole > PIECE_MAX)
            exit(1);
        if (left < whole)
            break;
        pass(proxy, way, way->gathered + done, whole);
        done += whole;
    }
    memmove(way->gathered, way->gathered + done, way->length - done);
    way->length -= done;
}

static void close_connection(struct connection *connection)
{
    if (!connection->open)
        return;
    connection->open = false;
    close(connection->ways[0].from);
    close(connection->ways[0].to);
    for (int n = 0; n < 2; n++) {
        while (connection->ways[n].first) {
            struct piece *piece = connection->ways[n].first;
            connection->ways[n].first = piece->next;
            free(piece);
        }
    }
}

/* False: the connection is over. */
static bool take(struct proxy *proxy, struct way *way)
{
    ssize_t got = recv(way->from, way->gathered + way->length, sizeof way->gathered - way->length, MSG_DONTWAIT);

    if (got <= 0)
        return false;
    way->length += (size_t)got;
    split(proxy, way);
    return true;
}

static bool held(const struct proxy *proxy, const struct way *way)
{
    return way->gone || proxy->order == STALL || proxy->order == VANISH || (proxy->order == DEAF && way->to_target);
}

/* How many bytes the rate lets through now. What is not used within 10 ms is lost. */
static size_t allowance(const struct proxy *proxy, struct way *way)
{
    uint64_t now = now_ms(), most = (uint64_t)proxy->number * 125 * 10;

    if (proxy->order != RATE)
        return SIZE_MAX;
    way->allowed += (now - way->sent_at) * proxy->number * 125;
    way->sent_at = now;
    if (way->allowed > most)
        way->allowed = most;
    return way->allowed / 1000;
}

static bool send_due(struct proxy *proxy, struct way *way)
{
    while (way->first && way->first->due <= now_ms() && !held(proxy, way)) {
        struct piece *piece = way->first;
        size_t length = piece->length - piece->sent, most = allowance(proxy, way);
        if (most == 0)
            return true;
        ssize_t sent =
            send(way->to, piece->bytes + piece->sent, length < most ? length : most, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        way->allowed -= proxy->order == RATE ? (uint64_t)sent * 1000 : 0;
        way->queued -= (size_t)sent;
        piece->sent += (size_t)sent;
        if (piece->sent < piece->length)
            return true;
        way->first = piece->next;
        if (!way->first)
            way->last = &way->first;
        free(piece);
    }
    return true;
}

static void begin_way(struct way *way, int from, int to, bool to_target)
{
    way->from = from;
    way->to = to;
    way->to_target = to_target;
    way->gone = false;
    way->length = 0;
    way->first = NULL;
    way->last = &way->first;
    way->queued = 0;
    way->sent_at = way->allowed = 0;
}

static void take_connection(struct proxy *proxy)
{
    struct sockaddr_in address = loopback(proxy->target);
    int one = 1, client = accept(proxy->listening, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct connection *connection = proxy->connections;

    while (connection < proxy->connections + CONNECTIONS && connection->open)
        connection++;
    if (client < 0 || server < 0 || proxy->order == CUT || connection == proxy->connections + CONNECTIONS ||
        connect(server, (struct sockaddr *)&address, sizeof address) < 0) {
        close(client);
        close(server);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    begin_way(&connection->ways[0], client, server, true);
    begin_way(&connection->ways[1], server, client, false);
    connection->open = true;
}

static void obey(struct proxy *proxy, const char *line)
{
    char word[16];
    unsigned number = 0;
    int found = sscanf(line, "%15s %u", word, &number);

    for (int order = 0; found > 0 && order < ORDERS; order++) {
        if (strcmp(word, names[order]) != 0)
            continue;
        proxy->order = (enum order)order;
        proxy->number = number;
        for (int n = 0; n < CONNECTIONS; n++) {
            if (order == CUT)
                close_connection(&proxy->connections[n]);
            for (int way = 0; order == VANISH && way < 2; way++)
                proxy->connections[n].ways[way].gone = true;
        }
        return;
    }
    fprintf(stderr, "link_proxy: no such order: %s", line);
    exit(2);
}

/* Waits for something, a millisecond at most, for pieces become due. */
static void turn(struct proxy *proxy)
{
    struct pollfd fds[2 + 2 * CONNECTIONS] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                              {.fd = proxy->listening, .events = POLLIN}};

    for (int n = 0; n < 2 * CONNECTIONS; n++) {
        const struct connection *connection = &proxy->connections[n / 2];
        const struct way *way = &connection->ways[n % 2];
        bool takes = connection->open && !way->gone && (proxy->order != RATE || way->queued < QUEUE_MAX);
        fds[2 + n] = (struct pollfd){.fd = takes ? way->from : -1, .events = POLLIN};
    }
    if (poll(fds, 2 + 2 * CONNECTIONS, 1) < 0)
        return;
    for (int n = 0; n < 2 * CONNECTIONS; n++) {
        struct connection *connection = &proxy->connections[n / 2];
        struct way *way = &connection->ways[n % 2];
        if (connection->open && !way->gone && ((fds[2 + n].revents && !take(proxy, way)) || !send_due(proxy, way)))
            close_connection(connection);
    }
    if (fds[1].revents)
        take_connection(proxy);
    if (fds[0].revents) {
        char line[64] = "";
        size_t length = 0;
        /* Byte by byte: the next line stays where poll sees it. */
        while (length < sizeof line - 1 && read(STDIN_FILENO, line + length, 1) == 1 && line[length++] != '\n')
            ;
        if (length == 0)
            exit(0);
        obey(proxy, line);
    }
}

int main(int argc, char **argv)
{
    struct proxy proxy = {.connections = calloc(CONNECTIONS, sizeof(struct connection))};
    int one = 1;

    if (argc != 3 || !proxy.connections) {
        fprintf(stderr, "usage: link_proxy PORT TARGET_PORT\n");
        return 2;
    }
    struct sockaddr_in address = loopback((uint16_t)atoi(argv[1]));
    proxy.target = (uint16_t)atoi(argv[2]);
    proxy.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(proxy.listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(proxy.listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(proxy.listening, 16) < 0)
        fail("link_proxy: cannot listen");
    for (;;)
        turn(&proxy);
}
