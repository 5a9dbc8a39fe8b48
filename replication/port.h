/*
 * The port: what the machine's thread and the node's thread say to each other.
 *
 * The machine's thread runs the guest and must never wait for the network; the node's thread (node.h) does everything
 * else. News go from the machine to the node, in order: pieces of the log, output, progress. Orders go from the node to
 * the machine: they are levels rather than events (stop, stand still, so much of each second), so that the latest holds
 * and none can be missed. Bytes for the machine (the stream at a backup, console input at a primary) wait here.
 */
#ifndef ENCORE_REPLICATION_PORT_H
#define ENCORE_REPLICATION_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "replay/operator.h"
#include "vmm/engine.h"

/* News beyond this make the machine's thread wait for the node's. */
#define PORT_NEWS_MAX  (64u << 20)
#define PORT_INPUT_MAX (32u * 1024)

enum port_news {
    /* While the machine runs by itself. `stream` is the number of the join order that they are for; 0: none. */
    NEWS_STREAM = 1,    /* bytes of the log for the backup */
    NEWS_JOINED,        /* the checkpoint is in that log; a: the machine stood still for so many ns */
    NEWS_OUTPUT,        /* bytes of output of channel b; their record is in the log for the backup before offset a */
    NEWS_INPUT,         /* a bytes of console input are recorded, in the log before offset b */
    NEWS_JOIN_PROGRESS, /* of the checkpoint that is being written, a: bytes that are left; b: the round */
    NEWS_JOIN_FAILED,   /* it does not come to an end: bytes: a sentence that says why */
    NEWS_GUEST_TIME,    /* a: ns */
    NEWS_QUIET,         /* the machine stands still, as ordered */
    NEWS_ENDED,         /* the run ended: a: enum log_end_reason, b: exit value; the END record is in the log */
    /* While it is replayed. */
    NEWS_UNFIT,           /* the machine could not go on here: bytes: a sentence that says what is missing */
    NEWS_RESTORED,        /* the checkpoint was restored: a: bytes of output so far */
    NEWS_REPLAYED,        /* the stream is replayed up to offset a; b: guest time */
    NEWS_REPLAYED_OUTPUT, /* bytes that the guest sent through channel b in the replay */
    NEWS_DIVERGED,        /* at offset a; b: 1 when it was found out by comparing, 0 when the engine went too far */
    /* Either. */
    NEWS_LIVE,   /* the machine runs by itself now: a: bytes of input so far, b: whose */
    NEWS_FAILED, /* bytes: a sentence; the machine's thread is over */
};

struct port_item {
    enum port_news news;
    uint32_t stream;
    uint64_t a, b;
    bool halted; /* OUTPUT: the guest has halted after it */
    const uint8_t *bytes;
    size_t length;
};

struct port_orders {
    bool stop;         /* end at once; nothing of it is anybody's any more */
    bool end;          /* the operator wants the run to end, with an END record */
    bool quiet;        /* stand still */
    bool wait;         /* a client does not keep up with the output: stand still until it does */
    bool start;        /* primary: the machine may run */
    bool live;         /* backup: replay what there is, then run */
    uint32_t join;     /* write a log for a backup, beginning with a checkpoint; 0: write none. Another number than
                        * before: a new one */
    bool prompt;       /* backup: the replay's progress is waited for */
    uint32_t reset;    /* backup: another number than before: throw the machine away; the stream begins anew */
    unsigned throttle; /* thousandths of the time to stand still */
    uint64_t unsent;   /* bytes of the stream that the link has not taken yet */
};

struct port;

struct port *port_create(struct error *error);
void port_free(struct port *port);

/* The node's side. */
int port_news_fd(const struct port *port);
/* Takes all news at once; to be read with port_next_item; good until the next call. */
struct bytes_reader port_take_news(struct port *port);
/* False: that was all. */
bool port_next_item(struct bytes_reader *news, struct port_item *item);
/* Changes orders: `orders` is what the node has made of the ones it gave before. Wakes the machine's thread, if they
 * are new or there are new bytes of the stream. */
void port_order(struct port *port, const struct port_orders *orders);
/* Hands over bytes of the stream, of the present reset order; the machine's thread is woken for them by the port_order
 * that follows, so that their acknowledgement leaves before the replay gets the processor. False when there are too
 * many that nobody replays. */
bool port_push_stream(struct port *port, const uint8_t *bytes, size_t length);
/* How much console input fits now; hands over input, preceded by a change of owner unless `owner` is 0. */
size_t port_input_room(struct port *port);
void port_push_input(struct port *port, const uint8_t *bytes, size_t length, uint64_t owner);

/* Tells how much memory the machine has that runs here, in bytes; 0 as long as nobody has told. From any thread. */
void port_set_ram_size(struct port *port, uint64_t bytes);
uint64_t port_ram_size(struct port *port);

/* Hands over an operator's order. False: the one before has not been taken yet. */
bool port_push_order(struct port *port, const struct operator_order *order);

/* The machine's side. */
int port_orders_fd(const struct port *port);
void port_drain_orders(struct port *port);
void port_tell(struct port *port, const struct port_item *item);
/* Tells something that can wait until the node does something anyway, in 15 ms at the latest (node.c): to wake it is
 * what costs. Under orders to be prompt it is as port_tell. */
void port_mention(struct port *port, const struct port_item *item);
struct port_orders port_orders(struct port *port);
/* Waits until the orders differ from `known`, or there are stream bytes, or `until` (host clock, ns) has come. */
struct port_orders port_wait(struct port *port, const struct port_orders *known, uint64_t until);
/* Appends the bytes that have arrived of the stream of this reset order to `to`. */
void port_take_stream(struct port *port, uint32_t reset, struct bytes_writer *to);
/* How much of it waits here. */
size_t port_stream_waiting(struct port *port);
size_t port_take_input(struct port *port, uint8_t *bytes, size_t length, uint64_t *owner);
/* The operator's order; false: there is none. */
bool port_take_order(struct port *port, struct operator_order *order);
/* The engine to be kicked when orders change, as long as the thread may be inside of it; NULL: none. */
void port_set_engine(struct port *port, struct engine *engine);

#endif
