/*
 * Naming the place where the guest stands, and getting back to it in a replay.
 *
 * By ticks: run until shortly before the tick, then from hit to hit of a breakpoint on the place's RIP until the tick
 * is right. The breakpoint is set in time to be hit at the place itself, so the last part cannot go past it. With the
 * emulation counter, "shortly before" is a timer's doing, set again and again for a part of the way that remains; the
 * vCPU's thread is held on its processor meanwhile, so that the timer interrupts the very processor that executes the
 * guest, and time that it does not get is time that the guest does not get either. Should the guest be past the tick
 * all the same, that is seen and said (ENGINE_STOP_OVERSHOT); a careful engine uses the breakpoint all the way.
 *
 * By landmark: the same breakpoint from the start, and at each hit a comparison, registers first.
 */
#include <sched.h>

#include "vmm/kvm/kvm_internal.h"

#include <string.h>
#include <sys/ioctl.h>

/* So near to the tick, single steps cost less than another entry under the timer, which costs as much as some five of
 * them before the guest has executed anything. */
#define EMULATION_NEAR 24
/* The timer runs while KVM enters the guest, too. An entry that was interrupted before the guest had executed anything
 * shows that it takes longer than was allowed for; in ns. Between two such entries there is one step, so that a host
 * slower than any allowance gets on as well. */
#define ALLOWANCE_STEP 2000
#define ALLOWANCE_MAX  10000
/* From hit to hit of the breakpoint costs as much as two or three single steps: in loops shorter than this, steps. */
#define STRIDE_SHORT 3
/* Branches: from here on, since the overflow comes late. */
#define BRANCHES_NEAR 1000

int kvm_debug(struct kvm_engine *kvm, const struct kvm_guest_debug *debug, struct error *error)
{
    if (memcmp(&kvm->debug, debug, sizeof *debug) == 0)
        return 0;
    if (ioctl(kvm->vcpu_fd, KVM_SET_GUEST_DEBUG, debug) < 0)
        return error_errno(error, "KVM_SET_GUEST_DEBUG");
    kvm->debug = *debug;
    return 0;
}

int kvm_set_breakpoint(struct kvm_engine *kvm, const uint64_t *breakpoint, struct error *error)
{
    struct kvm_guest_debug debug = {0};

    if (breakpoint) {
        debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[0] = *breakpoint;
        debug.arch.debugreg[7] = KVM_DR7_FIXED | 1u;
    }
    return kvm_debug(kvm, &debug, error);
}

/* RIP as a linear address, which is what a breakpoint is set on (SDM volume 3, 17.2.5), and the privilege level.
 * Outside 64-bit mode CS has a base: the same RIP may be many places. */
static int read_place(struct kvm_engine *kvm, uint64_t *rip, unsigned *level, struct error *error)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs;

    if (kvm_read_regs(kvm, &regs, error) < 0 || kvm_read_sregs(kvm, &sregs, error) < 0)
        return -1;
    bool flat = (sregs.efer & EFER_LMA) && sregs.cs.l;
    *rip = flat ? regs.rip : (uint32_t)(sregs.cs.base + regs.rip);
    *level = sregs.ss.dpl;
    return 0;
}

static int registers_digest(struct kvm_engine *kvm, struct digest *digest, struct error *error)
{
    struct cpu_state cpu;

    if (kvm_get_cpu(&kvm->engine, &cpu, error) < 0)
        return -1;
    *digest = cpu_state_digest(&cpu);
    return 0;
}

bool kvm_name_position(struct engine *engine, struct position *position, struct error *error)
{
    struct kvm_engine *kvm = kvm_of(engine);
    unsigned level;

    error->kind = ERROR_NONE;
    *position = position_at_exit(engine->exits);
    if (kvm->at_exit)
        return true;
    int pending = kvm_event_pending(kvm, error);
    if (pending != 0)
        return false;
    if (read_place(kvm, &position->rip, &level, error) < 0)
        return false;
    if (engine->caps.ticks && (level == 0 || kvm->counter.branches)) {
        position->kind = AT_TICK;
        return kvm_counter_read(&kvm->counter, &position->ticks, error) == 0;
    }
    if (engine->caps.landmarks && (level == 0 || kvm->probe.user_breakpoint)) {
        position->kind = AT_LANDMARK;
        return registers_digest(kvm, &position->registers, error) == 0 &&
               engine->host.ram_digest(engine->host.context, &position->ram, error) == 0;
    }
    return false;
}

/* Remembers the fastest that the guest was ever seen to run; never forgets, since a guest that was slow for a while (in
 * code that is not counted, say) may be fast again. Short runs say little: they are mostly entry. */
static void learn_rate(struct kvm_engine *kvm, uint64_t ticks, const struct timespec *since)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t elapsed = (now.tv_sec - since->tv_sec) * 1000000000LL + now.tv_nsec - since->tv_nsec;
    if (elapsed < 200000)
        return;
    uint64_t rate = ticks * 1000000 / (uint64_t)elapsed;
    if (rate > kvm->rate)
        kvm->rate = rate;
}

/* Runs towards a tick that is `remaining` away, to stop before it. */
static enum kvm_event approach(struct kvm_engine *kvm, uint64_t remaining, struct error *error)
{
    struct timespec start;
    uint64_t before, after;

    if (kvm_set_breakpoint(kvm, NULL, error) < 0 || kvm_counter_read(&kvm->counter, &before, error) < 0 ||
        kvm_counter_arm(kvm, remaining, error) < 0)
        return KVM_EVENT_ERROR;
    clock_gettime(CLOCK_MONOTONIC, &start);
    enum kvm_event event = kvm_advance(kvm, error);
    kvm_counter_disarm(kvm);
    if (event == KVM_EVENT_KICK) {
        if (kvm_counter_read(&kvm->counter, &after, error) < 0)
            return KVM_EVENT_ERROR;
        learn_rate(kvm, after - before, &start);
        if (after == before && kvm->allowance < ALLOWANCE_MAX)
            kvm->allowance += ALLOWANCE_STEP;
        kvm->stuck = after == before;
    }
    return event;
}

/* 1: here; 0: not yet; -1: past it; -2: host error. */
static int tick_reached(struct kvm_engine *kvm, const struct position *until, uint64_t *remaining, struct error *error)
{
    uint64_t ticks, rip;
    unsigned level;

    if (kvm_counter_read(&kvm->counter, &ticks, error) < 0 || read_place(kvm, &rip, &level, error) < 0)
        return -2;
    if (ticks > until->ticks)
        return -1;
    *remaining = until->ticks - ticks;
    if (*remaining > 0 && rip == until->rip) {
        if (kvm->last_hit)
            kvm->stride = kvm->last_hit - *remaining;
        kvm->last_hit = *remaining;
    }
    if (*remaining > 0 || rip != until->rip)
        return 0;
    int pending = kvm_event_pending(kvm, error);
    return pending < 0 ? -2 : !pending;
}

/* 1: here; 0: not here; -2: host error. */
static int landmark_reached(struct kvm_engine *kvm, const struct position *until, struct error *error)
{
    struct digest digest;
    unsigned level;
    uint64_t rip;

    if (read_place(kvm, &rip, &level, error) < 0)
        return -2;
    if (rip != until->rip)
        return 0;
    int pending = kvm_event_pending(kvm, error);
    if (pending)
        return pending < 0 ? -2 : 0;
    if (registers_digest(kvm, &digest, error) < 0)
        return -2;
    if (!digest_equal(digest, until->registers))
        return 0;
    if (kvm->engine.host.ram_digest(kvm->engine.host.context, &digest, error) < 0)
        return -2;
    return digest_equal(digest, until->ram);
}

/* Whether a single step can be taken here: in user code, only where debugging it was seen to work. Elsewhere the #DB
 * goes to the guest. A timer may well stop the guest there, since native user code takes time and no ticks. */
static bool can_step(const struct kvm_engine *kvm, bool pending, unsigned level)
{
    return !pending && (kvm->probe.user_breakpoint || level == 0);
}

/* To the next time that RIP is the place's; or, with `step`, one instruction further if that is safe here. */
static enum kvm_event to_next_hit(struct kvm_engine *kvm, const struct position *until, bool step, struct error *error)
{
    uint64_t rip;
    unsigned level;
    int pending = kvm_event_pending(kvm, error);

    if (pending < 0 || read_place(kvm, &rip, &level, error) < 0)
        return KVM_EVENT_ERROR;
    if (can_step(kvm, pending, level) && (rip == until->rip || (step && !kvm_at_iret(kvm, rip))))
        return kvm_step(kvm, error);
    if (kvm_set_breakpoint(kvm, &until->rip, error) < 0)
        return KVM_EVENT_ERROR;
    /* A guest that went another way may never hit it. (An approach has ended the watch that was there.) */
    if (until->kind == AT_TICK && kvm_counter_watch(kvm, error) < 0)
        return KVM_EVENT_ERROR;
    return kvm_advance(kvm, error);
}

static enum kvm_event draw_nearer(struct kvm_engine *kvm, const struct position *until, uint64_t remaining,
                                  struct error *error)
{
    if (until->kind == AT_TICK && !kvm->engine.caps.careful && !kvm->stuck &&
        remaining > (kvm->counter.branches ? BRANCHES_NEAR : EMULATION_NEAR))
        return approach(kvm, remaining, error);
    /* Each emulated instruction is a tick, so a step cannot go past the place; a branch is a tick only now and then. */
    bool step =
        until->kind == AT_TICK && !kvm->counter.branches && !kvm->engine.caps.careful && kvm->stride <= STRIDE_SHORT;
    kvm->stuck = false;
    return to_next_hit(kvm, until, step, error);
}

static enum engine_stop missed(const struct kvm_engine *kvm)
{
    return kvm->engine.caps.careful ? ENGINE_STOP_MISSED : ENGINE_STOP_OVERSHOT;
}

static enum engine_stop land_loop(struct kvm_engine *kvm, const struct position *until, struct error *error)
{
    for (;;) {
        uint64_t remaining = 0;
        int reached =
            until->kind == AT_TICK ? tick_reached(kvm, until, &remaining, error) : landmark_reached(kvm, until, error);
        if (reached == 1)
            return ENGINE_STOP_POSITION;
        if (reached < 0)
            return reached == -2 ? ENGINE_STOP_ERROR : missed(kvm);
        if (atomic_exchange(&kvm->kicked, false))
            return ENGINE_STOP_KICK;
        enum kvm_event event = draw_nearer(kvm, until, remaining, error);
        if (kvm->engine.exits != until->exits || event == KVM_EVENT_HALT)
            return event == KVM_EVENT_ERROR ? ENGINE_STOP_ERROR : missed(kvm);
        if (event == KVM_EVENT_SHUTDOWN)
            return ENGINE_STOP_SHUTDOWN;
        if (event == KVM_EVENT_FAULT)
            return ENGINE_STOP_FAULT;
        if (event == KVM_EVENT_ERROR)
            return ENGINE_STOP_ERROR;
    }
}

enum engine_stop kvm_land(struct kvm_engine *kvm, const struct position *until, struct error *error)
{
    cpu_set_t before, here;
    int processor = sched_getcpu();

    if ((until->kind == AT_TICK && !kvm->engine.caps.ticks) ||
        (until->kind == AT_LANDMARK && !kvm->engine.caps.landmarks)) {
        char text[POSITION_TEXT];
        error_set(error, ERROR_INPUT, "this host's KVM cannot land on %s (see encore doctor)",
                  position_text(until, text));
        return ENGINE_STOP_ERROR;
    }
    bool held = processor >= 0 && sched_getaffinity(0, sizeof before, &before) == 0;
    if (held) {
        CPU_ZERO(&here);
        CPU_SET((size_t)processor, &here);
        held = sched_setaffinity(0, sizeof here, &here) == 0;
    }
    kvm->handlers.known = false;
    kvm->last_hit = 0;
    kvm->stride = UINT64_MAX;
    kvm_sync(kvm, true);
    enum engine_stop stop = land_loop(kvm, until, error);
    kvm_sync(kvm, false);
    if (held)
        sched_setaffinity(0, sizeof before, &before);
    struct error ignored;
    if (kvm_set_breakpoint(kvm, NULL, stop == ENGINE_STOP_ERROR ? &ignored : error) < 0)
        return ENGINE_STOP_ERROR;
    return stop;
}
