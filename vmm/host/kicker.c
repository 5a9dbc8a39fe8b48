/*
 * The set of events is one word, and that word is also the futex on which the vCPU's thread sleeps: it can be asleep
 * only while the word is 0, so whoever makes it nonzero wakes it, and no wake-up can fall between the look and the
 * sleep (futex(2)).
 *
 * A thread that sleeps in kicker_wait is outside the guest and looks at the events before it goes back, so it is woken
 * and not kicked. `waiting` and `events` are each written by one side and read by the other in the opposite order, with
 * sequentially consistent operations: at least one side sees what the other wrote.
 *
 * While it sleeps, the vCPU's thread sees to the alarm itself, as the time-out of its sleep, and the timer is disarmed:
 * a tick of an idle guest wakes one thread and not two, one after the other. Whichever of the two finds that it is time
 * claims the alarm by putting `due` to UINT64_MAX, so it is told once; and a timer event of an earlier setting, which
 * was under way, finds that it is not yet time, and is passed over.
 */
#include "vmm/host/kicker.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/thread.h"
#include "vmm/host/clock.h"

#define NANOSECONDS UINT64_C(1000000000)

/* What an epoll event's data tells: a watch's number, or one of these. */
enum source {
    SOURCE_ALARM = KICKER_WATCHES,
    SOURCE_SIGNAL,
    SOURCE_STOP,
    SOURCES,
};

struct kicker {
    void (*kick)(void *context);
    void *context;

    atomic_uint events;
    atomic_bool waiting;  /* the vCPU's thread is in kicker_wait */
    _Atomic uint64_t due; /* the time of the alarm; UINT64_MAX: none, or it was told */

    pthread_t thread;
    bool started; /* the thread is to be joined */
    int epoll;
    int timer;
    int stop; /* an eventfd, readable when the thread is to end */
    unsigned long slack_before;

    /* For the vCPU's thread only. */
    int watched[KICKER_WATCHES];
};

_Static_assert(sizeof(atomic_uint) == sizeof(uint32_t), "a futex is a 32-bit word");

static void add_events(struct kicker *kicker, unsigned bits)
{
    atomic_fetch_or(&kicker->events, bits);
    if (atomic_load(&kicker->waiting))
        syscall(SYS_futex, &kicker->events, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    else
        kicker->kick(kicker->context);
}

static unsigned take_alarm(struct kicker *kicker)
{
    uint64_t due = atomic_load(&kicker->due);

    if (due == UINT64_MAX || host_clock_now() < due)
        return 0;
    return atomic_compare_exchange_strong(&kicker->due, &due, UINT64_MAX) ? KICKER_ALARM : 0;
}

static void *kicker_thread(void *argument)
{
    struct kicker *kicker = argument;

    for (;;) {
        struct epoll_event happened[SOURCES];
        int count = epoll_wait(kicker->epoll, happened, SOURCES, -1);
        /* No signal handler runs here, but being stopped and continued also gives EINTR (signal(7)). */
        CHECK(count >= 0 || errno == EINTR);
        unsigned bits = 0;
        for (int i = 0; i < count; i++) {
            uint32_t source = happened[i].data.u32;
            if (source == SOURCE_STOP)
                return NULL;
            if (source == SOURCE_ALARM)
                bits |= take_alarm(kicker);
            else if (source == SOURCE_SIGNAL)
                bits |= KICKER_SIGNAL;
            else
                bits |= KICKER_WATCH(source);
        }
        if (bits)
            add_events(kicker, bits);
    }
}

static int add_source(struct kicker *kicker, int fd, uint32_t source, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.u32 = source};

    return epoll_ctl(kicker->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int open_sources(struct kicker *kicker, int signals, struct error *error)
{
    kicker->epoll = epoll_create1(EPOLL_CLOEXEC);
    kicker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    kicker->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (kicker->epoll < 0 || kicker->timer < 0 || kicker->stop < 0)
        return error_errno(error, "cannot open the descriptors that wait for host events");
    /* The timer is edge-triggered and never read, which saves a system call on the way of every tick: each expiry is an
     * edge, and setting the timer anew takes its readiness back. So is each signal. */
    if (add_source(kicker, kicker->timer, SOURCE_ALARM, EPOLLIN | EPOLLET) < 0 ||
        (signals >= 0 && add_source(kicker, signals, SOURCE_SIGNAL, EPOLLIN | EPOLLET) < 0) ||
        add_source(kicker, kicker->stop, SOURCE_STOP, EPOLLIN) < 0)
        return error_errno(error, "cannot wait for host events");
    return 0;
}

/* The signal by which the engine is kicked is never taken in the new thread. */
static int start_thread(struct kicker *kicker, struct error *error)
{
    if (thread_start(&kicker->thread, kicker_thread, kicker, error) < 0)
        return -1;
    /* The time-out of a futex is late by up to the thread's timer slack, 50 us by default; a timerfd has none. */
    kicker->slack_before = (unsigned long)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    kicker->started = true;
    return 0;
}

struct kicker *kicker_start(void (*kick)(void *context), void *context, int signals, struct error *error)
{
    struct kicker *kicker = malloc(sizeof *kicker);

    if (!kicker) {
        error_errno(error, "cannot start the thread that waits for host events");
        return NULL;
    }
    *kicker = (struct kicker){.kick = kick, .context = context, .epoll = -1, .timer = -1, .stop = -1};
    atomic_init(&kicker->due, UINT64_MAX);
    for (unsigned n = 0; n < KICKER_WATCHES; n++)
        kicker->watched[n] = -1;
    if (open_sources(kicker, signals, error) < 0 || start_thread(kicker, error) < 0) {
        kicker_stop(kicker);
        return NULL;
    }
    return kicker;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void kicker_stop(struct kicker *kicker)
{
    if (!kicker)
        return;
    if (kicker->started) {
        int failed = eventfd_write(kicker->stop, 1);
        CHECK(failed == 0);
        pthread_join(kicker->thread, NULL);
    }
    close_if_open(kicker->epoll);
    close_if_open(kicker->timer);
    close_if_open(kicker->stop);
    if (kicker->started)
        prctl(PR_SET_TIMERSLACK, kicker->slack_before, 0, 0, 0);
    free(kicker);
}

int kicker_watch(struct kicker *kicker, unsigned n, int fd, struct error *error)
{
    CHECK(n < KICKER_WATCHES && kicker->watched[n] < 0);
    if (add_source(kicker, fd, n, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT) == 0) {
        kicker->watched[n] = fd;
        return 0;
    }
    /* epoll_ctl(2): EPERM, the file does not support epoll, as a regular file or a directory. */
    if (errno == EPERM)
        return KICKER_ALWAYS;
    return error_errno(error, "cannot watch descriptor %d", fd);
}

void kicker_unwatch(struct kicker *kicker, unsigned n)
{
    CHECK(n < KICKER_WATCHES);
    /* Fails when the descriptor was closed before, which took it out of the set already. */
    if (kicker->watched[n] >= 0)
        epoll_ctl(kicker->epoll, EPOLL_CTL_DEL, kicker->watched[n], NULL);
    kicker->watched[n] = -1;
}

void kicker_rearm(struct kicker *kicker, unsigned n)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u32 = n};

    CHECK(n < KICKER_WATCHES);
    if (kicker->watched[n] >= 0)
        epoll_ctl(kicker->epoll, EPOLL_CTL_MOD, kicker->watched[n], &event);
}

static struct timespec timespec_of(uint64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / NANOSECONDS),
                             .tv_nsec = (long)(nanoseconds % NANOSECONDS)};
}

static void set_timer(struct kicker *kicker, uint64_t when)
{
    struct itimerspec setting = {.it_interval = {0, 0}};

    /* A time of zero would disarm the timer (timerfd_create(2)), and so it does for UINT64_MAX. */
    if (when != UINT64_MAX)
        setting.it_value = timespec_of(when ? when : 1);
    int failed = timerfd_settime(kicker->timer, TFD_TIMER_ABSTIME, &setting, NULL);
    CHECK(failed == 0);
}

void kicker_alarm(struct kicker *kicker, uint64_t when)
{
    if (atomic_load(&kicker->due) == when)
        return;
    atomic_store(&kicker->due, when);
    set_timer(kicker, when);
}

uint32_t kicker_events(const struct kicker *kicker)
{
    return atomic_load_explicit(&kicker->events, memory_order_relaxed);
}

uint32_t kicker_take(struct kicker *kicker)
{
    return atomic_exchange(&kicker->events, 0);
}

/* Sleeps until there is an event; at the time `due` (UINT64_MAX: never) the alarm is one. */
static void sleep_until(struct kicker *kicker, uint64_t due)
{
    struct timespec when = timespec_of(due);
    const struct timespec *limit = due == UINT64_MAX ? NULL : &when;

    while (atomic_load(&kicker->events) == 0) {
        long woken =
            syscall(SYS_futex, &kicker->events, FUTEX_WAIT_BITSET_PRIVATE, 0, limit, NULL, FUTEX_BITSET_MATCH_ANY);
        if (woken == 0 || errno != ETIMEDOUT)
            continue;
        /* If the other thread has claimed it, it is about to tell. */
        if (atomic_compare_exchange_strong(&kicker->due, &due, UINT64_MAX))
            atomic_fetch_or(&kicker->events, KICKER_ALARM);
        limit = NULL;
    }
}

void kicker_wait(struct kicker *kicker)
{
    uint64_t due = atomic_load(&kicker->due);

    if (kicker_events(kicker))
        return;
    if (due != UINT64_MAX)
        set_timer(kicker, UINT64_MAX);
    atomic_store(&kicker->waiting, true);
    sleep_until(kicker, due);
    atomic_store(&kicker->waiting, false);
    due = atomic_load(&kicker->due);
    if (due != UINT64_MAX)
        set_timer(kicker, due);
}
