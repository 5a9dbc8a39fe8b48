/*
 * The engine on Linux KVM: stock /dev/kvm, one vCPU, no in-kernel interrupt controller (the chips are ours, so that
 * their state is in our hands).
 *
 * What KVM can name and land on differs from host to host, and documents do not settle it. So a facility is used only
 * after this engine's own probe has passed on this host, at every start (kvm_probe.h); the probe runs on the very vCPU
 * that the guest will get.
 */
#ifndef ENCORE_VMM_KVM_ENGINE_H
#define ENCORE_VMM_KVM_ENGINE_H

#include "vmm/engine.h"

/* Tick units, as logs record them. */
#define KVM_TICK_EMULATION "kvm-insn-emulation" /* instructions that KVM's emulator executed */
#define KVM_TICK_BRANCHES  "perf-branches"      /* retired branches in guest mode */

struct kvm_engine_options {
    bool no_ticks;     /* do not use a counter even where one is exact */
    bool no_landmarks; /* do not use breakpoints for landmarks */
    bool careful;      /* land on ticks by breakpoint all the way: slow, and never past them */
};

/* What the probe found; for `encore doctor`. Costs are medians in nanoseconds, 0 where not measured. */
struct kvm_probe_result {
    bool counter_emulation; /* insn_emulation exists and counted a known program exactly */
    bool counter_branches;  /* a guest-only perf branch counter exists and counted a known program exactly */
    bool single_step;       /* KVM_GUESTDBG_SINGLESTEP stops after each instruction at CPL0 */
    bool breakpoint;        /* a hardware breakpoint stops at its address at CPL0, and can be left again */
    bool user_native;       /* CPL3 runs outside the emulator: the emulation counter does not see it */
    bool user_breakpoint;   /* breakpoints work at CPL3 as well */
    bool dirty_log;         /* KVM_GET_DIRTY_LOG reports exactly the page that was written */
    bool interrupt_window;  /* an interrupt is taken at the first boundary with IF set */
    uint64_t exit_ns;       /* one port write, there and back */
    uint64_t step_ns;       /* one single step */
    uint64_t breakpoint_ns; /* one breakpoint hit, stepped over and armed again */
    uint64_t insn_ps;       /* one CPL0 instruction, picoseconds */
    char notes[256];        /* what failed, in words; "" when nothing did */
};

/* Opens KVM and makes one vCPU. Returns NULL with the error when the host has no usable KVM; the text says what to do.
 */
struct engine *kvm_engine_create(const struct kvm_engine_options *options, struct error *error);

/* What the probe found when this engine was created. */
const struct kvm_probe_result *kvm_engine_probe_result(const struct engine *engine);

#endif
