/*
 * Where a monitoring system fetches the metrics (metrics.h): HTTP/1.0, GET /metrics, on a Unix-domain socket or a TCP
 * port. It has a thread of its own, so that whoever connects and says nothing, or takes nothing, holds nobody up; and
 * few connections, of which the oldest gives way.
 */
#ifndef ENCORE_REPLICATION_METRICS_SERVER_H
#define ENCORE_REPLICATION_METRICS_SERVER_H

#include "replication/node.h"

struct metrics_server;

/* Listens at "unix:PATH" or "tcp:HOST:PORT". NULL with the error. */
struct metrics_server *metrics_server_open(const char *address, struct error *error);
/* What is told from now on. */
void metrics_server_publish(struct metrics_server *server, const struct node_status *status);
/* NULL is allowed. */
void metrics_server_close(struct metrics_server *server);

#endif
