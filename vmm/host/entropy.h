/* Random bytes from the host (getrandom). */
#ifndef ENCORE_VMM_HOST_ENTROPY_H
#define ENCORE_VMM_HOST_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Fills `length` bytes. Returns 0, or -1 with the error. */
int host_entropy(uint8_t *bytes, size_t length, struct error *error);

#endif
