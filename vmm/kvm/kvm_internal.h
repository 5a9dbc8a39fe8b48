/*
 * Shared between the files of the KVM engine, and with nobody else.
 *
 *   kvm_engine.c   opening, memory, the dirty log, teardown
 *   kvm_cpu.c      the processor's state, between KVM's form and ours
 *   kvm_run.c      KVM_RUN, its exits, interrupts
 *   kvm_counter.c  tick counters: emulated instructions, retired branches
 *   kvm_land.c     naming and landing on positions
 *   kvm_step.c     getting past a breakpoint
 *   kvm_probe.c    what of this can be trusted on this host
 */
#ifndef ENCORE_VMM_KVM_INTERNAL_H
#define ENCORE_VMM_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include "vmm/kvm/kvm_engine.h"

/* The signal that gets a vCPU out of KVM_RUN. It is blocked except inside KVM_RUN (KVM_SET_SIGNAL_MASK), so that one
 * sent a moment before the call is not lost. */
#define KVM_KICK_SIGNAL SIGUSR1

/* Hardware breakpoints, and DR7's bit that reads as one (SDM vol. 3, 17.2.4). */
#define KVM_BREAKPOINTS 4
#define KVM_DR7_FIXED   0x400u

struct kvm_counter {
    int fd;          /* -1: there is none */
    off_t offset;    /* emulation: where in the statistics file the value stands */
    bool branches;   /* a perf event, not a statistic */
    uint64_t origin; /* raw value that stands for tick 0 */
};

/* Where the handlers of the faults that a single step may raise begin; see kvm_step.c. */
struct kvm_handlers {
    bool known;
    bool there[KVM_BREAKPOINTS];
    uint64_t targets[KVM_BREAKPOINTS];
};

struct kvm_engine {
    struct engine engine;
    int kvm_fd, vm_fd, vcpu_fd;
    struct kvm_run *run; /* shared with the kernel */
    size_t run_size;
    struct ram *ram;
    uint64_t *dirty_log; /* KVM's answer; as many words as ram->dirty */
    pthread_t thread;    /* the vCPU's */
    pid_t thread_id;
    atomic_bool kicked;

    bool incomplete; /* an access has been answered, but KVM has not yet finished the instruction */
    bool injected;   /* an interrupt was handed to KVM and is not known to have been delivered */
    bool at_exit;    /* nothing has run since the last exit completed, and that was no acknowledge cycle */
    bool can_sync;   /* KVM_CAP_SYNC_REGS */
    bool synced;     /* kvm_run->s.regs is what the vCPU's registers and events are */
    bool entered;    /* KVM_RUN has been called since the processor's state was set */

    struct kvm_counter counter;
    struct kvm_guest_debug debug; /* as last set */
    timer_t timer;                /* for landing: gets the vCPU out after a time */
    bool has_timer;
    uint64_t rate;      /* the fastest that the emulator was seen to run, in instructions per ms; from the probe on */
    uint64_t allowance; /* for an entry, in ns; see kvm_land.c */
    bool stuck;         /* the last approach got nowhere */
    uint64_t last_hit;  /* in a landing: ticks that remained when RIP was the place's last; 0: it was not yet */
    uint64_t stride;    /* ticks from such a moment to the next, of late */
    struct kvm_handlers handlers; /* as of the landing that is going on */
    struct kvm_probe_result probe;
};

static inline struct kvm_engine *kvm_of(struct engine *engine)
{
    return (struct kvm_engine *)engine;
}

/* kvm_cpu.c */
int kvm_get_cpu(struct engine *engine, struct cpu_state *cpu, struct error *error);
int kvm_set_cpu(struct engine *engine, const struct cpu_state *cpu, uint64_t ticks, struct error *error);

/* kvm_sync.c */
/* Whether KVM_RUN shall put down, each time it returns, what the functions below read. */
void kvm_sync(struct kvm_engine *kvm, bool wanted);
int kvm_read_regs(struct kvm_engine *kvm, struct kvm_regs *regs, struct error *error);
int kvm_read_sregs(struct kvm_engine *kvm, struct kvm_sregs *sregs, struct error *error);
int kvm_read_events(struct kvm_engine *kvm, struct kvm_vcpu_events *events, struct error *error);

/* kvm_run.c */
/* What one entry into the guest came to. */
enum kvm_event {
    KVM_EVENT_EXIT,  /* an exit was served: engine->exits has grown */
    KVM_EVENT_KICK,  /* a signal: the kick's or the timer's */
    KVM_EVENT_DEBUG, /* a single step or breakpoint */
    KVM_EVENT_HALT,  /* an exit too */
    KVM_EVENT_SHUTDOWN,
    KVM_EVENT_FAULT,
    KVM_EVENT_ERROR,
};
/* Enters the guest once and serves what comes out. With `settle` nothing new is executed: only what an answered access
 * left undone. */
enum kvm_event kvm_enter(struct kvm_engine *kvm, bool settle, struct error *error);
/* Completes the instruction that made the last exit. Returns KVM_EVENT_KICK at a boundary, or how it ended. */
enum kvm_event kvm_settle(struct kvm_engine *kvm, struct error *error);
/* Looks at the interrupt line if that is due, and enters the guest unless it is halted. */
enum kvm_event kvm_advance(struct kvm_engine *kvm, struct error *error);
enum engine_stop kvm_run_until(struct engine *engine, const struct engine_stops *stops, struct error *error);
void kvm_kick(struct engine *engine);
/* Whether KVM holds an event that it has not delivered yet; such a boundary is not one. Returns -1 on host error. */
int kvm_event_pending(struct kvm_engine *kvm, struct error *error);

/* kvm_counter.c */
int kvm_counter_open(struct kvm_engine *kvm, bool branches, struct error *error);
void kvm_counter_close(struct kvm_counter *counter);
int kvm_counter_read(const struct kvm_counter *counter, uint64_t *ticks, struct error *error);
int kvm_counter_set(struct kvm_counter *counter, uint64_t ticks, struct error *error);
/* Gets the vCPU out by KVM_KICK_SIGNAL when fewer than `remaining` ticks have passed, never later: a quarter of the way
 * is kept for lateness. `kvm_counter_disarm` takes it back. */
int kvm_counter_arm(struct kvm_engine *kvm, uint64_t remaining, struct error *error);
void kvm_counter_disarm(struct kvm_engine *kvm);
/* Gets the vCPU out by KVM_KICK_SIGNAL again and again, so that the counter can be looked at, until unwatched. */
int kvm_counter_watch(struct kvm_engine *kvm, struct error *error);
void kvm_counter_unwatch(struct kvm_engine *kvm);

/* kvm_land.c */
/* Sets what KVM_SET_GUEST_DEBUG shall be, if it is not that already. */
int kvm_debug(struct kvm_engine *kvm, const struct kvm_guest_debug *debug, struct error *error);
/* No stepping, and a breakpoint if one is given. */
int kvm_set_breakpoint(struct kvm_engine *kvm, const uint64_t *breakpoint, struct error *error);
bool kvm_name_position(struct engine *engine, struct position *position, struct error *error);
/* From exit `until->exits` on to `until`, an AT_TICK or AT_LANDMARK. */
enum engine_stop kvm_land(struct kvm_engine *kvm, const struct position *until, struct error *error);

/* kvm_step.c */
/* Executes one instruction, or stops at the entry of the handler it faults into. No event may be waiting for delivery,
 * and after an IRET a second instruction is executed. */
enum kvm_event kvm_step(struct kvm_engine *kvm, struct error *error);
/* Whether the instruction at `rip` is, or may be, an IRET. */
bool kvm_at_iret(struct kvm_engine *kvm, uint64_t rip);

/* kvm_probe.c */
int kvm_probe(struct kvm_engine *kvm, struct error *error);

/* kvm_engine.c */
int kvm_slot_set(struct kvm_engine *kvm, uint32_t slot, uint64_t address, void *bytes, uint64_t size, bool log_dirty,
                 struct error *error);

#endif
