/*
 * What a monitoring system is told of a side: pure text, in Prometheus' exposition format (version 0.0.4), and what a
 * client of it asks for. metrics_server.c is the rim.
 */
#ifndef ENCORE_REPLICATION_METRICS_H
#define ENCORE_REPLICATION_METRICS_H

#include "base/bytes.h"
#include "replication/node.h"

#define METRICS_MAX (16u * 1024)

/* Appends the metrics as text. */
void metrics_write(const struct node_status *status, struct bytes_writer *to);

/* A request has at most so many bytes. */
#define METRICS_REQUEST_MAX 4096

enum metrics_request {
    METRICS_INCOMPLETE, /* more has to come */
    METRICS_WANTED,     /* GET /metrics */
    METRICS_ELSEWHERE,  /* another path */
    METRICS_ANOTHER,    /* another method than GET */
    METRICS_MALFORMED,
};

/* What the first `length` bytes of a connection ask for (RFC 9112; HTTP/1.0 or 1.1). */
enum metrics_request metrics_request(const char *bytes, size_t length);
/* Appends the whole response, after which the connection is to be closed. */
void metrics_respond(enum metrics_request request, const struct node_status *status, struct bytes_writer *to);

#endif
