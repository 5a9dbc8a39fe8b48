/*
 * Entering the guest and serving what comes out.
 *
 * KVM leaves for user space in the middle of an instruction that touches a port or a device, and finishes it at the
 * next KVM_RUN. With kvm_run->immediate_exit set, KVM_RUN does that finishing and nothing more; this is how a boundary
 * is reached ("settling") without executing one instruction too many. An instruction with two accesses (a read-modify-
 * write on device memory) comes out once more instead, and is served as usual.
 */
#include "vmm/kvm/kvm_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"
#include "base/check.h"

int kvm_event_pending(struct kvm_engine *kvm, struct error *error)
{
    struct kvm_vcpu_events events;

    if (kvm_read_events(kvm, &events, error) < 0)
        return -1;
    if (!events.interrupt.injected)
        kvm->injected = false;
    return events.interrupt.injected || events.exception.injected || events.exception.pending || events.nmi.injected ||
           events.nmi.pending;
}

/* Hands the interrupt to KVM if the line is to be looked at here and the guest can take it. */
static int offer_interrupt(struct kvm_engine *kvm, struct error *error)
{
    struct engine *engine = &kvm->engine;

    if (!engine->look)
        return 0;
    engine->look = false;
    if (!engine->intr || kvm->injected || !kvm->run->ready_for_interrupt_injection)
        return 0;
    struct kvm_interrupt interrupt = {.irq = engine_exit_acknowledge(engine)};
    if (ioctl(kvm->vcpu_fd, KVM_INTERRUPT, &interrupt) < 0)
        return error_errno(error, "KVM_INTERRUPT");
    kvm->synced = false;
    kvm->injected = true;
    kvm->at_exit = false;
    engine->halted = false;
    engine->halted_for_good = false;
    return 0;
}

static void serve_port(struct kvm_engine *kvm)
{
    struct kvm_run *run = kvm->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        if (run->io.direction == KVM_EXIT_IO_OUT)
            engine_exit_write(&kvm->engine, ENGINE_PORT, run->io.port, run->io.size, bytes_load(data, run->io.size));
        else
            bytes_store(data, run->io.size, engine_exit_read(&kvm->engine, ENGINE_PORT, run->io.port, run->io.size));
    }
}

/* KVM hands over up to eight bytes, of any length when an access crosses a page. */
static void serve_memory(struct kvm_engine *kvm)
{
    struct kvm_run *run = kvm->run;
    uint64_t address = run->mmio.phys_addr;
    uint32_t done = 0;

    while (done < run->mmio.len) {
        unsigned size = 8;
        while (size > run->mmio.len - done || (address + done) % size)
            size /= 2;
        if (run->mmio.is_write)
            engine_exit_write(&kvm->engine, ENGINE_MEMORY, address + done, size,
                              bytes_load(run->mmio.data + done, size));
        else
            bytes_store(run->mmio.data + done, size,
                        engine_exit_read(&kvm->engine, ENGINE_MEMORY, address + done, size));
        done += size;
    }
}

static void describe_internal_error(struct kvm_engine *kvm)
{
    struct engine_fault *fault = &kvm->engine.fault;
    struct kvm_run *run = kvm->run;

    fault->code_length = 0;
    if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
        snprintf(fault->text, sizeof fault->text, "KVM internal error %u while delivering an event",
                 run->internal.suberror);
        return;
    }
    snprintf(fault->text, sizeof fault->text,
             "KVM had to emulate an instruction that its emulator does not know (KVM_INTERNAL_ERROR_EMULATION)");
    if (run->emulation_failure.ndata >= 3 &&
        run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
        fault->code_length = run->emulation_failure.insn_size;
        if (fault->code_length > sizeof fault->code)
            fault->code_length = sizeof fault->code;
        memcpy(fault->code, run->emulation_failure.insn_bytes, fault->code_length);
    }
}

static enum kvm_event serve_exit(struct kvm_engine *kvm)
{
    struct kvm_run *run = kvm->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        serve_port(kvm);
        kvm->incomplete = true;
        return KVM_EVENT_EXIT;
    case KVM_EXIT_MMIO:
        serve_memory(kvm);
        kvm->incomplete = true;
        return KVM_EVENT_EXIT;
    case KVM_EXIT_HLT:
        kvm->engine.exits++;
        kvm->engine.look = true;
        kvm->engine.halted = true;
        kvm->engine.halted_for_good = !run->if_flag;
        kvm->at_exit = true;
        return KVM_EVENT_HALT;
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR: /* some processors' KVM: the guest has lowered CR8, which is for nobody here */
        return KVM_EVENT_KICK;
    case KVM_EXIT_DEBUG:
        return KVM_EVENT_DEBUG;
    case KVM_EXIT_SHUTDOWN:
        return KVM_EVENT_SHUTDOWN;
    case KVM_EXIT_INTERNAL_ERROR:
        describe_internal_error(kvm);
        return KVM_EVENT_FAULT;
    case KVM_EXIT_FAIL_ENTRY:
        snprintf(kvm->engine.fault.text, sizeof kvm->engine.fault.text,
                 "the processor refused to enter the guest (KVM_EXIT_FAIL_ENTRY, hardware reason 0x%" PRIx64 ")",
                 (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        return KVM_EVENT_FAULT;
    default:
        snprintf(kvm->engine.fault.text, sizeof kvm->engine.fault.text,
                 "KVM left the guest for reason %u, which encore "
                 "does not serve",
                 run->exit_reason);
        return KVM_EVENT_FAULT;
    }
}

/* Takes the kick signal off the thread, so that the next entry is not refused by it. */
static void consume_signal(void)
{
    const struct timespec at_once = {0};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, KVM_KICK_SIGNAL);
    sigtimedwait(&set, NULL, &at_once);
}

enum kvm_event kvm_enter(struct kvm_engine *kvm, bool settle, struct error *error)
{
    bool completes = kvm->incomplete;

    if (!settle || !completes)
        kvm->at_exit = false;
    kvm->run->immediate_exit = settle;
    int result = ioctl(kvm->vcpu_fd, KVM_RUN, 0);
    int reason = errno;
    kvm->run->immediate_exit = 0;
    kvm->synced = kvm->run->kvm_valid_regs != 0;
    kvm->entered = true;
    kvm->incomplete = false;
    kvm->engine.interruptible = kvm->run->ready_for_interrupt_injection;
    if (result < 0 && reason == EINTR) {
        if (settle)
            kvm->at_exit = completes && !kvm->injected;
        else
            consume_signal();
        return KVM_EVENT_KICK;
    }
    if (result < 0) {
        errno = reason;
        error_errno(error, "KVM_RUN");
        return KVM_EVENT_ERROR;
    }
    /* Anything but a refusal to enter means that the guest went on, after the interrupt that was handed over. */
    kvm->injected = false;
    return serve_exit(kvm);
}

void kvm_kick(struct engine *engine)
{
    struct kvm_engine *kvm = kvm_of(engine);

    atomic_store(&kvm->kicked, true);
    pthread_kill(kvm->thread, KVM_KICK_SIGNAL);
}

/* Completes the instruction that made the last exit. Returns KVM_EVENT_KICK at a boundary. */
enum kvm_event kvm_settle(struct kvm_engine *kvm, struct error *error)
{
    enum kvm_event event = KVM_EVENT_KICK;

    /* An instruction makes few accesses; a string instruction at most a page's worth at once. */
    while (kvm->incomplete) {
        event = kvm_enter(kvm, true, error);
        if (event != KVM_EVENT_KICK && event != KVM_EVENT_EXIT)
            return event;
    }
    return event;
}

static enum engine_stop stop_for(enum kvm_event event)
{
    switch (event) {
    case KVM_EVENT_HALT:
        return ENGINE_STOP_HALT;
    case KVM_EVENT_SHUTDOWN:
        return ENGINE_STOP_SHUTDOWN;
    case KVM_EVENT_FAULT:
        return ENGINE_STOP_FAULT;
    case KVM_EVENT_ERROR:
        return ENGINE_STOP_ERROR;
    case KVM_EVENT_EXIT:
    case KVM_EVENT_KICK:
    case KVM_EVENT_DEBUG:
        break;
    }
    CHECK(!"an event that does not stop the engine");
    return ENGINE_STOP_ERROR;
}

static bool event_is_final(enum kvm_event event)
{
    return event == KVM_EVENT_HALT || event == KVM_EVENT_SHUTDOWN || event == KVM_EVENT_FAULT ||
           event == KVM_EVENT_ERROR;
}

/* Reaches a boundary, and there, if the line is to be looked at, may take the interrupt. Returns KVM_EVENT_KICK, or
 * what else happened on the way. */
static enum kvm_event reach_and_offer(struct kvm_engine *kvm, struct error *error)
{
    if (!kvm->engine.look || !kvm->engine.intr)
        return KVM_EVENT_KICK;
    enum kvm_event event = kvm_settle(kvm, error);
    if (event == KVM_EVENT_KICK && offer_interrupt(kvm, error) < 0)
        return KVM_EVENT_ERROR;
    return event;
}

/* Looks at the line and enters the guest; a halted processor is entered only to take an interrupt. */
enum kvm_event kvm_advance(struct kvm_engine *kvm, struct error *error)
{
    uint64_t exits = kvm->engine.exits;
    enum kvm_event event = reach_and_offer(kvm, error);

    if (event != KVM_EVENT_KICK)
        return event;
    /* The acknowledge cycle was an exit: the caller may want no more than that. */
    if (kvm->engine.exits != exits)
        return KVM_EVENT_EXIT;
    kvm->engine.look = false;
    if (kvm->engine.halted)
        return KVM_EVENT_HALT;
    return kvm_enter(kvm, false, error);
}

/* kvm_run does not say whether an interrupt can be taken before KVM_RUN has run once on a new state. */
static enum kvm_event first_entry(struct kvm_engine *kvm, struct error *error)
{
    bool at_exit = kvm->at_exit;
    enum kvm_event event = kvm_enter(kvm, true, error);

    kvm->at_exit = at_exit;
    return event;
}

/* Whether the guest has come to `until`, or past it; only at a boundary. */
static bool arrived(const struct kvm_engine *kvm, const struct position *until, enum engine_stop *stop)
{
    if (!until || kvm->engine.exits < until->exits)
        return false;
    *stop = kvm->engine.exits > until->exits ? ENGINE_STOP_MISSED : ENGINE_STOP_POSITION;
    return *stop == ENGINE_STOP_MISSED || until->kind != AT_EXIT || !kvm->injected;
}

/* A guest that went another way than the recorded one may never make the exit that a tick's place begins with, or never
 * come to its RIP. */
static bool watches(const struct kvm_engine *kvm, const struct position *until)
{
    return until && until->kind == AT_TICK && kvm->engine.caps.ticks && kvm->engine.exits <= until->exits;
}

/* Once the counter is beyond the place, whatever comes is too late. 1: it is, 0: it is not yet, -1: host error. */
static int beyond(struct kvm_engine *kvm, const struct position *until, struct error *error)
{
    uint64_t ticks;

    if (kvm_counter_read(&kvm->counter, &ticks, error) < 0)
        return -1;
    return ticks > until->ticks;
}

static enum engine_stop run_until(struct kvm_engine *kvm, const struct position *until, struct error *error)
{
    struct engine *engine = &kvm->engine;
    enum kvm_event event = kvm->entered ? KVM_EVENT_KICK : first_entry(kvm, error);
    enum engine_stop stop;

    engine->stop_requested = false;
    while (!event_is_final(event)) {
        bool wanted = until && engine->exits >= until->exits;
        /* Looked at once: a kick that comes later finds the instruction incomplete, and has to wait for the next turn.
         */
        bool kicked = atomic_load(&kvm->kicked);
        if (wanted || engine->stop_requested || kicked) {
            event = kvm_settle(kvm, error);
            if (event_is_final(event))
                break;
        }
        bool there = arrived(kvm, until, &stop);
        bool lands = there && stop == ENGINE_STOP_POSITION && until->kind != AT_EXIT;
        if (there && !lands)
            return stop;
        /* Before the rest of the way: whoever asked may change the machine, as a reset does. */
        if (engine->stop_requested)
            return ENGINE_STOP_REQUESTED;
        if (lands)
            return kvm_land(kvm, until, error);
        if (kicked) {
            atomic_store(&kvm->kicked, false);
            return ENGINE_STOP_KICK;
        }
        int missed = event == KVM_EVENT_KICK && watches(kvm, until) ? beyond(kvm, until, error) : 0;
        if (missed)
            return missed < 0 ? ENGINE_STOP_ERROR : ENGINE_STOP_MISSED;
        event = kvm_advance(kvm, error);
    }
    if (event == KVM_EVENT_HALT && arrived(kvm, until, &stop) && until->kind == AT_EXIT)
        return stop;
    return stop_for(event);
}

enum engine_stop kvm_run_until(struct engine *engine, const struct engine_stops *stops, struct error *error)
{
    struct kvm_engine *kvm = kvm_of(engine);
    const struct position *until = stops->position;

    CHECK(!stops->to_tick && !stops->step && !stops->break_count);
    bool watched = watches(kvm, until);

    if (watched && kvm_counter_watch(kvm, error) < 0)
        return ENGINE_STOP_ERROR;
    enum engine_stop stop = run_until(kvm, until, error);
    if (watched)
        kvm_counter_unwatch(kvm);
    return stop;
}
