/*
 * An engine that executes nothing: it holds the state of a processor, as a shelf would. With it a checkpoint can be
 * unpacked and looked at on a host that has no engine that could run it.
 */
#ifndef ENCORE_TOOLS_CHECKPOINT_SHELF_H
#define ENCORE_TOOLS_CHECKPOINT_SHELF_H

#include "vmm/engine.h"

/* NULL with the error when memory is exhausted. Released by engine_destroy. */
struct engine *shelf_create(struct error *error);

#endif
