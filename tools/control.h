/*
 * Asking a machine something: a replicated one over its control link (replication/node_control.c), a recorded one on
 * its control socket (vmm/host/control.h), whose address is unix:PATH.
 */
#ifndef ENCORE_TOOLS_CONTROL_H
#define ENCORE_TOOLS_CONTROL_H

#include <argp.h>
#include <jansson.h>

#include "base/error.h"

struct control_options {
    const char *address, *key;
    unsigned patience_ms; /* for an answer; 0: two seconds */
};

/* Parser of an address and --key, for a command of this kind. */
extern const struct argp control_argp;

/* Sends a request, which is consumed, and waits for the answer as below. */
json_t *control_request(const struct control_options *options, json_t *request, struct error *error);

/* Sends {"command": command} and waits for the answer. NULL with the error; an answer with an
 * "error" in it is one. */
json_t *control_ask(const struct control_options *options, const char *command, struct error *error);

#endif
