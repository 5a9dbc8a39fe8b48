/*
 * An operator's orders, as requests in JSON and as what a machine takes (enum machine_command):
 *
 *   {"command": "power-button"}
 *   {"command": "balloon", "bytes": 67108864}    the guest shall give up so much of its memory
 *   {"command": "keys", "codes": "1e9e"}         scan codes of set 1, in hexadecimal
 *   {"command": "set-time", "seconds": 1767225600}   the real-time clock shows so many seconds since 1970, UTC
 *   {"command": "new-generation", "id": "00112233..."}   32 hexadecimal digits: the machine's new generation
 *
 * The same requests come in on the control socket of a recorder and on the control link of a replicated machine.
 */
#ifndef ENCORE_REPLAY_OPERATOR_H
#define ENCORE_REPLAY_OPERATOR_H

#include <jansson.h>

#include "base/error.h"
#include "vmm/machine.h"

/* The most scan codes at a time: what a keyboard keeps. */
#define OPERATOR_KEYS_MAX I8042_QUEUE

struct operator_order {
    uint16_t command; /* an enum machine_command */
    uint8_t bytes[OPERATOR_KEYS_MAX];
    size_t length;
};

/* Understands a request, hostile as it may be. Returns 0, or -1 with an ERROR_INPUT. */
int operator_understand(const json_t *request, struct operator_order *order, struct error *error);
int operator_parse(const char *text, size_t length, struct operator_order *order, struct error *error);

/* Whether a machine with `ram_size` bytes of memory can carry it out. Returns 0, or -1 with an ERROR_INPUT. */
int operator_check(const struct operator_order *order, uint64_t ram_size, struct error *error);

/* The answer to a request, as one line of JSON without its end: {"ok": true}, or {"error": "..."}. Released by free.
 * NULL when memory is exhausted. */
char *operator_answer(const struct error *error);

#endif
