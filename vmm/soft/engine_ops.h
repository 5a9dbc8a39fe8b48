/*
 * The parts of the engine's operations (vmm/engine.h) that live in files of their own.
 */
#ifndef ENCORE_VMM_SOFT_ENGINE_OPS_H
#define ENCORE_VMM_SOFT_ENGINE_OPS_H

#include "vmm/soft/soft.h"

enum engine_stop soft_run(struct engine *engine, const struct engine_stops *stops, struct error *error);
bool soft_name_position(struct engine *engine, struct position *position, struct error *error);
int soft_get_cpu(struct engine *engine, struct cpu_state *state, struct error *error);
int soft_set_cpu(struct engine *engine, const struct cpu_state *state, uint64_t ticks, struct error *error);

#endif
