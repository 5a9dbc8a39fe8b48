/* How fast an engine runs guests on this host: what the few instructions of KVM's probe are too short to tell. */
#ifndef ENCORE_TOOLS_DOCTOR_TIMING_H
#define ENCORE_TOOLS_DOCTOR_TIMING_H

#include <stdint.h>

#include "vmm/engine.h"

struct doctor_timing {
    uint64_t exit_ns;   /* one port write by the guest, to the monitor and back */
    uint64_t kernel_ps; /* one instruction of a tight loop at CPL0, in picoseconds */
    uint64_t user_ps;   /* the same at CPL3 */
};

/* Measures on an engine that has no RAM yet; the engine is then good for nothing but engine_destroy, after which
 * `ram`, which is made here, may be destroyed. Returns 0, or -1 with the error. */
int doctor_time(struct engine *engine, struct ram *ram, struct doctor_timing *timing, struct error *error);

#endif
